"""Working off what is due: a few at a time, each by itself."""

from __future__ import annotations

import logging

import pytest

from reginfo.ledger.due import AT_ONCE, RETRY_AFTER, work_off
from reginfo.ledger.journal import Journal
from reginfo.sip.timer import TimerWheel


class Item:
    def __init__(self, number: int, at: float) -> None:
        self.number = number
        self.timer_at: float | None = at
        self.scheduled_at: float | None = None

    def timer_due(self, now: float) -> None:
        self.timer_at = None


def wheel_of(items: list[Item]) -> TimerWheel:
    wheel = TimerWheel()
    for item in items:
        wheel.schedule(item)
    return wheel


def test_a_call_works_off_a_few_and_leaves_the_rest_due() -> None:
    wheel = wheel_of([Item(n, 10.0) for n in range(AT_ONCE + 3)])
    done: list[int] = []
    work_off(wheel, Journal(), 10.0, lambda item: done.append(item.number))
    assert done == list(range(AT_ONCE))
    assert wheel.timer_at == 10.0
    work_off(wheel, Journal(), 10.0, lambda item: done.append(item.number))
    assert done == list(range(AT_ONCE + 3))
    assert wheel.timer_at is None


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_item_that_fails_is_tried_later_and_stops_no_other(
    failing: int, caplog: pytest.LogCaptureFixture
) -> None:
    wheel = wheel_of([Item(n, 10.0) for n in range(3)])
    done: list[int] = []
    journal = Journal()

    def act(item: Item) -> None:
        journal.write("kind", str(item.number), item.number, done.remove, item.number)
        done.append(item.number)
        if item.number == failing and len(done) < 4:
            raise RuntimeError("no way")

    with caplog.at_level(logging.ERROR):
        work_off(wheel, journal, 10.0, act)
    rest = [n for n in range(3) if n != failing]
    assert done == rest
    assert [value for _, _, value in journal.close().entries] == rest
    assert "no way" in caplog.text
    assert wheel.timer_at == 10.0 + RETRY_AFTER
    done += [0, 0, 0]
    work_off(wheel, journal, 10.0 + RETRY_AFTER, act)
    assert done[-1] == failing
    assert wheel.timer_at is None
