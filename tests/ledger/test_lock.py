"""A lock is on the file, so every path that leads to it leads to the lock."""

from __future__ import annotations

from pathlib import Path

import pytest

from reginfo.ledger.lock import Lock
from reginfo.ledger.storage import StoreError


def test_a_file_can_be_locked_again_once_it_was_released(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    for _ in range(2):
        lock = Lock(path)
        with pytest.raises(StoreError, match=r"x\.db: in use by another server"):
            Lock(path)
        lock.release()


def test_other_files_are_free(tmp_path: Path) -> None:
    locks = [Lock(tmp_path / name) for name in ("x.db", "y.db")]
    for lock in locks:
        lock.release()


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere/x\.db: No such file"):
        Lock(tmp_path / "nowhere" / "x.db")
