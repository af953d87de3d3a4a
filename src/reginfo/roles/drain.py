"""Leaving for good: every watcher is told so, but not all at once."""

from __future__ import annotations

from collections.abc import Iterable

from .pace import Pace
from .watch import Watch


class Drain(Pace):
    """
    Which watches are to be ended, and when.

    Args:
        rate: how many are ended each second, at the most.
        total: how many there are, those included that are ending anyway.
    """

    __slots__ = ("gave_up", "total")

    def __init__(
        self, watches: Iterable[Watch], *, rate: float, total: int, now: float
    ) -> None:
        super().__init__(watches, rate=rate, now=now)
        self.total = total
        self.gave_up = 0
        "How many have not confirmed the last NOTIFY, and never will."
