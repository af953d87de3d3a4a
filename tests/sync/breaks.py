"""
Breaks of the rule and of the protocol, each of which the simulation must find.

From the root of the project, this plays up to 1000 steps with each of them, in a copy
of the package, and says after how many it was found::

    python -m tests.sync.breaks [NAME ...]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "reginfo"

STEPS = 1000

BREAKS: dict[str, tuple[str, str, str]] = {
    "an ending with a new stamp": (
        "location/foreign.py",
        "        edition=told.new_stamp(),\n        gone=True,",
        "        edition=told.new_stamp(),\n        stamp=told.new_stamp(),\n"
        "        gone=True,",
    ),
    "a tombstone that is not sent": (
        "sync/collect.py",
        "            claim = _claim_of(row, number)\n",
        "            claim = _claim_of(row, number)\n"
        "            if claim.gone:\n                to = number\n"
        "                continue\n",
    ),
    "a cursor committed apart from its claims": (
        "sync/sink.py",
        "        link.cursor, link.asked = cursor, asked\n",
        "        link.asked = asked\n",
    ),
    "an epoch that is not new after a restored backup": (
        "sync/epochs.py",
        "        epoch = Epoch(new_id(), last, definition)\n",
        "        if self._kept.get(group):\n"
        "            return self._kept.get(group)[-1]\n"
        "        epoch = Epoch(new_id(), last, definition)\n",
    ),
    "what came by a link sent back by it": (
        "sync/collect.py",
        "            source = claim.source\n            if source is not None and",
        "            source = claim.source\n            if False and source and",
    ),
    "a claim's life dropped": (
        "sync/reader.py",
        '_optional(said, "begin", MAX_STAMP, stamp)',
        "stamp",
    ),
    "the order of edition and gone exchanged": (
        "location/lives.py",
        "    if claim.edition != other.edition:\n",
        "    if claim.gone != other.gone:\n        return claim.gone\n"
        "    if claim.edition != other.edition:\n",
    ),
    "split horizon on resume": (
        "sync/feed.py",
        "        self.kept_back = self.goal = last\n",
        "        self.kept_back, self.goal = number, last\n",
    ),
    "a cursor that moves over a gap": (
        "sync/cursor.py",
        "        if said.after <= known.number < said.to:\n",
        "        if known.number < said.to:\n",
    ),
    "the one that holds evicted": (
        "location/lives.py",
        "if i == 0 or c.life in last]",
        "if c.life in last]",
    ),
    "a clock for all contacts": (
        "location/contacts.py",
        "        return next_stamp(known, self.wall, floor)\n",
        '        clock = globals().setdefault("_clock", {})\n'
        "        floor = max(floor, clock.get(id(self.history), 0))\n"
        "        stamp = next_stamp(known, self.wall, floor)\n"
        "        clock[id(self.history)] = stamp\n"
        "        return stamp\n",
    ),
    "an un-REGISTER of the unknown without a claim": (
        "roles/registrar.py",
        "            elif bound is not None or policy.has_links:\n",
        "            elif bound is not None:\n",
    ),
    "a stale CSeq of a foreign peer taken as new": (
        "location/foreign.py",
        "        if had is None and ended_at is not None and"
        " ended_at + SLACK <= told.now:\n",
        "        if known.gone:\n",
    ),
}
"""The file in the package, a text that is there once, and what takes its place."""

FAULTS: dict[str, tuple[str, ...]] = {
    "a cursor that moves over a gap": ("commit",),
    "an epoch that is not new after a restored backup": ("restore", "unregister"),
    "a stale CSeq of a foreign peer taken as new": ("foreign", "unregister"),
}
"""The faults that are played with some of them; the others are found by any."""


def broken(name: str, directory: Path) -> Path:
    """
    Make a copy of the package with one of :data:`BREAKS` in it.

    Returns:
        Where it can be imported from.
    """
    path, old, new = BREAKS[name]
    shutil.copytree(PACKAGE, directory / "reginfo")
    file = directory / "reginfo" / path
    text = file.read_text("utf-8")
    assert text.count(old) == 1, f"{name}: {path} has changed"
    file.write_text(text.replace(old, new), "utf-8")
    return directory


def played(
    package: Path, steps: int, seed: int = 0, faults: Sequence[str] = ()
) -> tuple[int, str]:
    """
    Play steps with the package in a directory.

    Returns:
        After how many something was found, at most, and what; ``steps`` and nothing.
    """
    command = [sys.executable, "-m", "tests.sync.world", "--slice", "50"]
    environment = os.environ | {"PYTHONPATH": str(package)}
    done = subprocess.run(
        [*command, "--steps", str(steps), "--seed", str(seed), "--faults", *faults],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    progress = [line for line in lines if " steps, " in line]
    number = int(progress[-1].split()[0]) if progress else 0
    if done.returncode == 0:
        return number, ""
    return number, lines[-1] if lines else done.stderr[-500:]


def main(names: Sequence[str]) -> int:
    """Play with each break, and print what was found."""
    missed = 0
    for name in names or BREAKS:
        with tempfile.TemporaryDirectory() as directory:
            package, faults = broken(name, Path(directory)), FAULTS.get(name, ())
            number, found = played(package, STEPS, faults=faults)
        missed += not found
        said = f"found after {number}: {found:.150}" if found else "NOT FOUND"
        sys.stdout.write(f"{name}: {said}\n")
        sys.stdout.flush()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
