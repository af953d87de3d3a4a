"""The journal on SQLite: what is appended holds, whatever happens then."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reginfo.ledger import shelf, sqlite
from reginfo.ledger.journal import Entry, Journal
from reginfo.ledger.sqlite import Schema, SqliteStorage
from reginfo.ledger.storage import StoreError
from reginfo.location.binding import Binding
from reginfo.location.claim import KIND
from reginfo.location.schema import SCHEMA
from reginfo.location.store import LocationStore

from ..make import ALICE, NOW, WALL, binding, here, moment, place, value_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reginfo.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteStorage]:
    journal = SqliteStorage(path, SCHEMA)
    yield journal
    journal.close()


def location(claim: Binding) -> Entry:
    return (
        KIND,
        f"location\0{ALICE}\0{claim.key}\0{claim.begin} {claim.call_id}",
        claim,
    )


def state(
    journal: SqliteStorage, boot: float = NOW, wall: float = WALL
) -> dict[tuple[str, str], tuple[Any, float]]:
    """The value and the shift of each row that is loaded."""
    rows: dict[tuple[str, str], tuple[Any, float]] = {}
    for row in journal.load(boot=boot, wall=wall, boot_id="boot"):
        assert (row.kind, row.key) not in rows
        rows[row.kind, row.key] = value_of(row), row.shift
    return rows


def fold(journal: SqliteStorage) -> int:
    """Fold all that there is; in how many steps."""
    steps = 1
    while journal.fold():
        steps += 1
    return steps


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a step of folding do as little as can be."""
    for limit in ("READ_ENTRIES", "WRITTEN_ROWS", "DELETED_COMMITS"):
        monkeypatch.setattr(sqlite, limit, 1)


def test_what_is_appended_is_loaded(journal: SqliteStorage) -> None:
    claim = binding(q="0.5", params=(("ob", None),))
    journal.append([location(claim), ("told", "k", (1, 2, True))], boot=NOW, wall=WALL)
    loaded = state(journal)
    assert journal.entries == 2
    assert msgspec.convert(loaded[location(claim)[:2]][0], Binding) == claim
    assert loaded["told", "k"][0] == [1, 2, True]


def test_a_later_entry_replaces_an_earlier_one_and_none_removes_it(
    journal: SqliteStorage,
) -> None:
    journal.append([("held", "a", 1), ("held", "b", 1)], boot=NOW, wall=WALL)
    journal.append([("held", "a", 2), ("held", "b", None)], boot=NOW, wall=WALL)
    assert {k: value for k, (value, _) in state(journal).items()} == {("held", "a"): 2}


keys = st.sampled_from(["x", "y", "z\0z"])  # a Call-ID may well have a zero octet
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
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(st.lists(entries, max_size=4), st.integers(0, 9), st.booleans()),
        max_size=6,
    )
)
def test_folding_changes_nothing_that_is_loaded(
    tmp_path: Path,
    small_steps: None,
    batches: list[tuple[list[Entry], int, bool]],
) -> None:
    """Neither as a whole nor any step of it, with commits between and starts."""
    folded, plain = tmp_path / "folded.db", tmp_path / "plain.db"
    folding, journal = SqliteStorage(folded, SCHEMA), SqliteStorage(plain, SCHEMA)
    for at, (batch, steps, restart) in enumerate(batches):
        for one in (folding, journal):
            # The calendar steps now and then: each entry has its own times.
            one.append(batch, boot=NOW + at, wall=WALL + at * 2)
        for _ in range(steps):
            folding.fold()
        if restart:
            folding.close()
            folding = SqliteStorage(folded, SCHEMA)
        assert state(folding) == state(journal)
        assert folding.last_commit == journal.last_commit
    fold(folding)
    fold(folding)
    assert folding.entries == 0
    assert state(folding) == state(journal)
    for one, file in ((folding, folded), (journal, plain)):
        one.close()
        for name in file.parent.glob(f"{file.name}*"):
            name.unlink()


