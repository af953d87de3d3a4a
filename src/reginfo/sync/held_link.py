"""One link that we hold: a subscription to a group at a `reginfo` server."""

from __future__ import annotations

from typing import Protocol

from ..events.subscribe import HeldSubscription
from ..sip.message import Response
from ..sip.moment import Moment
from .cursor import Cursor
from .feed import NEVER
from .group import Group

SILENCE = 30.0
"""Seconds without a NOTIFY after which a link counts as lost."""


class HeldLink:
    """Our subscription to a group at another server."""

    __slots__ = (
        "about", "asked", "back_after", "cursor", "drift", "elements", "found_by",
        "group", "heard_at", "is_foreign", "is_told", "lag", "last", "lost_since",
        "peer", "problem", "refused", "skew", "source", "subscription", "uri",
    )  # fmt: skip

    def __init__(
        self, peer: str, uri: str, group: Group, subscription: HeldSubscription
    ) -> None:
        self.peer = peer
        self.uri = uri
        self.group = group
        self.subscription = subscription
        self.source = f"{peer}/{uri}"
        self.cursor: Cursor | None = None
        self.asked: Cursor | None = None
        "The cursor of the last SUBSCRIBE."

        self.found_by: tuple[str, str] | None = None
        self.heard_at = 0.0
        "When the last NOTIFY arrived, or the SUBSCRIBE before it was sent."

        self.lost_since: float | None = None
        self.is_told = False
        "Whether it has sent everything since it was last lost."

        self.is_foreign = False
        self.elements = self.about = self.refused = self.drift = 0
        "The claims and records received since it was lost; and their total number."

        self.last = 0
        "The number of the last change of the source, as its last document says."

        self.lag = 0.0
        "Seconds by which it was behind then."

        self.skew = 0.0
        self.problem = ""

    @property
    def key(self) -> str:
        """The key of its stored cursor, which includes our own policy."""
        return f"{self.peer}\0{self.uri}\0{self.group.definition}"

    @property
    def silent_at(self) -> float:
        """
        When the link is lost unless a NOTIFY arrives.

        A SUBSCRIBE over UDP is given its full time (Timer F): a retransmission may
        still arrive, and one that was given up would replace the next one.
        """
        dialog = self.subscription.dialog
        if dialog is None or not (dialog.remote_tag or dialog.flow.local.is_reliable):
            return NEVER
        return self.heard_at + SILENCE


class SubscribeSender(Protocol):
    """Sends the SUBSCRIBEs of links; see :class:`reginfo.sync.sink.LinkSink`."""

    def receive_response(self, link: HeldLink, response: Response, now: float) -> None:
        """Receive the response to a SUBSCRIBE."""

    def receive_failure(self, link: HeldLink, cause: str, now: float) -> None:
        """Receive the news that a SUBSCRIBE got no response."""


class LinkSubscribe:
    """One SUBSCRIBE of a link: the user of its transaction."""

    __slots__ = ("link", "sink")

    def __init__(self, sink: SubscribeSender, link: HeldLink) -> None:
        self.sink = sink
        self.link = link

    def receive_response(self, response: Response, moment: Moment) -> None:
        self.sink.receive_response(self.link, response, moment.now)

    def receive_failure(self, cause: str, moment: Moment) -> None:
        self.sink.receive_failure(self.link, cause, moment.now)

    def never_sent(self) -> None:
        """Do nothing: the journal's undo list restores the subscription."""
