"""How long commits take, and whether the disk is too slow."""

from __future__ import annotations

import logging

logger = logging.getLogger("reginfo.turn")

SLOW = 0.5
"""
Seconds of a commit that count as slow: from here on clients retransmit their requests
(T1 of RFC 3261).
"""

RECENT = 60.0
"""Seconds for which a slow commit is a problem, and between two lines in the log."""


class DiskSpeed:
    """Measures commits. Drive it with :meth:`begin` and :meth:`end`."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._slow_at: float | None = None
        self._slowest = 0.0
        self._logged_at: float | None = None
        self.slow = 0
        "The number of commits that were slow, so far."

    def begin(self, now: float) -> None:
        """Note that a commit begins."""
        self._began = now

    def end(self, now: float) -> None:
        """Note that it has succeeded or failed."""
        assert self._began is not None
        took, self._began = now - self._began, None
        if took >= SLOW:
            self.slow += 1
            if self.problem(now) is None:
                self._slowest = 0.0
            self._slowest = max(self._slowest, took)
            self._slow_at = now
            if self._logged_at is None or now >= self._logged_at + RECENT:
                self._logged_at = now
                logger.warning("! the disk is slow: a commit took %.1f s", took)
        elif self._slow_at is not None and now >= self._slow_at + RECENT:
            self._slow_at, self._slowest = None, 0.0
            logger.warning("= the disk is fast again: a commit took %.3f s", took)

    def problem(self, now: float) -> str | None:
        """Why the disk is too slow; None if it is not, or was not lately."""
        if self._began is not None and now - self._began >= SLOW:
            return f"a commit has not ended after {now - self._began:.1f} s"
        if self._slow_at is not None and now < self._slow_at + RECENT:
            return f"the disk is slow: a commit took {self._slowest:.1f} s"
        return None