def test_a_step_of_folding_writes_little(
    journal: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "WRITTEN_ROWS", 7)
    monkeypatch.setattr(sqlite, "DELETED_COMMITS", 7)
    for number in range(100):
        journal.append([("held", str(number), number)], boot=NOW, wall=WALL)
    written = [journal._database.total_changes]
    while journal.fold():
        written.append(journal._database.total_changes)
    steps = [after - before for before, after in itertools.pairwise(written)]
    assert max(steps) == 7
    assert sum(steps) >= 190
    assert journal.entries == 0


def test_a_step_of_folding_reads_little(
    journal: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "READ_ENTRIES", 10)
    for number in range(100):
        journal.append([("held", "a", number), ("held", "b", 1)], boot=NOW, wall=WALL)
    before = journal._database.total_changes
    steps = 0
    while journal.fold() and journal._database.total_changes == before:
        steps += 1
    assert steps == 20


def test_what_was_written_many_times_is_put_once(journal: SqliteStorage) -> None:
    for cseq in range(1, 101):
        journal.append([location(binding(cseq))], boot=NOW, wall=WALL)
    put: list[str] = []
    journal._database.set_trace_callback(put.append)
    fold(journal)
    assert sum(statement.startswith("INSERT INTO claim") for statement in put) == 1


def test_what_is_appended_while_it_is_folded_waits_for_the_next_time(
    journal: SqliteStorage,
) -> None:
    journal.append([("held", "a", 1), ("held", "b", 2)], boot=NOW, wall=WALL)
    assert journal.fold()
    journal.append([("held", "a", 3)], boot=NOW, wall=WALL)
    fold(journal)
    assert journal.entries == 1
    assert {k: value for k, (value, _) in state(journal).items()} == {
        ("held", "a"): 3,
        ("held", "b"): 2,
    }
    assert fold(journal) > 1
    assert journal.entries == 0
    assert fold(journal) == 1


def test_a_journal_that_is_folded_now_and_then_does_not_grow(
    path: Path, journal: SqliteStorage
) -> None:
    sizes = []
    for round_ in range(10):
        for cseq in range(200):
            batch = [location(binding(cseq, call_id=str(c))) for c in range(10)]
            journal.append(batch, boot=NOW, wall=WALL)
        fold(journal)
        if round_ >= 2:
            sizes.append(path.stat().st_size)
        (rows,) = journal._database.execute("SELECT count(*) FROM journal").fetchone()
        assert rows == 1
        # A thousand pages, and what one transaction adds to them.
        assert path.with_name(f"{path.name}-wal").stat().st_size < 6_000_000
    assert max(sizes) <= sizes[0] * 1.1


def test_the_wal_shrinks_again_when_a_reader_has_made_it_long(
    path: Path, journal: SqliteStorage
) -> None:
    journal.append([("held", "a", 1)], boot=NOW, wall=WALL)
    log = path.with_name(f"{path.name}-wal")
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM journal").fetchall()
        while log.stat().st_size < sqlite.WAL_LIMIT + 2_000_000:
            journal.append([("held", "a", "x" * 500_000)], boot=NOW, wall=WALL)
    for _ in range(2):
        journal.append([("held", "a", 1)], boot=NOW, wall=WALL)
    assert log.stat().st_size <= sqlite.WAL_LIMIT


def test_a_fold_that_fails_moves_nothing(
    journal: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append([("held", "a", 1), ("held", "b", 2)], boot=NOW, wall=WALL)
    before = state(journal)

    def fail(*args: Any) -> None:
        raise sqlite3.OperationalError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(SqliteStorage, "_put", fail)
        assert journal.fold()
        with pytest.raises(StoreError):
            journal.fold()
    assert state(journal) == before
    fold(journal)
    assert journal.entries == 0
    assert state(journal) == before


@pytest.mark.parametrize("good", range(9))
def test_a_fold_that_fails_on_its_way_is_begun_anew(
    path: Path, tmp_path: Path, journal: SqliteStorage, small_steps: None, good: int
) -> None:
    for number in range(3):
        journal.append([("held", str(number), number)], boot=NOW, wall=WALL)
    before = state(journal)
    for _ in range(good):
        assert journal.fold()
    journal._database.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError):
        fold(journal)
    journal._database.execute("PRAGMA query_only = OFF")
    with closing(SqliteStorage(copied(path, tmp_path / "crashed"), SCHEMA)) as crashed:
        assert state(crashed) == before
    fold(journal)
    assert journal.entries == 0
    assert state(journal) == before


