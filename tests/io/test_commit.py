"""The thread that makes batches durable reports each in the loop, in order."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from reginfo.io import commit
from reginfo.io.commit import Writer
from reginfo.ledger.journal import Entry
from reginfo.ledger.sqlite import SqliteStorage
from reginfo.location.schema import SCHEMA

from ..make import value_of


def stored(path: Path) -> list[Entry]:
    journal = SqliteStorage(path, SCHEMA)
    rows = [(r.kind, r.key, value_of(r)) for r in journal.load(boot=0.0, wall=0.0)]
    journal.close()
    return rows


def test_commits_are_reported_in_order_and_are_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    reports: list[tuple[int, Exception | None]] = []

    async def main() -> None:
        journal = SqliteStorage(path, SCHEMA)
        writer = Writer(journal)
        for number in range(5):
            writer.commit(
                [("k", str(number), number)],
                boot=1.0,
                wall=2.0,
                done=lambda failure, n=number: reports.append((n, failure)),  # type: ignore[misc]
            )
        writer.stop()
        await asyncio.sleep(0)
        journal.close()

    asyncio.run(main())
    assert reports == [(number, None) for number in range(5)]
    assert stored(path) == [("k", str(number), number) for number in range(5)]


def test_a_failure_is_reported_and_the_next_commit_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.db"
    reports: list[Exception | None] = []
    append = SqliteStorage.append

    def full(
        self: SqliteStorage, entries: list[Entry], *, boot: float, wall: float
    ) -> None:
        if entries[0][1] == "bad":
            raise sqlite3.OperationalError("database or disk is full")
        append(self, entries, boot=boot, wall=wall)

    monkeypatch.setattr(SqliteStorage, "append", full)

    async def main() -> None:
        journal = SqliteStorage(path, SCHEMA)
        writer = Writer(journal)
        for key in ("bad", "good"):
            writer.commit([("k", key, 1)], boot=1.0, wall=2.0, done=reports.append)
        writer.stop()
        await asyncio.sleep(0)
        journal.close()

    asyncio.run(main())
    failure, success = reports
    assert isinstance(failure, sqlite3.OperationalError)
    assert success is None
    assert stored(path) == [("k", "good", 1)]


# Folding.


def rows(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as database:
        (count,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(count)


class Run:
    """A writer, and what its journal is asked to do."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.journal = SqliteStorage(path, SCHEMA)
        list(self.journal.load(boot=1.0, wall=2.0))
        self.steps: list[str] = []
        self.failures = 0
        "How often folding is to fail."

        self.folded = asyncio.Event()
        self._all_wait = threading.Event()
        self._loop = asyncio.get_running_loop()
        monkeypatch.setattr(self.journal, "append", self._append)
        monkeypatch.setattr(self.journal, "fold", self._fold)
        self.writer = Writer(self.journal)

    def commit(self, *batches: list[Entry]) -> None:
        """Have all of these wait before the first is committed."""
        for entries in batches:
            self.writer.commit(entries, boot=1.0, wall=2.0, done=lambda failure: None)
        self._all_wait.set()

    async def until_folded(self) -> None:
        async with asyncio.timeout(5):
            await self.folded.wait()

    def stop(self) -> None:
        self.writer.stop()
        self.journal.close()

    def _append(self, entries: list[Entry], *, boot: float, wall: float) -> None:
        assert self._all_wait.wait(5)
        self.steps.append("commit")
        SqliteStorage.append(self.journal, entries, boot=boot, wall=wall)

    def _fold(self) -> bool:
        self.steps.append("fold")
        if self.failures:
            self.failures -= 1
            raise sqlite3.OperationalError("disk full")
        more = SqliteStorage.fold(self.journal)
        if not more:
            self._loop.call_soon_threadsafe(self.folded.set)
        return more


MANY: list[Entry] = [("k", str(n % 3), n) for n in range(50)]


@pytest.mark.parametrize(("limit", "value"), [("FOLD_AT", 10), ("FOLD_AFTER", 0.01)])
def test_a_journal_that_is_long_or_old_is_folded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    path = tmp_path / "x.db"
    monkeypatch.setattr(commit, limit, value)

    async def main() -> None:
        run = Run(path, monkeypatch)
        run.commit(MANY)
        await run.until_folded()
        run.stop()

    asyncio.run(main())
    assert rows(path, "state") == 3
    assert sorted(stored(path)) == [("k", "0", 48), ("k", "1", 49), ("k", "2", 47)]


def test_what_the_last_server_left_unfolded_is_folded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.db"
    with closing(SqliteStorage(path, SCHEMA)) as journal:
        journal.append(MANY, boot=1.0, wall=2.0)
    monkeypatch.setattr(commit, "FOLD_AFTER", 0.01)

    async def main() -> None:
        run = Run(path, monkeypatch)
        await run.until_folded()
        run.stop()

    asyncio.run(main())
    assert rows(path, "state") == 3


def test_commits_that_wait_go_before_folding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "FOLD_AT", 120)

    async def main() -> list[str]:
        run = Run(tmp_path / "x.db", monkeypatch)
        run.commit(*[MANY] * 4)
        await run.until_folded()
        run.stop()
        return run.steps

    steps = asyncio.run(main())
    assert steps[:5] == ["commit"] * 4 + ["fold"]


def test_a_journal_that_is_much_too_long_does_not_wait_until_there_is_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "FOLD_AT", 60)

    async def main() -> list[str]:
        run = Run(tmp_path / "x.db", monkeypatch)
        run.commit(*[MANY] * 6)
        await run.until_folded()
        run.stop()
        return run.steps

    steps = asyncio.run(main())
    assert steps[:6] == ["commit", "commit", "commit", "fold", "commit", "fold"]


def test_a_fold_that_fails_is_told_once_and_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "x.db"
    monkeypatch.setattr(commit, "FOLD_AT", 10)
    monkeypatch.setattr(commit, "FOLD_AFTER", 0.01)

    async def main() -> list[str]:
        run = Run(path, monkeypatch)
        run.failures = 3
        run.commit(MANY)
        await run.until_folded()
        run.stop()
        return run.steps

    steps = asyncio.run(main())
    assert steps[:4] == ["commit", "fold", "fold", "fold"]
    assert caplog.messages == ["! the journal cannot be folded: disk full"]
    assert rows(path, "state") == 3
