"""Each implementation of a storage passes the same tests."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from reginfo.ledger.memory import MemoryStorage
from reginfo.ledger.sqlite import SqliteStorage
from reginfo.ledger.storage import Storage
from reginfo.location.schema import SCHEMA

from .storage import Place, StorageSuite


class TestSqlite(StorageSuite):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        numbers = itertools.count()

        def restart(storage: Storage) -> Storage:
            assert isinstance(storage, SqliteStorage)
            storage.close()
            return SqliteStorage(storage.path, SCHEMA)

        def fail(storage: Storage, fails: bool) -> None:
            assert isinstance(storage, SqliteStorage)
            storage._database.execute(f"PRAGMA query_only = {'ON' if fails else 'OFF'}")

        return Place(
            new=lambda: SqliteStorage(tmp_path / f"{next(numbers)}.db", SCHEMA),
            restart=restart,
            open=lambda path: SqliteStorage(path, SCHEMA),
            fail=fail,
        )


class TestMemory(StorageSuite):
    @pytest.fixture
    def place(self) -> Place:
        def restart(storage: Storage) -> Storage:
            storage.close()
            return storage

        def fail(storage: Storage, fails: bool) -> None:
            assert isinstance(storage, MemoryStorage)
            storage.failures = 1 if fails else 0

        return Place(MemoryStorage, restart, MemoryStorage.open, fail)
