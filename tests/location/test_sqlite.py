"""The journal on SQLite: what is appended holds, whatever happens then."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reginfo.location import sqlite
from reginfo.location.binding import Binding
from reginfo.location.journal import Entry
from reginfo.location.sqlite import Loaded, SqliteJournal, StoreError
from reginfo.location.store import KIND

from ..make import ALICE, NOW, WALL, binding


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reginfo.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    journal = SqliteJournal(path)
    yield journal
    journal.close()


def location(claim: Binding) -> Entry:
    return (KIND, f"location\0{ALICE}\0{claim.key}\0{claim.call_id}", claim)


def state(
    journal: SqliteJournal, boot: float = NOW, wall: float = WALL
) -> dict[tuple[str, str], Loaded]:
    """What a start makes of what is loaded."""
    rows: dict[tuple[str, str], Loaded] = {}
    for row in journal.load(boot=boot, wall=wall):
        rows[row.kind, row.key] = row
    return {key: row for key, row in rows.items() if row.value is not None}


def test_what_is_appended_is_loaded(journal: SqliteJournal) -> None:
    claim = binding(q="0.5", params=(("ob", None),))
    journal.append([location(claim), ("told", "k", (1, 2, True))], boot=NOW, wall=WALL)
    loaded = state(journal)
    assert journal.entries == 2
    assert [msgspec.convert(loaded[location(claim)[:2]].value, Binding)] == [claim]
    assert loaded["told", "k"].value == [1, 2, True]


def test_a_later_entry_replaces_an_earlier_one_and_none_removes_it(
    journal: SqliteJournal,
) -> None:
    journal.append([("held", "a", 1), ("held", "b", 1)], boot=NOW, wall=WALL)
    journal.append([("held", "a", 2), ("held", "b", None)], boot=NOW, wall=WALL)
    assert {k: row.value for k, row in state(journal).items()} == {("held", "a"): 2}


keys = st.sampled_from(["x", "y", "z"])
entries = st.one_of(
    st.tuples(st.just("held"), keys, st.none() | st.integers(0, 9)),
    st.builds(
        lambda call_id, cseq: location(binding(cseq, call_id=call_id)),
        keys,
        st.integers(1, 9),
    ),
    st.builds(lambda c: (*location(binding(call_id=c))[:2], None), keys),
)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(st.lists(entries, max_size=4), st.booleans()), max_size=6))
def test_folding_changes_nothing_that_is_loaded(
    tmp_path: Path, batches: list[tuple[list[Entry], bool]]
) -> None:
    folded, plain = tmp_path / "folded.db", tmp_path / "plain.db"
    journals = SqliteJournal(folded), SqliteJournal(plain)
    for at, (batch, fold) in enumerate(batches):
        for journal in journals:
            # The calendar steps now and then: each entry has its own times.
            journal.append(batch, boot=NOW + at, wall=WALL + at * 2)
        if fold:
            journals[0].fold()
    one, other = (state(journal) for journal in journals)
    assert one == other
    for journal, file in zip(journals, (folded, plain), strict=True):
        journal.close()
        for name in file.parent.glob(f"{file.name}*"):
            name.unlink()


def test_the_journal_is_folded_in_parts(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "FOLD_ENTRIES", 2)
    for number in range(5):
        journal.append([("held", str(number), number)], boot=NOW, wall=WALL)
    assert journal.fold() and journal.fold()
    assert journal.entries == 1
    assert not journal.fold()
    assert not journal.fold()
    assert len(state(journal)) == 5
    assert journal.entries == 0


def test_a_fold_that_fails_moves_nothing(
    journal: SqliteJournal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append([("held", "a", 1), ("held", "b", 2)], boot=NOW, wall=WALL)
    before = state(journal)

    def fail(*args: Any) -> None:
        raise sqlite3.OperationalError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(SqliteJournal, "_put", fail)
        with pytest.raises(sqlite3.OperationalError):
            journal.fold()
    assert state(journal) == before
    assert not journal.fold()
    assert state(journal) == before


def test_an_append_that_fails_raises_and_leaves_what_was(
    journal: SqliteJournal,
) -> None:
    journal.append([("held", "a", 1)], boot=NOW, wall=WALL)
    journal._database.execute("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.Error):
        journal.append([("held", "b", 1)], boot=NOW, wall=WALL)
    assert journal.entries == 1
    assert list(state(journal)) == [("held", "a")]


def test_an_operator_reads_the_bindings_in_sql(journal: SqliteJournal) -> None:
    claim = binding(3, expires_at=NOW + 60, owner="b", source="b/x")
    journal.append([location(claim)], boot=NOW, wall=WALL)
    journal.fold()
    (row,) = journal._database.execute(
        'SELECT "table", aor, contact, callid, cseq, event, expires_at, owner, source'
        " FROM location"
    )
    assert row == (
        "location", ALICE, claim.contact, "a", 3, "registered", WALL + 60, "b", "b/x"
    )  # fmt: skip


# Time.


@pytest.mark.parametrize("fold", [False, True])
def test_times_are_moved_to_the_clock_of_the_new_boot(
    journal: SqliteJournal, fold: bool
) -> None:
    # 100 s later by the calendar, after a boot: that clock shows 7.
    journal.append([location(binding(expires_at=NOW + 600))], boot=NOW, wall=WALL)
    if fold:
        journal.fold()
    (row,) = state(journal, boot=7.0, wall=WALL + 100).values()
    assert NOW + 600 + row.shift == pytest.approx(7.0 + 500)


def test_without_a_boot_the_time_that_has_passed_has_passed(
    journal: SqliteJournal,
) -> None:
    journal.append([("held", "a", 1)], boot=NOW, wall=WALL)
    (row,) = state(journal, boot=NOW + 100, wall=WALL + 100).values()
    assert row.shift == pytest.approx(0.0)


def test_the_last_commit_is_known_folded_or_not(journal: SqliteJournal) -> None:
    assert journal.last_commit is None
    journal.append([location(binding())], boot=NOW, wall=WALL)
    assert journal.last_commit == WALL
    journal.fold()
    assert journal.last_commit == WALL
    journal.append([("held", "a", 1)], boot=NOW, wall=WALL + 5)
    journal.fold()
    assert journal.last_commit == WALL + 5


# Who may open it.


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    newer = r"reginfo\.db: written by a newer version of reginfo \(schema 99"
    with pytest.raises(StoreError, match=newer):
        SqliteJournal(path)
    with pytest.raises(StoreError, match="newer version"):
        SqliteJournal(path)  # and not "in use": it was let go


def test_a_second_server_is_refused_the_same_file(
    path: Path, journal: SqliteJournal
) -> None:
    with pytest.raises(StoreError, match="in use by another server"):
        SqliteJournal(path)


def test_the_lock_is_nobody_elses_business(path: Path, journal: SqliteJournal) -> None:
    assert (path.parent / "reginfo.db.lock").stat().st_mode & 0o777 == 0o600


def test_a_journal_may_be_used_by_another_thread(journal: SqliteJournal) -> None:
    with ThreadPoolExecutor(1) as other:
        entries = [location(binding())]
        other.submit(journal.append, entries, boot=NOW, wall=WALL).result()
    assert len(state(journal)) == 1


def test_the_file_is_free_again_once_it_is_closed(path: Path) -> None:
    SqliteJournal(path).close()
    SqliteJournal(path).close()


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"What is this? " * 100)
    with pytest.raises(StoreError, match="not a database"):
        SqliteJournal(path)


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere/reginfo\.db: No such file"):
        SqliteJournal(tmp_path / "nowhere" / "reginfo.db")


# What is left after a crash.


@pytest.mark.parametrize(("setting", "value"), [("full", 2), ("normal", 1)])
def test_a_commit_is_synced_as_configured(path: Path, setting: str, value: int) -> None:
    journal = SqliteJournal(path, synchronous=setting)
    pragma = journal._database.execute
    assert pragma("PRAGMA synchronous").fetchone() == (value,)
    assert pragma("PRAGMA journal_mode").fetchone() == ("wal",)
    journal.close()


def test_commits_are_synced_fully_unless_told_otherwise(
    journal: SqliteJournal,
) -> None:
    assert journal._database.execute("PRAGMA synchronous").fetchone() == (2,)


def copied(path: Path, to: Path) -> Path:
    """The files as they are at this moment: what a crash leaves."""
    to.mkdir()
    for file in path.parent.glob(f"{path.name}*"):
        if not file.name.endswith((".lock", "-shm")):
            shutil.copy(file, to)
    return to / path.name


def test_what_was_appended_is_there_after_a_crash(
    path: Path, tmp_path: Path, journal: SqliteJournal
) -> None:
    for number in range(20):
        journal.append([("held", str(number), number)], boot=NOW, wall=WALL)
        if number == 9:
            journal.fold()
    crashed = SqliteJournal(copied(path, tmp_path / "crashed"))
    assert state(crashed) == state(journal)
    assert len(state(crashed)) == 20
    crashed.close()


@pytest.mark.parametrize("cut", [1, 100, 4096, 5000, 9000])
def test_a_file_that_was_cut_holds_whole_commits(
    path: Path, tmp_path: Path, journal: SqliteJournal, cut: int
) -> None:
    for number in range(20):
        pair: list[Entry] = [("held", f"{number}{side}", number) for side in "lr"]
        journal.append(pair, boot=NOW, wall=WALL)
    copy = copied(path, tmp_path / "crashed")
    wal = copy.with_name(f"{copy.name}-wal")
    with wal.open("r+b") as file:
        file.truncate(wal.stat().st_size - cut)
    crashed = SqliteJournal(copy)
    kept = {key for _, key in state(crashed)}
    complete = len(kept) // 2
    assert kept == {f"{n}{side}" for n in range(complete) for side in "lr"}
    assert 0 < complete < 20
    crashed.close()


def test_a_crash_while_folding_loses_and_doubles_nothing(
    path: Path, tmp_path: Path, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        journal.append([("held", str(number), number)], boot=NOW, wall=WALL)
    put = SqliteJournal._put
    copies: list[Path] = []

    def put_and_crash(self: SqliteJournal, *args: Any) -> None:
        put(self, *args)
        copies.append(copied(path, tmp_path / f"crashed{len(copies)}"))

    monkeypatch.setattr(SqliteJournal, "_put", put_and_crash)
    journal.fold()
    assert len(copies) == 4
    for copy in copies:
        crashed = SqliteJournal(copy)
        assert state(crashed) == state(journal)
        crashed.close()
