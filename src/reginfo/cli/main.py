"""
The command line: ``reginfo serve``, ``reginfo show``, and the others.

The exit codes are in :mod:`reginfo.cli.ending`.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from ..version import __version__
from ..web.client import TOKEN
from .add import add
from .admit import admit
from .backup import backup
from .check import check
from .demo import demo
from .doctor import doctor
from .drain import drain
from .import_config import import_config
from .publish import publish
from .register import register
from .serve import serve
from .shorten import shorten
from .show import show
from .token import token
from .unregister import unregister
from .user import user
from .watch import watch

command = typer.Typer(
    name="reginfo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="A SIP registrar with registration events (RFC 3680), and clients for any "
    "server. `reginfo demo` shows it at work.",
    epilog="Exit codes: 0 success; 1 the request was refused, or nothing matched; 2 "
    "the command or the configuration is wrong; 3 no server answers. `serve` has more.",
)

COMMANDS = (
    serve,
    check,
    doctor,
    show,
    watch,
    register,
    publish,
    unregister,
    shorten,
    add,
    admit,
    backup,
    drain,
    import_config,
    demo,
)

for function in COMMANDS:
    command.command()(function)

GROUPS = {"user": user, "token": token}
"""Commands that consist of others."""

for name, group in GROUPS.items():
    command.add_typer(group, name=name)


def main() -> None:
    """Run the command line."""
    command()


def say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"reginfo {__version__}")
        raise typer.Exit()


@command.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=say_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN",
            help=f"The token for the API of a server; better in {TOKEN} of the "
            "environment, which others on the machine do not see.",
        ),
    ] = None,
) -> None:
    if token is not None:
        os.environ[TOKEN] = token
