"""Watches whose turn comes at a pace; one that fails has another, later."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from reginfo.roles.pace import TICK, Pace
from reginfo.roles.served import RESTART_RATE, RETRY_AFTER

from ..make import NOW, binding, moment
from .watched import Server


def paced(number: int, rate: float) -> Any:
    """A pace of numbers, which stand for watches here."""
    watches: Any = range(number)
    return Pace(watches, rate=rate, now=NOW)


def run(pace: Any) -> list[tuple[float, list[Any]]]:
    """When each has its turn, until all had theirs."""
    turns = []
    while pace.timer_at is not None:
        now = pace.timer_at
        turns.append((now, list(pace.due(now))))
    return turns


@pytest.mark.parametrize("rate", [0.5, 7.0, 100.0, 5000.0])
def test_each_has_one_turn_in_the_order_given_and_at_the_rate(rate: float) -> None:
    turns = run(paced(60, rate))
    assert [one for _, some in turns for one in some] == list(range(60))
    had = 0
    for now, some in turns:
        assert had <= (now - NOW) * rate + 1e-6
        assert len(some) <= max(1, rate * TICK)
        had += len(some)


def test_nothing_is_due_before_the_timer_nor_after_the_last() -> None:
    pace = paced(2, 1.0)
    assert pace.due(NOW) == [0]
    assert pace.timer_at == NOW + 1.0
    assert pace.due(NOW + 0.999) == []
    assert pace.due(NOW + 1.0) == [1]
    assert pace.timer_at is None
    assert pace.due(NOW + 9.0) == []


def test_another_rate_counts_at_once_when_it_is_faster() -> None:
    pace = paced(40, 0.1)
    assert pace.due(NOW) == [0]
    assert pace.timer_at == NOW + 10.0
    pace.pace(100.0, NOW + 1.0)
    assert pace.timer_at == NOW + 1.0 + TICK
    assert len(pace.due(NOW + 1.0 + TICK)) == 10
    at = pace.timer_at
    pace.pace(0.1, NOW + 1.1)
    assert pace.timer_at == at  # a slower one, after the next turn


def test_a_pace_of_nobody_is_due_once_and_ends() -> None:
    pace = paced(0, 1.0)
    assert pace.due(NOW) == []
    assert pace.timer_at is None
    pace.pace(5.0, NOW)
    assert pace.timer_at is None


def all_due(pace: Pace[Any], until: float = NOW + 1e6) -> list[tuple[float, Any]]:
    """Return who has a turn, and how many seconds after the beginning."""
    turns = []
    while (at := pace.timer_at) is not None and at <= until:
        turns += [(at - NOW, watch) for watch in pace.due(at)]
    return turns


def test_one_that_is_put_back_has_its_turn_then_and_keeps_no_other_waiting() -> None:
    pace = paced(4, 1.0)
    (failed,) = pace.due(NOW)
    pace.put_back(failed, NOW + 2.5)
    assert all_due(pace) == [(1, 1), (2, 2), (3, 3), (4, 0)]


def test_the_last_one_that_is_put_back_is_not_forgotten() -> None:
    pace = paced(1, 1.0)
    (failed,) = pace.due(NOW)
    assert pace.timer_at is None
    pace.put_back(failed, NOW + 30)
    assert pace.timer_at == NOW + 30
    assert pace.due(NOW + 29) == []
    assert all_due(pace) == [(30, 0)]


def test_those_that_are_put_back_together_are_no_storm() -> None:
    pace = paced(40, 100.0)
    for _, watch in all_due(pace):
        pace.put_back(watch, NOW + 30)
    turns = all_due(pace)
    assert len(turns) == 40
    assert [turns[n][0] for n in (0, 9, 10, 39)] == pytest.approx(
        [30, 30, 30 + TICK, 30 + 3 * TICK]
    )


def test_while_nothing_can_be_committed_nobody_has_a_turn() -> None:
    pace = paced(3, 1.0)
    (first,) = pace.due(NOW)
    pace.put_back(first, NOW + 30)
    pace.pause(NOW + 30)
    assert all_due(pace) == [(30, 1), (31, 2), (32, 0)]


@pytest.mark.parametrize("failing", [0, 3, 9])
def test_a_drain_goes_on_after_a_watch_that_fails_and_ends_it_later(
    failing: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The watch that failed is tried later."""
    server = Server()
    for number in range(10):
        server.subscribe(call_id=f"call{number}")
    server.settle()
    server.commit()
    server.fail(failing)
    server.notifier.drain(100.0, server.now)
    with caplog.at_level(logging.ERROR):
        server.pass_time(1)
    assert len(server.notifies()) == 9
    assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) == 1
    server.settle()
    assert len(server.notifier) == 1
    server.pass_time(RETRY_AFTER)
    (notify,) = server.notifies()
    assert notify.headers["Subscription-State"] == ["terminated;reason=deactivated"]
    server.answer()
    assert len(server.notifier) == 0
    assert server.notifier.leaving is not None
    assert server.notifier.leaving.timer_at is None


@pytest.mark.parametrize("failing", [0, 3, 9])
def test_what_a_restart_tells_goes_on_after_a_watch_that_fails(
    failing: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The watch that failed is tried later."""
    server = Server()
    for number in range(10):
        server.subscribe(call_id=f"call{number}")
    server.settle()
    server.bind(binding())
    server.commit()
    with caplog.at_level(logging.ERROR):
        after = server.restart(failing=failing)
        after.pass_time(10 / RESTART_RATE)
    assert len(after.notifies()) == 9
    assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) == 1
    after.pass_time(RETRY_AFTER)
    assert len(after.notifies()) == 1


def test_what_a_drain_could_not_commit_is_ended_after_a_while() -> None:
    """6665-27: nobody is forgotten, and no disk is asked again at once."""
    server = Server()
    for number in range(30):
        server.subscribe(call_id=f"call{number}")
    server.settle()
    server.commit()
    server.notifier.drain(100.0, server.now)
    server.pass_time(0)
    server.notifies()
    server.unanswered.clear()
    server.journal.close().take_back()
    server.notifier.undone(moment(server.now))
    server.pass_time(RETRY_AFTER - 1)
    assert server.notifies() == []
    server.pass_time(2)
    assert len(server.notifies()) == 30


def test_a_turn_that_is_taken_back_comes_again_after_the_pause() -> None:
    server = Server()
    server.subscribe()
    server.journal.close()
    pace = Pace(server.notifier.watches(), rate=100.0, now=NOW)
    had: list[float] = []
    pace.work_off(server.journal, NOW, lambda watch, now: had.append(now), 5.0)
    assert (had, pace.timer_at) == ([NOW], None)
    server.journal.close().take_back()
    assert pace.timer_at == NOW + 5
