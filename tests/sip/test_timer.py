"""The wheel for all timers of a process."""

from __future__ import annotations

import math
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.sip.timer import SLOT, STALE, TimerWheel


class Machine:
    """One that notes when it was called."""

    def __init__(self, wheel: TimerWheel, timer_at: float | None = None) -> None:
        self.timer_at = timer_at
        self.scheduled_at: float | None = None
        self.called_at: list[float] = []
        self.next: list[float] = []
        self.wheel = wheel
        wheel.schedule(self)

    def set(self, timer_at: float | None) -> None:
        self.timer_at = timer_at
        self.wheel.schedule(self)

    def timer_due(self, now: float) -> None:
        self.called_at.append(now)
        self.timer_at = self.next.pop(0) if self.next else None


class Broken(Machine):
    def timer_due(self, now: float) -> None:
        super().timer_due(now)
        raise RuntimeError


def test_a_machine_is_called_once_at_the_end_of_its_slot() -> None:
    wheel = TimerWheel()
    machine = Machine(wheel, 10.01)
    assert wheel.timer_at == 10.0 + SLOT
    assert wheel.timer_due(10.01) == []
    assert wheel.timer_due(10.0 + SLOT) == [machine]
    assert wheel.timer_at is None
    assert wheel.timer_due(99.0) == []
    assert machine.called_at == [10.0 + SLOT]


def test_a_moment_at_the_border_of_a_slot_is_due_at_that_moment() -> None:
    wheel = TimerWheel()
    Machine(wheel, 10.0)
    assert wheel.timer_at == 10.0
    assert len(wheel.timer_due(10.0)) == 1


def test_without_a_moment_nothing_waits() -> None:
    wheel = TimerWheel()
    Machine(wheel)
    assert wheel.timer_at is None


def test_a_machine_that_is_put_off_is_called_at_its_new_moment_alone() -> None:
    wheel = TimerWheel()
    machine = Machine(wheel, 1.0)
    machine.timer_at = 5.0  # nobody tells the wheel: it looks for itself
    assert wheel.timer_due(1.0) == []
    assert wheel.timer_at == 5.0
    assert wheel.timer_due(5.0) == [machine]


def test_a_machine_that_is_put_forward_is_called_at_its_new_moment_alone() -> None:
    wheel = TimerWheel()
    machine = Machine(wheel, 5.0)
    machine.set(1.0)
    assert wheel.timer_due(1.0) == [machine]
    assert wheel.timer_due(5.0) == []
    assert wheel.timer_at is None


def test_a_machine_that_is_put_forward_leaves_the_others_of_its_slot() -> None:
    wheel = TimerWheel()
    machine, other = Machine(wheel, 5.0), Machine(wheel, 5.0)
    machine.set(1.0)
    assert wheel.timer_due(1.0) == [machine]
    assert wheel.timer_due(5.0) == [other]


def test_a_machine_that_is_put_forward_and_off_again_is_called_once() -> None:
    wheel = TimerWheel()
    machine = Machine(wheel, 5.0)
    machine.set(1.0)
    machine.set(5.0)
    assert wheel.timer_due(1.0) == []
    assert wheel.timer_due(5.0) == [machine]
    assert machine.called_at == [5.0]


def test_an_old_slot_leaves_nothing_behind() -> None:
    wheel = TimerWheel()
    machine = Machine(wheel, 5.0)
    machine.set(1.0)
    machine.next = [9.0]
    wheel.timer_due(1.0)
    wheel.timer_due(5.0)
    assert len(wheel) == 1
    assert wheel.timer_due(9.0) == [machine]


@pytest.mark.parametrize("ends", [1.0, 32.0, 86_400.0])
def test_a_cancelled_timer_holds_nothing(ends: float) -> None:
    wheel = TimerWheel()
    machine = Machine(wheel, ends)
    alive = weakref.ref(machine)
    machine.set(None)
    assert (len(wheel), wheel.timer_at) == (0, None)
    del machine
    assert alive() is None


