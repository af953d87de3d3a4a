"""The breaks that the simulation must find are still breaks of the code as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from .breaks import BREAKS, broken


@pytest.mark.parametrize("name", BREAKS)
def test_each_break_still_has_its_place(name: str, tmp_path: Path) -> None:
    path, _, new = BREAKS[name]
    text = (broken(name, tmp_path) / "reginfo" / path).read_text("utf-8")
    assert new in text
    compile(text, path, "exec")
