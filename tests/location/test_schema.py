"""What an operator reads in SQL is what holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reginfo.ledger.journal import Journal
from reginfo.ledger.sqlite import SqliteStorage
from reginfo.location.binding import Binding
from reginfo.location.record import Record, RecordKind
from reginfo.location.schema import SCHEMA
from reginfo.location.store import LocationStore
from reginfo.reg.document import ContactEvent, ContactState

from ..make import ALICE, BOB, NOW, WALL, binding, moment, place
from .test_lives import ANY as claims

CONTACT, DESK = "sip:alice@192.0.2.50", "sip:alice@192.0.2.51"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reginfo.db"


def fold(path: Path, aor: str, *given: Binding, table: str = "location") -> None:
    """Write claims as a store does, and have them folded."""
    memory = Journal()
    store = LocationStore("a", memory)
    for claim in given:
        store.apply(place(aor, table), [claim], NOW)
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


records = st.builds(
    Record,
    kind=st.sampled_from([k for k in RecordKind if k is not RecordKind.KEY]),
    value=st.sampled_from(["5", None]),
    stamp=st.integers(1, 5),
    owner=st.just("b"),
    until=st.just(1),
    expires_at=st.sampled_from([NOW - 5, NOW + 5, NOW + 50]),
)
ends = st.sampled_from([NOW + 10.0, NOW + 60.0])


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(claims, ends, st.sampled_from([CONTACT, DESK])) | records, max_size=9
    ),
    st.sampled_from([0, 30]),
)
def test_the_view_shows_what_the_function_of_claims_and_records_does(
    path: Path, said: list[Any], later: float
) -> None:
    store = LocationStore("a", journal := Journal())
    for one in said:
        if isinstance(one, Record):
            store.apply(place(ALICE), (), NOW, records=[one])
            continue
        claim, end, contact = one
        claim = msgspec.structs.replace(
            claim, expires_at=end, key=contact, contact=contact, number=0
        )
        store.apply(place(ALICE), [claim], NOW)
    now = NOW + later
    while (at := store.timer_at) is not None and at <= now:
        store.timer_due(moment(at))
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    with closing(SqliteStorage(path, SCHEMA)) as storage:
        storage.append(journal.close().entries, boot=NOW, wall=WALL)
        storage.append([("odd", "x", 1)], boot=now, wall=WALL + later)
        while storage.fold():
            pass
    bound = {
        b.key: (b.call_id, b.cseq, b.owner, int(b.expires_at - NOW))
        for b in store.bindings(place(ALICE), now)
    }
    start = datetime.fromtimestamp(WALL, UTC)
    shown = {
        row["contact"]: (
            row["callid"],
            row["cseq"],
            row["owner"],
            int((datetime.fromisoformat(row["expires"] + "Z") - start).total_seconds()),
        )
        for row in rows(path)
    }
    assert shown == bound
