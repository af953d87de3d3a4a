"""One watcher of one address-of-record, and its pending report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from ..events.headers import EventHeader
from ..events.notify import RETRY_FIRST, RETRY_LONGEST
from ..events.waiting import back_off, wait_asked
from ..location.binding import Binding
from ..location.place import Aor
from ..reg.document import ContactEvent, Piece
from ..sip.headers import cached_name_addr
from ..sip.message import Request, Response
from ..sip.moment import Moment
from ..sip.transaction import TIMER_F
from ..sip.value import Value
from .row import WatchRow

REFRESHED = ContactEvent.REFRESHED
BEGINNINGS = frozenset({ContactEvent.REGISTERED, ContactEvent.CREATED})
ENDINGS = frozenset(
    {ContactEvent.DEACTIVATED, ContactEvent.PROBATION, ContactEvent.REJECTED}
)
"""Events of an administrator, which are reported without waiting for the interval."""


Parted = dict[Aor, tuple[Binding, ...]]
"""Removed identities of a user, each with the contacts that it had."""

LONGEST_DOCUMENT = 48 * 1024
"""The maximum size of a document over a stream, in octets; longer ones are split."""

SHORTEST_DOCUMENT = 1300
"""The maximum size of a document for a watcher that only UDP reaches, in octets."""


class Owed(Value, frozen=True):
    """The contents of the next NOTIFY to a watcher."""

    full: bool
    bindings: list[Binding]
    "The changed contacts, in order; with `full`, those that have ended."

    parted: Parted
    "Registrations that end: with `full`, or the rest of those that did not fit."


PendingUndo = tuple[str, Binding | None, float]
"""A key, what was pending for it, and the end of the interval."""

_NOTHING: dict[str, Binding] = {}
_NOBODY: Parted = {}


class WatchKeeper(Protocol):
    """Sends the NOTIFYs of watches; see :class:`reginfo.roles.served.Served`."""

    def receive_response(self, watch: Watch, response: Response, now: float) -> None:
        """Receive the response to the unanswered NOTIFY."""

    def receive_failure(self, watch: Watch, cause: str, now: float) -> None:
        """Receive the news that the unanswered NOTIFY failed."""


class Watch:
    """
    Collects the changes for one watcher, and decides when to send them.

    Changes that arrive before a NOTIFY is answered, or within
    :attr:`WatchRow.min_interval` of it, are collected and sent together: the latest
    state of each contact, so that none is lost or repeated (RFC 3680 §4.10).

    Drive it by :meth:`tell`, :meth:`owe_full`, :meth:`answered` and :meth:`refused`;
    :meth:`take` returns what may be sent now.
    """

    __slots__ = (
        "_answered", "_anew", "_full_due", "_held_until", "_lost", "_parted",
        "_pending", "_quiet_until", "_sent", "_unreachable_since",
        "failures", "in_pieces", "is_long",
        "keeper", "longest", "row", "scheduled_at", "timer_at",
    )  # fmt: skip

    def __init__(self, row: WatchRow, keeper: WatchKeeper) -> None:
        self.row = row
        self.keeper = keeper
        "Receives the responses to its NOTIFYs."

        self.timer_at: float | None = row.subscription.expires_at
        self.scheduled_at: float | None = None
        # Only :meth:`untell` undoes a change of it; snapshots undo a replacement.
        self._pending = _NOTHING
        self._full_due = False
        self._anew = False  # the full state is pending, subject to the interval
        self._parted = _NOBODY
        self._quiet_until = 0.0
        self._sent = 0
        # A failed commit does not undo what the network has done.
        self._answered = 0  # of those sent
        self._lost = False  # the watcher did not process the last of them
        self._held_until = 0.0
        self.failures = 0
        "The number of consecutive NOTIFYs that were refused temporarily."

        self.in_pieces = False
        "Whether the full state is being sent in several documents."

        self._unreachable_since = 0.0
        self.longest = LONGEST_DOCUMENT
        "The maximum size of its documents over a stream, in octets."

        self.is_long = False
        "Whether the unanswered NOTIFY needs a stream because of its length."

    def __repr__(self) -> str:
        return f"<watch of {self.row.aor} by {self.watcher}>"

    @property
    def watcher(self) -> str:
        """The name of the peer that watches, or what From has."""
        return self.row.peer or self.row.subscription.dialog.remote

    @property
    def aor(self) -> str:
        """The address-of-record in the From of the watcher."""
        return cached_name_addr(self.row.subscription.dialog.remote).parsed.aor

    @property
    def ended(self) -> bool:
        """Whether the final NOTIFY has been sent."""
        return self.row.subscription.reason is not None

    @property
    def settled(self) -> bool:
        """Whether no NOTIFY is unanswered, and no change waits."""
        return self._sent == self._answered and not self.waits

    @property
    def stalled(self) -> bool:
        """Whether a change waits, but not for a response."""
        return self._sent == self._answered and self.waits

    @property
    def unanswered(self) -> bool:
        """Whether a NOTIFY is unanswered."""
        return self._sent != self._answered

    @property
    def waits(self) -> bool:
        """Whether a change waits, beyond what the unanswered NOTIFY reports."""
        return (
            self._full_due
            or self._lost
            or self._anew
            or bool(self._pending)
            or bool(self._parted)
        )

    @property
    def is_pending(self) -> bool:
        """Whether a contact is in the pending report."""
        return bool(self._pending)

    def is_of_same(self, request: Request, event: EventHeader) -> bool:
        """Whether a SUBSCRIBE of another dialog is from this watcher, for the same."""
        subscription = self.row.subscription
        dialog = subscription.dialog
        return (
            dialog.call_id != request.call_id
            and cached_name_addr(dialog.remote).uri == request.from_.uri
            and EventHeader.parse(subscription.event).id == event.id
        )

    def tell(self, binding: Binding) -> PendingUndo:
        """
        Add a change of one contact to the pending report.

        Returns:
            The arguments of :meth:`untell`.
        """
        key, pending = binding.key, self._pending
        known = None
        if pending:
            known = pending.pop(key, None)
        else:
            pending = self._pending = {}  # a snapshot may have the old one
        undo = (key, known, self._quiet_until)
        if (
            known is not None
            and known.event in BEGINNINGS
            and binding.event is REFRESHED
        ):
            # The watcher does not know the contact yet: for it, this is the first
            # event.
            binding = msgspec.structs.replace(binding, event=known.event)
        pending[key] = binding
        if binding.event in ENDINGS:
            self._quiet_until = 0.0
        return undo

    def withdraw(self, key: str) -> PendingUndo:
        """
        Remove a contact from the pending report.

        Returns:
            The arguments of :meth:`untell`.
        """
        known = self._pending.pop(key) if key in self._pending else None
        return (key, known, self._quiet_until)

    def untell(self, key: str, known: Binding | None, quiet_until: float) -> None:
        """
        Undo :meth:`tell` or :meth:`withdraw`.

        The pending report is changed in place: a copy for each of many changes would
        take quadratic time.
        """
        if known is not None:
            if not self._pending:
                self._pending = {}
            self._pending[key] = known
        elif key in self._pending:
            del self._pending[key]
        self._quiet_until = quiet_until

    def owe_full(self) -> None:
        """Report the full state without delay, as after each SUBSCRIBE."""
        self._full_due = True
        self._held_until = 0.0

    def owe_anew(self) -> None:
        """Report the full state as a change, subject to the interval."""
        self._anew = True

    def part(self, parted: Parted) -> None:
        """Report the end of identities; ``parted`` is kept, and must not change."""
        self._parted = {**self._parted, **parted} if self._parted else parted
        self._anew = True

    def take(self, now: float) -> Owed | None:
        """
        Return the report to send now, which then counts as unanswered; None if none.

        Changes that wait are due at :attr:`timer_at`, or when :meth:`answered` is
        called.
        """
        row, pending = self.row, self._pending
        self.wait()
        if self._sent != self._answered:
            return None
        at_once = self._full_due or self._lost
        full = at_once or self._anew
        if not full and not pending and not self._parted:
            return None
        may_at = self._held_until if at_once else self._quiet_until
        if now < may_at:
            if self.timer_at is None or may_at < self.timer_at:
                self.timer_at = may_at
            return None
        ordered = list(pending.values())
        if full:
            ordered = [binding for binding in ordered if not binding.active]
        elif len(ordered) > 1:
            # First those that have ended; each in the order of events.
            ordered.sort(key=lambda binding: binding.active)
        # Without `full`, these were put back.
        owed = Owed(full, ordered, self._parted)
        self._pending, self._parted = _NOTHING, _NOBODY
        self._full_due = self._anew = False
        self._sent += 1
        self._quiet_until = now + row.min_interval
        return owed

    def wait(self) -> None:
        """Have the timer of :meth:`take`, although it is not this watch's turn."""
        self.timer_at = None if self.ended else self.row.subscription.expires_at

    def put_back(self, bindings: Sequence[Binding], parted: Parted) -> None:
        """Put back contacts that did not fit into a document; they are due at once."""
        self._pending = {b.key: b for b in bindings} | self._pending
        self._parted = parted
        self._quiet_until = 0.0

    def divide(self, full: bool, rest: Sequence[Binding], parted: Parted) -> Piece:
        """
        Put back what did not fit; return the kind of this piece of a full state.

        Args:
            full: whether this is the first piece.
        """
        more = bool(rest or parted)
        if more:
            self.put_back(rest, parted)
        if full:
            self.in_pieces = more
        elif not self.in_pieces:
            return Piece.WHOLE
        elif not more:
            self.in_pieces = False
            return Piece.LAST
        return Piece.MORE if more else Piece.WHOLE

    def answered(self) -> None:
        """Note that the unanswered NOTIFY was accepted."""
        self._answered = self._sent
        self._lost = False
        self.failures = 0

    def refused(
        self, response: Response, now: float, jitter: Callable[[], float]
    ) -> float:
        """
        Retry with the full state, after a watcher refused a NOTIFY temporarily.

        Returns:
            The delay in seconds (6665-86).
        """
        delay = wait_asked(response)
        if delay is None:
            delay = self._pause(jitter)
        self._hold(now + delay)
        return delay

    def unreachable(self, now: float, jitter: Callable[[], float]) -> bool:
        """
        Retry with the full state, after the network did not reach a watcher.

        It may be restarting, so a NOTIFY that fails at once is retried for as long as
        one that gets no response.

        Returns:
            False if that time is over.
        """
        if not self.failures:
            self._unreachable_since = now
        if self.ended or now - self._unreachable_since >= TIMER_F:
            return False
        self._hold(now + self._pause(jitter))
        return True

    def _pause(self, jitter: Callable[[], float]) -> float:
        return back_off(self.failures, jitter, first=RETRY_FIRST, longest=RETRY_LONGEST)

    def _hold(self, until: float) -> None:
        self._answered = self._sent
        self._lost = True
        self.failures += 1
        self._held_until = until

    def shorten(self) -> bool:
        """
        Send shorter documents from now on; False if they cannot be shorter.

        The next one has the full state, and is due at once.
        """
        if self.longest <= SHORTEST_DOCUMENT:
            return False
        self.longest = max(SHORTEST_DOCUMENT, self.longest // 6)
        self._answered = self._sent
        self._lost, self._held_until = True, 0.0
        return True

    def doubt(self, lost: bool) -> None:
        """Note whether the last NOTIFY may be lost: then the full state is reported."""
        self._lost = lost

    def timer_due(self, now: float) -> None:
        # :meth:`take` returns what is due.
        self.timer_at = None

    # The user of each NOTIFY (:class:`reginfo.sip.user.User`).

    def receive_response(self, response: Response, moment: Moment) -> None:
        """Receive the response to the unanswered NOTIFY."""
        self.keeper.receive_response(self, response, moment.now)

    def receive_failure(self, cause: str, moment: Moment) -> None:
        """Receive the news that the unanswered NOTIFY failed."""
        self.keeper.receive_failure(self, cause, moment.now)

    def never_sent(self) -> None:
        """Do nothing: the journal's undo list restores the pending report."""

    def snapshot(self) -> tuple[Any, ...]:
        """Return everything that :meth:`take` changes, for :meth:`restore`."""
        row = self.row
        return (
            row.version,
            row.subscription.dialog.local_cseq,
            self._pending,
            self._full_due,
            self._anew,
            self._parted,
            self._sent,
            self._quiet_until,
            row.settled,
            self.in_pieces,
        )

    def restore(self, snapshot: tuple[Any, ...]) -> None:
        """Restore a snapshot: NOTIFYs since then were never sent."""
        row = self.row
        (
            row.version,
            row.subscription.dialog.local_cseq,
            self._pending,
            self._full_due,
            self._anew,
            self._parted,
            self._sent,
            self._quiet_until,
            row.settled,
            self.in_pieces,
        ) = snapshot
