"""A timer wheel: machines by when they are due, in slots of an eighth of a second."""

from __future__ import annotations

import heapq
import logging
import math
from collections.abc import Callable
from typing import Any, Protocol

logger = logging.getLogger("reginfo.timer")

RETRY_AFTER = 5.0
"""Seconds until a machine whose timer has failed is called again."""

SLOT = 0.125
"""
Seconds: a quarter of the shortest timer of SIP. A power of two, so that a moment
divided by it is exact, and no machine is looked at again in the slot that is due.
"""


STALE = 64
"""Emptied slots that the heap may hold beyond as many as there are slots in use."""


class Machine(Protocol):
    """Something with a timer: it says when it is due, and is called then."""

    timer_at: float | None
    "When to call :meth:`timer_due`; None for never."

    scheduled_at: float | None
    "For the wheel alone: the moment under which it holds this machine, or None."

    def timer_due(self, now: float) -> None: ...


class TimerWheel:
    """
    Machines by the moment at which they are due.

    A timer that is put off costs nothing: when its old slot is due, the machine is
    moved to the new one. So a binding that is refreshed before it expires, and a
    request that is answered before it is sent again, cost nothing here.
    ``loop.call_later`` costs twenty times as much, and its cancelled handles stay.

    A machine stands in one slot at the most, and in none once its timer is cancelled:
    the wheel keeps nothing alive that has ended.
    """

    def __init__(self) -> None:
        # By identity: a machine need not be hashable.
        self._slots: dict[int, dict[int, Machine]] = {}
        # A heap of slots. One that was emptied by cancelling stays in it until it is
        # at the top or there are many such; one that was filled again is in it twice.
        self._order: list[int] = []
        self._stale = 0
        # The slot that is being worked off, its next machine last.
        self._due: list[Machine] = []
        self._due_slot = 0

    def __len__(self) -> int:
        """Count the machines that wait."""
        return sum(map(len, self._slots.values())) + len(self._due)

    @property
    def timer_at(self) -> float | None:
        """When to call :meth:`take`; None while nothing waits."""
        if self._due:
            return self._due_slot * SLOT
        return self._order[0] * SLOT if self._order else None

    def schedule(self, machine: Machine) -> None:
        """
        Arrange for ``machine`` to be called at its ``timer_at``.

        If that is None, its timer is cancelled, and the wheel lets go of it.
        """
        at = machine.timer_at
        known = machine.scheduled_at
        if known is not None:
            if at is not None and known <= at:
                return
            self._remove(machine, known)
        machine.scheduled_at = at
        if at is None:
            return
        slot = math.ceil(at / SLOT)
        waiting = self._slots.get(slot)
        if waiting is None:
            self._slots[slot] = {id(machine): machine}
            heapq.heappush(self._order, slot)
        else:
            waiting[id(machine)] = machine

    def _remove(self, machine: Machine, known: float) -> None:
        slot = math.ceil(known / SLOT)
        waiting = self._slots.get(slot)
        if waiting is None or waiting.pop(id(machine), None) is None:
            # It is in the slot that is being worked off, and passed over there.
            return
        if not waiting:
            del self._slots[slot]
            self._stale += 1
            if self._stale > len(self._slots) + STALE:
                self._order = list(self._slots)
                heapq.heapify(self._order)
                self._stale = 0
            self._skip_stale()

    def _skip_stale(self) -> None:
        """Bring to the top of the heap a slot in which something waits."""
        order, slots = self._order, self._slots
        while order and order[0] not in slots:
            heapq.heappop(order)

    def take(self, now: float) -> Machine | None:
        """
        Take the next machine that is due out of the wheel; never early.

        The caller does what is due, and schedules the machine again. Until all that
        are due have been taken, :attr:`timer_at` is in the past.
        """
        while True:
            due, slot = self._due, self._due_slot
            while due:
                machine = due.pop()
                known = machine.scheduled_at
                if known is None or math.ceil(known / SLOT) != slot:
                    continue  # cancelled, or put forward, since its slot became due
                machine.scheduled_at = None
                if machine.timer_at is not None and machine.timer_at <= now:
                    return machine
                self.schedule(machine)
            self._skip_stale()
            order = self._order
            if not order or order[0] * SLOT > now:
                return None
            self._due_slot = heapq.heappop(order)
            self._due = list(self._slots.pop(self._due_slot).values())
            self._due.reverse()

    def work_off(self, now: float, at_most: int, act: Callable[[Any], None]) -> None:
        """
        Call up to ``at_most`` machines that are due, and ``act`` with each of them.

        One that fails is logged, and is called again after :data:`RETRY_AFTER`; the
        others are not affected.
        """
        for _ in range(at_most):
            machine = self.take(now)
            if machine is None:
                return
            try:
                machine.timer_due(now)
                act(machine)
            except Exception:
                logger.exception("! a timer of %r", machine)
                machine.timer_at = now + RETRY_AFTER
            self.schedule(machine)
