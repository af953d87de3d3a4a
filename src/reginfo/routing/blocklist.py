"""Places that have failed, which are tried last for a while (RFC 3263 §4.3)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ..sip.destination import Destination

logger = logging.getLogger("reginfo.dns")

AVOIDED = 60.0
"""
Seconds for which who has not answered is tried last: each try costs a caller 32 s.
"""

LONGEST = 300.0
"""Seconds that a Retry-After may ask for; who asks for more is tried again then."""

KEPT = 10_000
"""Places that are kept; the oldest goes when there are more."""


class Blocklist:
    """
    Remembers places that have failed.

    Args:
        now: seconds on a clock.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._until: dict[Destination, float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def __contains__(self, place: Destination) -> bool:
        return self._now() < self._until.get(place, 0.0)

    def add(self, place: Destination, seconds: float = AVOIDED) -> None:
        """Try ``place`` last for so many seconds."""
        if place not in self:
            logger.debug("! %s %s:%d is tried last", place.transport, *place.address)
        self._until.pop(place, None)
        self._until[place] = self._now() + min(seconds, LONGEST)
        if len(self._until) > KEPT:
            del self._until[next(iter(self._until))]

    def remove(self, place: Destination) -> None:
        """Take ``place`` for a good one: it has answered."""
        self._until.pop(place, None)

    def order(self, places: Sequence[Destination]) -> list[Destination]:
        """The same places: those that have failed come last, but they do come."""
        if not self._until:
            return list(places)
        return sorted(places, key=lambda place: place in self)
