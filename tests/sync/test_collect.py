"""What follows a change, for one link."""

from __future__ import annotations

import pytest
from lxml import etree

from reginfo.config.sections import GroupSection
from reginfo.ledger.journal import Journal
from reginfo.location.place import Aor
from reginfo.location.record import Record, RecordKind
from reginfo.location.stamp import Stamp
from reginfo.location.store import LocationStore
from reginfo.sync import collect as collecting
from reginfo.sync.collect import Collected, collect
from reginfo.sync.cursor import Stretch
from reginfo.sync.envelope import LONGEST, document
from reginfo.sync.group import Group
from reginfo.sync.reader import LinkDocument, read

from ..make import ALICE, BOB, NOW, binding, place
from .make import check_document

GROUP = Group(
    GroupSection(uri="sip:all@example.com", domains=("example.com",)),
    Aor("sip:all@example.com"),
    "location",
)


def store() -> LocationStore:
    return LocationStore("a", Journal())


def collected(
    kept: LocationStore,
    after: int = 0,
    *,
    kept_back: int = 0,
    room: int = LONGEST,
    until: int | None = None,
) -> Collected:
    return collect(
        kept,
        GROUP,
        after=after,
        until=kept.changes.last if until is None else until,
        kept_back=kept_back,
        peer="b",
        room=room,
        now=NOW,
        path_of=lambda claim: claim.path,
    )


def read_back(found: Collected) -> LinkDocument:
    body = document(0, found.registrations, Stretch("e", 0, found.to))
    check_document(etree.fromstring(body))
    return read(body, takes=GROUP.covers, now=NOW, source="a/g")


def test_each_life_and_each_record_is_an_element() -> None:
    """A loser can come to hold, so all lives are told (3680-131)."""
    kept = store()
    lives = [binding(n, call_id=f"c{n}", begin=n, stamp=n) for n in (1, 2, 3)]
    records = [
        Record(kind=RecordKind.KEY, name=name, value="1", stamp=Stamp(9), owner="a")
        for name in "xy"
    ]
    kept.apply(place(ALICE), lives, NOW, records=records)
    kept.apply(place(BOB), [binding(4, "unregistered", contact="sip:b@192.0.2.9")], NOW)
    found = collected(kept)
    told = {one.aor: one for one in read_back(found).told}
    assert {c.call_id for c in told[ALICE].claims} == {"c1", "c2", "c3"}
    assert [r.name for r in told[ALICE].records] == ["x", "y"]
    assert told[BOB].claims[0].gone
    assert (found.elements, found.to, found.more) == (6, 6, False)


def test_only_what_follows_is_told_each_thing_once() -> None:
    kept = store()
    for cseq in (1, 2, 3):
        kept.apply(place(ALICE), [binding(cseq)], NOW)
    kept.apply(place(BOB), [binding(1, contact="sip:b@192.0.2.9")], NOW)
    assert [one.aor for one in read_back(collected(kept, 3)).told] == [BOB]
    found = collected(kept)
    assert found.elements == 2
    assert read_back(found).told[0].claims[0].cseq == 3


def test_other_domains_and_tables_are_passed_over() -> None:
    kept = store()
    kept.apply(place("sip:x@example.org"), [binding(1)], NOW)
    kept.apply(place(ALICE, "other"), [binding(1)], NOW)
    assert collected(kept) == Collected([], 0, 2, False)


def test_what_a_peer_has_told_is_kept_back_beyond_its_subscribe() -> None:
    """
    3680-139: what is before the SUBSCRIBE is sent whole, whoever told it.
    """
    kept = store()
    kept.apply(place(ALICE), [binding(1, source="b/g")], NOW)
    kept.apply(place(BOB), [binding(1, source="b/g")], NOW)
    kept.apply(place("sip:c@example.com"), [binding(1, source="c/g")], NOW)
    record = Record(
        kind=RecordKind.KEY,
        name="x",
        value="1",
        stamp=Stamp(9),
        owner="b",
        source="b/g",
    )
    kept.apply(place("sip:d@example.com"), [], NOW, records=[record])
    found = collected(kept, kept_back=1)
    assert [one.aor for one in read_back(found).told] == [ALICE, "sip:c@example.com"]
    assert found.to == 4


@pytest.mark.parametrize("room", [1200, 5000, LONGEST])
def test_a_document_has_whole_elements_up_to_its_room(room: int) -> None:
    """What does not fit follows: nothing twice, and nothing left out."""
    kept = store()
    for n in range(200):
        contact = f"sip:ä{n}@192.0.2.9"
        kept.apply(place(f"sip:u{n}@example.com"), [binding(1, contact=contact)], NOW)
    at, users = 0, []
    while True:
        found = collected(kept, at, room=room)
        body = document(2**31, found.registrations, Stretch("e" * 64, 2**62, 2**62))
        assert len(body) <= room
        users += [one.aor for one in read_back(found).told]
        at = found.to
        if not found.more:
            break
    assert users == [f"sip:u{n}@example.com" for n in range(200)]


def test_one_element_is_written_however_long_it_is() -> None:
    kept = store()
    kept.apply(place(ALICE), [binding(1, user_agent="x" * 5000)], NOW)
    kept.apply(place(BOB), [binding(1)], NOW)
    found = collected(kept, room=1200)
    assert (found.elements, found.to, found.more) == (1, 1, True)


def test_no_document_looks_at_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "AT_ONCE", 10)
    kept = store()
    for n in range(25):
        kept.apply(place(f"sip:u{n}@example.org"), [binding(1)], NOW)
    assert collected(kept) == Collected([], 0, 10, True)
    assert collected(kept, 10) == Collected([], 0, 20, True)
    assert collected(kept, 20) == Collected([], 0, 25, False)


def test_a_verification_goes_up_to_what_is_told() -> None:
    kept = store()
    for n in range(5):
        kept.apply(place(f"sip:u{n}@example.com"), [binding(1)], NOW)
    found = collected(kept, until=3)
    assert (found.elements, found.to, found.more) == (3, 3, False)
