"""Watches whose turn comes at a pace: what concerns all of them is no storm."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from .watch import Watch

TICK = 0.1
"""Seconds between two rounds; in each, those of its time are told together."""


class Pace:
    """
    Which watches have their turn, and when.

    :meth:`due` says which now, and :attr:`timer_at` when to ask again.

    Args:
        rate: how many have their turn each second, at the most.
    """

    __slots__ = ("_waiting", "rate", "timer_at")

    def __init__(self, watches: Iterable[Watch], *, rate: float, now: float) -> None:
        self._waiting = deque(watches)
        self.rate = rate
        self.timer_at: float | None = now

    def due(self, now: float) -> list[Watch]:
        """Those whose turn it is, some of which may be served no more."""
        if self.timer_at is None or now < self.timer_at:
            return []
        number = min(self._at_once, len(self._waiting))
        due = [self._waiting.popleft() for _ in range(number)]
        self.timer_at = now + number / self.rate if self._waiting else None
        return due

    def pace(self, rate: float, now: float) -> None:
        """Go on at another rate."""
        self.rate = rate
        if self.timer_at is not None:
            self.timer_at = min(self.timer_at, now + self._at_once / rate)

    def put_back(self, watch: Watch, at: float) -> None:
        """What was done at its turn could not be committed: another one, not before."""
        self._waiting.append(watch)
        self.timer_at = at if self.timer_at is None else max(at, self.timer_at)

    @property
    def _at_once(self) -> int:
        """How many are told together."""
        return max(1, int(self.rate * TICK))
