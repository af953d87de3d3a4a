"""Working off what is due: a few items at a time, each by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..sip.timer import TimerWheel
from .journal import Journal

logger = logging.getLogger("reginfo.timer")

AT_ONCE = 16
"""Items for each call: the server looks at its 5 ms between two of these."""

RETRY_AFTER = 5.0
"""Seconds until an item that has failed is tried again."""


def work_off(
    wheel: TimerWheel, journal: Journal, now: float, act: Callable[[Any], None]
) -> None:
    """
    Call ``act`` with up to :data:`AT_ONCE` machines that are due.

    Each is an attempt of its own. One that fails is logged, taken back, and is due
    again after :data:`RETRY_AFTER`; the others are not affected. ``act`` schedules its
    machine again where that is wanted.
    """
    for _ in range(AT_ONCE):
        machine = wheel.take(now)
        if machine is None:
            return
        try:
            with journal.attempt():
                machine.timer_due(now)
                act(machine)
        except Exception:
            # One item that cannot be handled must not keep the others waiting.
            logger.exception("! %r cannot be worked off", machine)
            machine.timer_at = now + RETRY_AFTER
            wheel.schedule(machine)
