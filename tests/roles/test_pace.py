"""Watches have their turns at a pace; one that fails has another, later."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from reginfo.roles.pace import TICK, Pace
from reginfo.roles.served import RESTART_RATE, RETRY_AFTER

from ..make import NOW, binding, moment
from .watched import Server


def pace_of(number: int, rate: float = 1.0) -> Pace:
    watches: Any = [f"w{n}" for n in range(number)]
    return Pace(watches, rate=rate, now=NOW)


def all_due(pace: Pace, until: float = NOW + 1e6) -> list[tuple[float, Any]]:
    """Return who has a turn, and how many seconds after the beginning."""
    turns = []
    while (at := pace.timer_at) is not None and at <= until:
        turns += [(at - NOW, watch) for watch in pace.due(at)]
    return turns


def test_each_has_its_turn_in_order() -> None:
    assert all_due(pace_of(3)) == [(0, "w0"), (1, "w1"), (2, "w2")]


def test_nobody_has_a_turn_early() -> None:
    pace = pace_of(30, rate=100.0)
    assert len(pace.due(NOW)) == 10
    assert pace.due(NOW + TICK / 2) == []
    assert len(pace.due(NOW + TICK)) == 10


def test_one_that_is_put_back_has_its_turn_then_and_keeps_no_other_waiting() -> None:
    pace = pace_of(4)
    (failed,) = pace.due(NOW)
    pace.put_back(failed, NOW + 2.5)
    assert all_due(pace) == [(1, "w1"), (2, "w2"), (3, "w3"), (4, "w0")]


def test_the_last_one_that_is_put_back_is_not_forgotten() -> None:
    pace = pace_of(1)
    (failed,) = pace.due(NOW)
    assert pace.timer_at is None
    pace.put_back(failed, NOW + 30)
    assert pace.timer_at == NOW + 30
    assert pace.due(NOW + 29) == []
    assert all_due(pace) == [(30, "w0")]


def test_those_that_are_put_back_together_are_no_storm() -> None:
    pace = pace_of(40, rate=100.0)
    for _, watch in all_due(pace):
        pace.put_back(watch, NOW + 30)
    turns = all_due(pace)
    assert len(turns) == 40
    assert [turns[n][0] for n in (0, 9, 10, 39)] == pytest.approx(
        [30, 30, 30 + TICK, 30 + 3 * TICK]
    )


def test_while_nothing_can_be_committed_nobody_has_a_turn() -> None:
    pace = pace_of(3)
    (first,) = pace.due(NOW)
    pace.put_back(first, NOW + 30)
    pace.pause(NOW + 30)
    assert all_due(pace) == [(30, "w1"), (31, "w2"), (32, "w0")]


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
