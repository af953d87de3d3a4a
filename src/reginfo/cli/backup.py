"""``reginfo backup``: copies the store while the server runs."""

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
        bool, typer.Option("--overwrite", help="Replace TARGET if it exists.")
    ] = False,
) -> None:
    """
    Copy the store into one file, while the server runs.

    Everything that the server answered with 200 before is in the copy. TARGET appears
    only when it is complete and on disk. To restore it: stop the server, remove the
    store with its `-wal` and `-shm` files, put the copy in its place, and start again.

    Exit codes: 0 success; 1 the copy failed; 2 the configuration has no store on disk.
    """
    source = read_config(config).store.path
    if source is None:
        fail(f"{config}: store.url is memory: nothing to copy", WRONG)
    try:
        database.backup(source, target, overwrite)
    except StoreError as exc:
        hint = "" if overwrite or not target.exists() else " (--overwrite replaces it)"
        fail(f"{exc}{hint}", NOT_THERE)
    typer.echo(f"{source} copied to {target}, {target.stat().st_size} octets")
