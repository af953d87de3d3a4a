"""``reginfo backup``: a copy of the store, while the server runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..ledger import backup as database
from ..ledger.storage import StoreError
from .ending import NOT_THERE, WRONG, fail
from .options import DEFAULT_CONFIG, ConfigFile, read_config


def backup(
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="The file to copy the store into.")
    ],
    config: ConfigFile = DEFAULT_CONFIG,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace TARGET if it is there.")
    ] = False,
) -> None:
    """
    Copy the store into one file, as it is at this moment; the server may run.

    All that the server has answered with 200 before is in the copy. TARGET is there
    only once it is complete and on disk. To go back to it: stop the server, put it in
    the place of the store, without `-wal` and `-shm` files beside it, and start again.

    Ends with 0 if there is a copy, 1 if not, 2 if the configuration has no store on
    disk.
    """
    source = read_config(config).store.path
    if source is None:
        fail(f"{config}: store.url is memory: there is nothing to copy", WRONG)
    try:
        database.backup(source, target, overwrite)
    except StoreError as exc:
        hint = "" if overwrite or not target.exists() else " (--overwrite replaces it)"
        fail(f"{exc}{hint}", NOT_THERE)
    typer.echo(f"{source} is copied to {target}, {target.stat().st_size} octets")
