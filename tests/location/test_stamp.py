"""Stamps: microseconds since 1970, on the clock of the server that accepted a wish."""

from __future__ import annotations

import pytest

from reginfo.location.stamp import label, stamp_at, wall_at


@pytest.mark.parametrize("wall", [0.0, 1_700_000_000.0, 1_700_000_000.25])
def test_a_stamp_names_a_moment_of_the_wall_clock(wall: float) -> None:
    """docs/sync.md: a stamp is in microseconds since 1970."""
    assert stamp_at(wall) == wall * 1_000_000
    assert wall_at(stamp_at(wall)) == wall


def test_a_later_moment_has_a_later_stamp() -> None:
    assert stamp_at(1_700_000_000.000_002) > stamp_at(1_700_000_000.0)


@pytest.mark.parametrize(("seconds", "micros"), [(60, 60_000_000), (0.5, 500_000)])
def test_the_label_of_an_end_is_as_much_later(seconds: float, micros: int) -> None:
    stamp = stamp_at(1_700_000_000.0)
    assert label(stamp, seconds) - stamp == micros
