"""What the location store answers to whoever asks."""

from __future__ import annotations

import pytest

from reginfo.ledger.journal import Journal
from reginfo.location.place import TABLE
from reginfo.location.record import Record, RecordKind
from reginfo.location.stamp import Stamp
from reginfo.location.store import LocationStore
from reginfo.sip.uri import Uri

from ..make import ALICE, BOB, NOW, WALL, binding, place

DESK = "sip:alice@192.0.2.51"
PHONE, TABLET = binding(1), binding(1, "unregistered", contact=DESK, stamp=2)
CAROL = "sip:carol@example.com"


@pytest.fixture
def store() -> LocationStore:
    """Alice has a phone, and a tablet that is gone."""
    store = LocationStore("a", Journal(), identities_key="ids")
    store.apply(place(ALICE), [PHONE, TABLET], NOW)
    return store


def test_only_what_is_bound_at_the_moment_is_a_binding(store: LocationStore) -> None:
    for now, bound in [(NOW, True), (NOW + 599.9, True), (NOW + 600, False)]:
        assert [b.contact for b in store.bindings(place(ALICE), now)] == (
            [PHONE.contact] if bound else []
        )
        assert (store.binding(place(ALICE), PHONE.key, now) is not None) is bound
        assert store.is_bound(place(ALICE), now) is bound
    assert store.binding(place(ALICE), TABLET.key, NOW) is None


def test_nobody_has_anything_in_a_table_or_of_a_user_that_is_not_known(
    store: LocationStore,
) -> None:
    for aor, table in [(BOB, "location"), (ALICE, "other")]:
        assert store.bindings(place(aor, table), NOW) == []
        assert store.binding(place(aor, table), PHONE.key, NOW) is None
        assert store.claims(place(aor, table), PHONE.key) == ()
        assert store.rows(place(aor, table)) == {}
        assert store.records(place(aor, table)) == []
        assert store.keys(place(aor, table)) == {}
        assert not store.is_bound(place(aor, table), NOW)
        assert not store.is_known(place(aor, table))
        uri = Uri.parse(PHONE.contact)
        assert store.find(place(aor, table), uri) == (uri.key, ())
    assert list(store.places()) == [place(ALICE)]
    assert list(store.aors(TABLE)) == [ALICE]


def test_a_contact_that_is_gone_is_known_with_its_claims(store: LocationStore) -> None:
    assert store.is_known(place(ALICE))
    assert store.claims(place(ALICE), TABLET.key)[0].order == TABLET.order
    assert set(store.rows(place(ALICE))) == {PHONE.key, TABLET.key}
    assert store.over == 1


def test_a_decision_is_given_the_bound_contacts_and_the_past_of_others(
    store: LocationStore,
) -> None:
    contacts = store.contacts(place(ALICE), NOW, WALL)
    assert set(contacts.rows) == {PHONE.key}
    assert contacts.bound(PHONE.key) is store.binding(place(ALICE), PHONE.key, NOW)
    assert contacts.past(TABLET.key) == store.claims(place(ALICE), TABLET.key)
    assert contacts.claims(TABLET.key) == store.claims(place(ALICE), TABLET.key)
    assert contacts.claims("sip:nobody") == ()
    assert contacts.record(RecordKind.CLEARED) is None
    assert contacts.standing is None


def test_a_decision_is_given_the_records_of_the_user(store: LocationStore) -> None:
    cleared = Record(kind=RecordKind.CLEARED, value="", stamp=Stamp(5), owner="a")
    store.apply(place(ALICE), (), NOW, records=[cleared])
    contacts = store.contacts(place(ALICE), NOW, WALL)
    assert contacts.record(RecordKind.CLEARED) == cleared
    assert contacts.standing is not None and contacts.standing.cleared == 5
    assert store.latest_record(place(ALICE)) == 5
    assert store.latest_record(place(BOB)) == 0
    other = store.contacts(place(BOB), NOW, WALL)
    assert other.record(RecordKind.CLEARED) is None and other.standing is None


