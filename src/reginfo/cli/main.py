"""
The command line: ``reginfo serve``, ``reginfo show``, and the others.

Each ends with 0 if all went well, 1 if what was asked for is not there or did not
work, 2 if the command or the configuration is wrong, 3 if no server answers.
"""

from __future__ import annotations

from typing import Annotated

import typer

from ..version import __version__
from .backup import backup
from .check import check
from .demo import demo
from .drain import drain
from .import_config import import_config
from .publish import publish
from .register import register
from .serve import serve
from .show import show
from .unregister import unregister
from .watch import watch

command = typer.Typer(
    name="reginfo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Who is registered, and who wants to know: SIP registration events "
    "(RFC 3680). `reginfo demo` shows what it is about.",
    epilog="Ends with 0 if all went well, 1 if what was asked for is not there or did "
    "not work, 2 if the command or the configuration is wrong, 3 if no server answers.",
)

COMMANDS = (
    serve,
    check,
    show,
    watch,
    register,
    publish,
    unregister,
    backup,
    drain,
    import_config,
    demo,
)

for function in COMMANDS:
    command.command()(function)


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
            help="Print the version, and end.",
        ),
    ] = False,
) -> None:
    pass
