"""Ends all subscriptions that are served, at a limited rate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic

from ..ledger.journal import Journal
from ..sip.errors import Refusal
from .pace import Pace, T


class Drain(Pace[T]):
    """
    The watches to be ended, and the progress.

    Args:
        rate: the maximum number of watches to end per second.
        total: the number of watches, including those that are already ending.
    """

    __slots__ = ("gave_up", "total")

    def __init__(
        self, watches: Iterable[T], *, rate: float, total: int, now: float
    ) -> None:
        super().__init__(watches, rate=rate, now=now)
        self.total = total
        self.gave_up = 0
        "The number of watchers that did not answer the last NOTIFY."


class Departure(Generic[T]):
    """
    Whether a part is being drained, and what follows from it.

    Args:
        again: Retry-After, in seconds, for a new subscription.
    """

    __slots__ = ("_again", "drain")

    def __init__(self, again: str) -> None:
        self._again = again
        self.drain: Drain[T] | None = None
        "The progress; None before :meth:`begin`."

    @property
    def timer_at(self) -> float | None:
        """When to call :meth:`timer_due`; None for never."""
        return None if self.drain is None else self.drain.timer_at

    def begin(self, waiting: Iterable[T], rate: float, now: float) -> None:
        """
        End what is served; a second call changes the rate.

        Args:
            rate: the maximum number of subscriptions to end per second.
        """
        if self.drain is not None:
            self.drain.pace(rate, now)
            return
        all_ = list(waiting)
        self.drain = Drain(all_, rate=rate, total=len(all_), now=now)

    def check(self) -> None:
        """
        Check whether new subscriptions are served.

        Raises:
            Refusal: 503, after which a watcher tries another server (RFC 3263 §4.3).
        """
        if self.drain is not None:
            again = [("Retry-After", self._again)]
            raise Refusal(503, "Service Unavailable", headers=again)

    def timer_due(
        self,
        journal: Journal,
        now: float,
        act: Callable[[T, float], None],
        retry_after: float,
    ) -> None:
        """Call ``act`` with what is to be ended now; see :meth:`Pace.work_off`."""
        if self.drain is not None:
            self.drain.work_off(journal, now, act, retry_after)

    def lost(self) -> None:
        """Count a watcher that could not be told."""
        if self.drain is not None:
            self.drain.gave_up += 1
