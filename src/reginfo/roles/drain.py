"""Leaving for good: every watcher is told so, but not all at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from .watch import Watch

TICK = 0.1
"""Seconds between two rounds; in each, those of its time are told together."""


class Drain:
    """
    Which watches are to be ended, and when.

    :meth:`due` says which now, and :attr:`timer_at` when to ask again.

    Args:
        rate: how many are ended each second, at the most.
        total: how many there are, those included that are ending anyway.
    """

    __slots__ = ("_waiting", "gave_up", "rate", "timer_at", "total")

    def __init__(
        self, watches: Iterable[Watch], *, rate: float, total: int, now: float
    ) -> None:
        self._waiting = deque(watches)
        self.rate = rate
        self.total = total
        self.gave_up = 0
        "How many have not confirmed the last NOTIFY, and never will."

        self.timer_at: float | None = now

    def due(self, now: float) -> list[Watch]:
        """Those that are to be ended now, unless they have gone already."""
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
        """The end of ``watch`` could not be committed: it is due again, not before."""
        self._waiting.append(watch)
        self.timer_at = at if self.timer_at is None else max(at, self.timer_at)

    @property
    def _at_once(self) -> int:
        """How many are told together."""
        return max(1, int(self.rate * TICK))
