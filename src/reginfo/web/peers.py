"""Peers, and the subscriptions that this server holds there, as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from ..config.sections import PeerSection
from ..events.states import SubscriberState
from ..roles.published_item import PublicationItem
from ..roles.subscriber import Mirror
from ..sync.item import LinkItem
from .paging import text


class PeerItem(Struct, frozen=True, kw_only=True):
    """
    One subscription at a peer, as the API shows it.

    A peer without a subscription has one row, in which ``aor`` is null.
    """

    name: str

    uri: str | None
    "The URI that SUBSCRIBE is sent to; null if there is none."

    aor: str | None
    "The address-of-record that is subscribed to."

    state: str | None
    """
    `waiting`: SUBSCRIBE will be sent in ``next`` seconds; `notify-wait`: it was sent,
    and no NOTIFY has arrived; `active`; `refused`; `ended`.
    """

    expires: int | None
    "Seconds left, unless it is refreshed; null if there is no subscription now."

    next: int | None
    "Seconds until it is refreshed, retried or given up."

    notified: int | None
    "The age of the last NOTIFY in seconds; null if none arrived since the start."

    missed: int
    "NOTIFYs that were lost since the start; each leads to a refresh."

    problem: str | None
    "The latest failure; null if a NOTIFY has arrived since."

    contacts: list[str]
    "The contacts that the peer reports as registered."


class PeerPage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of peers."""

    peers: list[PeerItem]

    links: list[LinkItem] = []
    "The links; only `reginfo show --peers --json` adds them to the peers."

    publications: list[PublicationItem] = []
    "The same of the presence servers."

    next: str | None = None
    "The ``after`` of the next page; absent in the last one."


class LinkList(Struct, frozen=True, kw_only=True):
    """All links, and all presence servers: there are few."""

    links: list[LinkItem]
    publications: list[PublicationItem] = []


class HeldPeer(Struct, frozen=True):
    """A subscription at a peer; or a peer without one."""

    name: str
    peer: PeerSection | None
    "The configuration of the peer; None if it is no longer configured."

    mirror: Mirror | None = None

    problem: str | None = None
    "Why the peer cannot be reached at all; None if it can."

    @property
    def aor(self) -> str:
        return "" if self.mirror is None else self.mirror.aor

    @property
    def key(self) -> str:
        """The sort key: the name of the peer, then the address-of-record."""
        return text(f"{self.name} {self.aor}")


def held(
    peers: list[PeerSection], mirrors: list[Mirror], problems: Mapping[str, str]
) -> list[HeldPeer]:
    """
    List all subscriptions at peers, and all peers without one.

    Args:
        problems: why peers cannot be reached at all, by name.
    """
    found = problems.get
    by_name = {peer.name: peer for peer in peers}
    asked = {mirror.peer for mirror in mirrors}
    return [
        *(HeldPeer(m.peer, by_name.get(m.peer), m, found(m.peer)) for m in mirrors),
        *(
            HeldPeer(peer.name, peer, problem=found(peer.name))
            for peer in peers
            if peer.name not in asked
        ),
    ]


def row(one: HeldPeer, now: float) -> PeerItem:
    """Convert a subscription at a peer to what the API shows."""
    uri = None if one.peer is None else one.peer.uri
    mirror = one.mirror
    if mirror is None:
        return PeerItem(
            name=one.name, uri=uri, aor=None, state=None, expires=None, next=None,
            notified=None, missed=0, problem=one.problem and text(one.problem),
            contacts=[],
        )  # fmt: skip
    subscription = mirror.subscription
    problem = one.problem or mirror.problem
    there_is_one = (
        subscription.is_established and subscription.state is not SubscriberState.ENDED
    )
    return PeerItem(
        name=one.name,
        uri=uri,
        aor=text(mirror.aor),
        state=subscription.state.value,
        expires=_seconds(subscription.expires_at - now) if there_is_one else None,
        next=_until(subscription.timer_at, now),
        notified=None if mirror.notified_at is None else int(now - mirror.notified_at),
        missed=mirror.missed,
        problem=None if problem is None else text(problem),
        contacts=sorted(text(known.contact.uri) for known in mirror.table),
    )


def _until(at: float | None, now: float) -> int | None:
    return None if at is None else _seconds(at - now)


def _seconds(left: float) -> int:
    return max(0, int(left))
