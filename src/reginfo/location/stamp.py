"""Stamps: when a request was accepted, as all servers order it."""

from __future__ import annotations

from typing import NewType

Stamp = NewType("Stamp", int)
"""
The time at which a request of a user agent or an administrator was accepted.

Microseconds since 1970, on the wall clock of the server that accepted it; more if an
earlier request for the same contact had a later stamp. It orders claims and records, so
it is never converted to another clock. A `NewType`: at run time it is an `int`.
"""


def stamp_at(wall: float) -> Stamp:
    """Return the stamp of a time in seconds since 1970."""
    return Stamp(int(wall * 1e6))


def wall_at(stamp: Stamp) -> float:
    """Return the time of a stamp in seconds since 1970."""
    return stamp / 1e6


def label(stamp: Stamp, seconds: float) -> Stamp:
    """Return the label of an end that is ``seconds`` after ``stamp``."""
    return Stamp(stamp + int(seconds * 1_000_000))