def test_an_append_that_fails_raises_and_leaves_what_was(
    journal: SqliteStorage,
) -> None:
    journal.append([("held", "a", 1)], boot=NOW, wall=WALL)
    journal._database.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError):
        journal.append([("held", "b", 1)], boot=NOW, wall=WALL)
    journal._database.execute("PRAGMA query_only = OFF")
    assert journal.entries == 1
    assert list(state(journal)) == [("held", "a")]


def test_a_full_disk_fails_a_commit_and_the_next_succeeds_when_there_is_room(
    journal: SqliteStorage,
) -> None:
    pragma = journal._database.execute
    journal.append([("held", "a", 1)], boot=NOW, wall=WALL)
    (pages,) = pragma("PRAGMA page_count").fetchone()
    pragma(f"PRAGMA max_page_count = {pages}")
    large = "x" * 10_000
    with pytest.raises(StoreError, match="full"):
        journal.append([("held", "b", large)], boot=NOW, wall=WALL)
    pragma("PRAGMA max_page_count = 1000000")
    assert list(state(journal)) == [("held", "a")]
    journal.append([("held", "b", large)], boot=NOW, wall=WALL)
    assert list(state(journal)) == [("held", "a"), ("held", "b")]


def test_the_last_commit_is_known_folded_or_not(journal: SqliteStorage) -> None:
    assert journal.last_commit is None
    journal.append([location(binding())], boot=NOW, wall=WALL)
    assert journal.last_commit == WALL
    fold(journal)
    assert journal.last_commit == WALL
    # Also when nothing of it is left in any table.
    gone: Entry = (*location(binding())[:2], None)
    journal.append([gone], boot=NOW, wall=WALL + 5)
    fold(journal)
    assert journal.last_commit == WALL + 5
    assert state(journal) == {}


# Who may open it.


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    newer = r"reginfo\.db: written by a newer version of reginfo \(schema 99"
    with pytest.raises(StoreError, match=newer):
        SqliteStorage(path, SCHEMA)
    with pytest.raises(StoreError, match="newer version"):
        SqliteStorage(path, SCHEMA)  # and not "in use": it was let go


def test_a_second_server_is_refused_the_same_file(
    path: Path, journal: SqliteStorage
) -> None:
    with pytest.raises(StoreError, match="in use by another server"):
        SqliteStorage(path, SCHEMA)


@pytest.mark.parametrize("way", ["relative", "symlink", "link", "directory", "dots"])
def test_a_second_server_is_refused_whatever_path_leads_to_the_file(
    path: Path, journal: SqliteStorage, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = path.with_name("other.db")
    if way == "relative":
        monkeypatch.chdir(path.parent)
        other = Path("reginfo.db")
    elif way == "symlink":
        other.symlink_to(path)
    elif way == "link":
        other.hardlink_to(path)
    elif way == "directory":
        (path.parent / "elsewhere").symlink_to(path.parent)
        other = path.parent / "elsewhere" / "reginfo.db"
    else:
        (path.parent / "deep").mkdir()
        other = path.parent / "deep" / ".." / "reginfo.db"
    with pytest.raises(StoreError, match="in use by another server"):
        SqliteStorage(other, SCHEMA)
    # Neither in another process, where only the lock says so.
    program = (
        "import sys; from pathlib import Path\n"
        "from reginfo.ledger.sqlite import SqliteStorage\n"
        "from reginfo.ledger.storage import StoreError\n"
        "from reginfo.location.schema import SCHEMA\n"
        "try: SqliteStorage(Path(sys.argv[1]), SCHEMA)\n"
        "except StoreError as exc: sys.exit(str(exc))\n"
    )
    run = [sys.executable, "-c", program, str(other)]
    ended = subprocess.run(run, capture_output=True, text=True, check=False)
    assert "in use by another server" in ended.stderr
    journal.append([("held", "a", 1)], boot=NOW, wall=WALL)


def test_a_database_that_was_refused_is_not_locked(path: Path) -> None:
    path.write_bytes(b"What is this? " * 100)
    for _ in range(2):
        with pytest.raises(StoreError, match="not a database"):
            SqliteStorage(path, SCHEMA)


def test_a_journal_may_be_used_by_another_thread(journal: SqliteStorage) -> None:
    with ThreadPoolExecutor(1) as other:
        entries = [location(binding())]
        other.submit(journal.append, entries, boot=NOW, wall=WALL).result()
    assert len(state(journal)) == 1


def test_the_file_is_free_again_once_it_is_closed(path: Path) -> None:
    SqliteStorage(path, SCHEMA).close()
    SqliteStorage(path, SCHEMA).close()


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"What is this? " * 100)
    with pytest.raises(StoreError, match="not a database"):
        SqliteStorage(path, SCHEMA)


