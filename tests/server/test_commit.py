"""The thread that makes batches durable reports each in the loop, in order."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from reginfo.location.journal import Entry
from reginfo.location.sqlite import SqliteJournal
from reginfo.server.commit import Writer


def stored(path: Path) -> list[Entry]:
    journal = SqliteJournal(path)
    rows = [(r.kind, r.key, r.value) for r in journal.load(boot=0.0, wall=0.0)]
    journal.close()
    return rows


def test_commits_are_reported_in_order_and_are_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    reports: list[tuple[int, Exception | None]] = []

    async def main() -> None:
        journal = SqliteJournal(path)
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


def test_a_failure_is_reported_and_the_next_commit_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.db"
    reports: list[Exception | None] = []
    append = SqliteJournal.append

    def full(
        self: SqliteJournal, entries: list[Entry], *, boot: float, wall: float
    ) -> None:
        if entries[0][1] == "bad":
            raise sqlite3.OperationalError("database or disk is full")
        append(self, entries, boot=boot, wall=wall)

    monkeypatch.setattr(SqliteJournal, "append", full)

    async def main() -> None:
        journal = SqliteJournal(path)
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


def test_a_long_journal_is_folded_while_nothing_is_to_be_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.db"
    monkeypatch.setattr("reginfo.server.commit.FOLD_AT", 10)

    async def main() -> None:
        journal = SqliteJournal(path)
        writer = Writer(journal)
        folded = asyncio.Event()
        loop = asyncio.get_running_loop()

        def fold() -> bool:
            more = SqliteJournal.fold(journal)
            if not more:
                loop.call_soon_threadsafe(folded.set)
            return more

        monkeypatch.setattr(journal, "fold", fold)
        entries: list[Entry] = [("k", str(n % 3), n) for n in range(50)]
        writer.commit(entries, boot=1.0, wall=2.0, done=lambda failure: None)
        async with asyncio.timeout(5):
            await folded.wait()
        writer.stop()
        journal.close()

    asyncio.run(main())
    database = sqlite3.connect(path)
    assert database.execute("SELECT count(*) FROM journal").fetchone() == (0,)
    database.close()
    assert stored(path) == [("k", "0", 48), ("k", "1", 49), ("k", "2", 47)]
