"""
Make pages say how much of the code has changed since their figures were measured.

A page in ``docs/`` that has figures names the commit that they are of, and the paths
that they are about, in a comment. The line after the comment is made here::

    <!-- measured: 651f021 src/reginfo/sip src/reginfo/io -->
    Measured at commit 651f021; fewer than 300 of about 9 000 lines of `src/reginfo/sip`
    and `src/reginfo/io` have changed since.

The first number is a bound, and the text stays true until that many lines have changed:
so a page is rewritten a few times between two measurements, and not for each commit. A
file that was only moved or renamed has not changed.

A commit that is not in the history of the present one is called unknown, although its
objects may still be here: whoever clones the repository does not get them. Where the
history is not complete, as in a shallow clone, nothing can be said of a commit that is
missing: the pages stay as they are.

::

    measured.py            rewrite the lines that are wrong
    measured.py --check    fail if a page claims too little
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

BOUNDS = [1, 30, 100, 300, 1000]
"""Further ones are thousands."""

UNKNOWN = "it is unknown how much has changed since: the commit is not in this history"

MARK = re.compile(
    r"(?P<mark><!-- measured: (?P<commit>[0-9a-f]{7,40})(?P<paths>( [\w./-]+)+) -->\n)"
    r"(?P<text>[^\n<]+(?:\n[^\n<]+)*\n)?"
)

SOURCE = "src/reginfo"
"""Where moves are looked for: a file may come from another directory."""


class UnknownCommitError(Exception):
    """The history is complete, and does not have the commit."""


class NoHistoryError(Exception):
    """There is no repository here, or its history is not complete."""


def git(*arguments: str) -> str:
    """
    The output of git in this project.

    Raises:
        NoHistoryError: git cannot answer.
    """
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as exc:
        raise NoHistoryError(f"git {' '.join(arguments)}: {exc}") from exc
    return done.stdout


def has(commit: str) -> bool:
    """
    Whether a commit is in the history of the present one.

    Raises:
        NoHistoryError: it is not here, but the history is not complete.
    """
    if git("rev-parse", "--is-inside-work-tree").strip() != "true":
        raise NoHistoryError("no work tree")
    try:
        git("merge-base", "--is-ancestor", commit, "HEAD")
    except NoHistoryError as exc:
        if git("rev-parse", "--is-shallow-repository").strip() != "false":
            raise NoHistoryError(f"a shallow clone without {commit}") from exc
        return False
    return True


def changed(commit: str, paths: Sequence[str]) -> int:
    """
    The number of lines in ``paths`` that have changed since ``commit``.

    A line that was replaced counts once.

    Raises:
        UnknownCommitError: the history does not have the commit.
        NoHistoryError: the history is not complete.
    """
    if not has(commit):
        raise UnknownCommitError(commit)
    roots = sorted({SOURCE if path.startswith(SOURCE) else path for path in paths})
    out = git("diff", "-M40%", "--numstat", "-z", commit, "--", *roots)
    return sum(
        max(added, removed)
        for added, removed, name in counts(out)
        if any(name == path or name.startswith(f"{path}/") for path in paths)
    )


def counts(out: str) -> list[tuple[int, int, str]]:
    """Lines added and removed, and the present path, of `git diff --numstat -z`."""
    found = []
    fields = iter(out.split("\0"))
    for field in fields:
        if not field:
            continue
        added, removed, name = field.split("\t")
        if not name:  # of a rename the old and the new path follow
            next(fields)
            name = next(fields)
        if added != "-":  # a binary file
            found.append((int(added), int(removed), name))
    return found


def size(paths: Sequence[str]) -> int:
    """The number of lines in ``paths``."""
    names = git("ls-files", "-z", "--", *paths).split("\0")
    files = [ROOT / name for name in names if name and (ROOT / name).is_file()]
    return sum(path.read_bytes().count(b"\n") for path in files)


def bound_above(lines: int) -> int:
    """The smallest bound that ``lines`` do not reach."""
    for bound in BOUNDS:
        if lines < bound:
            return bound
    return (lines // 1000 + 1) * 1000


def rounded(number: int) -> int:
    """A number of lines in thousands; a smaller one as it is."""
    return number if number < 1000 else (number + 500) // 1000 * 1000


def sentence(commit: str, paths: Sequence[str], lines: int | None, total: int) -> str:
    """What a page says: ``lines`` of now ``total`` have changed; None if unknown."""
    names = [f"`{path}`" for path in paths]
    where = " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
    if lines is None:
        since = UNKNOWN
    elif not lines:
        since = f"nothing in {where} has changed since"
    elif lines >= total:
        since = f"{where} has been rewritten since"
    else:
        number, of = spaced(bound_above(lines)), spaced(rounded(total))
        since = f"fewer than {number} of about {of} lines of {where} have changed since"
    return f"Measured at commit {commit}; {since}."


def spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def bound_of(text: str) -> int | None:
    """How many lines may change before ``text`` is wrong; None if there is no limit."""
    text = " ".join(text.split())
    if "has been rewritten" in text or UNKNOWN in text:
        return None
    if match := re.search(r"fewer than ([\d ]+) of about [\d ]+ lines", text):
        return int(match[1].replace(" ", ""))
    return 1 if "nothing in" in text else 0


def update(text: str) -> str:
    """``text`` of a page, with the lines after its marks made anew."""

    def line(match: re.Match[str]) -> str:
        commit, paths = match["commit"], match["paths"].split()
        lines: int | None
        try:
            lines = changed(commit, paths)
        except UnknownCommitError:
            lines = None
        except NoHistoryError:
            return match[0]
        return f"{match['mark']}{sentence(commit, paths, lines, size(paths))}\n"

    return MARK.sub(line, text)


def too_little(text: str) -> list[str]:
    """
    The lines of a page by which less has changed than has.

    Raises:
        NoHistoryError: the history is not complete.
    """
    wrong = []
    for match in MARK.finditer(text):
        said = (match["text"] or "nothing").strip()
        bound = bound_of(said)
        if bound is None:
            continue
        try:
            lines = changed(match["commit"], match["paths"].split())
        except UnknownCommitError:
            wrong.append(f"{said} In truth: {UNKNOWN}.")
            continue
        if lines >= bound:
            wrong.append(f"{said} In truth: {lines}.")
    return wrong


def pages() -> list[Path]:
    return [
        path
        for path in sorted(DOCS.glob("*.md"))
        if MARK.search(path.read_text("utf-8"))
    ]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Pages say how old their figures are.")
    parser.add_argument("--check", action="store_true", help="do not write")
    is_check = parser.parse_args(arguments).check
    wrong = 0
    for path in pages():
        text = path.read_text("utf-8")
        try:
            problems = too_little(text) if is_check else []
        except NoHistoryError as exc:
            sys.stderr.write(f"measured: nothing is known of the past: {exc}\n")
            return 0
        for problem in problems:
            wrong += 1
            sys.stderr.write(f"measured: {path.relative_to(ROOT)}: {problem}\n")
        if not is_check:
            path.write_text(update(text), "utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
