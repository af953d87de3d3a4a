"""Where we know a binding from: a peer, and how it told us."""

from __future__ import annotations

from typing import NamedTuple

PUBLISHED = "PUBLISH"
UNSOLICITED = "unsolicited"


class Source(NamedTuple):
    """
    Where a binding was learned; written `peer/way` in `Binding.source`.

    The name of a peer has no slash.
    """

    peer: str

    way: str
    """
    What brought it: the URI that a subscription is for, :data:`PUBLISHED`, or
    :data:`UNSOLICITED`.
    """

    @staticmethod
    def parse(text: str) -> Source:
        """Read what ``str(source)`` wrote."""
        peer, _, way = text.partition("/")
        return Source(peer, way)

    @property
    def is_subscription(self) -> bool:
        """Whether a subscription of ours brought it: then the way is a URI."""
        return ":" in self.way

    def __str__(self) -> str:
        return f"{self.peer}/{self.way}"


def peer_of(source: str) -> str:
    """Return the peer in a `Binding.source`."""
    return source.partition("/")[0]


def is_known_by(owner: str, source: str | None, peer: str | None) -> bool:
    """
    Whether ``peer`` need not be notified of a binding: it owns it, or has told us.

    Args:
        owner, source: of the binding.
        peer: None for a watcher that is no configured peer.
    """
    if peer is None:
        return False
    return owner == peer or (source is not None and peer_of(source) == peer)
