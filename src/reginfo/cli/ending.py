"""Exit codes of the commands, and messages on standard error."""

from __future__ import annotations

from typing import Never

import msgspec
import typer

from ..sip.text import json_text, printable

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
    # splitlines() would also split at characters that stand in what a peer has sent.
    for line in message.split("\n"):
        typer.echo(f"reginfo: {printable(line)}", err=True)


def fail(message: str, code: int) -> Never:
    """Exit with a message and without a traceback."""
    say(message)
    raise typer.Exit(code)


def counted(number: int, thing: str) -> str:
    """``number`` and the name of what is counted: `1 contact`, `2 contacts`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def echo_json(value: object, *, indent: int = 0) -> None:
    """Print a value as JSON, in several lines if ``indent`` is given."""
    text = msgspec.json.encode(value)
    if indent:
        text = msgspec.json.format(text, indent=indent)
    typer.echo(json_text(text).decode())
