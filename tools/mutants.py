"""
Mutation testing: do the tests fail when the code is wrong?

mutmut changes one thing in a function and runs the tests that call it: they
should fail. Each layer is judged by the tests of its own directory and by
``tests/test_walk.py`` alone, so that a lower layer is not shown by what stands
on it. A layer has a session of its own in ``.mutants/``, a copy of what the run
needs, so that the tree may be edited meanwhile. A session is taken up where it
was left: what was killed stays so until its function changes; what survived is
tried again when the tests change.

::

    mutants.py run [--jobs N] [--fresh] [LAYER ...]
    mutants.py report [--survivors] [LAYER ...]   to the terminal
    mutants.py page                               to docs/mutants.md

``tools/mutants.toml`` lists the mutants that no test can tell from the original,
with the reason.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import os
import resource
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SESSIONS = ROOT / ".mutants"
EQUIVALENT = ROOT / "tools" / "mutants.toml"
PAGE = ROOT / "docs" / "mutants.md"

LAYERS = ["sip", "events", "reg", "location", "roles"]
GOAL = 0.85

# A mutant may well allocate in a loop that never ends.
MEMORY = 4 << 30

# The exit codes of pytest: a mutant with which the tests cannot even be collected
# or that breaks pytest itself is found, too. What mutmut adds: 33 no test calls
# the function; -24, 24, 36, 152 and 255 it ran out of its time.
KILLED = {1, 2, 3}
TIMEOUT = {-24, 24, 36, 152, 255}
UNTESTED = {5, 33}


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
    "Why no test can tell an equivalent one."


def wanted(layer: str) -> list[str]:
    """What a session of ``layer`` needs of the tree."""
    tests = ["conftest.py", "test_walk.py", "captures", "torture", layer]
    return ["src", *(f"tests/{name}" for name in tests)]


def files(root: Path, parts: Iterable[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in parts:
        path = root / part
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                found[str(file.relative_to(root))] = file.read_bytes()
    return found


def lay(layer: str) -> Path:
    """
    Bring the session of ``layer`` up to date with the tree.

    A file is written only if its content differs: mutmut goes by the time.
    """
    session = SESSIONS / layer
    mutated = session / "mutants"
    new, old = files(ROOT, wanted(layer)), files(session, ["src", "tests"])
    new["pyproject.toml"] = settings(layer).encode()
    for name in old.keys() - new.keys():
        for copy in (session / name, mutated / name):
            copy.unlink(missing_ok=True)
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
        f'only_mutate = ["src/reginfo/{layer}/*.py"]',
        f"pytest_add_cli_args_test_selection = {json.dumps(selection(layer))}",
    ]
    text = (ROOT / "pyproject.toml").read_text()
    return text.replace("[tool.mutmut]", "\n".join(ours))


def selection(layer: str) -> list[str]:
    parts = [f"tests/{layer}", "tests/test_walk.py"]
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
    """Try what is not tried yet."""
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    failed = 0
    for layer in layers:
        if fresh:
            shutil.rmtree(SESSIONS / layer, ignore_errors=True)
        session = lay(layer)
        say(f"mutants: {layer}, with {' and '.join(selection(layer))}")
        mutmut = [str(Path(sys.executable).with_name("mutmut")), "run"]
        failed |= subprocess.run(
            [*mutmut, "--max-children", str(jobs)], cwd=session
        ).returncode
        say("\n" + table(list(mutants([layer]))))
    return failed


def mutants(layers: Iterable[str]) -> Iterator[Mutant]:
    """All mutants of the sessions of ``layers``."""
    reasons = equivalents()
    for layer in layers:
        mutated = SESSIONS / layer / "mutants"
        for path in sorted(mutated.rglob("*.meta")):
            source = path.with_suffix("")
            module = str(source.relative_to(mutated / "src" / "reginfo"))
            lines = source.read_text().splitlines()
            spans = json.loads(source.with_name(source.name + ".spans").read_text())
            codes = json.loads(path.read_text())["exit_code_by_key"]
            for name, code in codes.items():
                name = name.rpartition(".")[2]
                mangled, _, number = name.partition("__mutmut_")
                function = mangled[2:].replace("ǁ", ".")
                was, now = difference(
                    *(
                        lines[first - 1 : last]
                        for first, last in (
                            spans["spans"][f"{mangled}__mutmut_orig"],
                            spans["spans"][name],
                        )
                    )
                )
                outcome = outcome_of(code)
                reason = reasons.get((module, function, was, now), "")
                if reason and outcome in ("survived", "untested"):
                    outcome = "equivalent"
                yield Mutant(module, function, number, was, now, outcome, reason)


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


def equivalents() -> dict[tuple[str, str, str, str], str]:
    """The kept list: (module, function, was, now) and the reason."""
    if not EQUIVALENT.exists():
        return {}
    reasons = {}
    for group in tomllib.loads(EQUIVALENT.read_text()).get("equivalent", []):
        module, function = group["module"], group["function"]
        for was, now in group["mutants"]:
            reasons[module, function, was, now] = group["reason"]
    return reasons


def table(all_mutants: list[Mutant]) -> str:
    """One line a module, one a layer, one for all."""
    rows = [("module", "mutants", "killed", "timeout", "survived", "untested",
             "equivalent", "pending", "score")]  # fmt: skip
    groups: dict[str, Counter[str]] = {}
    for mutant in all_mutants:
        layer = mutant.module.partition("/")[0] + "/"
        for group in (mutant.module, layer, "all"):
            groups.setdefault(group, Counter())[mutant.outcome] += 1
    # A layer stands after its modules, the sum at the end.
    order = sorted(
        groups, key=lambda g: (g == "all", g.partition("/")[0], g[-1] == "/", g)
    )
    for group in order:
        count = groups[group]
        numbers = [str(count[outcome]) for outcome in rows[0][2:-1]]
        rows.append((group, str(count.total()), *numbers, percent(count)))  # type: ignore[arg-type]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---" * len(rows[0]) + "|")
    return "\n".join(lines)


def percent(count: Counter[str]) -> str:
    """What was found of what was tried and can be found."""
    tried = count.total() - count["pending"] - count["equivalent"]
    found = count["killed"] + count["timeout"]
    return f"{100 * found / tried:.1f} %" if tried else "-"


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
    arguments = parser.parse_intermixed_args()
    layers: list[str] = arguments.layers or LAYERS
    if arguments.command == "run":
        return run(layers, arguments.jobs, arguments.fresh)
    found = list(mutants(layers))
    if arguments.survivors:
        for mutant in found:
            if mutant.outcome in ("survived", "untested"):
                say(f"{mutant.module} {mutant.function} {mutant.name} {mutant.outcome}")
                say(f"  - {mutant.was}\n  + {mutant.now}")
    say(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
