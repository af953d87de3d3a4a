"""What turns drive, and what commits for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..sip.event import EndpointEvent
from ..sip.flow import Flow
from ..sip.moment import Moment
from .journal import Entry

Done = Callable[[Exception | None], None]
"""Receives the failure of a commit; None if the commit succeeded."""


class Application(Protocol):
    """Decides; see :class:`reginfo.server.app.App`."""

    def handle(self, event: EndpointEvent, moment: Moment) -> None:
        """Handle a request; pass a response or failure to the user of its request."""

    def flow_lost(self, flow: Flow, moment: Moment) -> None:
        """Receive the news that a stream was closed."""

    @property
    def timer_at(self) -> float | None:
        """When to call :meth:`timer_due`, on the boot-time clock; None for never."""

    def timer_due(self, moment: Moment) -> None:
        """Handle due items, or some of them: then :attr:`timer_at` is in the past."""

    def undone(self, moment: Moment) -> None:
        """Receive the news that a commit failed, and its decisions were undone."""


class Committer(Protocol):
    """Makes entries durable; see :class:`reginfo.io.commit.Writer`."""

    def commit(
        self, entries: list[Entry], *, boot: float, wall: float, done: Done
    ) -> None:
        """Start a commit of ``entries``, and call ``done`` at the end."""
