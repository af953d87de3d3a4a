"""The source of a binding: the peer that reported it, and by what."""

from __future__ import annotations

from typing import NamedTuple

PUBLISHED = "PUBLISH"
UNSOLICITED = "unsolicited"


class Source(NamedTuple):
    """
    How a binding was learned; written `peer/way` in `Binding.source`.

    The name of a peer contains no slash.
    """

    peer: str

    way: str
    """
    The URI of the subscription, :data:`PUBLISHED`, or :data:`UNSOLICITED`.
    """

    @staticmethod
    def parse(text: str) -> Source:
        """Parse the result of ``str(source)``."""
        peer, _, way = text.partition("/")
        return Source(peer, way)

    @property
    def is_subscription(self) -> bool:
        """Whether it came from a subscription: then the way is a URI."""
        return ":" in self.way

    def __str__(self) -> str:
        return f"{self.peer}/{self.way}"


def peer_of(source: str) -> str:
    """Return the peer in a `Binding.source`."""
    return source.partition("/")[0]


def is_known_by(owner: str, source: str | None, peer: str | None) -> bool:
    """
    Whether ``peer`` need not be notified of a binding, because it owns or reported it.

    Args:
        owner, source: those of the binding.
        peer: None for a watcher that is not a configured peer.
    """
    if peer is None:
        return False
    return owner == peer or (source is not None and peer_of(source) == peer)
