"""What became of each test is recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from .outcomes import Outcomes, first, outcome_of

When = Literal["setup", "call", "teardown"]


def report(
    outcome: Literal["passed", "failed", "skipped"],
    *,
    name: str = "test_a",
    when: When = "call",
    reason: str = "",
    **others: Any,
) -> pytest.TestReport:
    made = pytest.TestReport(
        nodeid=f"tests/roles/test_x.py::{name}",
        location=("", 0, ""),
        keywords={},
        outcome=outcome,
        longrepr=("x.py", 1, f"Skipped: {reason}") if reason else None,
        when=when,
    )
    made.__dict__.update(others)
    return made


@pytest.mark.parametrize(
    ("made", "outcome"),
    [
        (report("passed"), "passed"),
        (report("passed", when="setup"), ""),
        (report("passed", when="teardown"), ""),
        (report("failed"), "failed"),
        (report("failed", when="setup"), "failed"),
        (report("failed", when="teardown"), "failed"),
        (report("skipped", when="setup", reason="missing peer: sipp"), "peer"),
        (report("skipped", reason="not on this system"), "skipped"),
        (report("skipped", wasxfail="step 5: later"), "xfailed"),
    ],
)
def test_an_outcome_is_told_from_a_report(
    made: pytest.TestReport, outcome: str
) -> None:
    assert outcome_of(made, "missing peer: ") == outcome


def test_a_test_has_passed_if_none_of_its_cases_failed_and_one_passed() -> None:
    assert first({"passed", "xfailed", "skipped"}) == "passed"
    assert first({"passed", "failed"}) == "failed"
    assert first({"xfailed", "skipped"}) == "xfailed"


def test_outcomes_are_added_to_those_of_before(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.json"
    path.write_text('{"roles/test_x.py::test_a": "failed", "test_y.py::test": "peer"}')
    outcomes = Outcomes(path, "missing peer: ")
    for name in ("test_a[1]", "test_a[2]", "TestB::test_c[a::b[1]]"):
        for when in ("setup", "call", "teardown"):
            outcomes.pytest_runtest_logreport(report("passed", name=name, when=when))
    outcomes.pytest_sessionfinish()
    assert json.loads(path.read_text()) == {
        "roles/test_x.py::test_a": "passed",
        "roles/test_x.py::TestB::test_c": "passed",
        "test_y.py::test": "peer",
    }


def test_nothing_is_written_if_no_test_has_run(tmp_path: Path) -> None:
    Outcomes(tmp_path / "outcomes.json", "").pytest_sessionfinish()
    assert list(tmp_path.iterdir()) == []
