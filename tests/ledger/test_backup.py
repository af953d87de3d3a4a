"""A copy of a database that is in use: whole, of one moment, and nobody else's."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reginfo.ledger import backup as module
from reginfo.ledger.backup import backup
from reginfo.ledger.sqlite import SqliteStorage
from reginfo.ledger.storage import StoreError
from reginfo.location.schema import SCHEMA

from ..make import NOW, WALL, value_of


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "reginfo.db"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "backup" / "copy.db"


@pytest.fixture(autouse=True)
def journal(source: Path, target: Path) -> Iterator[SqliteStorage]:
    """One that somebody has opened."""
    target.parent.mkdir()
    with closing(SqliteStorage(source, SCHEMA)) as journal:
        journal.append([("held", "a", 1)], boot=NOW, wall=WALL)
        while journal.fold():
            pass
        journal.append([("held", "b", 2)], boot=NOW, wall=WALL)
        yield journal


def held(path: Path) -> dict[str, Any]:
    """What a server finds that is started on it."""
    with closing(SqliteStorage(path, SCHEMA)) as journal:
        return {row.key: value_of(row) for row in journal.load(boot=NOW, wall=WALL)}


def test_a_backup_has_what_is_folded_and_what_is_not(
    source: Path, target: Path
) -> None:
    backup(source, target)
    assert held(target) == {"a": 1, "b": 2}


def test_a_backup_is_one_file_that_is_nobody_elses_business(
    source: Path, target: Path
) -> None:
    umask = os.umask(0)
    try:
        backup(source, target)
    finally:
        os.umask(umask)
    assert [file.name for file in target.parent.iterdir()] == ["copy.db"]
    assert target.stat().st_mode & 0o777 == 0o600
    # It can be looked at where nothing can be written.
    with closing(sqlite3.connect(f"file:{target}?immutable=1", uri=True)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_backup_leaves_the_database_as_it_was(tmp_path: Path, target: Path) -> None:
    source = tmp_path / "idle" / "reginfo.db"
    source.parent.mkdir()
    with closing(SqliteStorage(source, SCHEMA)) as journal:
        journal.append([("held", "a", 1)], boot=NOW, wall=WALL)
    before = source.read_bytes()
    backup(source, target)
    assert source.read_bytes() == before
    assert held(source) == held(target) == {"a": 1}


def test_a_backup_of_what_a_crash_has_left_is_whole(
    source: Path, target: Path, tmp_path: Path
) -> None:
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for name in ("reginfo.db", "reginfo.db-wal"):
        (crashed / name).write_bytes((tmp_path / name).read_bytes())
    backup(crashed / "reginfo.db", target)
    assert held(target) == {"a": 1, "b": 2}


def test_a_backup_while_somebody_writes_holds_whole_commits_up_to_one(
    source: Path, target: Path, journal: SqliteStorage
) -> None:
    done = 0
    begun, enough = threading.Event(), threading.Event()

    def write() -> None:
        nonlocal done
        while not enough.is_set():
            number = done + 1
            pair = [("held", f"{number}{side}", "x" * 2000) for side in "lr"]
            journal.append(pair, boot=NOW, wall=WALL)
            done = number
            if number % 20 == 0:
                journal.fold()
            if number == 200:
                begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert begun.wait(10)
        for _ in range(5):
            before = done
            backup(source, target, overwrite=True)
            keys = set(held(target)) - {"a", "b"}
            complete = len(keys) // 2
            assert keys == {f"{n}{s}" for n in range(1, complete + 1) for s in "lr"}
            assert complete >= before
    finally:
        enough.set()
        writer.join()


def test_a_copy_that_is_not_whole_yet_is_hidden_beside_its_name(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On the same file system: so it can be given its name at one blow.
    copy, seen = module._copy, []

    def watched(source: Path, copied: Path, shown: Path) -> None:
        seen.append(copied)
        copy(source, copied, shown)

    monkeypatch.setattr(module, "_copy", watched)
    backup(source, target)
    assert [file.parent for file in seen] == [target.parent]
    assert seen[0].name.startswith(".copy.db.")


# What is refused.


def test_a_file_is_replaced_only_if_that_is_asked_for(
    source: Path, target: Path, journal: SqliteStorage
) -> None:
    backup(source, target)
    journal.append([("held", "c", 3)], boot=NOW, wall=WALL)
    with pytest.raises(StoreError, match=r"copy\.db: the file exists already"):
        backup(source, target)
    assert held(target) == {"a": 1, "b": 2}
    backup(source, target, overwrite=True)
    assert held(target) == {"a": 1, "b": 2, "c": 3}


def test_a_file_that_comes_meanwhile_is_not_replaced(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = module._copy

    def slow(*paths: Path) -> None:
        copy(*paths)
        target.write_text("precious")

    monkeypatch.setattr(module, "_copy", slow)
    with pytest.raises(StoreError, match="the file exists already"):
        backup(source, target)
    assert target.read_text("utf-8") == "precious"
    assert list(target.parent.iterdir()) == [target]


def test_a_database_is_not_its_own_backup(source: Path, tmp_path: Path) -> None:
    alias = tmp_path / "alias.db"
    alias.symlink_to(source)
    for name in (source, alias):
        with pytest.raises(StoreError, match="this is the database itself"):
            backup(source, name, overwrite=True)


def test_a_database_in_use_is_not_replaced(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with closing(SqliteStorage(other, SCHEMA)) as used:
        used.append([("held", "z", 1)], boot=NOW, wall=WALL)
        with pytest.raises(StoreError, match=r"other\.db-wal: belongs to another"):
            backup(source, other, overwrite=True)
        assert used.last_commit == WALL


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.db", "nowhere.db: No such file or directory"),
        ("text", "file is not a database"),
        ("backup", "to .*copy.db: "),
    ],
)
def test_what_cannot_be_copied_is_named_and_leaves_nothing_behind(
    source: Path, target: Path, name: str, message: str
) -> None:
    (source.parent / "text").write_text("What is this? " * 100)
    with pytest.raises(StoreError, match=message):
        backup(source.parent / name, target)
    assert list(target.parent.iterdir()) == []


def test_a_directory_that_is_not_there_is_named(source: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere/copy\.db: No such file"):
        backup(source, tmp_path / "nowhere" / "copy.db")
    with pytest.raises(StoreError, match="the file exists already"):
        backup(source, tmp_path)
    with pytest.raises(StoreError, match="Is a directory"):
        backup(source, tmp_path / "backup", overwrite=True)


def test_a_backup_for_which_there_is_no_room_leaves_nothing_behind(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def small(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, **options)
        connection.execute("PRAGMA max_page_count = 2")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(StoreError, match=r"reginfo\.db to .*copy\.db: .*full"):
        backup(source, target)
    assert list(target.parent.iterdir()) == []