def test_a_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    # The very one that somebody who moves from Kamailio might name.
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE location (id INTEGER, username TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"reginfo\.db: not a database of reginfo"):
        SqliteStorage(path, SCHEMA)
    assert path.read_bytes() == before


def test_a_schema_that_was_never_released_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 1")
    with pytest.raises(StoreError, match=r"reginfo\.db: .*\(schema 1;"):
        SqliteStorage(path, SCHEMA)


@pytest.mark.parametrize("statement", range(len(SCHEMA.statements)))
def test_who_is_killed_at_the_first_start_can_start_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, statement: int
) -> None:
    broken = (*SCHEMA.statements[:statement], "SELECT no_such_column")
    with monkeypatch.context() as killed:
        killed.setattr(sqlite.Schema, "statements", broken)
        with pytest.raises(StoreError):
            SqliteStorage(path, SCHEMA)
    with closing(SqliteStorage(path, SCHEMA)) as journal:
        journal.append([("held", "a", 1)], boot=NOW, wall=WALL)
        fold(journal)


def test_a_file_that_is_damaged_is_refused_when_it_is_loaded(path: Path) -> None:
    small = Schema(version=1)  # which is in the first page, with all that it names
    with closing(SqliteStorage(path, small)) as journal:
        for number in range(100):
            journal.append([("held", str(number), "x" * 1000)], boot=NOW, wall=WALL)
    pages = path.read_bytes()
    path.write_bytes(pages[:8192].ljust(len(pages), b"\0"))
    with (
        closing(SqliteStorage(path, small)) as damaged,
        pytest.raises(StoreError, match=r"reginfo\.db: database disk image is malf"),
    ):
        state(damaged)


