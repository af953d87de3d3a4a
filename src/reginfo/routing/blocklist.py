"""A list of failed destinations, which are tried last for a while (RFC 3263 §4.3)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ..sip.destination import Destination

logger = logging.getLogger("reginfo.dns")

AVOIDED = 60.0
"""
Seconds for which a destination that did not answer is tried last: each attempt costs a
caller 32 s.
"""

LONGEST = 300.0
"""The maximum Retry-After that is respected, in seconds."""

KEPT = 10_000
"""The maximum number of remembered destinations; the oldest is dropped."""


class Blocklist:
    """
    Remembers destinations that have failed.

    Args:
        now: returns the seconds on a clock.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._until: dict[Destination, float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def __contains__(self, destination: Destination) -> bool:
        return self._now() < self._until.get(destination, 0.0)

    def add(self, destination: Destination, seconds: float = AVOIDED) -> None:
        """Try ``destination`` last for this many seconds."""
        if destination not in self:
            logger.debug("! %s is tried last", destination)
        self._until.pop(destination, None)
        self._until[destination] = self._now() + min(seconds, LONGEST)
        if len(self._until) > KEPT:
            del self._until[next(iter(self._until))]

    def remove(self, destination: Destination) -> None:
        """Remove ``destination``, because it has answered."""
        self._until.pop(destination, None)

    def order(self, destinations: Sequence[Destination]) -> list[Destination]:
        """Move the failed destinations to the end."""
        if not self._until:
            return list(destinations)
        return sorted(destinations, key=lambda destination: destination in self)
