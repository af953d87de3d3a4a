"""A moment, as a value: what time it is while something is decided."""

from __future__ import annotations

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
