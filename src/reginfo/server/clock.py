"""The clocks of a server: one for durations, one for the calendar."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger("reginfo.clock")

STEP = 1.0
"""Seconds by which the calendar has to jump to be worth a line in the log."""


class Clock:
    """
    Now, on both clocks.

    Durations run on the boot-time clock, which goes on while the machine sleeps and
    which nobody can set. The calendar is read at each commit, and stored with it; so a
    step of the calendar neither ends a registration nor prolongs it.
    """

    def __init__(self) -> None:
        self._ahead = 0.0
        self._epoch = time.time() - self.now()

    def now(self) -> float:
        """Seconds on the boot-time clock."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> float:
        """Seconds since the epoch, never before the last commit that is known."""
        wall = time.time()
        epoch = wall - self.now()
        if abs(epoch - self._epoch) > STEP:
            logger.warning("%% the calendar stepped by %+.1f s", epoch - self._epoch)
            self._epoch = epoch
        return wall + self._ahead

    def not_before(self, wall: float) -> None:
        """Take it that this much of the calendar has passed already."""
        behind = wall - time.time()
        if behind > 0:
            logger.warning(
                "! the calendar is %.1f s behind the last commit; taking that", behind
            )
            self._ahead = behind

    @property
    def behind(self) -> float:
        """Seconds by which the machine's calendar was behind our own at the start."""
        return self._ahead
