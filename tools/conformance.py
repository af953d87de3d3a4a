"""
Generate docs/conformance.md: which test shows which requirement of the RFCs.

``docs/checklist.md`` has the lines, and the reason where we deviate. A test shows a
line by naming its id in its docstring or in a marker, ``@pytest.mark.shows(...)``; a
comment shows nothing. "3680-94", "3903-01, -02" and "3261-01..05" are understood.

Only a test that ran and passed shows anything. The page is generated from the source
of the tests; ``tests/conftest.py`` records the outcome of each test in
``.conformance.json``; at the end of ``make test``, ``--ran`` refuses a page that names
a test which did not run, failed, was skipped or was expected to fail.

::

    conformance.py            write the page
    conformance.py --check    fail if the page is out of date
    conformance.py --ran      the same, and fail if a named test did not run and pass
    conformance.py --open     list what is open

All of them fail if a test names an id that does not exist.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHECKLIST = ROOT / "docs" / "checklist.md"
PAGE = ROOT / "docs" / "conformance.md"
MUTANTS = ROOT / "docs" / "mutants.md"
TESTS = ROOT / "tests"

OUTCOMES = ROOT / ".conformance.json"
"""The outcome of the last run of each test: ``passed``, ``failed``, ``skipped``,
``xfailed``, or ``peer`` if it was skipped because an external program is missing."""

SHOWING = {"passed", "peer"}
"""The outcomes with which a test shows the lines that it names."""

# "3903-01", and what may follow it: ", -02", " and -03", "..05", "..-05".
ID = re.compile(r"(?<![\w-])(?P<rfc>\d{4,5}|sec)-(?P<number>\d{2,3})(?![\w-])")
NEXT = re.compile(r"(?P<sign>\.\.-?|,? and -|, ?-)(?P<number>\d{2,3})(?![\w-])")


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One requirement of an RFC."""

    id: str
    place: str
    "The section, and the strength of the requirement: ``§4.1 M``."

    text: str
    rfc: str = ""
    "What the RFC says, if the line disagrees."

    deviates: str = ""
    "Why the server deviates."


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """The lines that belong together, and whether they are due."""

    title: str
    is_due: bool
    lines: tuple[Line, ...]


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Test:
    """A test function."""

    file: str
    "Path below tests/."

    name: str
    "With its class: ``TestTable::test_version``."


def read_checklist(text: str) -> list[Section]:
    """The sections of ``docs/checklist.md``, in their order."""
    sections: list[tuple[str, bool, list[Line]]] = []
    is_due = True
    for row in text.splitlines():
        if row == "# Later":
            is_due = False
        elif row.startswith("## "):
            sections.append((row.removeprefix("## "), is_due, []))
        elif sections and (match := re.match(r"- (\S+-\d+) (?:\((.+?)\) )?(.+)", row)):
            sections[-1][2].append(Line(match[1], match[2] or "", match[3]))
        elif sections and (match := re.match(r"  \*(RFC|Deviates):\* (.+)", row)):
            lines = sections[-1][2]
            lines[-1] = dataclasses.replace(lines[-1], **{match[1].lower(): match[2]})
    return [Section(title, is_due, tuple(lines)) for title, is_due, lines in sections]


def ids_in(text: str) -> set[str]:
    """The ids that a docstring or a marker names."""
    ids = set()
    for match in ID.finditer(text):
        rfc, number = match["rfc"], match["number"]
        ids.add(f"{rfc}-{number}")
        end = match.end()
        while following := NEXT.match(text, end):
            first, number = number, following["number"]
            if following["sign"].startswith(".."):
                between = range(int(first), int(number) + 1)
                ids |= {f"{rfc}-{n:0{len(first)}}" for n in between}
            ids.add(f"{rfc}-{number}")
            end = following.end()
    return ids


def read_tests(source: str) -> Iterator[tuple[str, set[str]]]:
    """The tests of a module, each with the ids that it names. Comments do not count."""
    for name, function in functions(ast.parse(source).body):
        if is_void(function):
            continue
        docstring = " ".join((ast.get_docstring(function) or "").split())
        yield name, ids_in(docstring).union(*map(ids_in, markers(function)))


