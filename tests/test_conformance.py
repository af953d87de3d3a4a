"""The page on conformance is what its script makes of the checklist and the tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


def load(path: Path) -> ModuleType:
    """A tool as a module; it is no part of the package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look for the names in their annotations there.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


conformance = load(ROOT / "tools" / "conformance.py")


def test_the_page_is_what_the_checklist_and_the_tests_make() -> None:
    arguments, sys.argv = sys.argv, ["conformance.py", "--check"]
    try:
        assert conformance.main() == 0, "run `make conformance`"
    finally:
        sys.argv = arguments


def test_ids_of_the_checklist_are_unique() -> None:
    sections = conformance.read_checklist(conformance.CHECKLIST.read_text("utf-8"))
    ids = [line.id for section in sections for line in section.lines]
    assert len(ids) == len(set(ids)) > 300
    listed = (
        conformance.CHECKLIST.read_text("utf-8").count("\n- ") - 2
    )  # the two of its head
    assert listed == len(ids)


@pytest.mark.parametrize(
    "text, ids",
    [
        ("3680-94", {"3680-94"}),
        ("A sentence (3680-94, RFC 3680 §5.2).", {"3680-94"}),
        ("3680-94: why it is so", {"3680-94"}),
        ("3903-01, -02", {"3903-01", "3903-02"}),
        ("3903-01, -02, -13: no To tag", {"3903-01", "3903-02", "3903-13"}),
        ("3903-01 and -02", {"3903-01", "3903-02"}),
        ("3903-01, and -02", {"3903-01", "3903-02"}),
        ("3261-01..05", {f"3261-0{n}" for n in range(1, 6)}),
        ("3261-08..-10", {"3261-08", "3261-09", "3261-10"}),
        ("3680-98..101", {"3680-98", "3680-99", "3680-100", "3680-101"}),
        ("3261-01..02, -05", {"3261-01", "3261-02", "3261-05"}),
        ("3680-54, 24229-11", {"3680-54", "24229-11"}),
        ("sec-03", {"sec-03"}),
        ("RFC 3680 §5.2, 2024-05-06, 5060-5061, x3680-94, tel:1-3680-94", set()),
        ("3680-94 - a dash, -1 and - 02", {"3680-94"}),
    ],
)
def test_ids_are_found_in_a_text(text: str, ids: set[str]) -> None:
    assert conformance.ids_in(text) == ids


MODULE = '''
"""3680-01: the docstring of a module is that of no test."""

X = 1  # 3680-02: nor is this


# 3680-03
@pytest.mark.parametrize("a", ["# 3680-04", 1])  # 3680-05
def test_one(
    a: str,
) -> None:  # 3680-06
    """
    A docstring (3680-07, 3680-09,
    -10).
    """
    # 3680-11
    assert "3680-08"


def helper() -> None:
    """3680-12"""


class TestMany:
    async def test_two(self) -> None:
        """3680-13"""

    # 3680-14 stands
    # above it
    def test_three(self) -> None: ...


@pytest.mark.shows("3680-18", "3680-19, -20")
def test_marked() -> None: ...


@pytest.mark.skip(reason="later")
def test_skipped() -> None:
    """3680-15"""


@pytest.mark.xfail
def test_failing() -> None:
    """3680-16"""


@pytest.mark.skipif(True, reason="here")
@pytest.mark.parametrize("a", [pytest.param(1, marks=pytest.mark.xfail), 2])
def test_mostly() -> None:
    """3680-17"""
'''


def test_ids_count_in_a_docstring_or_marker_and_not_in_a_comment() -> None:
    numbers = {
        name: sorted(int(id.removeprefix("3680-")) for id in ids)
        for name, ids in conformance.read_tests(MODULE)
    }
    assert numbers == {
        "test_one": [7, 9, 10],
        "TestMany::test_two": [13],
        "TestMany::test_three": [],
        "test_marked": [18, 19, 20],
        "test_mostly": [17],
    }


@pytest.mark.parametrize(
    ("outcome", "passed"),
    [
        ("passed", True),
        ("peer", True),  # skipped here for want of a program, and shown elsewhere
        ("failed", False),
        ("skipped", False),
        ("xfailed", False),
        ("", False),
    ],
)
def test_a_test_that_did_not_run_and_pass_shows_nothing(
    tmp_path: Path, outcome: str, passed: bool
) -> None:
    (tmp_path / "roles").mkdir()
    source = 'def test_a() -> None:\n    """3680-01"""\n'
    (tmp_path / "roles" / "test_x.py").write_text(source)
    outcomes = {"roles/test_x.py::test_a": outcome} if outcome else {}
    found = conformance.not_passed(conformance.shown_by(tmp_path), outcomes)
    reason = outcome or "did not run"
    assert found == ([] if passed else [f"roles/test_x.py::test_a: {reason}"])


CHECKLIST = """# Lines

- *RFC:* this is no line.

## First

- 3680-01 (§4.1 M) It is `reg`.
- 3680-02 (§4.2) None; a | b.
  *RFC:* One.
- 3680-03 All of it.
  *Deviates:* Not yet.

# Later

## Second

- sec-01 (i) Locked.
"""


def test_lines_are_done_or_deviate_or_are_open(tmp_path: Path) -> None:
    tests = tmp_path / "reg"
    tests.mkdir()
    (tests / "test_a.py").write_text(
        'def test_b() -> None:\n    "3680-01, -03"\n'
        'def test_a() -> None:\n    "3680-01, -09"\n'
    )
    sections = conformance.read_checklist(CHECKLIST)
    assert [section.is_due for section in sections] == [True, False]
    shown = conformance.shown_by(tmp_path)
    assert conformance.unknown(sections, shown) == [
        "3680-09, named by reg/test_a.py::test_a"
    ]
    rows = conformance.page(sections, shown, "85 %").splitlines()
    file = "[reg/test_a.py](../tests/reg/test_a.py)"
    assert [row for row in rows if row.startswith("| 3680")] == [
        f"| 3680-01 | §4.1 M | It is `reg`. | **done**<br>{file}::`test_a`, `test_b` |",
        "| 3680-02 | §4.2 | None; a \\| b.<br>*RFC:* One. | **open** |",
        f"| 3680-03 |  | All of it. | **deviates**<br>Not yet.<br>{file}::`test_b` |",
    ]
    assert "| **all** | 3 | 1 | 1 | 1 |" in rows
    assert "| Second | 1 | 0 | 0 | 1 |" in rows


def test_the_figure_is_that_of_all_mutants() -> None:
    text = "| reg/ | 9 | 8 | 8.0 % | 9.0 % |\n| all | 1000 | 850 | 84.0 % | 85.0 % |\n"
    assert conformance.score_in(text) == (
        "84.0 % of 1000 are killed, 85.0 % of those that can be"
    )
    assert conformance.score_in("") == "not measured yet"
