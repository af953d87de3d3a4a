"""The protocol of a part of the server, and the loop that drives all parts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from ..sip.destination import Destination
from ..sip.errors import RemoteProtocolError
from ..sip.flow import Local
from ..sip.moment import Moment as Moment
from ..sip.uri import Uri
from ..sip.value import Value
from .journal import Journal
from .shelf import Rows

logger = logging.getLogger("reginfo.server")

RETRY_AFTER = 5.0
"""Seconds until the timers of a part are looked at again after they have failed."""

Found = Callable[[list[Destination] | RemoteProtocolError], None]


class Names(Protocol):
    """Resolves URIs (RFC 3263); see :class:`reginfo.io.resolver.Resolver`."""

    def find(self, uri: Uri, found: Found) -> None:
        """Call ``found`` with the destinations of ``uri``: at once, or later."""


class Here(Value, frozen=True):
    """The addresses of this server, known when its sockets are bound."""

    locals: tuple[Local, ...]
    "The listening addresses, in the order of the configuration."

    names: Names
    "Resolves the URIs of others."


class Description(Value, frozen=True):
    """A part's description of itself, for the page, `reginfo show` and metrics."""

    name: str
    "The name of the part: one lower-case word, such as `notifier`."

    line: str
    "One line for people: `watches: 212, being ended: 3`."

    figures: Mapping[str, float]
    """
    Numbers by name, in lower case with underscores, with the unit as suffix if there is
    one. A name that ends in `_total` is a counter, which starts at 0 with the process;
    any other is a gauge.
    """


class Part(Protocol):
    """
    One part of a server: it keeps state and has timers.

    The server loads the rows of :attr:`shelves`, then calls :meth:`begin` once, then
    drives the part. Every call is made inside a turn: if it raises, its changes are
    undone, and the other parts are called nevertheless.
    """

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        """The rows that the part keeps in the storage."""

    def begin(self, here: Here, moment: Moment) -> None:
        """Continue with the loaded rows; schedule timers."""

    @property
    def timer_at(self) -> float | None:
        """When to call :meth:`timer_due`, on the boot-time clock; None for never."""

    def timer_due(self, moment: Moment) -> None:
        """
        Handle due items, or some of them: then :attr:`timer_at` remains in the past.

        Parts handle a few items per call (:func:`reginfo.ledger.due.work_off`), so that
        many items that are due together do not delay SIP.
        """

    def undone(self, moment: Moment) -> None:
        """Receive the news that a commit failed and was undone; retry later."""

    def describe(self) -> Description:
        """Describe the current state of the part."""


class HearingPart(Part, Protocol):
    """A part that depends on what happens to contacts."""

    def hears(self, change: Any) -> None:
        """Take note of a `BindingChange` or `KeyChange` that was just decided."""


Hears = Callable[[Any], None]
"""See :meth:`HearingPart.hears`."""


class Parts:
    """
    All parts of a server, in the order in which they are driven.

    Timers of each part run in an attempt of its own, so that a failure does not stop
    the others.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._parts: list[Part] = []
        # Until when the timers of a part that has failed are left alone.
        self._failed: dict[Part, float] = {}

        self.hearers: list[Hears] = []
        "The methods of the parts that hear changes, in the order of the parts."

    def __iter__(self) -> Iterator[Part]:
        return iter(self._parts)

    def add(self, part: Part | HearingPart) -> None:
        """Add ``part``, to be driven after those that were added before."""
        self._parts.append(part)
        hears: Hears | None = getattr(part, "hears", None)
        if hears is not None:
            self.hearers.append(hears)

    @property
    def shelves(self) -> list[Rows[Any]]:
        """The rows that all parts keep in the storage."""
        return [rows for part in self._parts for rows in part.shelves]

    def begin(self, here: Here, moment: Moment) -> None:
        """Have each part continue with its loaded rows."""
        for part in self._parts:
            part.begin(here, moment)

    @property
    def timer_at(self) -> float | None:
        """When to call :meth:`timer_due`; None for never."""
        at: float | None = None
        for part in self._parts:
            due = part.timer_at
            if due is not None and (at is None or due < at):
                if self._failed:
                    due = max(due, self._failed.get(part, due))
                    if at is not None and at <= due:
                        continue
                at = due
        return at

    def timer_due(self, moment: Moment) -> None:
        """
        Have each part that has due items handle them, or some of them.

        One that fails is called again after :data:`RETRY_AFTER`.
        """
        failed = self._failed
        for part in self._parts:
            if failed:
                if moment.now < failed.get(part, 0.0):
                    continue
                failed.pop(part, None)
            at = part.timer_at
            if at is None or at > moment.now:
                continue
            try:
                with self._journal.attempt():
                    part.timer_due(moment)
            except Exception:
                logger.exception("! a timer of the %s failed", part.describe().name)
                failed[part] = moment.now + RETRY_AFTER

    def undone(self, moment: Moment) -> None:
        """Inform each part that a commit failed."""
        for part in self._parts:
            try:
                part.undone(moment)
            except Exception:
                logger.exception(
                    "! the %s, after a failed commit", part.describe().name
                )

    def describe(self) -> list[Description]:
        """Have each part describe itself."""
        return [part.describe() for part in self._parts]
