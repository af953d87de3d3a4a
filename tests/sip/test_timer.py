"""The wheel for all timers of a process."""

from __future__ import annotations

import math
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.sip.timer import RETRY_AFTER, SLOT, STALE, TimerWheel


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


def take_all(wheel: TimerWheel, now: float) -> list[Machine]:
    """Call all that are due; return them."""
    called: list[Machine] = []
    wheel.work_off(now, 1000, called.append)
    return called


def test_a_machine_is_called_once_at_the_end_of_its_slot() -> None:
    wheel = TimerWheel()
    machine = Machine(wheel, 10.01)
    assert wheel.timer_at == 10.0 + SLOT
    assert take_all(wheel, 10.01) == []
    assert take_all(wheel, 10.0 + SLOT) == [machine]
    assert wheel.timer_at is None
    assert take_all(wheel, 99.0) == []
    assert machine.called_at == [10.0 + SLOT]


def test_a_moment_at_the_border_of_a_slot_is_due_at_that_moment() -> None:
    wheel = TimerWheel()
    Machine(wheel, 10.0)
    assert wheel.timer_at == 10.0
    assert len(take_all(wheel, 10.0)) == 1


def test_without_a_moment_nothing_waits() -> None:
    wheel = TimerWheel()
    Machine(wheel)
    assert wheel.timer_at is None


def test_a_machine_that_is_put_off_is_called_at_its_new_moment_alone() -> None:
    wheel = TimerWheel()
    machine = Machine(wheel, 1.0)
    machine.timer_at = 5.0  # nobody tells the wheel: it looks for itself
    assert take_all(wheel, 1.0) == []
    assert wheel.timer_at == 5.0
    assert take_all(wheel, 5.0) == [machine]


def test_a_machine_that_is_put_forward_is_called_at_its_new_moment_alone() -> None:
    wheel = TimerWheel()
    machine = Machine(wheel, 5.0)
    machine.set(1.0)
    assert take_all(wheel, 1.0) == [machine]
    assert take_all(wheel, 5.0) == []
    assert wheel.timer_at is None


def test_a_machine_that_is_put_forward_leaves_the_others_of_its_slot() -> None:
    wheel = TimerWheel()
    machine, other = Machine(wheel, 5.0), Machine(wheel, 5.0)
    machine.set(1.0)
    assert take_all(wheel, 1.0) == [machine]
    assert take_all(wheel, 5.0) == [other]


def test_a_machine_that_is_put_forward_and_off_again_is_called_once() -> None:
    wheel = TimerWheel()
    machine = Machine(wheel, 5.0)
    machine.set(1.0)
    machine.set(5.0)
    assert take_all(wheel, 1.0) == []
    assert take_all(wheel, 5.0) == [machine]
    assert machine.called_at == [5.0]


def test_an_old_slot_leaves_nothing_behind() -> None:
    wheel = TimerWheel()
    machine = Machine(wheel, 5.0)
    machine.set(1.0)
    machine.next = [9.0]
    take_all(wheel, 1.0)
    take_all(wheel, 5.0)
    assert len(wheel) == 1
    assert take_all(wheel, 9.0) == [machine]


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
    assert take_all(wheel, 1.0) == [machine]
    assert (len(wheel), wheel.timer_at) == (0, None)


def test_cancelling_again_and_again_leaves_no_work_behind() -> None:
    wheel = TimerWheel()
    Machine(wheel, 1.0)
    for n in range(10_000):
        Machine(wheel, 86_400.0 + n % 7).set(None)
    assert len(wheel) == 1
    assert len(wheel._order) <= 2 * (len(wheel._slots) + STALE)


def test_the_heap_of_slots_is_made_again_when_more_than_64_are_empty() -> None:
    wheel = TimerWheel()
    Machine(wheel, 1.0)
    for _ in range(2):  # and counted from zero after that
        for n in range(1, STALE + 2):
            Machine(wheel, 1.0 + n).set(None)
            assert len(wheel._order) == 1 + n
        Machine(wheel, 1000.0).set(None)
        assert wheel._order == [8]


def test_a_machine_of_a_slot_in_progress_counts_until_it_is_taken() -> None:
    wheel = TimerWheel()
    for _ in range(3):
        Machine(wheel, 1.0)
    Machine(wheel, 9.0)
    for left in (3, 2, 1):
        assert wheel.take(1.0) is not None
        assert len(wheel) == left
    assert wheel.take(1.0) is None
    assert len(wheel) == 1


def test_a_machine_cancelled_in_a_slot_in_progress_does_not_hide_the_next() -> None:
    wheel = TimerWheel()
    first, second, third = (Machine(wheel, 1.0) for _ in range(3))
    assert wheel.take(1.0) is first
    second.set(None)
    assert wheel.take(1.0) is third
    assert wheel.take(1.0) is None


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
    assert take_all(wheel, 1.0) == []
    machine.set(2.0)
    assert take_all(wheel, 2.0) == [machine]


def test_a_machine_that_sets_its_next_timer_is_called_then() -> None:
    wheel = TimerWheel()
    machine = Machine(wheel, 1.0)
    machine.next = [1.5, 2.5]
    assert take_all(wheel, 2.0) == [machine, machine]
    assert take_all(wheel, 2.5) == [machine]


def test_machines_of_a_slot_are_called_in_the_order_they_came() -> None:
    wheel = TimerWheel()
    machines = [Machine(wheel, 1.0) for _ in range(5)]
    assert take_all(wheel, 1.0) == machines


class Broken(Machine):
    def timer_due(self, now: float) -> None:
        super().timer_due(now)
        if len(self.called_at) == 1:
            raise ZeroDivisionError


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_machine_that_fails_is_called_later_and_stops_no_other(
    place: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The transactions of others have their timers."""
    wheel = TimerWheel()
    kinds = [Machine, Machine, Machine]
    kinds[place] = Broken
    machines = [kind(wheel, 1.0) for kind in kinds]
    broken = machines.pop(place)
    assert take_all(wheel, 1.0) == machines
    assert len(caplog.records) == 1
    assert wheel.timer_at == 1.0 + RETRY_AFTER
    assert take_all(wheel, 1.0 + RETRY_AFTER) == [broken]
    assert wheel.timer_at is None


def test_a_machine_that_is_scheduled_again_at_the_same_time_keeps_its_place() -> None:
    wheel = TimerWheel()
    first, second = Machine(wheel, 1.0), Machine(wheel, 1.0)
    first.set(1.0)
    assert take_all(wheel, 1.0) == [first, second]


def test_no_more_are_called_than_asked_for_and_the_rest_stays_due() -> None:
    wheel = TimerWheel()
    machines = [Machine(wheel, 1.0) for _ in range(5)]
    called: list[Machine] = []
    wheel.work_off(1.0, 3, called.append)
    assert called == machines[:3]
    assert wheel.timer_at == 1.0
    wheel.work_off(1.0, 3, called.append)
    assert called == machines


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
            called = take_all(wheel, now)
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
