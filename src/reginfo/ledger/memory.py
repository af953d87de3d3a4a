"""A storage in memory, with fault injection for tests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from .clocks import Clocks
from .journal import Entry
from .storage import StoredRow, StoreError

_Key = tuple[str, str]
_Row = tuple[float, float, int, bytes]
"""Both clocks at the commit, the number of the boot clock, and the value."""


class MemoryStorage:
    """
    A storage that keeps its rows in memory; see :class:`~.storage.Storage`.

    It encodes values like a database, to find values that cannot be stored. Close it
    and pass it to the next server to simulate a restart.

    Args:
        room: the capacity in octets of values; None for no limit.
    """

    def __init__(self, *, room: int | None = None) -> None:
        self.entries = 0
        self.room = room
        self.failures = 0
        "The number of next commits that will fail."

        self.delay = 0.0
        "Seconds that each commit takes."

        self.last_commit: float | None = None
        self._rows: dict[_Key, _Row] = {}
        self._clocks = Clocks()

    @property
    def name(self) -> str:
        return "memory"

    @property
    def size(self) -> int:
        """The total size of its values, in octets."""
        return sum(len(value) for *_, value in self._rows.values())

    def load(
        self, *, boot: float, wall: float, boot_id: str = ""
    ) -> Iterator[StoredRow]:
        self._clocks.begin(boot_id, boot, wall)
        for (kind, key), (row_boot, row_wall, number, value) in self._rows.items():
            shift = self._clocks.shift(number, row_boot, row_wall)
            yield StoredRow(kind, key, value, shift)

    def append(self, entries: list[Entry], *, boot: float, wall: float) -> None:
        if self.delay:
            time.sleep(self.delay)
        if self.failures:
            self.failures -= 1
            raise StoreError("a fault was injected")
        number = self._clocks.number
        rows = dict(self._rows)
        for kind, key, value in entries:
            # Removed first, so that the order is that of the last change.
            rows.pop((kind, key), None)
            if value is not None:
                rows[kind, key] = (boot, wall, number, msgspec.msgpack.encode(value))
        if self.room is not None and sum(len(row[3]) for row in rows.values()) > (
            self.room
        ):
            raise StoreError("database or disk is full")
        self._rows = rows
        self._clocks.note(boot, wall)
        self.last_commit = wall
        self.entries += len(entries)

    def fold(self) -> bool:
        self.entries = 0
        return False

    def backup(self, target: Path, overwrite: bool = False) -> None:
        if target.exists() and not overwrite:
            raise StoreError(f"{target}: the file exists already")
        rows: list[Any] = [[*key, *row] for key, row in self._rows.items()]
        try:
            target.write_bytes(
                msgspec.msgpack.encode([self.last_commit, self._clocks.dump(), rows])
            )
        except OSError as exc:
            raise StoreError(f"{target}: {exc.strerror}") from exc

    @classmethod
    def open(cls, path: Path) -> MemoryStorage:
        """
        Open the copy that :meth:`backup` wrote to ``path``.

        Raises:
            StoreError: the file cannot be read.
        """
        storage = cls()
        try:
            last_commit, clocks, rows = msgspec.msgpack.decode(path.read_bytes())
        except (OSError, msgspec.MsgspecError, ValueError, TypeError) as exc:
            raise StoreError(f"{path}: {exc}") from exc
        storage.last_commit = last_commit
        storage._clocks = Clocks.load(clocks)
        for kind, key, *row in rows:
            storage._rows[kind, key] = tuple(row)
        return storage

    def close(self) -> None:
        pass
