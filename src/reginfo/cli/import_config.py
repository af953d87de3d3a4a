"""``reginfo import-config``: converts a configuration of OpenSIPS or Kamailio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..moving.move import Dialect, dialect_of, move
from ..moving.source import read
from .ending import NOT_THERE, WRONG, fail, say


def import_config(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="opensips.cfg or kamailio.cfg.", show_default=False
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="The file to write; by default standard output.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it exists.")
    ] = False,
    define: Annotated[
        list[str] | None,
        typer.Option(
            "-A",
            "--define",
            metavar="NAME=VALUE",
            help="A definition that Kamailio is started with; can be repeated.",
        ),
    ] = None,
    dialect: Annotated[
        Dialect | None,
        typer.Option(
            "--from", help="The dialect of FILE; by default it is recognised."
        ),
    ] = None,
) -> None:
    """
    Convert a configuration of OpenSIPS or Kamailio to `reginfo.toml`.

    The command reads the parameters of pua_reginfo, presence_reginfo, presence, pua,
    usrloc and registrar, and the addresses and domains; included files too. What it
    cannot convert is listed at the end of the new file, with its line and the reason.
    Routes must be written anew, see docs/script.md.

    Exit codes: 0 success; 1 a file cannot be read or written; 2 FILE is no such
    configuration.
    """
    try:
        text = _text(file)
    except OSError as exc:
        fail(f"{file}: {exc.strerror}", NOT_THERE)

    def include(name: str) -> str | None:
        try:
            return _text(file.parent / name)
        except (OSError, ValueError):
            return None

    defined = dict(
        (name, value)
        for name, _, value in (text.partition("=") for text in define or ())
    )
    source = read(text, include, defined)
    if not (source.parameters or source.settings or source.loaded or source.calls):
        fail(f"{file}: no configuration of OpenSIPS or Kamailio", WRONG)
    moved = move(source, dialect or dialect_of(source, file.name), file.name)
    if output is None:
        typer.echo(moved.toml, nl=False)
    else:
        if output.exists() and not overwrite:
            fail(f"{output} exists: --overwrite replaces it", WRONG)
        try:
            output.write_text(moved.toml, "utf-8")
        except OSError as exc:
            fail(f"{output}: {exc.strerror}", NOT_THERE)
    for left in moved.left:
        say(str(left))


def _text(path: Path) -> str:
    # A comment may be in any encoding.
    return path.read_text("utf-8", "replace")
