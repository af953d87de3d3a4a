"""What an operator reads in SQL is what holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reginfo.ledger.journal import Journal
from reginfo.ledger.sqlite import SqliteStorage
from reginfo.location.binding import Binding
from reginfo.location.schema import SCHEMA
from reginfo.location.store import LocationStore
from reginfo.reg.document import ContactEvent, ContactState

from ..make import ALICE, BOB, NOW, WALL, binding
from .test_merge import claims

DESK = "sip:alice@192.0.2.51"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reginfo.db"


def fold(path: Path, aor: str, *given: Binding, table: str = "location") -> None:
    """Write claims as a store does, and have them folded."""
    memory = Journal()
    store = LocationStore("a", memory)
    for claim in given:
        store.apply(aor, [claim], NOW, table)
    with closing(SqliteStorage(path, SCHEMA)) as journal:
        journal.append(memory.close().entries, boot=NOW, wall=WALL)
        while journal.fold():
            pass


def rows(path: Path, where: str = "") -> Iterator[dict[str, Any]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        for row in database.execute(f"SELECT * FROM location {where}"):
            yield dict(row)


def test_all_that_usrloc_shows_of_a_binding_is_there(path: Path) -> None:
    claim = binding(
        3,
        expires_at=NOW + 60,
        q="0.5",
        path=("<sip:edge1;lr>", "<sip:edge2;lr>"),
        received="sip:203.0.113.9:4096",
        user_agent="Phone 1.0",
        params=(
            ("ob", None),
            ("+sip.instance", '"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"'),
            ("reg-id", "2"),
        ),
        owner="b",
        source="b/sip:alice@example.com",
        stamp=int((WALL - 5) * 1e6),
    )
    fold(path, ALICE, claim)
    assert list(rows(path)) == [
        {
            "table": "location",
            "aor": ALICE,
            "contact": claim.contact,
            "expires": "2023-11-14 22:14:20",
            "q": 0.5,
            "callid": "a",
            "cseq": 3,
            "path": "<sip:edge1;lr>, <sip:edge2;lr>",
            "received": "sip:203.0.113.9:4096",
            "user_agent": "Phone 1.0",
            "instance": "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>",
            "reg_id": 2,
            "last_modified": "2023-11-14 22:13:15",
            "owner": "b",
            "source": "b/sip:alice@example.com",
            "event": "registered",
        }
    ]


def test_what_a_binding_has_not_is_null(path: Path) -> None:
    fold(path, ALICE, binding())
    (row,) = rows(path)
    missing = {name for name, value in row.items() if value is None}
    assert missing == {
        "q", "path", "received", "user_agent", "instance", "reg_id", "source"
    }  # fmt: skip


def test_one_user_is_found_without_looking_at_the_others(path: Path) -> None:
    fold(path, ALICE, binding(), binding(contact=DESK, call_id="b"))
    fold(path, BOB, binding(contact="sip:bob@192.0.2.60"))
    assert {row["contact"] for row in rows(path, f"WHERE aor = '{ALICE}'")} == {
        "sip:alice@192.0.2.50",
        DESK,
    }
    with closing(sqlite3.connect(path)) as database:
        plan = database.execute("EXPLAIN QUERY PLAN SELECT * FROM location WHERE aor=1")
        (first, *_) = [detail for *_, detail in plan]
    assert first == "SEARCH claim USING PRIMARY KEY (aor=?)"


@pytest.mark.parametrize("event", list(ContactEvent))
def test_who_is_gone_is_not_shown(path: Path, event: ContactEvent) -> None:
    fold(path, ALICE, binding(1), binding(2, event=event.value))
    shown = [row["event"] for row in rows(path)]
    assert shown == ([event.value] if event.state is ContactState.ACTIVE else [])


def test_tables_do_not_mix(path: Path) -> None:
    fold(path, ALICE, binding(1))
    fold(path, ALICE, binding(2), table="other")
    assert {(row["table"], row["cseq"]) for row in rows(path)} == {
        ("location", 1),
        ("other", 2),
    }


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(claims, max_size=8))
def test_of_several_claims_that_one_is_shown_that_holds(
    path: Path, given_claims: list[Binding]
) -> None:
    store = LocationStore("a", Journal())
    for claim in given_claims:
        store.apply(ALICE, [claim], NOW)
    holds = [
        (claims[0].call_id, claims[0].cseq, claims[0].stamp, claims[0].owner)
        for claims in store.rows(ALICE).values()
        if claims[0].active
    ]
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    fold(path, ALICE, *given_claims)
    with closing(sqlite3.connect(path)) as database:
        stamps = dict(
            database.execute("SELECT callid, json_extract(value, '$[8]') FROM claim")
        )
    shown = [
        (row["callid"], row["cseq"], stamps[row["callid"]], row["owner"])
        for row in rows(path)
    ]
    assert sorted(shown) == sorted(holds)
