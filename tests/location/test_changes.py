"""The numbered index: everything after N, each thing once, in order."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from reginfo.location import changes
from reginfo.location.changes import ChangeIndex


class Thing:
    """Something that may be changed again and again."""

    def __init__(self) -> None:
        self.number = 0

    def has_number(self, number: int) -> bool:
        return self.number == number


def touch(index: ChangeIndex, thing: Thing) -> None:
    old, thing.number = thing.number, index.next_number()
    index.add(thing.number, thing)
    if old:
        index.drop(old)


def remove(index: ChangeIndex, thing: Thing) -> None:
    old, thing.number = thing.number, 0
    if old:
        index.drop(old)


def expected(things: list[Thing], number: int) -> list[int]:
    return sorted(thing.number for thing in things if thing.number > number)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=200),
    st.integers(0, 210),
)
def test_everything_after_a_number_is_found_once_and_in_order(
    steps: list[tuple[int, bool]], number: int
) -> None:
    original, changes.CHUNK = changes.CHUNK, 8
    try:
        index, things = ChangeIndex(), [Thing() for _ in range(10)]
        for which, gone in steps:
            (remove if gone else touch)(index, things[which])
    finally:
        changes.CHUNK = original
    assert [n for n, _ in index.after(number)] == expected(things, number)
    assert len(index) == len(expected(things, 0))


def test_the_index_is_as_long_as_what_is_kept_and_not_as_what_happened() -> None:
    rng, index, things = random.Random(1), ChangeIndex(), [Thing() for _ in range(500)]
    for _ in range(50_000):
        touch(index, rng.choice(things))
    assert [n for n, _ in index.after(0)] == expected(things, 0)
    stored = sum(len(piece.items) for piece in index._pieces)
    assert stored <= 2 * len(things) + changes.CHUNK
    assert len(index._pieces) <= 3


def test_pieces_that_shrink_are_put_together() -> None:
    index, things = ChangeIndex(), [Thing() for _ in range(20 * changes.CHUNK)]
    for thing in things:
        touch(index, thing)
    for at, thing in enumerate(things):
        if at % 64:
            remove(index, thing)
    assert [n for n, _ in index.after(0)] == expected(things, 0)
    assert len(index._pieces) <= 2


def test_a_thing_can_give_up_several_numbers_at_once() -> None:
    class Several:
        def __init__(self) -> None:
            self.numbers = {1, 2, 3}

        def has_number(self, number: int) -> bool:
            return number in self.numbers

    index, several = ChangeIndex(), Several()
    for _ in range(3):
        index.add(index.next_number(), several)
    several.numbers = set()
    for number in (1, 2, 3):
        index.drop(number)
    assert list(index.after(0)) == [] and len(index) == 0


def test_a_number_beyond_the_last_finds_nothing() -> None:
    index, thing = ChangeIndex(), Thing()
    assert list(index.after(0)) == []
    touch(index, thing)
    assert list(index.after(1)) == [] and list(index.after(99)) == []
    assert list(index.after(0)) == [(1, thing)]
