"""Stamps: when a wish was accepted, as all servers name that moment."""

from __future__ import annotations

from typing import NewType

Stamp = NewType("Stamp", int)
"""
The moment at which a user agent's or an administrator's wish was accepted.

Microseconds since 1970, on the wall clock of the server that accepted it; more if an
earlier wish for the same contact had a later one. It orders claims and records, so it
is never converted to another clock. A `NewType`: at run time it is the `int` itself.
"""


def stamp_at(wall: float) -> Stamp:
    """Return the stamp of a moment in seconds since 1970."""
    return Stamp(int(wall * 1e6))


def wall_at(stamp: Stamp) -> float:
    """Return the moment of a stamp in seconds since 1970."""
    return stamp / 1e6


def label(stamp: Stamp, seconds: float) -> Stamp:
    """Return the end of what lasts for ``seconds`` from ``stamp``, as a label."""
    return Stamp(stamp + int(seconds * 1_000_000))