def test_a_journal_that_makes_no_sense_is_refused_when_it_is_loaded(
    path: Path, journal: SqliteStorage
) -> None:
    journal.append([("held", "a", 1), location(binding())], boot=NOW, wall=WALL)
    journal._database.execute("UPDATE journal SET entries = x'93c0'")
    with pytest.raises(StoreError, match=r"reginfo\.db: "):
        state(journal)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE claim SET value = substr(value, 3) WHERE life = '1 bad'",
        "UPDATE claim SET value = '[1]' WHERE life = '1 bad'",
        "UPDATE claim SET value = x'c1' WHERE life = '1 bad'",
    ],
)
def test_one_row_that_cannot_be_used_is_left_out_and_logged(
    path: Path,
    journal: SqliteStorage,
    damage: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    good, bad = binding(call_id="good"), binding(call_id="bad")
    journal.append([location(good), location(bad)], boot=NOW, wall=WALL)
    fold(journal)
    journal._database.execute(damage)
    store = LocationStore("a", Journal())
    shelf.load(journal, store.shelves, boot=NOW, wall=WALL, boot_id="")
    store.begin(here(), moment(NOW, WALL))
    assert [claim.call_id for claim in store.bindings(place(ALICE), NOW)] == ["good"]
    (record,) = caplog.records
    assert "stored row location" in record.getMessage()
    assert "bad" in record.getMessage()


def test_a_claim_whose_key_is_no_key_does_not_stop_the_folding(
    journal: SqliteStorage,
) -> None:
    journal.append([(KIND, "odd", 1), ("held", "a", 1)], boot=NOW, wall=WALL)
    fold(journal)
    assert journal.entries == 0
    assert set(state(journal)) == {(KIND, "odd"), ("held", "a")}
    journal.append([(KIND, "odd", None)], boot=NOW, wall=WALL)
    fold(journal)
    assert set(state(journal)) == {("held", "a")}


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_database_of_an_older_schema_is_refused_and_left_alone(
    path: Path, version: int
) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute('CREATE TABLE claim (aor, "table", key, callid, value)')
        database.execute(f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    older = rf"reginfo\.db: written by an older version .*schema {version}; .* new data"
    with pytest.raises(StoreError, match=older):
        SqliteStorage(path, SCHEMA)
    assert path.read_bytes() == before


def test_a_schema_can_lead_from_one_version_to_the_next(path: Path) -> None:
    old = Schema(version=1)
    with closing(SqliteStorage(path, old)) as storage:
        storage.append([("held", "a", 1)], boot=NOW, wall=WALL)
    steps = {1: ("CREATE TABLE new (x)",), 2: ("INSERT INTO new VALUES (7)",)}
    for _ in range(2):
        new = Schema(version=3, migrations=steps)
        with closing(SqliteStorage(path, new)) as storage:
            assert storage._database.execute("SELECT x FROM new").fetchall() == [(7,)]
            assert list(state(storage)) == [("held", "a")]


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere/reginfo\.db: No such file"):
        SqliteStorage(tmp_path / "nowhere" / "reginfo.db", SCHEMA)


# What is left after a crash.


@pytest.mark.parametrize(("setting", "value"), [("full", 2), ("normal", 1)])
def test_a_commit_is_synced_as_configured(path: Path, setting: str, value: int) -> None:
    journal = SqliteStorage(path, SCHEMA, synchronous=setting)
    pragma = journal._database.execute
    assert pragma("PRAGMA synchronous").fetchone() == (value,)
    assert pragma("PRAGMA journal_mode").fetchone() == ("wal",)
    journal.close()


def test_commits_are_synced_fully_unless_told_otherwise(
    journal: SqliteStorage,
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
    path: Path, tmp_path: Path, journal: SqliteStorage
) -> None:
    for number in range(20):
        journal.append([("held", str(number), number)], boot=NOW, wall=WALL)
        if number == 9:
            fold(journal)
    crashed = SqliteStorage(copied(path, tmp_path / "crashed"), SCHEMA)
    assert state(crashed) == state(journal)
    assert len(state(crashed)) == 20
    crashed.close()


@pytest.mark.parametrize("cut", [1, 100, 4096, 5000, 9000])
def test_a_file_that_was_cut_holds_whole_commits(
    path: Path, tmp_path: Path, journal: SqliteStorage, cut: int
) -> None:
    for number in range(20):
        pair: list[Entry] = [("held", f"{number}{side}", number) for side in "lr"]
        journal.append(pair, boot=NOW, wall=WALL)
    copy = copied(path, tmp_path / "crashed")
    wal = copy.with_name(f"{copy.name}-wal")
    with wal.open("r+b") as file:
        file.truncate(wal.stat().st_size - cut)
    crashed = SqliteStorage(copy, SCHEMA)
    kept = {key for _, key in state(crashed)}
    complete = len(kept) // 2
    assert kept == {f"{n}{side}" for n in range(complete) for side in "lr"}
    assert 0 < complete < 20
    crashed.close()


def test_a_crash_while_folding_loses_and_doubles_nothing(
    path: Path, tmp_path: Path, journal: SqliteStorage, small_steps: None
) -> None:
    for number in range(4):
        claim = binding(number, call_id=str(number % 2))
        batch = [("held", str(number), number), location(claim)]
        journal.append(batch, boot=NOW, wall=WALL)
    before = state(journal)
    crashes = 0
    more = True
    while more:
        more = journal.fold()
        crashes += 1
        crashed = SqliteStorage(copied(path, tmp_path / f"crashed{crashes}"), SCHEMA)
        assert state(crashed) == before
        crashed.close()
    assert crashes > 10


def test_only_its_owner_can_read_a_new_store(tmp_path: Path) -> None:
    """8760-17: nor its log, whatever the umask is"""
    path = tmp_path / "new.db"
    with closing(SqliteStorage(path, SCHEMA)):
        modes = {one.name: one.stat().st_mode & 0o777 for one in tmp_path.iterdir()}
    assert {name: mode for name, mode in modes.items() if "lock" not in name} == {
        "new.db": 0o600,
        "new.db-wal": 0o600,
        "new.db-shm": 0o600,
    }
