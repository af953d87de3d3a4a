"""``reginfo import-config``: a configuration of OpenSIPS or Kamailio becomes ours."""

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
            help="Where to write it; to standard output if left out.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is there.")
    ] = False,
    define: Annotated[
        list[str] | None,
        typer.Option(
            "-A",
            "--define",
            metavar="NAME=VALUE",
            help="What Kamailio is started with; may be given several times.",
        ),
    ] = None,
    dialect: Annotated[
        Dialect | None,
        typer.Option(
            "--from", help="Whose it is, if it is not what it is taken to be."
        ),
    ] = None,
) -> None:
    """
    Make a configuration of ours of one of OpenSIPS or Kamailio.

    Read are the parameters of pua_reginfo, presence_reginfo, presence, pua, usrloc and
    registrar, and the addresses and domains. What could not be carried over is listed
    at the end of the new file, each with its line and the reason; routes are to be
    written anew, see docs/script.md. Files that it includes are read.

    Ends with 0; with 1 if a file cannot be read or written.
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
            fail(f"{output} is there: --overwrite replaces it", WRONG)
        try:
            output.write_text(moved.toml, "utf-8")
        except OSError as exc:
            fail(f"{output}: {exc.strerror}", NOT_THERE)
    for left in moved.left:
        say(str(left))


def _text(path: Path) -> str:
    # A comment may be in any encoding.
    return path.read_text("utf-8", "replace")
