"""Exit codes of the commands, and messages on standard error."""

from __future__ import annotations

from typing import Never

import typer

NOT_THERE = 1
"""The request was refused or failed, or nothing matched."""

WRONG = 2
"""The command or the configuration is wrong."""

UNREACHABLE = 3
"""No server answers."""

ADDRESS_IN_USE = 4
"""``serve``: an address is not available."""

STORE_UNUSABLE = 5
"""``serve``: the store cannot be used: damaged, locked, or not readable."""


def say(message: str) -> None:
    """Print a message that is no result, on standard error."""
    for line in message.splitlines():
        typer.echo(f"reginfo: {printable(line)}", err=True)


def fail(message: str, code: int) -> Never:
    """Exit with a message and without a traceback."""
    say(message)
    raise typer.Exit(code)


def counted(number: int, thing: str) -> str:
    """``number`` and the name of what is counted: `1 contact`, `2 contacts`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """``text`` without characters that could control a terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