def test_users_that_are_barred_are_listed_with_the_record_that_says_so(
    store: LocationStore,
) -> None:
    """Of one table, and while it lasts; a rejection says more than a probation."""

    def record(kind: RecordKind, value: str | None = "30", ends: float = 0.0) -> Record:
        return Record(
            kind=kind, value=value, stamp=Stamp(5), owner="a", expires_at=ends
        )

    rejected = record(RecordKind.REJECTED)
    probation = record(RecordKind.PROBATION, ends=NOW + 60)
    for aor, table, records in [
        (BOB, "other", [rejected]),
        ("sip:nobody@example.com", TABLE, [record(RecordKind.CLEARED)]),
        ("sip:freed@example.com", TABLE, [record(RecordKind.REJECTED, None)]),
        (ALICE, TABLE, [rejected, probation]),
        (CAROL, TABLE, [probation]),
        ("sip:key@example.com", TABLE, [record(RecordKind.KEY)]),
    ]:
        store.apply(place(aor, table), (), NOW, records=records)
    assert store.barred(TABLE, NOW) == [(ALICE, rejected), (CAROL, probation)]
    assert store.barred(TABLE, NOW + 60) == [(ALICE, rejected)]
    assert store.barred("other", NOW) == [(BOB, rejected)]
    assert store.barred("none", NOW) == []


def test_one_key_is_found_by_its_name(store: LocationStore) -> None:
    store.set_key(place(BOB), "color", "blue", NOW, WALL)
    found = store.record(place(BOB), RecordKind.KEY, "color")
    assert found is not None and found.value == "blue"
    assert store.record(place(BOB), RecordKind.KEY) is None


def test_the_contact_with_the_very_uri_is_found_before_an_equal_one(
    store: LocationStore,
) -> None:
    """Equality is not transitive (3261-20): two contacts may equal a third."""
    one, other = f"{PHONE.contact};x=1", f"{PHONE.contact};y=1"
    for uri in (one, other):
        store.apply(place(ALICE), [binding(1, contact=uri, call_id=uri)], NOW)
    for uri in (one, other, PHONE.contact):
        key, claims = store.find(place(ALICE), Uri.parse(uri))
        assert (key, claims[0].contact) == (Uri.parse(uri).key, uri)


def test_a_user_that_has_only_a_key_is_known(store: LocationStore) -> None:
    store.set_key(place(BOB), "color", "blue", NOW, WALL)
    assert store.is_known(place(BOB))
    assert store.keys(place(BOB)) == {"color": "blue"}
    store.set_key(place(BOB), "color", None, NOW, WALL)
    assert store.keys(place(BOB)) == {}
    assert len(store.records(place(BOB))) == 1  # that it was removed is remembered


def test_a_contact_is_found_by_an_equal_uri(store: LocationStore) -> None:
    """3261-20"""
    for text in (PHONE.contact, f"{PHONE.contact};x=1"):
        key, claims = store.find(place(ALICE), Uri.parse(text))
        assert (key, claims) == (PHONE.key, store.claims(place(ALICE), PHONE.key))
    other = Uri.parse("sip:alice@192.0.2.99")
    assert store.find(place(ALICE), other) == (other.key, ())


def test_an_identity_leads_to_the_user_that_names_it_unless_it_is_bound_itself(
    store: LocationStore,
) -> None:
    assert store.identities(place(ALICE)) == (ALICE,)
    assert store.named_by(place(CAROL)) is None
    assert store.record_of(place(CAROL)).aor == CAROL
    store.set_key(place(ALICE), "ids", f"<{ALICE}>, <{CAROL}>", NOW, WALL)
    assert store.identities(place(ALICE)) == (ALICE, CAROL)
    assert store.named_by(place(CAROL)) == ALICE
    assert store.record_of(place(CAROL)).aor == ALICE
    store.apply(place(CAROL), [binding(1, contact=DESK)], NOW)
    assert store.record_of(place(CAROL)).aor == CAROL


def test_an_identity_is_that_of_a_user_in_its_own_table(store: LocationStore) -> None:
    store.set_key(place(BOB, "other"), "ids", f"<{CAROL}>", NOW, WALL)
    assert store.record_of(place(CAROL, "other")) == place(BOB, "other")
    assert store.record_of(place(CAROL)) == place(CAROL)


def test_a_server_without_identities_looks_for_none() -> None:
    store = LocationStore("a", Journal())
    store.set_key(place(ALICE), "ids", f"<{CAROL}>", NOW, WALL)
    assert store.identities(place(ALICE)) == (ALICE,)
    assert store.named_by(place(CAROL)) is None
