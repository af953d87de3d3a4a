"""The faults of a storage in memory; `test_storage.py` has the rest."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from reginfo.ledger.memory import MemoryStorage
from reginfo.ledger.storage import StoreError

from ..make import NOW, WALL


def test_so_many_commits_fail_as_were_injected() -> None:
    storage = MemoryStorage()
    storage.failures = 2
    for _ in range(2):
        with pytest.raises(StoreError, match="fault was injected"):
            storage.append([("held", "a", 1)], boot=NOW, wall=WALL)
    storage.append([("held", "a", 1)], boot=NOW, wall=WALL)
    assert storage.size == 1


def test_a_full_storage_takes_what_makes_room() -> None:
    storage = MemoryStorage(room=100)
    storage.append([("held", "a", "x" * 90)], boot=NOW, wall=WALL)
    with pytest.raises(StoreError, match="full"):
        storage.append([("held", "b", "x" * 20)], boot=NOW, wall=WALL)
    storage.append([("held", "a", None), ("held", "b", "x" * 20)], boot=NOW, wall=WALL)
    assert [row.key for row in storage.load(boot=NOW, wall=WALL)] == ["b"]


def test_a_slow_storage_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    storage = MemoryStorage()
    storage.append([("held", "a", 1)], boot=NOW, wall=WALL)
    storage.delay = 0.5
    storage.append([("held", "a", 2)], boot=NOW, wall=WALL)
    assert slept == [0.5]


def test_a_value_that_cannot_be_stored_is_found_out() -> None:
    with pytest.raises(TypeError):
        MemoryStorage().append([("held", "a", object())], boot=NOW, wall=WALL)


def test_a_file_that_is_no_backup_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "copy"
    with pytest.raises(StoreError, match="copy"):
        MemoryStorage.open(path)
    path.write_bytes(b"What is this?")
    with pytest.raises(StoreError, match="copy"):
        MemoryStorage.open(path)
    with pytest.raises(StoreError, match="nowhere"):
        MemoryStorage().backup(tmp_path / "nowhere" / "copy")
