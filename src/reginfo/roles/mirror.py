"""One subscription that we hold at a peer, and the contacts that it reported."""

from __future__ import annotations

from typing import Protocol

import msgspec

from ..events.headers import SubscriptionState
from ..events.subscribe import HeldSubscription
from ..location.place import Aor
from ..location.source import Source
from ..reg.table import Table, TableState
from ..sip.message import Response
from ..sip.moment import Moment


class HeldRow(msgspec.Struct, kw_only=True, gc=False):
    """The stored form of a subscription; its contacts have rows of their own."""

    subscription: HeldSubscription

    state: TableState = TableState()
    "The state of its table without the contacts."

    requested: bool = False
    "Whether a script requested it, and not the configuration."

    aor: Aor = Aor("")
    peer: str = ""

    heard_at: float = 0.0
    "When its last document arrived, in seconds since the epoch; 0 for never."


class MirrorKeeper(Protocol):
    """Holds subscriptions; see :class:`~.held.Held`."""

    def receive_response(self, mirror: Mirror, response: Response, now: float) -> None:
        """Receive the response to the unanswered SUBSCRIBE."""

    def receive_failure(self, mirror: Mirror, cause: str, now: float) -> None:
        """Receive the news that the unanswered SUBSCRIBE failed."""


class Mirror:
    """
    One address-of-record at a peer, and what the peer reports about it.

    :class:`~.held.Held` keeps its subscription alive, :class:`~.subscriber.Subscriber`
    fills its table.
    """

    __slots__ = (
        "aor",
        "found_by",
        "heard_at",
        "keeper",
        "missed",
        "notified_at",
        "peer",
        "problem",
        "requested",
        "saved",
        "scheduled_at",
        "source",
        "subscription",
        "table",
    )

    def __init__(
        self,
        peer: str,
        aor: Aor,
        subscription: HeldSubscription,
        keeper: MirrorKeeper,
    ) -> None:
        self.keeper = keeper
        "Receives the responses to its SUBSCRIBEs."

        self.peer = peer
        self.aor = aor
        self.source = str(Source(peer, aor))
        "The source of the bindings learned from it; the same after a restart."

        self.subscription = subscription
        self.table = Table()
        self.saved: HeldRow | None = None
        "What was stored last, if nothing has changed since: it is never edited."

        self.found_by: tuple[str, str] | None = None
        "Call-ID and local tag, by which its NOTIFYs are found."

        self.heard_at = 0.0
        "When its last document arrived, in seconds since the epoch; 0 for never."

        self.scheduled_at: float | None = None
        self.requested = False
        "Whether a script requested it, and not the configuration."

        # Since the start, for the administrator only.
        self.notified_at: float | None = None
        self.missed = 0
        self.problem: str | None = None

    def __repr__(self) -> str:
        return f"<Mirror {self.source} {self.subscription.state.value}>"

    def notified(self, state: SubscriptionState, missed: bool, now: float) -> None:
        """Note that the effect of a NOTIFY is durable."""
        self.notified_at = now
        self.missed += missed
        self.problem = None
        if state.state == "terminated":
            self.problem = f"the peer ended it: {state.reason or 'no reason'}"

    @property
    def timer_at(self) -> float | None:
        return self.subscription.timer_at

    @timer_at.setter
    def timer_at(self, at: float | None) -> None:
        self.subscription.timer_at = at

    def timer_due(self, now: float) -> None:
        self.subscription.timer_due(now)

    # The user of each SUBSCRIBE (:class:`reginfo.sip.user.User`).

    def receive_response(self, response: Response, moment: Moment) -> None:
        """Receive the response to the unanswered SUBSCRIBE."""
        self.keeper.receive_response(self, response, moment.now)

    def receive_failure(self, cause: str, moment: Moment) -> None:
        """Receive the news that the unanswered SUBSCRIBE failed."""
        self.keeper.receive_failure(self, cause, moment.now)

    def never_sent(self) -> None:
        """Do nothing: the journal's undo list restores the subscription."""


def shifted_row(row: HeldRow, by: float) -> HeldRow:
    """Return ``row`` with ``by`` seconds added to its times."""
    row.subscription.expires_at += by
    row.subscription.began_at += by
    return row


def copy_of(subscription: HeldSubscription) -> HeldSubscription:
    """Return a copy that does not change with the subscription."""
    dialog = subscription.dialog
    return msgspec.structs.replace(
        subscription,
        dialog=None if dialog is None else msgspec.structs.replace(dialog),
        drafts=[],
    )
