"""
Make pages say how much of the code has changed since their figures were measured.

A page in ``docs/`` that has figures names the commit that they are of, and the paths
that they are about, in a comment. The line after the comment is made here::

    <!-- measured: 651f021 src/reginfo/sip src/reginfo/io -->
    Measured at commit 651f021; fewer than 300 lines of `src/reginfo/sip` and
    `src/reginfo/io` have changed since.

The number is a bound, one of ``BOUNDS``, and the text stays true until that many lines
have changed: so a page is rewritten a few times between two measurements, and not for
each commit. A file that was only moved or renamed has not changed.

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

BOUNDS = [1, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000, 1_000_000]

MARK = re.compile(
    r"(?P<mark><!-- measured: (?P<commit>[0-9a-f]{7,40})(?P<paths>( [\w./-]+)+) -->\n)"
    r"(?P<text>[^\n<]+(?:\n[^\n<]+)*\n)?"
)

SOURCE = "src/reginfo"
"""Where moves are looked for: a file may come from another directory."""


class UnknownCommitError(Exception):
    """There is no repository here, or it does not have the commit."""


def git(*arguments: str) -> str:
    """
    The output of git in this project.

    Raises:
        UnknownCommitError: git cannot answer.
    """
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as exc:
        raise UnknownCommitError(f"git {' '.join(arguments)}: {exc}") from exc
    return done.stdout


def changed(commit: str, paths: Sequence[str]) -> int:
    """
    The number of lines in ``paths`` that have changed since ``commit``.

    A line that was replaced counts once.

    Raises:
        UnknownCommitError: the repository does not have the commit.
    """
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


def sentence(commit: str, paths: Sequence[str], lines: int) -> str:
    """What a page says: ``lines`` have changed."""
    names = [f"`{path}`" for path in paths]
    where = " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
    bound = next((bound for bound in BOUNDS if lines < bound), None)
    if bound == 1:
        since = f"nothing in {where} has changed since"
    elif bound is None:
        since = f"{where} has been rewritten since"
    else:
        number = f"{bound:,}".replace(",", " ")
        since = f"fewer than {number} lines of {where} have changed since"
    return f"Measured at commit {commit}; {since}."


def bound_of(text: str) -> int | None:
    """How many lines may change before ``text`` is wrong; None if there is no limit."""
    if "has been rewritten" in text:
        return None
    if match := re.search(r"fewer than ([\d ]+) lines", " ".join(text.split())):
        return int(match[1].replace(" ", ""))
    return 1 if "nothing in" in text else 0


def update(text: str) -> str:
    """``text`` of a page, with the lines after its marks made anew."""

    def line(match: re.Match[str]) -> str:
        commit, paths = match["commit"], match["paths"].split()
        said = sentence(commit, paths, changed(commit, paths))
        return f"{match['mark']}{said}\n"

    return MARK.sub(line, text)


def too_little(text: str) -> list[str]:
    """The lines of a page by which less has changed than has."""
    wrong = []
    for match in MARK.finditer(text):
        bound = bound_of(match["text"] or "")
        lines = changed(match["commit"], match["paths"].split())
        if bound is not None and lines >= bound:
            wrong.append(f"{(match['text'] or 'nothing').strip()} In truth: {lines}.")
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
        for problem in too_little(text) if is_check else []:
            wrong += 1
            sys.stderr.write(f"measured: {path.relative_to(ROOT)}: {problem}\n")
        if not is_check:
            path.write_text(update(text), "utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
