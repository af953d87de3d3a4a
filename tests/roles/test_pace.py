"""Watches whose turn comes at a pace."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.roles.pace import TICK, Pace

from ..make import NOW


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


def test_one_that_is_put_back_has_a_turn_again_and_not_before_its_time() -> None:
    pace = paced(1, 100.0)
    (one,) = pace.due(NOW)
    pace.put_back(one, NOW + 5.0)
    assert pace.timer_at == NOW + 5.0
    pace.put_back(one, NOW + 2.0)
    assert pace.timer_at == NOW + 5.0
    assert pace.due(NOW + 4.9) == []
    assert pace.due(NOW + 5.0) == [one, one]


def test_a_pace_of_nobody_is_due_once_and_ends() -> None:
    pace = paced(0, 1.0)
    assert pace.due(NOW) == []
    assert pace.timer_at is None
    pace.pace(5.0, NOW)
    assert pace.timer_at is None
