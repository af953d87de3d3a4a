"""What the location store answers to whoever asks."""

from __future__ import annotations

import pytest

from reginfo.ledger.journal import Journal
from reginfo.location.record import Record, RecordKind
from reginfo.location.store import LocationStore
from reginfo.sip.uri import Uri

from ..make import ALICE, BOB, NOW, WALL, binding

DESK = "sip:alice@192.0.2.51"
PHONE, TABLET = binding(1), binding(1, "unregistered", contact=DESK, stamp=2)
CAROL = "sip:carol@example.com"


@pytest.fixture
def store() -> LocationStore:
    """Alice has a phone, and a tablet that is gone."""
    store = LocationStore("a", Journal(), identities_key="ids")
    store.apply(ALICE, [PHONE, TABLET], NOW)
    return store


def test_only_what_is_bound_at_the_moment_is_a_binding(store: LocationStore) -> None:
    for now, bound in [(NOW, True), (NOW + 599.9, True), (NOW + 600, False)]:
        assert [b.contact for b in store.bindings(ALICE, now)] == (
            [PHONE.contact] if bound else []
        )
        assert (store.binding(ALICE, PHONE.key, now) is not None) is bound
        assert store.is_bound(ALICE, now) is bound
    assert store.binding(ALICE, TABLET.key, NOW) is None


def test_nobody_has_anything_in_a_table_or_of_a_user_that_is_not_known(
    store: LocationStore,
) -> None:
    for aor, table in [(BOB, "location"), (ALICE, "other")]:
        assert store.bindings(aor, NOW, table) == []
        assert store.binding(aor, PHONE.key, NOW, table) is None
        assert store.claims(aor, PHONE.key, table) == ()
        assert store.rows(aor, table) == {}
        assert store.records(aor, table) == []
        assert store.keys(aor, table) == {}
        assert not store.is_bound(aor, NOW, table)
        assert not store.is_known(aor, table)
        uri = Uri.parse(PHONE.contact)
        assert store.find(aor, uri, table) == (uri.key, ())
    assert store.tables() == ["location"]
    assert list(store.aors()) == [ALICE]


def test_a_contact_that_is_gone_is_known_with_its_claims(store: LocationStore) -> None:
    assert store.is_known(ALICE)
    assert store.claims(ALICE, TABLET.key)[0].order == TABLET.order
    assert set(store.rows(ALICE)) == {PHONE.key, TABLET.key}
    assert store.over == 1


def test_a_decision_is_given_the_bound_contacts_and_the_past_of_others(
    store: LocationStore,
) -> None:
    contacts = store.contacts(ALICE, NOW, WALL)
    assert set(contacts.rows) == {PHONE.key}
    assert contacts.bound(PHONE.key) is store.binding(ALICE, PHONE.key, NOW)
    assert contacts.past(TABLET.key) == store.claims(ALICE, TABLET.key)
    assert contacts.claims(TABLET.key) == store.claims(ALICE, TABLET.key)
    assert contacts.claims("sip:nobody") == ()
    assert contacts.record(RecordKind.CLEARED) is None
    assert contacts.standing is None


def test_a_decision_is_given_the_records_of_the_user(store: LocationStore) -> None:
    cleared = Record(kind=RecordKind.CLEARED, value="", stamp=5, owner="a")
    store.apply(ALICE, (), NOW, records=[cleared])
    contacts = store.contacts(ALICE, NOW, WALL)
    assert contacts.record(RecordKind.CLEARED) == cleared
    assert contacts.standing is not None and contacts.standing.cleared == 5
    assert store.latest_record(ALICE) == 5
    assert store.latest_record(BOB) == 0
    other = store.contacts(BOB, NOW, WALL)
    assert other.record(RecordKind.CLEARED) is None and other.standing is None


def test_a_user_that_has_only_a_key_is_known(store: LocationStore) -> None:
    store.set_key(BOB, "color", "blue", NOW, WALL)
    assert store.is_known(BOB)
    assert store.keys(BOB) == {"color": "blue"}
    store.set_key(BOB, "color", None, NOW, WALL)
    assert store.keys(BOB) == {}
    assert len(store.records(BOB)) == 1  # that it was removed is remembered


def test_a_contact_is_found_by_an_equal_uri(store: LocationStore) -> None:
    """3261-20"""
    for text in (PHONE.contact, f"{PHONE.contact};x=1"):
        key, claims = store.find(ALICE, Uri.parse(text))
        assert (key, claims) == (PHONE.key, store.claims(ALICE, PHONE.key))
    other = Uri.parse("sip:alice@192.0.2.99")
    assert store.find(ALICE, other) == (other.key, ())


def test_an_identity_leads_to_the_user_that_names_it_unless_it_is_bound_itself(
    store: LocationStore,
) -> None:
    assert store.identities(ALICE) == (ALICE,)
    assert store.named_by(CAROL) is None
    assert store.record_of(CAROL) == CAROL
    store.set_key(ALICE, "ids", f"<{ALICE}>, <{CAROL}>", NOW, WALL)
    assert store.identities(ALICE) == (ALICE, CAROL)
    assert store.named_by(CAROL) == ALICE
    assert store.record_of(CAROL) == ALICE
    store.apply(CAROL, [binding(1, contact=DESK)], NOW)
    assert store.record_of(CAROL) == CAROL


def test_a_server_without_identities_looks_for_none() -> None:
    store = LocationStore("a", Journal())
    store.set_key(ALICE, "ids", f"<{CAROL}>", NOW, WALL)
    assert store.identities(ALICE) == (ALICE,)
    assert store.named_by(CAROL) is None
