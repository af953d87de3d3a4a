"""The journal on SQLite, and the folded state that keeps it short."""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..location.binding import Binding
from ..location.schema import SCHEMA, SCHEMA_VERSION
from ..location.store import KIND
from ..sip.errors import ReginfoError
from .journal import Entry

READ_ENTRIES, WRITTEN_ROWS, DELETED_COMMITS = 2000, 250, 100
"""What one step of folding does: some 2 ms in which a commit has to wait."""

CHECKPOINT_PAGES = 1000
"""Pages of 4 KiB beside the database at which they are copied into it: some 10 ms."""

WAL_LIMIT = 16 * 1024 * 1024
"""Octets that the file beside the database keeps, once it had to be larger."""

BUSY = 5.0
"""Seconds to wait for another process that writes, which none of ours does."""

_Key = tuple[str, str]


class StoreError(ReginfoError):
    """The store cannot be opened, or holds what this version cannot read."""


class Loaded(NamedTuple):
    """One row as it was written, and how to read its times."""

    kind: str
    key: str

    value: Any
    "A :class:`Binding` if the kind is that of claims; else as msgpack has it."

    shift: float
    "Seconds to add to every moment in the value, to have it on today's clock."


class _Row(NamedTuple):
    """The last that the journal says of a key."""

    boot: float
    wall: float
    value: msgspec.Raw


_entries = msgspec.msgpack.Decoder(list[tuple[str, str, msgspec.Raw]])
_value = msgspec.msgpack.Decoder()
_claim = msgspec.msgpack.Decoder(Binding)
_folded_claim = msgspec.json.Decoder(Binding)

_PUT_CLAIM = (
    "INSERT INTO claim VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
    " SET boot = excluded.boot, wall = excluded.wall, value = excluded.value"
)
_PUT_STATE = "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?)"
_DELETE_CLAIM = 'DELETE FROM claim WHERE (aor, "table", key, callid) = (?, ?, ?, ?)'
_DELETE_STATE = "DELETE FROM state WHERE (kind, key) = (?, ?)"

_NIL = msgspec.Raw(msgspec.msgpack.encode(None))
_NO_ENTRIES = msgspec.msgpack.encode([])


