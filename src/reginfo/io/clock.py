"""The clocks of a server: one for durations, one for the calendar."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path

from ..sip.moment import Moment

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
        self._epoch = time.time() - self.now()
        self._least_epoch = -math.inf
        self.boot_id = _boot_id()
        "Identifies this run of the kernel, and with it the boot-time clock."

        self.stepped = 0.0
        "Seconds by which the machine's calendar has jumped since the start, in all."

    def now(self) -> float:
        """Seconds on the boot-time clock."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> float:
        """Seconds since the epoch, never before the last commit that is known."""
        now = self.now()
        epoch = time.time() - now
        if abs(epoch - self._epoch) > STEP:
            logger.warning("%% the calendar stepped by %+.1f s", epoch - self._epoch)
            self.stepped += epoch - self._epoch
            self._epoch = epoch
        return max(epoch, self._least_epoch) + now

    def moment(self) -> Moment:
        """What both clocks show now."""
        return Moment(self.now(), self.wall())

    def not_before(self, wall: float) -> None:
        """Take it that this much of the calendar has passed already."""
        behind = wall - time.time()
        if behind > 0:
            logger.warning(
                "! the calendar is %.1f s behind the last commit; taking that", behind
            )
            self._least_epoch = wall - self.now()

    @property
    def behind(self) -> float:
        """Seconds by which the machine's calendar is behind our own."""
        return max(0.0, self._least_epoch - (time.time() - self.now()))


def _boot_id() -> str:
    """Return the kernel's random id of this boot; empty if it has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
