"""One link that we serve: a subscription to a group, of a `reginfo` server."""

from __future__ import annotations

from typing import Protocol

from ..events.notify import ServedSubscription
from ..sip.message import Response
from ..sip.moment import Moment
from .envelope import LONGEST
from .feed import Feed, Flight
from .group import Group


class ServedLink:
    """One subscription to a group, of one `reginfo` server."""

    __slots__ = ("epoch",
        "feed", "group", "is_over", "peer", "problem", "room", "subscription",
                 "version")  # fmt: skip

    def __init__(
        self, group: Group, peer: str | None, subscription: ServedSubscription
    ) -> None:
        self.group = group
        self.peer = peer
        "The name of the configured peer; None for another subscriber."

        self.subscription = subscription
        self.feed = Feed(1, 0.0)
        self.epoch = ""
        "In which its changes are numbered."

        self.version = 0
        "The version of the next document (RFC 3680 §5.1)."

        self.room = LONGEST
        self.is_over = False
        self.problem = ""

    @property
    def name(self) -> str:
        """The name of the other server, for the log."""
        return self.peer or self.subscription.dialog.remote

    @property
    def key(self) -> tuple[str, str]:
        """The key by which the next SUBSCRIBE of the same server replaces this link."""
        return self.group.aor, self.name.partition(";tag=")[0]

    def restore(self, version: int, cseq: int) -> None:
        """Restore version and CSeq: NOTIFYs since then were never sent."""
        self.version = version
        self.subscription.dialog.local_cseq = cseq
        self.feed.go_back()


class NotifySender(Protocol):
    """Sends the NOTIFYs of links; see :class:`reginfo.sync.source.LinkSource`."""

    def receive_response(
        self, notify: LinkNotify, response: Response, now: float
    ) -> None:
        """Receive the response to a NOTIFY."""

    def receive_failure(self, notify: LinkNotify, cause: str, now: float) -> None:
        """Receive the news that a NOTIFY got no response."""


class LinkNotify:
    """One NOTIFY of a link: the user of its transaction."""

    __slots__ = ("flight", "is_long", "link", "source")

    def __init__(
        self, source: NotifySender, link: ServedLink, flight: Flight, is_long: bool
    ) -> None:
        self.source = source
        self.link = link
        self.flight = flight
        self.is_long = is_long
        "Whether it was too long for a datagram, on a link over UDP."

    def receive_response(self, response: Response, moment: Moment) -> None:
        self.source.receive_response(self, response, moment.now)

    def receive_failure(self, cause: str, moment: Moment) -> None:
        self.source.receive_failure(self, cause, moment.now)

    def never_sent(self) -> None:
        """Do nothing: the journal's undo list restores the feed."""
