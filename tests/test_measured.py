"""A page with figures says how much of the code has changed since."""

from __future__ import annotations

from typing import Any

import pytest

from .test_conformance import ROOT, load

measured = load(ROOT / "tools" / "measured.py")

PAGE = """# Figures

<!-- measured: 651f021 src/reginfo/sip benchmarks -->
Measured at commit 651f021; fewer than 30 lines of `src/reginfo/sip` and `benchmarks`
have changed since.

| a | 1 |
"""


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets how many lines have changed."""

    def set_lines(lines: int) -> None:
        monkeypatch.setattr(measured, "changed", lambda commit, paths: lines)

    return set_lines


@pytest.mark.parametrize("page", measured.pages(), ids=lambda path: path.name)
def test_no_page_claims_that_less_has_changed_than_has(page: Any) -> None:
    """If this fails: `make measured`."""
    try:
        assert measured.too_little(page.read_text()) == []
    except measured.UnknownCommitError as exc:
        pytest.skip(f"no such history here: {exc}")


def test_the_pages_with_figures_have_a_mark() -> None:
    names = {page.name for page in measured.pages()}
    assert {"mutants.md", "performance.md"} <= names


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (0, "nothing in `a` has changed since."),
        (1, "fewer than 30 lines of `a` have changed since."),
        (29, "fewer than 30 lines of `a` have changed since."),
        (30, "fewer than 100 lines of `a` have changed since."),
        (9_999, "fewer than 10 000 lines of `a` have changed since."),
        (2_000_000, "`a` has been rewritten since."),
    ],
)
def test_a_page_says_a_bound(lines: int, said: str) -> None:
    text = measured.sentence("651f021", ["a"], lines)
    assert text == f"Measured at commit 651f021; {said}"
    bound = measured.bound_of(text)
    assert bound is None or lines < bound


@pytest.mark.parametrize(("lines", "wrong"), [(0, 0), (29, 0), (30, 1), (31, 1)])
def test_a_page_is_wrong_when_its_bound_is_reached(
    changes: Any, lines: int, wrong: int
) -> None:
    changes(lines)
    assert len(measured.too_little(PAGE)) == wrong


def test_a_page_that_says_nothing_yet_is_wrong(changes: Any) -> None:
    changes(0)
    page = "<!-- measured: 651f021 src -->\n\nText.\n"
    assert len(measured.too_little(page)) == 1
    assert measured.too_little(measured.update(page)) == []


def test_only_the_line_after_the_mark_is_made_anew(changes: Any) -> None:
    changes(500)
    text = measured.update(PAGE)
    assert "fewer than 1000 lines" in text or "fewer than 1 000 lines" in text
    assert text.startswith("# Figures\n\n<!-- measured: 651f021 ")
    assert text.endswith("have changed since.\n\n| a | 1 |\n")
    assert "fewer than 30" not in text
    assert measured.update(text) == text


def test_a_moved_file_counts_what_changed_in_it() -> None:
    fields = ["3\t1\tsrc/a.py", "0\t7\t", "src/old.py", "src/new.py", "-\t-\tx.png", ""]
    out = "\0".join(fields)
    assert measured.counts(out) == [(3, 1, "src/a.py"), (0, 7, "src/new.py")]
