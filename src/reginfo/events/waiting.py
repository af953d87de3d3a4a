"""How long to wait before a peer is asked again."""

from __future__ import annotations

from collections.abc import Callable

from ..sip.headers import retry_after
from ..sip.message import Response

BACK_OFF = 2.0
LONGEST_BACK_OFF = 300.0
"""Seconds: the first pause after a failure, doubled each time up to the longest."""

LONGEST_WAIT = 3600.0
"""Seconds for which a peer's wish to be left alone is respected, at most."""

SHORTEST_WAIT = 1.0
"""Seconds between two requests, whatever a peer asks for or grants."""


def back_off(
    failures: int,
    jitter: Callable[[], float],
    *,
    first: float = BACK_OFF,
    longest: float = LONGEST_BACK_OFF,
) -> float:
    """
    The pause after a failure, in seconds: doubled with each one, and spread at random.

    Args:
        failures: how many there were before this one.
        jitter: a random number from 0 to 1; the pause is shortened by up to a half.
        first, longest: the pause after the first failure, and its limit.
    """
    pause = min(first * 2.0 ** min(failures, 32), longest)
    return pause * (0.5 + 0.5 * jitter())


def bounded_wait(seconds: int) -> float:
    """A time to wait that a peer states, within `SHORTEST_WAIT` and `LONGEST_WAIT`."""
    return min(max(float(seconds), SHORTEST_WAIT), LONGEST_WAIT)


def wait_asked(response: Response) -> float | None:
    """
    Seconds to wait according to Retry-After (RFC 3261 §20.33), bounded.

    None if the header is absent or malformed.
    """
    seconds = retry_after(response.header("Retry-After"))
    return None if seconds is None else bounded_wait(seconds)
