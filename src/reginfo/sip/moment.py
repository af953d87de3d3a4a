"""A moment, as a value: what time it is while something is decided."""

from __future__ import annotations

from typing import Protocol

from .value import Value


class Moment(Value, frozen=True):
    """
    What both clocks of a server show.

    Durations are measured on the boot-time clock, which runs while the machine sleeps
    and which nobody can set. The calendar only stamps and dates things.
    """

    now: float
    "Seconds on the boot-time clock."

    wall: float
    "Seconds since the epoch; never before the last commit that is known."


class TurnClock(Protocol):
    """Tells the time; see :class:`reginfo.io.clock.Clock`."""

    def now(self) -> float:
        """Seconds on the boot-time clock."""

    def moment(self) -> Moment:
        """What both clocks show."""
