"""Records what became of each test, for `tools/conformance.py`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

FILE = ".conformance.json"

ORDER = ["failed", "passed", "peer", "xfailed", "skipped"]
"""The outcomes: of a parametrized test the first of these that one of its cases has."""


def outcome_of(report: pytest.TestReport, missing: str) -> str:
    """
    One of ``ORDER``; empty while nothing is decided.

    Args:
        missing: what the reason of a skip contains if a program of others is missing.
    """
    if report.failed:
        return "failed"
    if report.skipped:
        if hasattr(report, "wasxfail"):
            return "xfailed"
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        return "peer" if missing in reason else "skipped"
    return "passed" if report.when == "call" else ""


class Outcomes:
    """A plugin that adds the outcomes of a session to those recorded before."""

    def __init__(self, path: Path, missing: str) -> None:
        self._path = path
        self._missing = missing
        self._found: dict[str, set[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        outcome = outcome_of(report, self._missing)
        if outcome:
            name = report.nodeid.partition("[")[0].removeprefix("tests/")
            self._found.setdefault(name, set()).add(outcome)

    def pytest_sessionfinish(self) -> None:
        if not self._found:
            return
        known: dict[str, str] = {}
        if self._path.exists():
            known = json.loads(self._path.read_text())
        known |= {name: first(outcomes) for name, outcomes in self._found.items()}
        self._path.write_text(json.dumps(known, indent=0, sort_keys=True))


def first(outcomes: Iterable[str]) -> str:
    """The outcome of a test whose cases have these."""
    return min(outcomes, key=ORDER.index)
