"""The subscriptions that begin or return: when each may send its SUBSCRIBE."""

from __future__ import annotations

from .mirror import Mirror

RATE = 450.0
"""SUBSCRIBEs per second that need not be sent now, after the first :data:`AT_ONCE`."""

AT_ONCE = 50
"""The number of them that need not wait: together, at most 500 in any second."""


class Returning:
    """
    Prevents a storm of SUBSCRIBEs when many subscriptions begin at the same time.

    After an outage of a peer, its subscriptions are retried with back-off. As soon as
    one of them is answered, the others need not wait any longer; :meth:`back` returns
    them. Each of them has a turn of its own.
    """

    def __init__(self) -> None:
        self._next = 0.0
        "The earliest turn that nobody has."

        self._turns: dict[str, float] = {}
        "The turns of those that wait for theirs, by source."

        self._failed: dict[str, dict[str, Mirror]] = {}
        "For each peer, those whose last SUBSCRIBE got no answer, by source."

    def turn(self, mirror: Mirror, now: float) -> float:
        """Return when a subscription may send its SUBSCRIBE; ``now`` for at once."""
        at = self._turns.pop(mirror.source, None)
        if at is None:
            at = self.reserve(now)
        if at > now:
            self._turns[mirror.source] = at
        return max(at, now)

    def reserve(self, now: float) -> float:
        """Return the next turn that nobody has, for a SUBSCRIBE of any kind."""
        at = max(self._next, now - (AT_ONCE - 0.5) / RATE)
        self._next = at + 1 / RATE
        return max(at, now)

    def failed(self, mirror: Mirror) -> None:
        """Note that a SUBSCRIBE got no answer."""
        self._failed.setdefault(mirror.peer, {})[mirror.source] = mirror

    def back(self, peer: str) -> list[Mirror]:
        """
        Return those that failed at a peer, which has just answered.

        Some may have begun, or ended, meanwhile.
        """
        return list(self._failed.pop(peer, {}).values())

    def forget(self, mirror: Mirror) -> None:
        """Forget a subscription that has ended."""
        self._turns.pop(mirror.source, None)
        failed = self._failed.get(mirror.peer)
        if failed is not None:
            failed.pop(mirror.source, None)
            if not failed:
                del self._failed[mirror.peer]
