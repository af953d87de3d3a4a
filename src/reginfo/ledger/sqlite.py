"""A storage in one SQLite file: a journal, and the tables that it is folded into."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from .backup import backup
from .clocks import Clocks
from .journal import Entry
from .lock import Lock
from .storage import StoredRow, StoreError

READ_ENTRIES, WRITTEN_ROWS, DELETED_COMMITS = 2000, 250, 100
"""The size of a folding step: a commit waits about 2 ms for it."""

CHECKPOINT_PAGES = 1000
"""The number of 4 KiB pages in the WAL at which it is checkpointed: about 10 ms."""

WAL_LIMIT = 16 * 1024 * 1024
"""The size to which the WAL file is truncated, in octets."""

BUSY = 5.0
"""Seconds to wait for a write by another process, which is none of ours."""

JOURNAL = """
CREATE TABLE journal (
    sequence INTEGER PRIMARY KEY,
    boot REAL NOT NULL,     -- the boot-time clock at this commit
    wall REAL NOT NULL,     -- seconds since the epoch at this commit
    entries BLOB NOT NULL,  -- msgpack: [[kind, key, value or nil], ...]
    clock INTEGER NOT NULL DEFAULT 0
)"""

STATE = """
CREATE TABLE state (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    boot REAL NOT NULL,
    wall REAL NOT NULL,
    value BLOB NOT NULL,    -- msgpack
    clock INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID"""

CLOCK = """
CREATE TABLE clock (
    number INTEGER PRIMARY KEY,
    boot_id TEXT NOT NULL,  -- of the kernel: one clock for each time it was started
    shift REAL NOT NULL,    -- from the clock before to this one, in seconds
    boot REAL NOT NULL,     -- both clocks when this one was first seen
    wall REAL NOT NULL
)"""


class OwnTable(NamedTuple):
    """A kind of row with a table of its own, which operators can read."""

    kind: str
    name: str

    columns: tuple[str, ...]
    """
    The parts of the key, which are separated by NUL. The table also has `boot`, `wall`,
    `value` (JSON) and `clock`.
    """

    create: str


class Schema(NamedTuple):
    """The schema of a database, beyond the tables that every database has."""

    version: int

    tables: tuple[OwnTable, ...] = ()
    views: tuple[str, ...] = ()

    migrations: Mapping[int, tuple[str, ...]] = {}
    "The statements that upgrade each version to the next one."

    @property
    def statements(self) -> tuple[str, ...]:
        """Return the statements that create a new database."""
        tables = tuple(table.create for table in self.tables)
        return (JOURNAL, STATE, CLOCK, *tables, *self.views)


_Key = tuple[str, str]


class _Row(NamedTuple):
    """The latest value of a key in the journal, and when it was written."""

    boot: float
    wall: float
    clock: int
    value: msgspec.Raw


class _Sql(NamedTuple):
    """The statements for one table of the schema."""

    table: OwnTable
    select: str
    put: str
    delete: str


_entries = msgspec.msgpack.Decoder(list[tuple[str, str, msgspec.Raw]])
_value = msgspec.msgpack.Decoder()

_PUT_STATE = (
    "INSERT OR REPLACE INTO state (kind, key, boot, wall, value, clock)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
_DELETE_STATE = "DELETE FROM state WHERE (kind, key) = (?, ?)"

_NIL = msgspec.Raw(msgspec.msgpack.encode(None))
_NO_ENTRIES = msgspec.msgpack.encode([])


class SqliteStorage:
    """
    A storage in one SQLite file: a commit is one row, synced before it returns.

    Upserting the rows of each commit would cost eight times as much; :meth:`fold` does
    it later, when many refreshes of one contact have become one row.

    It is not thread-safe, but any thread may use it.

    Raises:
        StoreError: the file cannot be opened, is in use by another server, is not a
            database of reginfo, or was written by another version.
    """

    def __init__(
        self, path: Path, schema: Schema, *, synchronous: str = "full"
    ) -> None:
        self.path = path
        self.entries = 0
        "The number of entries that wait to be folded."

        self._schema = schema
        self._own = {table.kind: _sql(table) for table in schema.tables}
        self._clocks = Clocks()
        self._folding: Iterator[None] | None = None
        self._lock = Lock(path)
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
            self._lock.release()
            if isinstance(exc, StoreError):
                raise
            raise StoreError(f"{path}: {exc}") from exc

    @property
    def name(self) -> str:
        return str(self.path)

    def _open(self, synchronous: str) -> None:
        execute = self._database.execute
        (version,) = execute("PRAGMA user_version").fetchone()
        ours = self._schema.version
        if version > ours:
            raise StoreError(
                f"{self.path}: written by a newer version of reginfo (schema "
                f"{version}; this one reads up to {ours})"
            )
        (tables,) = execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version == 0 and tables:
            raise StoreError(f"{self.path}: not a database of reginfo")
        migrations = self._schema.migrations
        if any(step not in migrations for step in range(version or ours, ours)):
            raise StoreError(
                f"{self.path}: written by an older version of reginfo (schema "
                f"{version}; this one reads {ours}); start with a new database, which "
                "phones will fill when they register again"
            )
        execute("PRAGMA journal_mode = WAL")
        execute(f"PRAGMA synchronous = {synchronous.upper()}")
        execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
        if version != ours:
            with self._database:
                execute("BEGIN")
                if not version:
                    statements = self._schema.statements
                else:
                    steps = range(version, ours)
                    statements = tuple(s for v in steps for s in migrations[v])
                for statement in statements:
                    execute(statement)
                execute(f"PRAGMA user_version = {ours}")

    def append(self, entries: list[Entry], *, boot: float, wall: float) -> None:
        try:
            self._database.execute(
                "INSERT INTO journal (boot, wall, entries, clock) VALUES (?, ?, ?, ?)",
                (boot, wall, msgspec.msgpack.encode(entries), self._clocks.number),
            )
        except sqlite3.Error as exc:
            raise StoreError(str(exc)) from exc
        self.entries += len(entries)

    def load(
        self, *, boot: float, wall: float, boot_id: str = ""
    ) -> Iterator[StoredRow]:
        try:
            self._begin(boot_id, boot, wall)
            yield from self._load()
        except (sqlite3.Error, msgspec.MsgspecError) as exc:
            raise StoreError(f"{self.path}: {exc}") from exc

    def _begin(self, boot_id: str, boot: float, wall: float) -> None:
        """Set and store the current clock."""
        execute = self._database.execute
        rows = execute(
            "SELECT number, boot_id, shift, boot, wall FROM clock ORDER BY number"
        ).fetchall()
        self._clocks = clocks = Clocks.load(rows)
        last = execute(
            "SELECT boot, wall, clock FROM journal ORDER BY sequence DESC LIMIT 1"
        ).fetchone()
        if last is not None and last[2] == clocks.number:
            clocks.note(last[0], last[1])
        if clocks.begin(boot_id, boot, wall):
            present = clocks.present
            assert present is not None
            execute("INSERT INTO clock VALUES (?, ?, ?, ?, ?)", tuple(present))

    def _load(self) -> Iterator[StoredRow]:
        execute, shift = self._database.execute, self._clocks.shift
        latest: dict[_Key, _Row] = {}
        self.entries = sum(
            _read(blob, boot, wall, clock, latest)
            for boot, wall, clock, blob in execute(
                "SELECT boot, wall, clock, entries FROM journal ORDER BY sequence"
            )
        )
        for kind, sql in self._own.items():
            for boot, wall, clock, value, *parts in execute(sql.select):
                key = "\0".join(parts)
                if (kind, key) not in latest:
                    yield StoredRow(kind, key, value, shift(clock, boot, wall), True)
        for kind, key, boot, wall, clock, value in execute(
            "SELECT kind, key, boot, wall, clock, value FROM state"
        ):
            if (kind, key) not in latest:
                yield StoredRow(kind, key, value, shift(clock, boot, wall))
        for (kind, key), row in latest.items():
            if row.value != _NIL:
                seconds = shift(row.clock, row.boot, row.wall)
                yield StoredRow(kind, key, bytes(row.value), seconds)

    @property
    def last_commit(self) -> float | None:
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
        Move entries from the journal to the tables, in one small step.

        Each step is durable by itself. Nothing is removed from the journal before the
        tables have it, so :meth:`load` returns the same after any step.

        Returns:
            Whether more steps are needed for the entries in the journal at the first
            one.

        Raises:
            StoreError: this step failed. The next call begins again.
        """
        if self._folding is None:
            self._folding = self._fold()
        try:
            next(self._folding)
        except BaseException as exc:
            self._folding = None
            if isinstance(exc, StopIteration):
                return False
            if isinstance(exc, sqlite3.Error | msgspec.MsgspecError):
                raise StoreError(str(exc)) from exc
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
        # Read everything first, so that a row that was written a hundred times is put
        # only once.
        latest: dict[_Key, _Row] = {}
        runs: list[list[_Key]] = []
        read = first - 1
        while read < last:
            known = len(latest)
            count = 0
            rows = execute(
                "SELECT sequence, boot, wall, clock, entries FROM journal"
                " WHERE sequence BETWEEN ? AND ? ORDER BY sequence",
                (read + 1, last),
            )
            for sequence, boot, wall, clock, blob in rows:
                count += _read(blob, boot, wall, clock, latest)
                read = sequence
                if count >= READ_ENTRIES:
                    break
            rows.close()
            runs.append(sorted(islice(reversed(latest), len(latest) - known)))
            yield
        # Write in the order of the tables, where neighbours share a page. Sorting
        # everything at once would block all threads.
        todo = heapq.merge(*runs)
        while part := [(key, latest[key]) for key in islice(todo, WRITTEN_ROWS)]:
            self._put(part)
            yield
        # Delete the entries. The last row becomes empty and stays, because it has the
        # time of the last commit.
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
        statements: dict[str, list[tuple[object, ...]]] = {}
        for (kind, key), (boot, wall, clock, value) in rows:
            own = self._own.get(kind)
            parts = key.split("\0", len(own.table.columns) - 1) if own else []
            if own is None or len(parts) != len(own.table.columns):
                if value == _NIL:
                    statements.setdefault(_DELETE_STATE, []).append((kind, key))
                else:
                    row = (kind, key, boot, wall, bytes(value), clock)
                    statements.setdefault(_PUT_STATE, []).append(row)
            elif value == _NIL:
                statements.setdefault(own.delete, []).append(tuple(parts))
            else:
                text = msgspec.json.encode(_value.decode(value)).decode()
                put = (*parts, boot, wall, text, clock)
                statements.setdefault(own.put, []).append(put)
        with self._database as database:
            database.execute("BEGIN")
            for statement, arguments in statements.items():
                database.executemany(statement, arguments)

    def backup(self, target: Path, overwrite: bool = False) -> None:
        backup(self.path, target, overwrite)

    def close(self) -> None:
        """Close the file. Everything in it is durable already."""
        self._database.close()
        self._lock.release()


def _read(
    blob: bytes, boot: float, wall: float, clock: int, latest: dict[_Key, _Row]
) -> int:
    """Add the entries of one commit to ``latest``; return their number."""
    entries = _entries.decode(blob)
    for kind, key, value in entries:
        latest[kind, key] = _Row(boot, wall, clock, value)
    return len(entries)


def _sql(table: OwnTable) -> _Sql:
    columns = ", ".join(f'"{name}"' for name in table.columns)
    marks = ", ".join("?" for _ in table.columns)
    return _Sql(
        table,
        select=f"SELECT boot, wall, clock, value, {columns} FROM {table.name}",
        put=(
            f"INSERT INTO {table.name} ({columns}, boot, wall, value, clock)"
            f" VALUES ({marks}, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET boot ="
            " excluded.boot, wall = excluded.wall, value = excluded.value,"
            " clock = excluded.clock"
        ),
        delete=f"DELETE FROM {table.name} WHERE "
        + " AND ".join(f'"{name}" = ?' for name in table.columns),
    )
