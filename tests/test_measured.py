"""A page with figures says how much of the code has changed since."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from .test_conformance import ROOT, load

measured = load(ROOT / "tools" / "measured.py")

PAGE = """# Figures

<!-- measured: 651f021 src/reginfo/sip benchmarks -->
Measured at commit 651f021; fewer than 30 of about 9 000 lines of `src/reginfo/sip` and
`benchmarks` have changed since.

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
    except measured.NoHistoryError as exc:
        pytest.skip(f"no such history here: {exc}")


def test_the_pages_with_figures_have_a_mark() -> None:
    names = {page.name for page in measured.pages()}
    assert {"mutants.md", "performance.md"} <= names


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (0, "nothing in `a` has changed since."),
        (1, "fewer than 30 of about 48 000 lines of `a` have changed since."),
        (29, "fewer than 30 of about 48 000 lines of `a` have changed since."),
        (30, "fewer than 100 of about 48 000 lines of `a` have changed since."),
        (1_000, "fewer than 2 000 of about 48 000 lines of `a` have changed since."),
        (9_999, "fewer than 10 000 of about 48 000 lines of `a` have changed since."),
        (39_786, "fewer than 40 000 of about 48 000 lines of `a` have changed since."),
        (40_000, "fewer than 41 000 of about 48 000 lines of `a` have changed since."),
        (48_200, "`a` has been rewritten since."),
        (None, measured.UNKNOWN + "."),
    ],
)
def test_a_page_says_a_bound(lines: int | None, said: str) -> None:
    text = measured.sentence("651f021", ["a"], lines, 48_200)
    assert text == f"Measured at commit 651f021; {said}"
    bound = measured.bound_of(text)
    assert bound is None or (lines is not None and lines < bound)


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
    assert "fewer than 1 000 of about" in text
    assert text.startswith("# Figures\n\n<!-- measured: 651f021 ")
    assert text.endswith("have changed since.\n\n| a | 1 |\n")
    assert "fewer than 30" not in text
    assert measured.update(text) == text


def test_a_moved_file_counts_what_changed_in_it() -> None:
    fields = ["3\t1\tsrc/a.py", "0\t7\t", "src/old.py", "src/new.py", "-\t-\tx.png", ""]
    out = "\0".join(fields)
    assert measured.counts(out) == [(3, 1, "src/a.py"), (0, 7, "src/new.py")]


# Which commits are known.


class Repository:
    """A repository with three commits, of which the second was left by a rebase."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git("init", "-q", "-b", "main")
        self.first = self.commit("a\n")
        self.left = self.commit("b\n")
        self.git("reset", "-q", "--hard", self.first)
        self.last = self.commit("c\nd\n")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=x", "-c", "user.email=x@y", *arguments],
            cwd=self.path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def commit(self, text: str) -> str:
        (self.path / "src").mkdir(exist_ok=True)
        (self.path / "src" / "a.txt").write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    here = tmp_path / "whole"
    here.mkdir()
    monkeypatch.setattr(measured, "ROOT", here)
    return Repository(here)


def page_of(commit: str) -> str:
    return f"<!-- measured: {commit} src -->\nNothing yet.\n"


def test_a_commit_of_the_history_is_compared(repository: Repository) -> None:
    assert measured.changed(repository.first, ["src"]) == 2
    assert measured.changed(repository.last, ["src"]) == 0
    text = measured.update(page_of(repository.last))
    assert "nothing in `src` has changed since." in text
    assert measured.too_little(text) == []


@pytest.mark.parametrize("commit", ["left by a rebase", "0123456789abcdef"])
def test_a_page_says_that_its_commit_is_not_in_this_history(
    repository: Repository, commit: str
) -> None:
    """After a rebase its objects are still here, and in no clone."""
    commit = repository.left if " " in commit else commit
    with pytest.raises(measured.UnknownCommitError):
        measured.changed(commit, ["src"])
    before = page_of(commit).replace("Nothing yet", "fewer than 30 of about 9 lines")
    assert len(measured.too_little(before)) == 1
    text = measured.update(before)
    assert measured.UNKNOWN in text
    assert measured.too_little(text) == []
    assert measured.update(text) == text


def test_a_page_stays_as_it_is_in_a_shallow_clone(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shallow = tmp_path / "shallow"
    url = f"file://{repository.path}"
    repository.git("clone", "-q", "--depth=1", url, str(shallow))
    monkeypatch.setattr(measured, "ROOT", shallow)
    page = page_of(repository.first)
    with pytest.raises(measured.NoHistoryError):
        measured.too_little(page)
    assert measured.update(page) == page
    # What is there can be compared.
    assert "nothing in `src`" in measured.update(page_of(repository.last))


def test_a_page_stays_as_it_is_without_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    page = page_of("651f021")
    assert measured.update(page) == page
    with pytest.raises(measured.NoHistoryError):
        measured.too_little(page)
