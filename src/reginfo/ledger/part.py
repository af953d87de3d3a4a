"""What each part of a server has in common, and how the server drives its parts."""

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
    """Where this server is, known once its sockets are bound."""

    locals: tuple[Local, ...]
    "The addresses that it listens at, in the order of the configuration."

    names: Names
    "Resolves the URIs of others."


class Description(Value, frozen=True):
    """What a part says about itself, for the page, `reginfo show` and metrics."""

    name: str
    "The part's name, one lower-case word: `notifier`."

    line: str
    "One line for people: `212 watches, 3 NOTIFYs unanswered`."

    figures: Mapping[str, float]
    """
    Numbers by name, in lower case with underscores, with the unit at the end where
    there is one. A name that ends in `_total` only grows, and starts at 0 with the
    process; any other may fall.
    """


class Part(Protocol):
    """
    One part of a server: it keeps state and has timers.

    The server loads the rows of :attr:`shelves`, then calls :meth:`begin` once, then
    drives the part. Every call is made inside a turn: if it raises, what it has changed
    is taken back, and the other parts are called all the same.
    """

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        """What the part keeps in the storage."""

    def begin(self, here: Here, moment: Moment) -> None:
        """Continue with what was loaded; schedule timers."""

    @property
    def timer_at(self) -> float | None:
        """When to call :meth:`timer_due`, on the boot-time clock; None for never."""

    def timer_due(self, moment: Moment) -> None:
        """
        Do what is due, or some of it: then :attr:`timer_at` is still in the past.

        Parts work off a few items for each call (:func:`reginfo.ledger.due.work_off`),
        so that many that are due together do not keep SIP waiting.
        """

    def undone(self, moment: Moment) -> None:
        """A commit has failed and its changes were taken back: try again later."""

    def describe(self) -> Description:
        """Describe the part as it is now."""


class HearingPart(Part, Protocol):
    """A part that depends on what happens to contacts."""

    def hears(self, change: Any) -> None:
        """Take note of a `BindingChange` or `KeyChange` that was just decided."""


Hears = Callable[[Any], None]
"""See :meth:`HearingPart.hears`."""


class Parts:
    """
    All parts of a server, in the order in which they are driven.

    Every call of a part is an attempt of its own, so that one that fails stops no
    other.
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
        """Drive ``part`` after those that were added before."""
        self._parts.append(part)
        hears: Hears | None = getattr(part, "hears", None)
        if hears is not None:
            self.hearers.append(hears)

    @property
    def shelves(self) -> list[Rows[Any]]:
        """What all parts keep in the database."""
        return [rows for part in self._parts for rows in part.shelves]

    def begin(self, here: Here, moment: Moment) -> None:
        """Have each part continue with what was loaded."""
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
        Have each part do what is due, or some of it.

        One that fails is called again after :data:`RETRY_AFTER`.
        """
        failed = self._failed
        for part in self._parts:
            if failed:
                if moment.now < failed.get(part, 0.0):
                    continue
                failed.pop(part, None)
            try:
                with self._journal.attempt():
                    part.timer_due(moment)
            except Exception:
                logger.exception("! a timer of the %s", part.describe().name)
                failed[part] = moment.now + RETRY_AFTER

    def undone(self, moment: Moment) -> None:
        """Tell each part that a commit has failed."""
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
