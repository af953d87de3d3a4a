"""One wheel for all timers of a process: what is due, in slots of an eighth second."""

from __future__ import annotations

import heapq
import math
from typing import Protocol

SLOT = 0.125
"""
Seconds: a quarter of the shortest timer of SIP. A power of two, so that a moment
divided by it is exact, and nobody is looked at again in the slot that is due.
"""


class Machine(Protocol):
    """What has a timer: it says when, and is called then."""

    timer_at: float | None
    "When to call :meth:`timer_due`; None for never."

    scheduled_at: float | None
    "For the wheel alone: the moment under which it knows this machine."

    def timer_due(self, now: float) -> None: ...


class TimerWheel:
    """
    Machines by the moment at which they are due.

    A timer that is put off needs nothing: its machine is looked at in its old slot
    and moved on. So a binding that is refreshed before it expires, and a request that
    is answered before it is sent again, cost nothing here. ``loop.call_later`` costs
    twenty times as much, and leaves its cancelled handles behind.
    """

    def __init__(self) -> None:
        self._slots: dict[int, list[Machine]] = {}
        self._order: list[int] = []
        # The slot that is being worked off, its next machine last.
        self._due: list[Machine] = []
        self._due_slot = 0

    @property
    def timer_at(self) -> float | None:
        """When to call :meth:`timer_due`; None while nothing waits."""
        if self._due:
            return self._due_slot * SLOT
        return self._order[0] * SLOT if self._order else None

    def schedule(self, machine: Machine) -> None:
        """See to it that ``machine`` is called at its ``timer_at``."""
        at = machine.timer_at
        known = machine.scheduled_at
        if at is None or (known is not None and known <= at):
            return
        machine.scheduled_at = at
        slot = math.ceil(at / SLOT)
        waiting = self._slots.get(slot)
        if waiting is None:
            self._slots[slot] = [machine]
            heapq.heappush(self._order, slot)
        else:
            waiting.append(machine)

    def take(self, now: float) -> Machine | None:
        """
        Take the next machine that is due out of the wheel; never early.

        Whoever takes it does what is due, and schedules it again. Until all that are
        due have been taken, :attr:`timer_at` is in the past.
        """
        while True:
            due, slot = self._due, self._due_slot
            while due:
                machine = due.pop()
                known = machine.scheduled_at
                if known is None or math.ceil(known / SLOT) != slot:
                    continue  # put forward since: it stands in an earlier slot, too
                machine.scheduled_at = None
                if machine.timer_at is not None and machine.timer_at <= now:
                    return machine
                self.schedule(machine)
            order = self._order
            if not order or order[0] * SLOT > now:
                return None
            self._due_slot = heapq.heappop(order)
            self._due = self._slots.pop(self._due_slot)
            self._due.reverse()

    def timer_due(self, now: float) -> list[Machine]:
        """Call every machine that is due, never early; returns those it called."""
        called: list[Machine] = []
        # One that raises leaves the others where they are found next time.
        while (machine := self.take(now)) is not None:
            machine.timer_due(now)
            called.append(machine)
            self.schedule(machine)
        return called
