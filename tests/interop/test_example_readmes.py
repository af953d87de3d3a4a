"""What the README of each example shows is what its reader sees."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from .example import ROOT, Example
from .phone import becomes

NAMES = sorted(path.name for path in ROOT.iterdir() if path.is_dir())
SESSIONS = [name for name in NAMES if name != "systemd"]
"""The other shows commands for root only, which no test may run."""


VARIES = [
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ][\d:.,]+Z?"), "TIME"),
    (re.compile(r"(expires=|  active  )\d+"), r"\1SECONDS"),
    (re.compile(r"(is back after )\d+"), r"\1SECONDS"),
]
"""What is another time, or how long that was ago."""


class Step(NamedTuple):
    """A command of a session, and all that is on the terminal until the next."""

    command: list[str]
    behind: bool
    "Whether it ends with `&`: what it says comes when it comes."

    shown: list[str]


def steps(readme: str) -> Iterator[Step]:
    for session in re.findall(r"^```console\n(.*?)^```", readme, re.M | re.S):
        for step in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
            line, *shown = step.splitlines()
            command = shlex.split(line)
            behind = command[-1] == "&"
            yield Step(command[:-1] if behind else command, behind, shown)


def seen(lines: list[str]) -> list[str]:
    """Lines without what varies, in an order that does not."""
    for pattern, word in VARIES:
        lines = [pattern.sub(word, line) for line in lines]
    return sorted(lines)


class Terminal:
    """Runs the commands of a README, one after the other."""

    def __init__(self, example: Example) -> None:
        self.example = example
        self._logs: dict[Path, int] = {}

    def run(self, step: Step) -> None:
        program, *arguments = step.command
        command = ["-m", program] if program == "reginfo" else []
        command += arguments
        if step.behind:
            log = self.example.run(f"step{len(self._logs)}", command)
            self._logs[log] = 0
        ahead = [] if step.behind else self._output(command)
        shown = seen(step.shown)

        def so_far() -> list[str]:
            nonlocal ahead
            lines = seen(ahead + self._said())
            if lines != shown and not step.behind and asks(step.command):
                ahead = self._output(command)
                lines = seen(ahead + self._said())
            return lines

        becomes(so_far, shown)
        for log in self._logs:
            self._logs[log] = log.stat().st_size

    def _said(self) -> list[str]:
        """What is new from those behind."""
        texts = [log.read_bytes()[begin:].decode() for log, begin in self._logs.items()]
        lines = [line for text in texts for line in text.splitlines()]
        # On a busy machine a turn may take long, and the watchdog says so.
        return [line for line in lines if " reginfo.turn " not in line]

    def _output(self, command: list[str]) -> list[str]:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.example.directory, capture_output=True, text=True, timeout=30.0,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return (done.stdout + done.stderr).splitlines()


def asks(command: list[str]) -> bool:
    """Whether a command changes nothing: it may be given again."""
    _, verb, *arguments = command
    return verb in ("watch", "show") or (verb, arguments[1]) == ("register", "--server")


@pytest.mark.parametrize("name", SESSIONS)
def test_the_sessions_in_the_readmes_are_true(name: str, tmp_path: Path) -> None:
    with Example(name, tmp_path) as example:
        readme = (example.directory / "README.md").read_text("utf-8")
        terminal = Terminal(example)
        found = list(steps(readme))
        assert any(step.command[1] == "serve" for step in found)
        assert any(step.command[1] != "serve" and step.shown for step in found)
        for step in found:
            terminal.run(step)


@pytest.mark.parametrize("name", ["", *NAMES])
def test_every_link_leads_somewhere(name: str) -> None:
    text = (ROOT / name / "README.md").read_text("utf-8")
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (ROOT / name / link).exists(), link
