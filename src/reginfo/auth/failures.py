"""Failed passwords, by source and user: each one makes the next wait longer."""

from __future__ import annotations

FREE = 3
"""Failures without a wait: people mistype."""

FIRST = 2.0
"""Seconds to wait after the first failure beyond :data:`FREE`; doubled by each more."""

LONGEST = 3600.0
"""Seconds to wait at most; after as long without a failure all is forgotten."""

CAPACITY = 16_384
"""Pairs that are remembered; beyond it the one that failed longest ago is forgotten."""


class Failures:
    """
    Counts failed passwords by source and user.

    Who fails elsewhere is not kept from anything: nobody can lock out somebody else
    from another address.
    """

    def __init__(self, *, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._failed: dict[tuple[str, str], tuple[int, float]] = {}

        self.total = 0
        "Failed passwords so far."

        self.blocked = 0
        "Requests that were refused without a look at their password."

    def __len__(self) -> int:
        return len(self._failed)

    def wait(self, source: str, user: str, now: float) -> float:
        """Return the seconds until the next try of a user from a source; or 0."""
        if not self._failed:
            return 0.0
        known = self._failed.get((source, user))
        if known is None or known[0] <= FREE:
            return 0.0
        left = known[1] + _pause(known[0]) - now
        if left <= 0:
            return 0.0
        self.blocked += 1
        return left

    def add(self, source: str, user: str, now: float) -> None:
        """Note a failed password."""
        self.total += 1
        count, last = self._failed.pop((source, user), (0, now))
        if now - last > LONGEST:
            count = 0
        self._failed[source, user] = (count + 1, now)
        if len(self._failed) > self._capacity:
            del self._failed[next(iter(self._failed))]

    def clear(self, source: str, user: str) -> None:
        """Forget the failures of a user at a source: the password was right."""
        if self._failed:
            self._failed.pop((source, user), None)


def _pause(count: int) -> float:
    return float(min(FIRST * 2.0 ** min(count - FREE - 1, 20), LONGEST))
