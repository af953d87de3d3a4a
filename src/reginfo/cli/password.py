"""Passwords for commands: from a file, the environment, or the terminal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from .ending import WRONG, fail

VARIABLE = "REGINFO_PASSWORD"
"""The environment variable with a password."""

PasswordFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help=f"A file whose first line is the password; by default {VARIABLE} of the "
        "environment, else it is asked for.",
    ),
]


def new_password(user: str, file: Path | None) -> str:
    """Return a new password for a user; exits if there is none."""
    return _given(file) or _asked(f"New password for {user}", twice=True)


def known_password(user: str, file: Path | None) -> str:
    """Return the password of a user; exits if there is none."""
    return _given(file) or _asked(f"Password of {user}", twice=False)


def _given(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(VARIABLE)
    try:
        line = file.read_text("utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not UTF-8"
        fail(f"--password-file {file}: {reason}", WRONG)
    if not line:
        fail(f"--password-file {file}: the first line is empty", WRONG)
    return line


def _asked(prompt: str, *, twice: bool) -> str:
    try:
        answer: str = typer.prompt(
            prompt, hide_input=True, confirmation_prompt=twice, err=True
        )
    except typer.Abort:
        fail(f"no password: {VARIABLE} or --password-file has none", WRONG)
    return answer
