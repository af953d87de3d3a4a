"""
Mutation testing: do the tests fail when the code is wrong?

mutmut changes one thing in a function and runs the tests that call it: they should
fail. Each layer is judged by the tests of its own directory and by
``tests/test_walk.py`` alone, so that a lower layer is not tested by the layers above
it. A layer has a session of its own in ``.mutants/``, a copy of what the run needs, so
that the tree may be edited meanwhile. A session continues where it stopped: a killed
mutant stays killed until its function changes; a survivor is tried again when the
tests change.

::

    mutants.py run [--jobs N] [--fresh] [LAYER ...]                try what is not tried
    mutants.py report [--survivors] [--equivalent] [LAYER ...]   to the terminal
    mutants.py page                                              to docs/mutants.md

``tools/mutants.toml`` lists the mutants that no test can tell from the original, and
the survivors that a test could tell but that were left, with the reason.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SESSIONS = ROOT / ".mutants"
LOOKED_AT = ROOT / "tools" / "mutants.toml"
PAGE = ROOT / "docs" / "mutants.md"
COMMIT = "commit"
"""The file of a session that names the commit that was checked out at its last run."""

LAYERS = {
    "sip": "*.py",
    "events": "*.py",
    "reg": "*.py",
    "ledger": "*.py",
    "config": "*.py",
    "location": "*.py",
    "roles": "*.py",
    "sync": "*.py",
    "routing": "*.py",
    "script": "*.py",
    # What decides. What is left builds, starts and stops, or has a socket.
    "server": "{entrance,failures,passage,peers,router,scripting,sending,uas}.py",
}
"""The layers, and which of their files have mutants."""

GOAL = 0.85

# A mutant may well allocate in a loop that never ends.
MEMORY = 4 << 30

# The exit codes of pytest: a mutant with which the tests cannot even be collected
# or that breaks pytest itself is found, too. What mutmut adds: 33 no test calls
# the function; -24, 24, 36, 152 and 255 it ran out of its time.
KILLED = {1, 2, 3}
TIMEOUT = {-24, 24, 36, 152, 255}
UNTESTED = {5, 33}

OUTCOMES = ["killed", "timeout", "survived", "untested", "equivalent", "pending"]
SURVIVORS = ["survived", "untested"]

Groups = dict[str, list[dict[str, Any]]]
"""What `tools/mutants.toml` holds."""


@dataclasses.dataclass(frozen=True, slots=True)
class Mutant:
    """One change to one function, and what the tests said."""

    module: str
    "Path below src/reginfo."

    function: str
    name: str
    "As mutmut counts: its number among those of its function."

    was: str
    now: str
    "The changed lines, before and after, without indentation."

    outcome: str
    "killed, timeout, survived, untested, equivalent or pending."

    reason: str = ""
    "Why no test can tell an equivalent one, or why a survivor was left."


def wanted(layer: str) -> dict[str, bytes]:
    """What a session of ``layer`` needs of the tree: no tests but its own."""
    found = files(ROOT, ["src", "tests"])
    own = tuple(selection(layer))
    return {
        name: content
        for name, content in found.items()
        if name.startswith(own) or not Path(name).name.startswith("test_")
    }


def files(root: Path, parts: Iterable[str]) -> dict[str, bytes]:
    """The content of all files in the directories ``parts`` of ``root``."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for part in parts
        for path in sorted((root / part).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def lay(layer: str) -> Path:
    """
    Bring the session of ``layer`` up to date with the tree.

    A file is written only if its content differs: mutmut goes by the time.
    """
    session = SESSIONS / layer
    mutated = session / "mutants"
    new, old = wanted(layer), files(session, ["src", "tests"])
    new["pyproject.toml"] = settings(layer).encode()
    for name in old.keys() - new.keys():
        (session / name).unlink()
        for copy in mutated.glob(f"{name}*"):  # and what is noted of its mutants
            copy.unlink()
    for name, content in new.items():
        if old.get(name) != content:
            (session / name).parent.mkdir(parents=True, exist_ok=True)
            (session / name).write_bytes(content)
    tests = {name for name in old.keys() | new.keys() if name.startswith("tests/")}
    if any(old.get(name) != new.get(name) for name in tests):
        forget_survivors(mutated)
    return session


def settings(layer: str) -> str:
    """The project's settings, with what mutmut needs for one layer."""
    ours = [
        "[tool.mutmut]",
        f"only_mutate = {json.dumps(mutated_files(layer))}",
        f"pytest_add_cli_args_test_selection = {json.dumps(selection(layer))}",
    ]
    text = (ROOT / "pyproject.toml").read_text()
    return text.replace("[tool.mutmut]", "\n".join(ours))


def mutated_files(layer: str) -> list[str]:
    """The files of ``layer`` that have mutants, as patterns below the project."""
    pattern = LAYERS.get(layer, "*.py")
    names = [pattern]
    if pattern.startswith("{"):
        stems, _, suffix = pattern[1:].partition("}")
        names = [f"{stem}{suffix}" for stem in stems.split(",")]
    return [f"src/reginfo/{layer}/{name}" for name in names]


def selection(layer: str) -> list[str]:
    """The tests that judge ``layer``."""
    parts = [f"tests/{layer}/", "tests/test_walk.py"]
    return [part for part in parts if (ROOT / part).exists()]


def forget_survivors(mutated: Path) -> None:
    """Other tests may kill them; which test calls what is to be seen again."""
    (mutated / "mutmut-stats.json").unlink(missing_ok=True)
    for path in mutated.rglob("*.meta"):
        meta = json.loads(path.read_text())
        codes = meta["exit_code_by_key"]
        for name, code in codes.items():
            codes[name] = code if code in KILLED | TIMEOUT else None
        path.write_text(json.dumps(meta, indent=4))


def run(layers: list[str], jobs: int, fresh: bool) -> int:
    """Try what has not been tried yet. A layer that fails does not stop the others."""
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    failed = []
    for layer in layers:
        if fresh:
            shutil.rmtree(SESSIONS / layer, ignore_errors=True)
        commit = head()
        session = lay(layer)
        say(f"mutants: {layer}, with {' and '.join(selection(layer))}")
        mutmut = [str(Path(sys.executable).with_name("mutmut")), "run"]
        began = time.monotonic()
        done = subprocess.run([*mutmut, "--max-children", str(jobs)], cwd=session)
        took = time.monotonic() - began
        if done.returncode:
            failed.append(layer)
        else:
            (session / COMMIT).write_text(commit)
        found = list(mutants([layer]))
        say("\n" + table(found))
        say(f"mutants: {layer}: {len(found)} in {took / 60:.1f} minutes")
    if failed:
        say(f"mutants: mutmut failed for {', '.join(failed)}")
    return 1 if failed else 0


def head() -> str:
    """The commit that is checked out; empty if there is no repository."""
    command = ["git", "rev-parse", "--short=7", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def measured(layers: Iterable[str]) -> Iterator[str]:
    """
    The marks that say of which commit the figures of the page are.

    `tools/measured.py` adds to each how much has changed since.
    """
    by_commit: dict[str, list[str]] = {}
    for layer in layers:
        path = SESSIONS / layer / COMMIT
        if path.exists() and (commit := path.read_text()):
            by_commit.setdefault(commit, []).append(f"src/reginfo/{layer}")
    for commit, paths in by_commit.items():
        yield f"<!-- measured: {commit} {' '.join(paths)} -->"
        yield ""


def mutants(layers: Iterable[str]) -> Iterator[Mutant]:
    """All mutants of the sessions of ``layers``."""
    groups = looked_at()
    for layer in layers:
        for path in sorted((SESSIONS / layer / "mutants").rglob("*.meta")):
            for mutant in mutants_of(path):
                yield judged(mutant, groups)


def judged(mutant: Mutant, groups: Groups) -> Mutant:
    """A survivor as the kept list judges it."""
    if mutant.outcome not in SURVIVORS:
        return mutant
    if reason := reason_for(mutant, groups.get("equivalent", [])):
        return dataclasses.replace(mutant, outcome="equivalent", reason=reason)
    reason = reason_for(mutant, groups.get("left", []))
    return dataclasses.replace(mutant, reason=reason)


def mutants_of(path: Path) -> Iterator[Mutant]:
    """The mutants of one module, of what mutmut has noted of it in ``path``."""
    source = path.with_suffix("")
    module = source.as_posix().rpartition("/src/reginfo/")[2]
    lines = source.read_text().splitlines()
    spans = json.loads(Path(f"{source}.spans").read_text())["spans"]

    def text(name: str) -> list[str]:
        first, last = spans[name]
        return lines[first - 1 : last]

    for key, code in json.loads(path.read_text())["exit_code_by_key"].items():
        name = key.rpartition(".")[2]
        mangled, _, number = name.partition("__mutmut_")
        was, now = difference(text(f"{mangled}__mutmut_orig"), text(name))
        yield Mutant(
            module=module,
            function=mangled[2:].replace("ǁ", "."),
            name=number,
            was=was,
            now=now,
            outcome=outcome_of(code),
        )


def outcome_of(code: int | None) -> str:
    if code is None:
        return "pending"
    if code in KILLED:
        return "killed"
    if code in TIMEOUT:
        return "timeout"
    return "untested" if code in UNTESTED else "survived"


def difference(old: list[str], new: list[str]) -> tuple[str, str]:
    """The lines in which a mutant differs; its name, in the first, does not count."""
    diff = list(difflib.ndiff(plain(old), plain(new)))
    was = [line[2:] for line in diff if line.startswith("- ")]
    now = [line[2:] for line in diff if line.startswith("+ ")]
    return " / ".join(was), " / ".join(now)


def plain(lines: list[str]) -> list[str]:
    first = next(n for n, line in enumerate(lines) if "def " in line)
    head, _, rest = lines[first].partition("(")
    return [f"def ({rest}", *(line.strip() for line in lines[first + 1 :])]


def looked_at() -> Groups:
    """The kept list: the groups of what is equivalent, and of what was left."""
    return tomllib.loads(LOOKED_AT.read_text())


def reason_for(mutant: Mutant, groups: list[dict[str, Any]]) -> str:
    """The reason of the first of ``groups`` that has ``mutant``; empty if none has."""
    for group in groups:
        if not fnmatch(mutant.module, group.get("module", "*")):
            continue
        if not fnmatch(mutant.function, group.get("function", "*")):
            continue
        if [mutant.was, mutant.now] in group.get("mutants", []) or (
            "was" in group
            and re.search(group["was"], mutant.was)
            and re.search(group.get("now", ""), mutant.now)
            and is_only(group.get("change", "any"), mutant.was, mutant.now)
        ):
            return str(group["reason"])
    return ""


def stale(found: list[Mutant], groups: Groups) -> list[list[str]]:
    """Pairs of the kept list that no survivor has: the code or the tests changed."""
    changes = {(m.was, m.now) for m in found if m.outcome in (*SURVIVORS, "equivalent")}
    return [
        pair
        for kind in groups.values()
        for group in kind
        for pair in group.get("mutants", [])
        if tuple(pair) not in changes
    ]


STRING = re.compile(r'[bf]?"(?:[^"\\]|\\.)*"')


def is_only(change: str, was: str, now: str) -> bool:
    """Whether the lines differ in nothing else than ``change`` says."""
    if change == "any":
        return True
    if change == "case":
        return was.lower() == now.lower()
    words = " " if change == "prose" else ""
    return any(
        was[: s.start()] + other + was[s.end() :] == now
        for s in STRING.finditer(was)
        if words in s[0]
        for other in changed(s[0])
    )


def changed(string: str) -> list[str]:
    """What mutmut makes of a string, as it stands in the source."""
    quote = string.index('"')
    prefix, text = string[:quote], string[quote + 1 : -1]
    texts = [f"XX{text}XX", text.lower(), text.upper()]
    return ["None", *(f'{prefix}"{other}"' for other in texts)]


def table(found: Iterable[Mutant]) -> str:
    """A line for each module, for each layer, and for all."""
    counts: dict[str, Counter[str]] = {}
    for mutant in found:
        layer = mutant.module.partition("/")[0]
        for name in (mutant.module, f"{layer}/", "all"):
            counts.setdefault(name, Counter())[mutant.outcome] += 1
    # A layer stands after its modules, the sum at the end.
    order = sorted(counts, key=lambda n: (n == "all", n.split("/")[0], n[-1] == "/", n))
    rows = [["module", "mutants", *OUTCOMES, "of all", "score"], ["---"] * 10]
    for name in order:
        count = counts[name]
        numbers = [str(count[outcome]) for outcome in OUTCOMES]
        rows.append([name, str(count.total()), *numbers, *scores(count)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def scores(count: Counter[str]) -> tuple[str, str]:
    """What was found of all that was tried, and of what can be found."""
    found = count["killed"] + count["timeout"]
    tried = count.total() - count["pending"]
    return percent(found, tried), percent(found, tried - count["equivalent"])


def percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def page(found: list[Mutant], marks: Iterable[str] = ()) -> str:
    """The text of docs/mutants.md, with ``marks`` before its table."""
    equivalent = Counter(m.reason for m in found if m.outcome == "equivalent")
    survivors = [m for m in found if m.outcome in SURVIVORS]
    out = [
        "# Do the tests fail when the code is wrong?",
        "",
        "`make mutants` generates this page: mutmut changes one thing in a function,",
        "and the tests that call it should fail. Each layer is judged only by",
        "the tests of its own directory and by `tests/test_walk.py`. Code outside of",
        "functions, and in properties, is not mutated.",
        "",
        "The score is the share of mutants that were killed or timed out, of those",
        "that are not equivalent to the original; the column before has that of all.",
        "One that is pending was not tried: of a large module, only a sample was.",
        f"The score must be at least {GOAL:.0%}.",
        "",
        *marks,
        table(found),
        "",
        "## Survivors",
        "",
        "Mutants that no test detects, and why they were left:",
        "",
        *(f"- `{m.module}` {m.function}: {looked(m)}" for m in survivors),
        "",
        "## Equivalent",
        "",
        "Survivors that no test can, or should, distinguish from the original, by the",
        "reason in `tools/mutants.toml`; `tools/mutants.py report --equivalent` lists",
        "them:",
        "",
        *(f"- {number}: {reason}" for reason, number in sorted(equivalent.items())),
    ]
    return "\n".join(out) + "\n"


def looked(mutant: Mutant) -> str:
    """What a survivor changes, and why it was left."""
    change = f"`{mutant.was}` → `{mutant.now}`"
    return f"{change}. {mutant.reason or 'Not looked at yet.'}"


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description="Mutation testing.")
    parser.add_argument("command", choices=["run", "report", "page"])
    parser.add_argument("layers", nargs="*", metavar="LAYER")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--fresh", action="store_true", help="start the session again")
    parser.add_argument("--survivors", action="store_true", help="show each of them")
    parser.add_argument("--equivalent", action="store_true", help="show these, too")
    arguments = parser.parse_intermixed_args()
    layers: list[str] = arguments.layers or [
        layer for layer in LAYERS if (ROOT / "src" / "reginfo" / layer).is_dir()
    ]
    if arguments.command == "run":
        return run(layers, arguments.jobs, arguments.fresh)
    found = list(mutants(layers))
    shown = SURVIVORS * arguments.survivors
    shown += ["equivalent"] * arguments.equivalent
    for mutant in found:
        if mutant.outcome in shown:
            say(f"{mutant.module} {mutant.function} {mutant.name} {mutant.outcome}")
            say(f"  - {mutant.was}\n  + {mutant.now}")
            if mutant.reason:
                say(f"  {mutant.reason}")
    say(table(found))
    if arguments.command == "page":
        PAGE.write_text(page(found, measured(layers)))
        for was, now in stale(found, looked_at()):
            say(f"{LOOKED_AT.name}: not needed any more:\n  - {was}\n  + {now}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
