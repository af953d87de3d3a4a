"""Two clocks: durations run on, whatever somebody does to the calendar."""

from __future__ import annotations

import logging
import time

import pytest

from reginfo.io.clock import Clock

WALL = 1_700_000_000.0


class Machine:
    """A machine whose clocks the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.boot = 500.0
        self.calendar = WALL
        monkeypatch.setattr(time, "time", lambda: self.calendar)
        monkeypatch.setattr(time, "clock_gettime", lambda clock: self.boot)

    def pass_time(self, seconds: float) -> None:
        self.boot += seconds
        self.calendar += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_a_calendar_that_goes_right_is_taken_as_it_is(machine: Machine) -> None:
    clock = Clock()
    clock.not_before(WALL - 60)
    machine.pass_time(10)
    assert (clock.now(), clock.wall()) == (510.0, WALL + 10)
    assert (clock.behind, clock.stepped) == (0.0, 0.0)


def test_a_step_is_noticed_once_and_told(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    machine.calendar += 3600
    assert clock.wall() == WALL + 3600
    assert clock.wall() == WALL + 3600
    assert "the wall clock stepped by +3600.0 s" in caplog.text
    machine.calendar -= 600
    clock.wall()
    assert clock.stepped == 3000.0
    assert len(caplog.records) == 2
    assert clock.now() == 500.0


def test_a_calendar_behind_the_last_commit_is_not_believed(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    with caplog.at_level(logging.WARNING):
        clock.not_before(WALL + 3600)
    assert "3600.0 s behind the last commit" in caplog.text
    assert clock.wall() == WALL + 3600
    assert clock.behind == 3600.0
    machine.pass_time(10)
    assert clock.wall() == WALL + 3610
    assert clock.behind == 3600.0


def test_a_calendar_that_is_put_right_is_believed_again(machine: Machine) -> None:
    # Else every commit would be in the future, and so would each start find it.
    clock = Clock()
    clock.not_before(WALL + 3600)
    machine.calendar += 3600 + 5
    assert clock.wall() == WALL + 3605
    assert clock.behind == 0.0
    assert clock.stepped == 3605.0
