"""A timer wheel: orders machines by their timers, in slots of 1/8 s."""

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
Seconds: a quarter of the shortest timer of SIP. It is a power of two, so that division
by it is exact, and no machine is examined twice in the slot that is due.
"""


STALE = 64
"""Empty slots that the heap may hold, beyond the number of slots in use."""


class Machine(Protocol):
    """An object with a timer, which is called when the timer is due."""

    timer_at: float | None
    "When to call :meth:`timer_due`; None for never."

    scheduled_at: float | None
    "For the wheel only: the time under which it holds this machine, or None."

    def timer_due(self, now: float) -> None: ...


class TimerWheel:
    """
    Machines, ordered by their timers.

    To postpone a timer costs nothing: when its old slot is due, the machine is moved to
    the new one. So a binding that is refreshed before it expires, and a request that is
    answered before its retransmission, cost nothing here. ``loop.call_later`` costs
    twenty times as much, and keeps cancelled handles.

    A machine is in at most one slot, and in none after its timer is cancelled, so the
    wheel does not keep ended machines alive.
    """

    def __init__(self) -> None:
        # By identity: a machine need not be hashable.
        self._slots: dict[int, dict[int, Machine]] = {}
        # A heap of slots. A slot that was emptied by cancelling stays in it until it is
        # at the top or there are many of them; a slot that was refilled is in it twice.
        self._order: list[int] = []
        self._stale = 0
        # The slot in progress; its next machine is the last element.
        self._due: list[Machine] = []
        self._due_slot = 0

    def __len__(self) -> int:
        """Count the scheduled machines."""
        return sum(map(len, self._slots.values())) + len(self._due)

    @property
    def timer_at(self) -> float | None:
        """When to call :meth:`take`; None if no machine is scheduled."""
        if self._due:
            return self._due_slot * SLOT
        return self._order[0] * SLOT if self._order else None

    def schedule(self, machine: Machine) -> None:
        """
        Arrange for ``machine`` to be called at its ``timer_at``.

        If that is None, its timer is cancelled, and the wheel drops the reference.
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
            # It is in the slot in progress, and will be skipped there.
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
        """Remove empty slots from the top of the heap."""
        order, slots = self._order, self._slots
        while order and order[0] not in slots:
            heapq.heappop(order)

    def take(self, now: float) -> Machine | None:
        """
        Remove and return the next machine that is due; never early.

        The caller handles the timer, and schedules the machine again. Until all due
        machines have been taken, :attr:`timer_at` is in the past.
        """
        while True:
            due, slot = self._due, self._due_slot
            while due:
                machine = due.pop()
                known = machine.scheduled_at
                if known is None or math.ceil(known / SLOT) != slot:
                    continue  # cancelled or rescheduled since its slot became due
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
