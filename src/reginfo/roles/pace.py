"""Limits the rate at which many watches are handled, to avoid a storm."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from .watch import Watch

TICK = 0.1
"""Seconds between two rounds; in each round, several watches are handled."""


class Pace:
    """
    A queue of watches that is worked off at a limited rate.

    :meth:`due` returns the next watches, and :attr:`timer_at` says when to call it
    again.

    Args:
        rate: the maximum number of watches per second.
    """

    __slots__ = ("_waiting", "rate", "timer_at")

    def __init__(self, watches: Iterable[Watch], *, rate: float, now: float) -> None:
        self._waiting = deque(watches)
        self.rate = rate
        self.timer_at: float | None = now

    def due(self, now: float) -> list[Watch]:
        """Return the watches whose turn it is; some may have ended meanwhile."""
        if self.timer_at is None or now < self.timer_at:
            return []
        number = min(self._at_once, len(self._waiting))
        due = [self._waiting.popleft() for _ in range(number)]
        self.timer_at = now + number / self.rate if self._waiting else None
        return due

    def pace(self, rate: float, now: float) -> None:
        """Change the rate."""
        self.rate = rate
        if self.timer_at is not None:
            self.timer_at = min(self.timer_at, now + self._at_once / rate)

    def put_back(self, watch: Watch, at: float) -> None:
        """Queue a watch again, because its commit failed; not before ``at``."""
        self._waiting.append(watch)
        self.timer_at = at if self.timer_at is None else max(at, self.timer_at)

    @property
    def _at_once(self) -> int:
        """The number of watches in one round."""
        return max(1, int(self.rate * TICK))
