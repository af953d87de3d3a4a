"""The index finds what a search through all contacts would find."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.ledger.journal import Journal
from reginfo.location import contact_row
from reginfo.location.contact_row import INDEXED, ContactIndex, ContactRow
from reginfo.location.contacts import Contacts
from reginfo.location.store import LocationStore
from reginfo.sip.uri import Uri

from ..make import ALICE, BOB, NOW, binding, place

uris = st.builds(
    "sip:u{}@192.0.2.7{}".format,
    st.integers(0, 30),
    st.sampled_from(["", ";x=1", ";x=2", ";y=1", ";transport=tcp", ":5061"]),
)


@given(
    st.lists(st.tuples(uris, st.booleans()), min_size=1, max_size=30),
    uris,
)
def test_the_index_finds_what_a_search_finds(
    contacts: list[tuple[str, bool]], asked: str
) -> None:
    store = LocationStore("a", journal := Journal())
    uri = Uri.parse(asked)
    # The first search makes the index; what follows keeps it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contact_row, "INDEXED", 3)
        for number, (contact, commits) in enumerate(contacts):
            claim = binding(number + 1, contact=contact, call_id=contact)
            store.apply(place(ALICE), [claim], NOW)
            key, claims = store.find(place(ALICE), uri)
            slow = Contacts(rows=store.rows(place(ALICE)), now=NOW, wall=0.0).find(uri)
            # Equality is not transitive: of several that equal it, any is right.
            assert bool(claims) is (slow is not None)
            if claims:
                assert uri.matches(Uri.parse(claims[0].contact))
            if commits:
                journal.close()
        journal.close().take_back()
        slow = Contacts(rows=store.rows(place(ALICE)), now=NOW, wall=0.0).find(uri)
        assert bool(store.find(place(ALICE), uri)[1]) is (slow is not None)


def test_another_user_has_another_index() -> None:
    store = LocationStore("a", Journal())
    for number in range(INDEXED + 1):
        contact = f"sip:{number}@192.0.2.7"
        store.apply(place(ALICE), [binding(1, contact=contact, call_id=contact)], NOW)
    uri = Uri.parse("sip:1@192.0.2.7;x=1")
    assert store.find(place(ALICE), uri)[0] == "sip:1@192.0.2.7"
    assert store.find(place(BOB), uri) == (uri.key, ())
    assert store.find(place(ALICE), Uri.parse("sip:99@192.0.2.7"))[1] == ()


def test_a_contact_that_was_added_by_the_first_search_is_found_by_the_next() -> None:
    """Exactly so many need no index; what has no URI that can be read is in it, too."""
    store = LocationStore("a", Journal())
    for number in range(INDEXED + 3):
        contact = f"sip:{number}@192.0.2.7"
        store.apply(place(ALICE), [binding(1, contact=contact, call_id=contact)], NOW)
        for asked in range(number + 1):
            uri = Uri.parse(f"sip:{asked}@192.0.2.7;x=1")
            assert store.find(place(ALICE), uri)[0] == f"sip:{asked}@192.0.2.7"


def indexed() -> tuple[ContactIndex, dict[str, ContactRow]]:
    """An index that was searched, of many contacts, two for each user part."""
    rows: dict[str, ContactRow] = {}
    for number in range(INDEXED):
        for param in ("", ";x=1"):
            claim = binding(1, contact=f"sip:{number}@192.0.2.7{param}")
            row = rows[claim.key] = ContactRow(place(ALICE), claim.key)
            row.claims = (claim,)
    index = ContactIndex()
    index.find(place(ALICE), rows, Uri.parse("sip:other@192.0.2.7"))
    return index, rows


def test_a_contact_that_is_removed_is_not_found_and_its_twin_is() -> None:
    index, rows = indexed()
    one, twin = (Uri.parse(f"sip:1@192.0.2.7{param}") for param in ("", ";x=1"))
    assert index.find(place(ALICE), rows, one) is rows[one.key]
    index.remove(rows[one.key])
    assert index.find(place(ALICE), rows, one) is rows[twin.key]
    index.remove(rows[twin.key])
    assert index.find(place(ALICE), rows, one) is None
    other = Uri.parse("sip:2@192.0.2.7")
    assert index.find(place(ALICE), rows, other) is rows[other.key]
    index.add(rows[twin.key])
    assert index.find(place(ALICE), rows, one) is rows[twin.key]


def test_an_index_that_is_forgotten_is_made_again() -> None:
    index, rows = indexed()
    one = Uri.parse("sip:1@192.0.2.7")
    for row in rows.values():
        index.remove(row)
    index.forget(place(BOB))
    assert index.find(place(ALICE), rows, one) is None
    index.forget(place(ALICE))
    assert index.find(place(ALICE), rows, one) is rows[one.key]


def test_what_was_never_searched_has_nothing_to_remove() -> None:
    _, rows = indexed()
    new = ContactIndex()
    for row in rows.values():
        new.remove(row)
    new.forget(place(ALICE))
    for row in rows.values():
        new.add(row)
    one = Uri.parse("sip:1@192.0.2.7")
    assert new.find(place(ALICE), rows, one) is rows[one.key]
