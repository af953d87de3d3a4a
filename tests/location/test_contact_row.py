"""The index finds what a search through all contacts would find."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.ledger.journal import Journal
from reginfo.location import contact_row
from reginfo.location.contact_row import INDEXED
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
