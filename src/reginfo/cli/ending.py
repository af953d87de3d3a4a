"""How a command ends: with which code, and what it says before."""

from __future__ import annotations

from typing import Never

import typer

NOT_THERE = 1
"""What was asked for is not there, or did not work."""

WRONG = 2
"""The command or the configuration is wrong."""

UNREACHABLE = 3
"""No server answers."""


def say(message: str) -> None:
    """Tell people something that is no result: on standard error."""
    for line in message.splitlines():
        typer.echo(f"reginfo: {printable(line)}", err=True)


def fail(message: str, code: int) -> Never:
    """End the process with a message, and with no traceback."""
    say(message)
    raise typer.Exit(code)


def printable(text: str) -> str:
    """``text`` without what could move the cursor of whoever looks."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
