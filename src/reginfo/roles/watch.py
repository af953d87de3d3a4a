"""One watcher of one address-of-record, and what it has yet to be told."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import msgspec

from ..location.binding import Binding
from ..reg.document import ContactEvent
from ..sip.message import Response
from ..sip.moment import Moment
from .row import WatchRow

REFRESHED = ContactEvent.REFRESHED
BEGINNINGS = frozenset({ContactEvent.REGISTERED, ContactEvent.CREATED})
ENDINGS = frozenset(
    {ContactEvent.DEACTIVATED, ContactEvent.PROBATION, ContactEvent.REJECTED}
)
"""Who removes a contact does not wait for the interval, nor does its phone."""


Parted = dict[str, tuple[Binding, ...]]
"""Addresses-of-record that are no identities of the user any more, and its contacts."""


class Owed(NamedTuple):
    """What a watcher is to be told now."""

    full: bool
    bindings: list[Binding]
    "Those that have changed, in the order in which they did; if `full`, what has gone."

    parted: Parted
    "With `full` only."


class WatchKeeper(Protocol):
    """Sends the NOTIFYs of watches; see :class:`reginfo.roles.notifier.Notifier`."""

    def receive_response(self, watch: Watch, response: Response, now: float) -> None:
        """Receive the response to the NOTIFY under way."""

    def receive_failure(self, watch: Watch, cause: str) -> None:
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
        "_pending", "_quiet_until", "_sent", "failures", "keeper", "row",
        "scheduled_at", "timer_at",
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
        return self._full_due or self._lost or self._anew or bool(self._pending)

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

    def part(self, aor: str, bindings: list[Binding]) -> None:
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
        owed = Owed(full, ordered, self._parted if full else {})
        self._pending = {}
        self._full_due = self._anew = False
        if full:
            self._parted = {}
        self._sent += 1
        self._quiet_until = now + self.row.min_interval
        return owed

    def put_back(self, bindings: list[Binding]) -> None:
        """Owe these still: they did not fit into the document."""
        self._pending = {b.key: b for b in bindings} | self._pending

    def answered(self) -> None:
        """The NOTIFY under way has got a good answer."""
        self._answered = self._sent
        self._lost = False
        self.failures = 0

    def refused(self, retry_at: float) -> None:
        """It has got a bad one: owe the full state, but not before ``retry_at``."""
        self._answered = self._sent
        self._lost = True
        self.failures += 1
        self._held_until = retry_at

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
        self.keeper.receive_failure(self, cause)

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
        ) = snapshot

    def _ordered(self) -> list[Binding]:
        """What has gone before what is there, each in the order of events."""
        pending = list(self._pending.values())
        if len(pending) == 1:
            return pending
        return sorted(pending, key=lambda binding: binding.active)
