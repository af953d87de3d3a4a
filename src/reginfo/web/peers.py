"""Peers as the API shows them, with the subscriptions that this server holds there."""

from __future__ import annotations

from msgspec import Struct

from ..config.sections import PeerSection
from ..events.states import SubscriberState
from ..roles.subscriber import Mirror
from .paging import text


class PeerItem(Struct, frozen=True, kw_only=True):
    """
    One subscription at a peer, as the API shows it.

    A peer at which there is none has one row, too, with ``aor`` null.
    """

    name: str

    uri: str | None
    "Where it is asked; null if it never is."

    aor: str | None
    "The address-of-record that it is asked about."

    state: str | None
    """
    `active`; `notify-wait`: asked, and no NOTIFY yet; `waiting`: to be asked (again) in
    ``next`` seconds; `ended`.
    """

    expires: int | None
    "Seconds left, unless it is refreshed; null if there is no subscription now."

    next: int | None
    "Seconds until it is refreshed, asked for again or given up."

    notified: int | None
    "Seconds since the last NOTIFY; null if none came since the start."

    missed: int
    "NOTIFYs that never came, since the start; after each, the full state is asked for."

    problem: str | None
    "What was wrong at last; null if a NOTIFY has come since."

    contacts: list[str]
    "What it has told: the contacts that are registered, as far as it says."


class PeerPage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Some peers."""

    peers: list[PeerItem]

    next: str | None = None
    "The ``after`` of the next page; not there if this is the last."


class HeldPeer(Struct, frozen=True):
    """A subscription at a peer; or a peer at which there is none."""

    name: str
    peer: PeerSection | None
    "As it is configured."

    mirror: Mirror | None = None

    @property
    def aor(self) -> str:
        return "" if self.mirror is None else self.mirror.aor

    @property
    def key(self) -> str:
        """Its place among all: by the peer's name, then by address-of-record."""
        return text(f"{self.name} {self.aor}")


def held(peers: list[PeerSection], mirrors: list[Mirror]) -> list[HeldPeer]:
    """All peers, and all subscriptions at them."""
    by_name = {peer.name: peer for peer in peers}
    asked = {mirror.peer for mirror in mirrors}
    return [
        *(HeldPeer(m.peer, by_name.get(m.peer), m) for m in mirrors),
        *(HeldPeer(peer.name, peer) for peer in peers if peer.name not in asked),
    ]


def row(one: HeldPeer, now: float) -> PeerItem:
    """A subscription at a peer, as it is shown."""
    uri = None if one.peer is None else one.peer.uri
    mirror = one.mirror
    if mirror is None:
        return PeerItem(
            name=one.name, uri=uri, aor=None, state=None, expires=None, next=None,
            notified=None, missed=0, problem=None, contacts=[],
        )  # fmt: skip
    subscription = mirror.subscription
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
        problem=None if mirror.problem is None else text(mirror.problem),
        contacts=sorted(text(known.contact.uri) for known in mirror.table),
    )


def _until(at: float | None, now: float) -> int | None:
    return None if at is None else _seconds(at - now)


def _seconds(left: float) -> int:
    return max(0, int(left))