class SqliteJournal:
    """
    A journal in one SQLite file: a commit is one row, synced before it returns.

    Upserting the rows of each commit costs eight times as much; :meth:`fold` does it
    now and then, when many refreshes of one contact have become one row.

    Not thread-safe, but free to move: whoever holds it may be any thread.

    Raises:
        StoreError: the file cannot be opened, is in use by another server, is no
            database of ours, or was written by a newer version.
    """

    def __init__(self, path: Path, *, synchronous: str = "full") -> None:
        self.path = path
        self._lock = _lock(path)
        try:
            self._database = sqlite3.connect(
                path, timeout=BUSY, isolation_level=None, check_same_thread=False
            )
            try:
                self._open(synchronous)
            except BaseException:
                self._database.close()
                raise
        except (sqlite3.Error, StoreError) as exc:
            os.close(self._lock)
            if isinstance(exc, StoreError):
                raise
            raise StoreError(f"{path}: {exc}") from exc
        self.entries = 0
        "How many entries wait to be folded."

        self._folding: Iterator[None] | None = None

    def _open(self, synchronous: str) -> None:
        execute = self._database.execute
        (version,) = execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self.path}: written by a newer version of reginfo (schema "
                f"{version}; this one reads up to {SCHEMA_VERSION})"
            )
        (tables,) = execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version == 0 and tables:
            raise StoreError(f"{self.path}: a database, but none of ours")
        if 0 < version < SCHEMA_VERSION:
            raise StoreError(
                f"{self.path}: written by a version of reginfo that was never "
                f"released (schema {version}; this one reads {SCHEMA_VERSION})"
            )
        execute("PRAGMA journal_mode = WAL")
        execute(f"PRAGMA synchronous = {synchronous.upper()}")
        execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
        if not version:
            with self._database:
                execute("BEGIN")
                for statement in SCHEMA:
                    execute(statement)
                execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def append(self, entries: list[Entry], *, boot: float, wall: float) -> None:
        """
        Make ``entries`` durable, all of them or none.

        Args:
            boot: the clock that moments in the entries are on, now.
            wall: seconds since the epoch, now.

        Raises:
            sqlite3.Error: they are not; the disk is full, for instance.
        """
        self._database.execute(
            "INSERT INTO journal (boot, wall, entries) VALUES (?, ?, ?)",
            (boot, wall, msgspec.msgpack.encode(entries)),
        )
        self.entries += len(entries)

    def load(self, *, boot: float, wall: float) -> Iterator[Loaded]:
        """
        Every row that holds, once: the last that was written of its key.

        Raises:
            StoreError: the file is damaged.
        """
        try:
            yield from self._load(boot - wall)
        except (sqlite3.Error, msgspec.MsgspecError) as exc:
            raise StoreError(f"{self.path}: {exc}") from exc

    def _load(self, today: float) -> Iterator[Loaded]:
        execute = self._database.execute
        latest: dict[_Key, _Row] = {}
        self.entries = sum(
            _read(blob, was_boot, was_wall, latest)
            for was_boot, was_wall, blob in execute(
                "SELECT boot, wall, entries FROM journal ORDER BY sequence"
            )
        )
        for aor, table, contact, call_id, was_boot, was_wall, text in execute(
            'SELECT aor, "table", key, callid, boot, wall, value FROM claim'
        ):
            key = f"{table}\0{aor}\0{contact}\0{call_id}"
            if (KIND, key) not in latest:
                claim = _folded_claim.decode(text)
                yield Loaded(KIND, key, claim, today - (was_boot - was_wall))
        for kind, key, was_boot, was_wall, blob in execute(
            "SELECT kind, key, boot, wall, value FROM state"
        ):
            if (kind, key) not in latest:
                value = _value.decode(blob)
                yield Loaded(kind, key, value, today - (was_boot - was_wall))
        for (kind, key), row in latest.items():
            if row.value != _NIL:
                value = (_claim if kind == KIND else _value).decode(row.value)
                yield Loaded(kind, key, value, today - (row.boot - row.wall))

    @property
    def last_commit(self) -> float | None:
        """
        When the last commit was made, in seconds since the epoch; None if never.

        Raises:
            StoreError: the file is damaged.
        """
        # The last row of the journal always stays.
        try:
            row = self._database.execute(
                "SELECT wall FROM journal ORDER BY sequence DESC LIMIT 1"
            ).fetchone()
        except sqlite3.Error as exc:
            raise StoreError(f"{self.path}: {exc}") from exc
        return None if row is None else float(row[0])

    def fold(self) -> bool:
        """
        Move what is in the journal into the tables, by one small step.

        Each step is durable by itself. The journal loses nothing before the tables
        have it all, so that what is loaded is the same after any of them.

        Returns:
            Whether there is more to do for what was in the journal at the first step.

        Raises:
            sqlite3.Error: this step could not be done; the next one begins anew.
        """
        if self._folding is None:
            self._folding = self._fold()
        try:
            next(self._folding)
        except BaseException as exc:
            self._folding = None
            if isinstance(exc, StopIteration):
                return False
            raise
        return True

    def _fold(self) -> Iterator[None]:
        execute = self._database.execute
        waiting = self.entries
        first, last = execute(
            "SELECT min(sequence), max(sequence) FROM journal"
        ).fetchone()
        if not waiting:
            return
        # Read all of it: what was written a hundred times is to be put once.
        latest: dict[_Key, _Row] = {}
        runs: list[list[_Key]] = []
        read = first - 1
        while read < last:
            known = len(latest)
            count = 0
            rows = execute(
                "SELECT sequence, boot, wall, entries FROM journal"
                " WHERE sequence BETWEEN ? AND ? ORDER BY sequence",
                (read + 1, last),
            )
            for sequence, boot, wall, blob in rows:
                count += _read(blob, boot, wall, latest)
                read = sequence
                if count >= READ_ENTRIES:
                    break
            rows.close()
            runs.append(sorted(islice(reversed(latest), len(latest) - known)))
            yield
        # Put it, in the order of the tables, where neighbours share a page. To sort it
        # all at once would stop every thread.
        todo = heapq.merge(*runs)
        while part := [(key, latest[key]) for key in islice(todo, WRITTEN_ROWS)]:
            self._put(part)
            yield
        # Delete it; but the last row says when the last commit was, and becomes empty.
        for end in range(first, last, DELETED_COMMITS):
            execute("DELETE FROM journal WHERE sequence < ?", (end,))
            yield
        with self._database:
            execute("BEGIN")
            execute("DELETE FROM journal WHERE sequence < ?", (last,))
            execute(
                "UPDATE journal SET entries = ? WHERE sequence = ?", (_NO_ENTRIES, last)
            )
        self.entries -= waiting

    def _put(self, rows: list[tuple[_Key, _Row]]) -> None:
        claims: list[tuple[object, ...]] = []
        gone_claims: list[list[str]] = []
        states: list[tuple[object, ...]] = []
        gone_states: list[_Key] = []
        for (kind, key), (boot, wall, value) in rows:
            if kind == KIND:
                table, aor, contact, call_id = key.split("\0", 3)
                if value == _NIL:
                    gone_claims.append([aor, table, contact, call_id])
                else:
                    text = msgspec.json.encode(_claim.decode(value)).decode()
                    claims.append((aor, table, contact, call_id, boot, wall, text))
            elif value == _NIL:
                gone_states.append((kind, key))
            else:
                states.append((kind, key, boot, wall, bytes(value)))
        with self._database as database:
            database.execute("BEGIN")
            database.executemany(_PUT_CLAIM, claims)
            database.executemany(_DELETE_CLAIM, gone_claims)
            database.executemany(_PUT_STATE, states)
            database.executemany(_DELETE_STATE, gone_states)

    def close(self) -> None:
        """Close the file; everything in it is durable already."""
        self._database.close()
        os.close(self._lock)


