"""The journal on SQLite, and the folded state that keeps it short."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..sip.errors import ReginfoError
from .binding import Binding
from .journal import Entry
from .store import KIND

SCHEMA_VERSION = 1

FOLD_ENTRIES = 2000
"""Entries folded in one transaction: about 50 ms in which a commit has to wait."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS journal (
    sequence INTEGER PRIMARY KEY,
    boot REAL NOT NULL,     -- the boot-time clock at this commit, which entries use
    wall REAL NOT NULL,     -- seconds since the epoch at this commit
    entries BLOB NOT NULL   -- msgpack: [[kind, key, value or nil], ...]
);
CREATE TABLE IF NOT EXISTS state (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    boot REAL NOT NULL,
    wall REAL NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS location (
    key TEXT PRIMARY KEY,
    "table" TEXT NOT NULL,
    aor TEXT NOT NULL,
    contact TEXT NOT NULL,
    callid TEXT NOT NULL,
    cseq INTEGER NOT NULL,
    event TEXT NOT NULL,
    expires_at REAL NOT NULL,   -- seconds since the epoch
    owner TEXT NOT NULL,
    source TEXT,
    boot REAL NOT NULL,
    wall REAL NOT NULL,
    value BLOB NOT NULL         -- the whole claim
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS location_aor ON location (aor);
"""


class StoreError(ReginfoError):
    """The store cannot be opened, or holds what this version cannot read."""


class Loaded(NamedTuple):
    """One entry as it was written, and how to read its times."""

    kind: str
    key: str
    value: Any

    shift: float
    "Seconds to add to every moment in the value, to have it on today's clock."


class SqliteJournal:
    """
    A journal in one SQLite file: a commit is one row, synced before it returns.

    Upserting the rows of each commit costs eight times as much; :meth:`fold` does it
    now and then, when a hundred refreshes of one contact have become one row.

    Not thread-safe, but free to move: whoever holds it may be any thread.

    Raises:
        StoreError: the file cannot be opened, is in use by another server, or was
            written by a newer version.
    """

    def __init__(self, path: Path, *, synchronous: str = "full") -> None:
        self._path = path
        self._lock = _lock(path)
        try:
            self._database = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False
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

    def _open(self, synchronous: str) -> None:
        database = self._database
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self._path}: written by a newer version of reginfo (schema "
                f"{version}; this one reads up to {SCHEMA_VERSION})"
            )
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA synchronous = {synchronous.upper()}")
        database.executescript(_SCHEMA)
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

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
        Every row that holds: folded ones first, then the journal in its order.

        A later row of a key replaces an earlier one, and a value of None removes it.
        """
        decode = msgspec.msgpack.decode
        for row in self._database.execute(
            f"SELECT '{KIND}', key, boot, wall, value FROM location"
            " UNION ALL SELECT kind, key, boot, wall, value FROM state"
        ):
            kind, key, was_boot, was_wall, value = row
            shift = (boot - was_boot) - (wall - was_wall)
            yield Loaded(kind, key, decode(value), shift)
        self.entries = 0
        for was_boot, was_wall, blob in self._database.execute(
            "SELECT boot, wall, entries FROM journal ORDER BY sequence"
        ):
            shift = (boot - was_boot) - (wall - was_wall)
            for kind, key, value in decode(blob):
                self.entries += 1
                yield Loaded(kind, key, value, shift)

    @property
    def last_commit(self) -> float | None:
        """When the last commit was made, in seconds since the epoch; None if never."""
        wall: float | None = self._database.execute(
            "SELECT max(wall) FROM (SELECT max(wall) AS wall FROM journal"
            " UNION ALL SELECT max(wall) FROM location"
            " UNION ALL SELECT max(wall) FROM state)"
        ).fetchone()[0]
        return wall

    def fold(self) -> bool:
        """
        Move the oldest part of the journal into the tables; whether some is left.

        Raises:
            sqlite3.Error: nothing was moved.
        """
        database = self._database
        latest: dict[tuple[str, str], tuple[float, float, Any]] = {}
        folded = count = 0
        rows = database.execute(
            "SELECT sequence, boot, wall, entries FROM journal ORDER BY sequence"
        )
        for sequence, boot, wall, blob in rows:
            for kind, key, value in msgspec.msgpack.decode(blob):
                latest[kind, key] = (boot, wall, value)
                count += 1
            folded = sequence
            if count >= FOLD_ENTRIES:
                break
        rows.close()
        if not folded:
            return False
        database.execute("BEGIN")
        try:
            for (kind, key), (boot, wall, value) in latest.items():
                self._put(kind, key, boot, wall, value)
            database.execute("DELETE FROM journal WHERE sequence <= ?", (folded,))
            database.execute("COMMIT")
        except BaseException:
            database.execute("ROLLBACK")
            raise
        self.entries = max(0, self.entries - count)
        return self.entries > 0

    def _put(self, kind: str, key: str, boot: float, wall: float, value: Any) -> None:
        execute = self._database.execute
        if value is None:
            if kind == KIND:
                execute("DELETE FROM location WHERE key = ?", (key,))
            else:
                execute("DELETE FROM state WHERE kind = ? AND key = ?", (kind, key))
            return
        blob = msgspec.msgpack.encode(value)
        if kind != KIND:
            execute(
                "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?)",
                (kind, key, boot, wall, blob),
            )
            return
        claim = msgspec.convert(value, Binding)
        table, aor = key.split("\0", 2)[:2]
        execute(
            "INSERT OR REPLACE INTO location VALUES"
            " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                key,
                table,
                aor,
                claim.contact,
                claim.call_id,
                claim.cseq,
                claim.event.value,
                wall + claim.expires_at - boot,
                claim.owner,
                claim.source,
                boot,
                wall,
                blob,
            ),
        )

    def close(self) -> None:
        """Close the file; everything in it is durable already."""
        self._database.close()
        os.close(self._lock)


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