def test_a_timer_that_is_put_forward_leaves_its_old_slot() -> None:
    wheel = TimerWheel()
    machine = Machine(wheel, 86_400.0)
    machine.set(1.0)
    assert len(wheel) == 1
    assert wheel.timer_due(1.0) == [machine]
    assert (len(wheel), wheel.timer_at) == (0, None)


def test_cancelling_again_and_again_leaves_no_work_behind() -> None:
    wheel = TimerWheel()
    Machine(wheel, 1.0)
    for n in range(10_000):
        Machine(wheel, 86_400.0 + n % 7).set(None)
    assert len(wheel) == 1
    assert len(wheel._order) <= 2 * (len(wheel._slots) + STALE)


def test_a_machine_cancelled_while_its_slot_is_worked_off_is_not_called() -> None:
    wheel = TimerWheel()
    first, second = Machine(wheel, 1.0), Machine(wheel, 1.0)
    assert wheel.take(1.0) is first
    second.set(None)
    assert wheel.take(1.0) is None
    second.set(1.0)
    assert wheel.take(1.0) is second


def test_a_machine_that_needs_no_timer_any_more_is_not_called() -> None:
    wheel = TimerWheel()
    machine = Machine(wheel, 1.0)
    machine.timer_at = None
    assert wheel.timer_due(1.0) == []
    machine.set(2.0)
    assert wheel.timer_due(2.0) == [machine]


def test_a_machine_that_sets_its_next_timer_is_called_then() -> None:
    wheel = TimerWheel()
    machine = Machine(wheel, 1.0)
    machine.next = [1.5, 2.5]
    assert wheel.timer_due(2.0) == [machine, machine]
    assert wheel.timer_due(2.5) == [machine]


def test_machines_of_a_slot_are_called_in_the_order_they_came() -> None:
    wheel = TimerWheel()
    machines = [Machine(wheel, 1.0) for _ in range(5)]
    assert wheel.timer_due(1.0) == machines


def test_a_machine_that_raises_does_not_take_others_with_it() -> None:
    wheel = TimerWheel()
    before, broken = Machine(wheel, 1.0), Broken(wheel, 1.0)
    after, later = Machine(wheel, 1.0), Machine(wheel, 2.0)
    with pytest.raises(RuntimeError):
        wheel.timer_due(1.0)
    assert before.called_at == broken.called_at == [1.0]
    assert wheel.timer_at == 1.0
    assert wheel.timer_due(1.0) == [after]
    assert wheel.timer_due(2.0) == [later]
    broken.set(3.0)
    with pytest.raises(RuntimeError):
        wheel.timer_due(3.0)


quarters = st.integers(0, 80).map(lambda n: n * 0.05)
steps = st.lists(
    st.tuples(st.sampled_from(["set", "forget", "wait"]), st.integers(0, 4), quarters),
    max_size=40,
)


@given(steps)
def test_the_wheel_calls_whoever_is_due_once_and_nobody_early(
    steps: list[tuple[str, int, float]],
) -> None:
    wheel, now = TimerWheel(), 100.0
    machines = [Machine(wheel) for _ in range(5)]
    for step, which, delay in steps:
        machine = machines[which]
        if step == "set":
            machine.set(now + delay)
        elif step == "forget":
            machine.set(None)
        else:
            now += delay
            times = [(m, m.timer_at) for m in machines if m.timer_at is not None]
            called = wheel.timer_due(now)
            assert len(called) == len({id(m) for m in called})
            for m, at in times:
                if math.ceil(at / SLOT) * SLOT <= now:
                    assert m in called
                assert at <= now or m not in called
        waiting = [m.timer_at for m in machines if m.timer_at is not None]
        assert len(wheel) == len(waiting)
        if waiting:
            # Nobody is forgotten, and nobody is late by more than a slot.
            assert wheel.timer_at is not None
            assert wheel.timer_at < min(waiting) + SLOT
