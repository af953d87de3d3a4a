"""Limits the rate at which many watches are handled, to avoid a storm."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

from ..ledger.due import work_on
from ..ledger.journal import Journal

T = TypeVar("T")

TICK = 0.1
"""Seconds between two rounds; in each round, several watches are handled."""


class Pace(Generic[T]):
    """
    A queue of watches that is worked off at a limited rate.

    :meth:`due` returns the next watches, and :attr:`timer_at` says when to call it
    again.

    Args:
        rate: the maximum number of watches per second.
    """

    __slots__ = ("_again", "_next_at", "_number", "_waiting", "rate")

    def __init__(self, watches: Iterable[T], *, rate: float, now: float) -> None:
        self._waiting = deque(watches)
        # A heap: those whose turn was taken back, by when they have another one.
        self._again: list[tuple[float, int, T]] = []
        self._number = count()
        self._next_at = now
        self.rate = rate

    @property
    def timer_at(self) -> float | None:
        """When to call :meth:`due`; None once all have had their turn."""
        if self._waiting:
            return self._next_at
        return max(self._again[0][0], self._next_at) if self._again else None

    def due(self, now: float) -> list[T]:
        """Return the watches whose turn it is; some may have ended meanwhile."""
        if now < self._next_at:
            return []
        while self._again and self._again[0][0] <= now:
            self._waiting.append(heappop(self._again)[2])
        number = min(self._at_once, len(self._waiting))
        due = [self._waiting.popleft() for _ in range(number)]
        if due:
            self._next_at = now + number / self.rate
        return due

    def work_off(
        self,
        journal: Journal,
        now: float,
        act: Callable[[T, float], None],
        retry_after: float,
    ) -> None:
        """
        Call ``act`` with each watch whose turn it is, as an attempt of its own.

        One that fails, by itself or with its commit, has another turn after
        ``retry_after`` seconds.
        """
        for watch in self.due(now):
            if work_on(watch, journal, lambda one: act(one, now)):
                journal.remember(self.put_back, watch, now + retry_after)
            else:
                self.put_back(watch, now + retry_after)

    def pace(self, rate: float, now: float) -> None:
        """Change the rate."""
        self.rate = rate
        self._next_at = min(self._next_at, now + self._at_once / rate)

    def put_back(self, watch: T, at: float) -> None:
        """Queue a watch again, because it or its commit failed; not before ``at``."""
        heappush(self._again, (at, next(self._number), watch))

    def pause(self, until: float) -> None:
        """Give nobody a turn before ``until``: nothing can be committed."""
        self._next_at = max(self._next_at, until)

    @property
    def _at_once(self) -> int:
        """The number of watches in one round."""
        return max(1, int(self.rate * TICK))
