"""A finding says what was examined, how much it matters, and what is so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reginfo.doctor.finding import Finding, Level, error, ok, warning


@pytest.mark.parametrize(
    ("make", "level"), [(ok, Level.OK), (warning, Level.WARNING), (error, Level.ERROR)]
)
def test_each_has_its_level(make: Callable[[str, str], Finding], level: Level) -> None:
    assert make("disk", "full") == Finding("disk", level, "full")
