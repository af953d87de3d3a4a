"""A contact is found by a URI that equals its own, however that is spelled."""

from __future__ import annotations

import pytest

from reginfo.location.contacts import Contacts, is_same
from reginfo.location.lives import Claims
from reginfo.location.place import Place
from reginfo.location.record import Record, RecordKind, Standing
from reginfo.location.stamp import Stamp
from reginfo.sip.uri import Uri

from ..make import ALICE, BOB, binding, place

PHONE = "sip:alice@192.0.2.50"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (PHONE, True),
        ("sip:%61lice@192.0.2.50", True),
        ("sip:alice@192.0.2.50;x=1", True),  # §19.1.4: only one has it
        ("sip:alice@192.0.2.50;transport=tcp", False),
        ("sip:bob@192.0.2.50", False),
    ],
)
def test_equal_uris_are_one_contact(asked: str, found: bool) -> None:
    """3261-20"""
    one = binding(contact=PHONE)
    rows = {one.key: (one,)}
    uri = Uri.parse(asked)
    assert Contacts(rows=rows, now=0.0, wall=0.0).find(uri) == (
        one.key if found else None
    )
    assert is_same(PHONE, uri) is found


def test_an_invalid_uri_equals_nothing() -> None:
    assert not is_same("nonsense", Uri.parse(PHONE))
    assert Contacts(rows={}, now=0.0, wall=0.0).find(Uri.parse(PHONE)) is None


ONE = binding(contact=PHONE, stamp=5_000_000)
GONE = binding(1, "unregistered", contact="sip:alice@192.0.2.51", stamp=9_000_000)
BARRED = Record(kind=RecordKind.REJECTED, value="", stamp=Stamp(7_000_000), owner="a")


class Past:
    """Knows one contact of one user that is not bound, and one record."""

    def claims(self, place: Place, key: str) -> Claims:
        return (GONE,) if (place, key) == (ALICES, GONE.key) else ()

    def record(self, place: Place, kind: RecordKind) -> Record | None:
        return BARRED if (place, kind) == (ALICES, BARRED.kind) else None


ALICES = place(ALICE)
ROWS = {ONE.key: (ONE,)}
KNOWN = Contacts(rows=ROWS, now=0.0, wall=1.0, history=Past(), place=ALICES)


def test_what_is_not_bound_is_found_in_the_history_of_the_user() -> None:
    assert KNOWN.claims(ONE.key) == (ONE,)
    assert KNOWN.claims(GONE.key) == KNOWN.past(GONE.key) == (GONE,)
    assert KNOWN.past(ONE.key) == ()
    assert KNOWN.record(BARRED.kind) == BARRED
    assert KNOWN.record(RecordKind.CLEARED) is None
    others = Contacts(rows=ROWS, now=0.0, wall=1.0, history=Past(), place=place(BOB))
    assert others.claims(GONE.key) == () and others.record(BARRED.kind) is None


@pytest.mark.parametrize("known", [{}, {"history": Past()}, {"place": ALICES}])
def test_without_a_history_only_what_is_bound_is_known(
    known: dict[str, object],
) -> None:
    alone = Contacts(rows=ROWS, now=0.0, wall=1.0, **known)  # type: ignore[arg-type]
    assert alone.claims(ONE.key) == (ONE,)
    assert alone.claims(GONE.key) == ()
    assert alone.record(BARRED.kind) is None


def test_a_new_stamp_is_later_than_all_that_it_concerns() -> None:
    assert KNOWN.stamp(ONE.key) == 5_000_001
    assert KNOWN.stamp(GONE.key) == 9_000_001
    assert KNOWN.stamp("sip:new@192.0.2.52") == 1_000_000
    assert KNOWN.record_stamp(BARRED.kind) == 7_000_001
    assert KNOWN.record_stamp(RecordKind.CLEARED) == 5_000_001
    later = Contacts(
        rows=ROWS, now=0.0, wall=1.0, standing=Standing(latest=Stamp(8_000_000))
    )
    assert later.stamp(ONE.key) == 8_000_001
    assert later.record_stamp(RecordKind.CLEARED) == 8_000_001


def test_a_contact_is_bound_until_its_end_or_by_no_record() -> None:
    bound = Contacts(rows=ROWS, now=ONE.expires_at - 1, wall=1.0).bound(ONE.key)
    assert bound is not None and bound.order == ONE.order
    assert Contacts(rows=ROWS, now=ONE.expires_at, wall=1.0).bound(ONE.key) is None
    assert KNOWN.bound(GONE.key) is None
    barred = Contacts(rows=ROWS, now=0.0, wall=1.0, standing=Standing(rejected=True))
    assert barred.bound(ONE.key) is None
