"""Copies an SQLite database while a server uses it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from pathlib import Path

from .storage import StoreError


def backup(source: Path, target: Path, overwrite: bool = False) -> None:
    """
    Copy a database into a single file, in a consistent state.

    A server may use the database meanwhile, in this process or in another. Everything
    that was durable before the call is in the copy; every batch is in it completely or
    not at all. The copy is readable by its owner only. It appears under its name only
    when it is complete and on disk. A server can be started with it.

    Args:
        overwrite: whether a file named ``target`` may be replaced.

    Raises:
        StoreError: there is no copy, and nothing has changed.
    """
    try:
        here = source.stat()
    except OSError as exc:
        raise StoreError(f"{source}: {exc.strerror}") from exc
    try:
        _check_target(here, target, overwrite)
        descriptor, name = tempfile.mkstemp(
            prefix=f".{target.name}.", dir=target.parent
        )
    except OSError as exc:
        raise StoreError(f"{target}: {exc.strerror}") from exc
    try:
        _copy(source, Path(name), target)
        os.fsync(descriptor)
        if overwrite:
            os.replace(name, target)
        else:
            os.link(name, target)  # unlike a rename, this never replaces a file
        _sync_directory(target.parent)
    except FileExistsError as exc:
        raise StoreError(f"{target}: the file exists already") from exc
    except OSError as exc:
        raise StoreError(f"{target}: {exc.strerror}") from exc
    finally:
        os.close(descriptor)
        Path(name).unlink(missing_ok=True)


def _check_target(source: os.stat_result, target: Path, overwrite: bool) -> None:
    if target.exists():
        if os.path.samestat(source, target.stat()):
            raise StoreError(f"{target}: this is the database itself")
        if not overwrite:
            raise StoreError(f"{target}: the file exists already")
    log = Path(f"{target}-wal")
    if log.exists():
        # SQLite would apply it to any database with this name.
        raise StoreError(f"{log}: belongs to another database, which is in use")


def _copy(source: Path, target: Path, shown: Path) -> None:
    # Read-only, so that it leaves no file behind that the server cannot write.
    address = f"{source.absolute().as_uri()}?mode=ro"
    try:
        with (
            contextlib.closing(sqlite3.connect(address, uri=True)) as database,
            contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy,
        ):
            # In one step, because a write by another process would restart it.
            database.backup(copy)
            # A single file, which can be opened in a read-only directory.
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as exc:
        raise StoreError(f"{source} to {shown}: {exc}") from exc


def _sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
