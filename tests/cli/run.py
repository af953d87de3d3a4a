"""Runs the command line: in this process, or in one of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner, Result

from reginfo.cli.main import command

SERVER = '[server]\nid = "a"\ndomains = ["example.com"]\n'
"""The least that a configuration has."""


def run(*arguments: str | Path, input: bytes | None = None) -> Result:
    """What ``reginfo`` comes to with these arguments."""
    return CliRunner().invoke(command, [str(a) for a in arguments], input=input)


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    """The same as a process that goes on."""
    return subprocess.Popen(
        [sys.executable, "-m", "reginfo", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def configured(directory: Path, text: str = "") -> Path:
    """A configuration file, with ``text`` after the least that it has."""
    file = directory / "reginfo.toml"
    file.write_text(SERVER + text)
    return file
