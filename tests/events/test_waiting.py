"""How long to wait: doubled, spread, bounded."""

from __future__ import annotations

import pytest

from reginfo.events.waiting import (
    LONGEST_BACK_OFF,
    LONGEST_WAIT,
    SHORTEST_WAIT,
    back_off,
    bounded_wait,
    wait_asked,
)

from ..make import response


def test_a_pause_doubles_up_to_its_limit() -> None:
    pauses = [back_off(n, lambda: 1.0) for n in range(12)]
    assert pauses[:4] == [2.0, 4.0, 8.0, 16.0]
    assert pauses[-1] == LONGEST_BACK_OFF
    assert back_off(10**6, lambda: 1.0) == LONGEST_BACK_OFF


@pytest.mark.parametrize(("chance", "pause"), [(0.0, 4.0), (0.5, 6.0), (1.0, 8.0)])
def test_a_pause_is_shortened_by_up_to_a_half(chance: float, pause: float) -> None:
    assert back_off(3, lambda: chance, first=1.0, longest=30.0) == pause


@pytest.mark.parametrize(
    ("seconds", "wait"),
    [(0, SHORTEST_WAIT), (1, 1.0), (3600, 3600.0), (3601, LONGEST_WAIT), (2**40, 3600)],
)
def test_a_wait_is_bounded_both_ways(seconds: int, wait: float) -> None:
    assert bounded_wait(seconds) == wait


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("18", 18.0),
        ("18 (I am in a meeting)", 18.0),
        ("18;duration=3600", 18.0),
        ("0", SHORTEST_WAIT),
        ("9" * 400, LONGEST_WAIT),
        ("soon", None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("\u0661", None),
    ],
)
def test_retry_after_is_read_with_its_comment(value: str, wait: float | None) -> None:
    """RFC 3261 §20.33"""
    assert wait_asked(response(503, f"Retry-After: {value}")) == wait


def test_without_retry_after_there_is_no_wait_asked() -> None:
    assert wait_asked(response(503)) is None
