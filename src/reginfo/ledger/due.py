"""Handles due items: a few at a time, each in its own attempt."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..sip.timer import TimerWheel
from .journal import Journal

logger = logging.getLogger("reginfo.timer")

AT_ONCE = 16
"""Items per call: between two calls, the server checks its limit of 5 ms."""

RETRY_AFTER = 5.0
"""Seconds until an item that failed is retried."""


def work_off(
    wheel: TimerWheel, journal: Journal, now: float, act: Callable[[Any], None]
) -> None:
    """
    Call ``act`` with up to :data:`AT_ONCE` machines that are due.

    Each is an attempt of its own. One that fails is logged, undone, and due again after
    :data:`RETRY_AFTER`; the others are not affected. ``act`` schedules its machine
    again if necessary.
    """

    def due(machine: Any) -> None:
        machine.timer_due(now)
        act(machine)

    for _ in range(AT_ONCE):
        machine = wheel.take(now)
        if machine is None:
            return
        if not work_on(machine, journal, due):
            machine.timer_at = now + RETRY_AFTER
            wheel.schedule(machine)


def work_on(item: Any, journal: Journal, act: Callable[[Any], None]) -> bool:
    """
    Call ``act`` with one item that is due, as an attempt of its own.

    Returns:
        False if it has failed: that is logged, what it has changed is taken back, and
        the caller arranges for the item to be due again after :data:`RETRY_AFTER`.
    """
    try:
        with journal.attempt():
            act(item)
    except Exception:
        # An item that fails must not delay the others.
        logger.exception("! %r failed; it will be retried", item)
        return False
    return True
