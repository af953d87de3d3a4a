"""The clocks of a server: the boot-time clock and the wall clock."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path

from ..sip.moment import Moment

logger = logging.getLogger("reginfo.clock")

STEP = 1.0
"""The smallest step of the wall clock that is logged, in seconds."""


class Clock:
    """
    The current time on both clocks.

    Durations run on the boot-time clock, which also runs while the machine sleeps, and
    which cannot be set. The wall clock is read at each commit and stored with it; so a
    step of the wall clock neither ends nor prolongs a registration.
    """

    def __init__(self) -> None:
        self._epoch = time.time() - self.now()
        self._least_epoch = -math.inf
        self.boot_id = _boot_id()
        "Identifies this boot, and its boot-time clock."

        self.stepped = 0.0
        "The sum of the steps of the machine's wall clock since the start, in seconds."

    def now(self) -> float:
        """Return the seconds on the boot-time clock."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> float:
        """Return the seconds since the epoch, never before the last known commit."""
        now = self.now()
        epoch = time.time() - now
        if abs(epoch - self._epoch) > STEP:
            logger.warning("%% the wall clock stepped by %+.1f s", epoch - self._epoch)
            self.stepped += epoch - self._epoch
            self._epoch = epoch
        return max(epoch, self._least_epoch) + now

    def moment(self) -> Moment:
        """Return the readings of both clocks."""
        return Moment(self.now(), self.wall())

    def not_before(self, wall: float) -> None:
        """Set a lower limit of the wall clock: the time of the last commit."""
        behind = wall - time.time()
        if behind > 0:
            logger.warning(
                "! the wall clock is %.1f s behind the last commit; using that", behind
            )
            self._least_epoch = wall - self.now()

    @property
    def behind(self) -> float:
        """Seconds by which the machine's wall clock is behind that of the server."""
        return max(0.0, self._least_epoch - (time.time() - self.now()))


def _boot_id() -> str:
    """Return the kernel's random id of this boot; empty if it has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
