"""One watcher of one address-of-record, and what it has yet to be told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

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
from .row import WatchRow

REFRESHED = ContactEvent.REFRESHED
BEGINNINGS = frozenset({ContactEvent.REGISTERED, ContactEvent.CREATED})
ENDINGS = frozenset(
    {ContactEvent.DEACTIVATED, ContactEvent.PROBATION, ContactEvent.REJECTED}
)
"""Who removes a contact does not wait for the interval, nor does its phone."""


Parted = dict[Aor, tuple[Binding, ...]]
"""Addresses-of-record that are no identities of the user any more, and its contacts."""

LONGEST_DOCUMENT = 48 * 1024
"""Octets of a document that is sent over a stream, at most; a longer one is divided."""

SHORTEST_DOCUMENT = 1300
"""Octets of a document for a watcher that only UDP reaches, at most."""


class Owed(NamedTuple):
    """What a watcher is to be told now."""

    full: bool
    bindings: list[Binding]
    "Those that have changed, in the order in which they did; if `full`, what has gone."

    parted: Parted
    "Registrations that end: with `full`, or the rest of those that did not fit then."


class WatchKeeper(Protocol):
    """Sends the NOTIFYs of watches; see :class:`reginfo.roles.notifier.Notifier`."""

    def receive_response(self, watch: Watch, response: Response, now: float) -> None:
        """Receive the response to the NOTIFY under way."""

    def receive_failure(self, watch: Watch, cause: str, now: float) -> None:
        """Receive the news that the NOTIFY under way got no response."""


class Watch:
    """
    When a watcher is told, and of what.

    Changes that come before a NOTIFY is answered, or within
    :attr:`WatchRow.min_interval` of one, wait and leave together: of each contact the
    newest state, so that none is lost and none is told twice (RFC 3680 §4.10).

    Drive it by :meth:`tell`, :meth:`owe_full`, :meth:`answered` and :meth:`refused`;
    :meth:`take` says what may be sent now.
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
        "Receives what becomes of its NOTIFYs."

        self.timer_at: float | None = row.subscription.expires_at
        self.scheduled_at: float | None = None
        self._pending: dict[str, Binding] = {}
        self._full_due = False
        self._anew = False  # the full state is owed, when its time has come
        self._parted: Parted = {}
        self._quiet_until = 0.0
        self._sent = 0
        # What the network has done, no commit that fails undoes.
        self._answered = 0  # of those sent
        self._lost = False  # what the last of them told has not been taken in
        self._held_until = 0.0
        self.failures = 0
        "NOTIFYs in a row that were refused for the moment."

        self.in_pieces = False
        "Whether the full state is being sent, in more than one document."

        self._unreachable_since = 0.0
        self.longest = LONGEST_DOCUMENT
        "Octets of the longest document that it is sent over a stream."

        self.is_long = False
        "Whether the NOTIFY under way needs a stream because of its length."

    def __repr__(self) -> str:
        row = self.row
        by = row.peer or row.subscription.dialog.remote
        return f"<watch of {row.aor} by {by}>"

    @property
    def ended(self) -> bool:
        """Whether the last NOTIFY has been, or is being, sent."""
        return self.row.subscription.reason is not None

    @property
    def settled(self) -> bool:
        """Whether nothing is under way, or waits."""
        return self._sent == self._answered and not self.waits

    @property
    def stalled(self) -> bool:
        """Whether something waits that nothing under way will set free."""
        return self._sent == self._answered and self.waits

    @property
    def unanswered(self) -> bool:
        """Whether a NOTIFY is under way."""
        return self._sent != self._answered

    @property
    def waits(self) -> bool:
        """Whether there is something to tell, beyond what is under way."""
        return (
            self._full_due
            or self._lost
            or self._anew
            or bool(self._pending)
            or bool(self._parted)
        )

    def is_of_same(self, request: Request, event: EventHeader) -> bool:
        """Whether a SUBSCRIBE of another dialog is of this watcher, for the same."""
        subscription = self.row.subscription
        dialog = subscription.dialog
        return (
            dialog.call_id != request.call_id
            and cached_name_addr(dialog.remote).uri == request.from_.uri
            and EventHeader.parse(subscription.event).id == event.id
        )

    def tell(self, binding: Binding) -> None:
        """Owe the watcher a change of one contact."""
        known = self._pending.pop(binding.key, None)
        if (
            known is not None
            and known.event in BEGINNINGS
            and binding.event is REFRESHED
        ):
            # It has not heard of the contact yet: to it, this is the beginning.
            binding = msgspec.structs.replace(binding, event=known.event)
        self._pending[binding.key] = binding
        if binding.event in ENDINGS:
            self._quiet_until = 0.0

    def withdraw(self, key: str) -> None:
        """Owe the watcher no change of this contact any more."""
        self._pending.pop(key, None)

    def owe_full(self) -> None:
        """Owe the watcher the full state, as after each SUBSCRIBE: without delay."""
        self._full_due = True
        self._held_until = 0.0

    def owe_anew(self) -> None:
        """Owe the watcher the full state, as a change: no sooner than is polite."""
        self._anew = True

    def part(self, aor: Aor, bindings: list[Binding]) -> None:
        """Owe the watcher that ``aor`` is told of no more, and had ``bindings``."""
        self._parted = {**self._parted, aor: tuple(bindings)}
        self._anew = True

    def take(self, now: float) -> Owed | None:
        """
        What is to be sent now, and is from now on under way; None if nothing.

        Whatever waits is due at :attr:`timer_at`, or when :meth:`answered` is called.
        """
        self.timer_at = None if self.ended else self.row.subscription.expires_at
        if self._sent != self._answered or not self.waits:
            return None
        at_once = self._full_due or self._lost
        full = at_once or self._anew
        may_at = self._held_until if at_once else self._quiet_until
        if now < may_at:
            if self.timer_at is None or may_at < self.timer_at:
                self.timer_at = may_at
            return None
        ordered = self._ordered()
        if full:
            ordered = [binding for binding in ordered if not binding.active]
        # Without `full`, it is what was put back.
        owed = Owed(full, ordered, self._parted)
        self._pending, self._parted = {}, {}
        self._full_due = self._anew = False
        self._sent += 1
        self._quiet_until = now + self.row.min_interval
        return owed

    def put_back(self, bindings: Sequence[Binding], parted: Parted) -> None:
        """Owe these still: they did not fit into the document. They do not wait."""
        self._pending = {b.key: b for b in bindings} | self._pending
        self._parted = parted
        self._quiet_until = 0.0

    def divide(self, full: bool, rest: Sequence[Binding], parted: Parted) -> Piece:
        """
        Put back what did not fit; return which piece of a full state this one is.

        Args:
            full: whether this is the first piece of it.
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
        """The NOTIFY under way has got a good answer."""
        self._answered = self._sent
        self._lost = False
        self.failures = 0

    def refused(
        self, response: Response, now: float, jitter: Callable[[], float]
    ) -> float:
        """
        Owe the full state to a watcher that has refused a NOTIFY for the moment.

        Returns:
            After how many seconds it is sent (6665-86).
        """
        delay = wait_asked(response)
        if delay is None:
            delay = self._pause(jitter)
        self._hold(now + delay)
        return delay

    def unreachable(self, now: float, jitter: Callable[[], float]) -> bool:
        """
        Owe the full state to a watcher that the network did not reach.

        It may be restarting. So a NOTIFY that fails at once is tried for as long as one
        that gets no response at all.

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
        Send shorter documents from now on; False if they are as short as they can be.

        The next one is the full state, at once.
        """
        if self.longest <= SHORTEST_DOCUMENT:
            return False
        self.longest = max(SHORTEST_DOCUMENT, self.longest // 6)
        self._answered = self._sent
        self._lost, self._held_until = True, 0.0
        return True

    def doubt(self, lost: bool) -> None:
        """Say whether what was sent last may not have gone out: then all is told."""
        self._lost = lost

    def timer_due(self, now: float) -> None:
        # What is due, :meth:`take` says.
        self.timer_at = None

    # The user of each NOTIFY (:class:`reginfo.sip.user.User`).

    def receive_response(self, response: Response, moment: Moment) -> None:
        """Receive the response to the NOTIFY under way."""
        self.keeper.receive_response(self, response, moment.now)

    def receive_failure(self, cause: str, moment: Moment) -> None:
        """Receive the news that the NOTIFY under way got no response."""
        self.keeper.receive_failure(self, cause, moment.now)

    def never_sent(self) -> None:
        """Do nothing: the journal's undo list restores what was owed."""

    def snapshot(self) -> tuple[Any, ...]:
        """All that :meth:`take` changes, for :meth:`restore`."""
        row = self.row
        return (
            row.version,
            row.subscription.dialog.local_cseq,
            dict(self._pending),
            self._full_due,
            self._anew,
            self._parted,
            self._sent,
            self._quiet_until,
            row.settled,
            self.in_pieces,
        )

    def restore(self, *snapshot: Any) -> None:
        """Be as at :meth:`snapshot`: what was sent since never went out."""
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

    def _ordered(self) -> list[Binding]:
        """What has gone before what is there, each in the order of events."""
        pending = list(self._pending.values())
        if len(pending) == 1:
            return pending
        return sorted(pending, key=lambda binding: binding.active)
