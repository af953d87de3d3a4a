"""The bases of values: frozen or not, compared by fields, unknown to the collector."""

from __future__ import annotations

import gc

import pytest

from reginfo.sip.value import MutableValue, Value


class Point(Value, frozen=True):
    x: int
    y: int = 0


class Pen(MutableValue):
    x: int


def test_a_value_does_not_change() -> None:
    point = Point(1)
    with pytest.raises(AttributeError):
        point.x = 2  # type: ignore[misc]


def test_a_value_is_what_its_fields_are() -> None:
    assert Point(1) == Point(1, 0) != Point(1, 1)
    assert len({Point(1), Point(1, 0), Point(2)}) == 2


def test_a_mutable_value_changes_and_cannot_be_a_key() -> None:
    pen = Pen(1)
    pen.x = 2
    assert pen == Pen(2)
    with pytest.raises(TypeError, match="unhashable"):
        hash(pen)


@pytest.mark.parametrize("value", [Point(1), Pen(1)])
def test_the_collector_has_no_work_with_values(value: object) -> None:
    """A million of them are kept; a full collection would stop us for long."""
    assert not gc.is_tracked(value)
