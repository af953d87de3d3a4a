"""Ends all subscriptions that are served, at a limited rate."""

from __future__ import annotations

from collections.abc import Iterable

from .pace import Pace
from .watch import Watch


class Drain(Pace):
    """
    The watches to be ended, and the progress.

    Args:
        rate: the maximum number of watches to end per second.
        total: the number of watches, including those that are already ending.
    """

    __slots__ = ("gave_up", "total")

    def __init__(
        self, watches: Iterable[Watch], *, rate: float, total: int, now: float
    ) -> None:
        super().__init__(watches, rate=rate, now=now)
        self.total = total
        self.gave_up = 0
        "The number of watchers that did not answer the last NOTIFY."
