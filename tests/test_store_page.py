"""The statements and examples of docs/store.md are true."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reginfo.io import commit
from reginfo.ledger.backup import backup
from reginfo.ledger.journal import Journal
from reginfo.ledger.sqlite import SqliteStorage
from reginfo.location.schema import SCHEMA
from reginfo.location.store import LocationStore
from reginfo.reg.document import ContactEvent, ContactState

from .make import ALICE, BOB, NOW, binding, place

PAGE = (Path(__file__).parents[1] / "docs" / "store.md").read_text("utf-8")

BLOCKS = re.findall(r"^```sql\n-- (.*?)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
QUERIES: dict[str, str] = dict(BLOCKS)

PHONE = (("+sip.instance", '"<urn:uuid:1>"'),)
ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    "Where is alice registered?": [("sip:alice@192.0.2.50", "in an hour", "Phone 1.0")],
    "How many contacts and users does each server have?": [
        ("a", 2, 2),
        ("b", 1, 1),
    ],
    "Which phones are registered for several users?": [
        ("<urn:uuid:1>", f"{ALICE},{BOB}"),
    ],
    "Which registrations end within five minutes?": [
        (BOB, "sip:bob@192.0.2.60", "in two minutes"),
    ],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with some bindings, folded completely."""
    memory = Journal()
    store = LocationStore("a", memory)
    alice = binding(expires_at=NOW + 3600, params=PHONE, user_agent="Phone 1.0")
    for aor, claim in (
        (ALICE, alice),
        (
            BOB,
            binding(contact="sip:bob@192.0.2.60", expires_at=NOW + 120, params=PHONE),
        ),
        (BOB, binding(contact="sip:bob@192.0.2.61", expires_at=NOW + 600, owner="b")),
        (BOB, binding(contact="sip:bob@192.0.2.62", expires_at=NOW - 60, owner="c")),
    ):
        store.apply(place(aor), [claim], NOW)
    path = tmp_path / "reginfo.db"
    with closing(SqliteStorage(path, SCHEMA)) as journal:
        journal.append(memory.close().entries, boot=NOW, wall=time.time())
        while journal.fold():
            pass
    return path


def test_each_question_of_the_page_has_an_answer_here() -> None:
    assert set(QUERIES) == set(ANSWERS)


@pytest.mark.parametrize("question", ANSWERS)
def test_the_examples_in_sql_answer_their_question(path: Path, question: str) -> None:
    with (
        closing(SqliteStorage(path, SCHEMA)),  # as while a server runs
        closing(sqlite3.connect(path)) as database,
    ):
        times = {
            database.execute(f"SELECT datetime('now', '+{n} seconds')").fetchone()[0]: t
            for about, t in ((3600, "in an hour"), (120, "in two minutes"))
            for n in range(about - 60, about + 2)
        }
        rows = database.execute(QUERIES[question]).fetchall()
        shown = [tuple(times.get(value, value) for value in row) for row in rows]
    assert shown == ANSWERS[question]


def test_the_columns_are_those_of_the_view(path: Path) -> None:
    table = PAGE[
        PAGE.index("| column | |") : PAGE.index("The view lists active contacts")
    ]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    columns = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    with closing(sqlite3.connect(path)) as database:
        cursor = database.execute("SELECT * FROM location")
        assert columns == [column for column, *_ in cursor.description]
    events = re.findall(r"`(\w+)`", table.rpartition("| `event` |")[2])
    active = {e.value for e in ContactEvent if e.state is ContactState.ACTIVE}
    assert set(events) == active


def test_the_files_are_those_that_there_are(path: Path) -> None:
    files = set(re.findall(r"^\| `(reginfo\.db[-.\w]*)`", PAGE, re.MULTILINE))
    with closing(SqliteStorage(path, SCHEMA)) as journal:
        journal.append([("held", "a", 1)], boot=NOW, wall=NOW)
        assert {file.name for file in path.parent.iterdir()} == files


def test_a_backup_is_restored_as_the_page_says(path: Path, tmp_path: Path) -> None:
    (script,) = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    copy = tmp_path / "copy.db"
    backup(path, copy)
    journal = SqliteStorage(path, SCHEMA)
    journal.append([("held", "late", 1)], boot=NOW, wall=NOW)
    left = path.with_name("reginfo.db-wal").read_bytes()
    journal.close()
    path.with_name("reginfo.db-wal").write_bytes(left)  # it was killed
    script = script.replace("/var/backups/reginfo.db", str(copy))
    subprocess.run(["sh", "-eu", "-c", script], cwd=tmp_path, check=True)
    with closing(SqliteStorage(path, SCHEMA)) as restored:
        keys = [row.key for row in restored.load(boot=NOW, wall=NOW)]
    assert len(keys) == 4
    assert "late" not in keys


def test_the_figures_are_those_of_the_code() -> None:
    assert f"currently {SCHEMA.version}." in PAGE
    assert commit.FOLD_AFTER == 10.0 and "Ten seconds\nlater" in PAGE
    assert commit.FOLD_AT == 50_000 and "50 000 changes" in PAGE
