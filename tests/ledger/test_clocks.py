"""Moments of an earlier boot are moved to the present clock by one fixed amount."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reginfo.ledger.clocks import Clocks


def test_before_the_first_clock_nothing_is_shifted() -> None:
    clocks = Clocks()
    assert clocks.number == 0
    assert clocks.present is None
    clocks.note(1.0, 2.0)
    assert clocks.present is None


def test_a_boot_id_that_comes_again_later_is_a_clock_of_its_own() -> None:
    """A database that was moved to another machine and back."""
    clocks = Clocks()
    assert clocks.begin("a", 100.0, 1000.0)
    assert clocks.begin("b", 5.0, 1010.0)
    assert clocks.begin("a", 120.0, 1020.0)
    assert clocks.number == 3
    assert clocks.shift(1, 0.0, 0.0) == 0.0
    assert clocks.shift(2, 0.0, 0.0) == 105.0


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e9)), max_size=5))
def test_a_chain_of_boots_is_the_sum_of_its_steps(
    times: list[tuple[float, float]],
) -> None:
    clocks = Clocks()
    clocks.begin("0", 50.0, 1000.0)
    for number, (boot, wall) in enumerate(times, 1):
        clocks.begin(str(number), boot, wall)
    again = Clocks.load(clocks.dump())
    for number in range(clocks.number + 1):
        assert again.shift(number, 0.0, 0.0) == clocks.shift(number, 0.0, 0.0)
    assert clocks.shift(clocks.number, 0.0, 0.0) == 0.0