def markers(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """The arguments of the marker ``shows``."""
    for decorator in function.decorator_list:
        match decorator:
            case ast.Call(func=ast.Attribute(attr="shows"), args=arguments):
                for argument in arguments:
                    if isinstance(argument, ast.Constant):
                        yield str(argument.value)


def functions(
    body: list[ast.stmt], prefix: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """The test functions of a module, also those in its classes."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from functions(node.body, f"{prefix}{node.name}::")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("test_"):
                yield prefix + node.name, node


def is_void(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a test is skipped whatever happens, or expected to fail."""
    marks = set()
    for decorator in function.decorator_list:
        mark = decorator.func if isinstance(decorator, ast.Call) else decorator
        marks.add(mark.attr if isinstance(mark, ast.Attribute) else "")
    return bool(marks & {"skip", "xfail"})


def read_outcomes(path: Path) -> dict[str, str]:
    """The outcomes of tests that have run, by file and name; empty if none has."""
    outcomes: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return outcomes


def shown_by(tests: Path) -> dict[str, list[Test]]:
    """The ids that the tests below ``tests`` name, with the tests."""
    shown: dict[str, list[Test]] = {}
    for path in sorted(tests.rglob("test_*.py")):
        file = path.relative_to(tests).as_posix()
        for name, ids in read_tests(path.read_text("utf-8")):
            for id in ids:
                shown.setdefault(id, []).append(Test(file, name))
    return shown


def not_passed(
    shown: Mapping[str, list[Test]], outcomes: Mapping[str, str]
) -> list[str]:
    """The tests in ``shown`` that did not run and pass, with what became of them."""
    tests = {test for tests in shown.values() for test in tests}
    became = {test: outcomes.get(f"{test.file}::{test.name}") for test in tests}
    return [
        f"{test.file}::{test.name}: {became[test] or 'did not run'}"
        for test in sorted(tests)
        if became[test] not in SHOWING
    ]


def unknown(sections: list[Section], shown: dict[str, list[Test]]) -> list[str]:
    """The ids that tests name and that there are not, with the tests."""
    known = {line.id for section in sections for line in section.lines}
    return [
        f"{id}, named by {test.file}::{test.name}"
        for id in sorted(shown.keys() - known)
        for test in shown[id]
    ]


def status(line: Line, tests: list[Test]) -> str:
    if line.deviates:
        return "deviates"
    return "done" if tests else "open"


def page(sections: list[Section], shown: dict[str, list[Test]], score: str) -> str:
    """The text of docs/conformance.md."""
    due = [section for section in sections if section.is_due]
    later = [section for section in sections if not section.is_due]
    out = [
        "# Conformance: the requirements of the RFCs, and the tests that show them",
        "",
        "`make conformance` generates this page from [checklist.md](checklist.md) and",
        "the tests. A line is *done* if a test shows it; it *deviates* for the stated",
        "reason; or it is *open*. M: must, MN: must not, S: should, SN: should not,",
        "R: recommended, y: may, i: our interpretation.",
        "",
        f"[Mutation testing](mutants.md) shows that the tests detect errors: {score}.",
        "",
        "| section | lines | done | deviates | open |",
        "|---|---|---|---|---|",
    ]
    states = {
        line.id: status(line, shown.get(line.id, []))
        for section in sections
        for line in section.lines
    }
    for section in due:
        out.append(summary(section.title, section.lines, states))
    all_due = tuple(line for section in due for line in section.lines)
    out.append(summary("**all**", all_due, states))
    for section in due:
        out += ["", f"## {section.title}", ""]
        out += ["| line | | requirement | |", "|---|---|---|---|"]
        for line in section.lines:
            out.append(row(line, shown.get(line.id, [])))
    if later:
        out += ["", "## Later", "", "Sections that are not required yet:", ""]
        out += ["| section | lines | done | deviates | open |", "|---|---|---|---|---|"]
        for section in later:
            out.append(summary(section.title, section.lines, states))
    return "\n".join(out) + "\n"


def summary(title: str, lines: tuple[Line, ...], states: dict[str, str]) -> str:
    of = [states[line.id] for line in lines]
    counts = [len(of), *(of.count(state) for state in ("done", "deviates", "open"))]
    return f"| {title} | " + " | ".join(map(str, counts)) + " |"


def row(line: Line, tests: list[Test]) -> str:
    text = line.text + (f"<br>*RFC:* {line.rfc}" if line.rfc else "")
    state = [f"**{status(line, tests)}**"]
    if line.deviates:
        state.append(line.deviates)
    by_file: dict[str, list[str]] = {}
    for test in sorted(tests):
        by_file.setdefault(test.file, []).append(f"`{test.name}`")
    for file, names in by_file.items():
        state.append(f"[{file}](../tests/{file})::{', '.join(names)}")
    cells = [line.id, line.place, text, "<br>".join(state)]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def score_in(text: str) -> str:
    """The figure of docs/mutants.md: its line for all modules."""
    for row in text.splitlines():
        if row.startswith("| all |"):
            _, number, *_, of_all, score = map(str.strip, row.strip("| ").split("|"))
            commits = sorted(set(re.findall(r"<!-- measured: (\w+)", text)))
            measured = f" (measured at {', '.join(commits)})" if commits else ""
            killed = f"{of_all} of {number} are killed, {score} of those that can be"
            return killed + measured
    return "not measured yet"


def main() -> int:
    parser = argparse.ArgumentParser(description="Makes docs/conformance.md.")
    parser.add_argument("--check", action="store_true", help="do not write")
    parser.add_argument("--open", action="store_true", help="list what is open")
    parser.add_argument("--ran", action="store_true", help="all tests must have run")
    arguments = parser.parse_args()

    sections, shown = read_checklist(CHECKLIST.read_text("utf-8")), shown_by(TESTS)
    score = score_in(MUTANTS.read_text("utf-8")) if MUTANTS.exists() else score_in("")
    wanted = page(sections, shown, score)
    wrong = [f"no such line: {id}" for id in unknown(sections, shown)]
    if arguments.check or arguments.ran:
        if not PAGE.exists() or PAGE.read_text("utf-8") != wanted:
            wrong.append("docs/conformance.md is out of date: run `make conformance`")
    else:
        PAGE.write_text(wanted, "utf-8")
    if arguments.ran:
        wrong += not_passed(shown, read_outcomes(OUTCOMES))
    due = [line for section in sections if section.is_due for line in section.lines]
    states = {line.id: status(line, shown.get(line.id, [])) for line in due}
    if arguments.open:
        for line in due:
            if states[line.id] == "open":
                sys.stdout.write(f"{line.id} ({line.place}) {line.text}\n")
    counts = [
        f"{list(states.values()).count(s)} {s}" for s in ("done", "deviates", "open")
    ]
    sys.stderr.write(f"conformance: {len(due)} lines: {', '.join(counts)}\n")
    for text in wrong:
        sys.stderr.write(f"conformance: {text}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