def _read(blob: bytes, boot: float, wall: float, latest: dict[_Key, _Row]) -> int:
    """Note in ``latest`` what one commit has written; how many entries it has."""
    entries = _entries.decode(blob)
    for kind, key, value in entries:
        latest[kind, key] = _Row(boot, wall, value)
    return len(entries)


def backup(source: Path, target: Path, overwrite: bool = False) -> None:
    """
    Copy a database into a file of its own, as it is at one moment.

    A server may run on it and write meanwhile, in this process or in another: all
    that was durable before the call is in the copy, and every batch all or not at all.
    The copy is readable by its owner only. It has its name only once it is complete
    and on disk itself, and a server can be started on it.

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
            os.link(name, target)  # which, unlike a rename, never replaces
        _sync_directory(target.parent)
    except FileExistsError as exc:
        raise StoreError(f"{target}: there is such a file already") from exc
    except OSError as exc:
        raise StoreError(f"{target}: {exc.strerror}") from exc
    finally:
        os.close(descriptor)
        Path(name).unlink(missing_ok=True)


def _check_target(source: os.stat_result, target: Path, overwrite: bool) -> None:
    if target.exists():
        if os.path.samestat(source, target.stat()):
            raise StoreError(f"{target}: that is the database itself")
        if not overwrite:
            raise StoreError(f"{target}: there is such a file already")
    log = Path(f"{target}-wal")
    if log.exists():
        # SQLite would apply it to whatever is named like that.
        raise StoreError(f"{log}: belongs to another database, which is in use")


def _copy(source: Path, target: Path, shown: Path) -> None:
    # It only reads, so that it leaves behind no file that the server cannot write.
    address = f"{source.absolute().as_uri()}?mode=ro"
    try:
        with (
            contextlib.closing(sqlite3.connect(address, uri=True)) as database,
            contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy,
        ):
            # In one go: another process that writes would make it begin anew.
            database.backup(copy)
            # A single file, which can be read where nothing can be written.
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as exc:
        raise StoreError(f"{source} to {shown}: {exc}") from exc


def _sync_directory(directory: Path) -> None:
    """Make durable which names are in it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(path: Path) -> int:
    """
    Keep any other server off this file, for as long as we live.

    Raises:
        StoreError: another one has it, or it cannot be made.
    """
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise StoreError(f"{path}: {exc.strerror}") from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(lock)
        raise StoreError(f"{path}: in use by another server") from exc
    return lock
