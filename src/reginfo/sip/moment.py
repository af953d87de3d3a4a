"""Moment: the time of a decision, as a value."""

from __future__ import annotations

from typing import Protocol

from .value import Value


class Moment(Value, frozen=True):
    """
    The readings of both clocks of a server.

    Durations are measured on the boot-time clock, which also runs while the machine
    sleeps, and which cannot be set. The wall clock is used only for stamps and dates.
    """

    now: float
    "Seconds on the boot-time clock."

    wall: float
    "Seconds since the epoch; never earlier than the last known commit."


class TurnClock(Protocol):
    """Tells the time; see :class:`reginfo.io.clock.Clock`."""

    def now(self) -> float:
        """Return the seconds on the boot-time clock."""

    def moment(self) -> Moment:
        """Return the readings of both clocks."""
