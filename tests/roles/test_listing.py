"""A listing finds which tables list a contact."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.reg.document import Contact, ContactEvent
from reginfo.reg.table import ReportedContact, RowChange
from reginfo.roles.listing import Listing
from reginfo.sip.uri import Uri

from ..make import ALICE, BOB


class Owner:
    """Whoever has a table; it is compared by identity."""


def row(id: str, uri: str, aor: str = ALICE) -> ReportedContact:
    contact = Contact(id=id, uri=uri, event=ContactEvent.REGISTERED)
    return ReportedContact(aor, contact, None)


OWNERS = [Owner(), Owner(), Owner()]
URIS = ["sip:x@192.0.2.7", "sip:x@192.0.2.7;a=1", "sip:y@192.0.2.7", "nonsense"]

steps = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 2]),
        st.sampled_from([ALICE, BOB]),
        st.sampled_from("12"),
        st.none() | st.sampled_from(URIS),
    ),
    max_size=20,
)


@given(steps, st.integers(0, 20))
def test_a_listing_finds_what_a_search_through_all_tables_finds(
    steps: list[tuple[int, str, str, str | None]], undone: int
) -> None:
    listing: Listing[Owner] = Listing()
    tables: list[dict[tuple[str, str], ReportedContact]] = [{}, {}, {}]
    done: list[tuple[int, RowChange]] = []

    def check() -> None:
        for aor in (ALICE, BOB):
            for text in URIS[:3]:
                uri = Uri.parse(text)
                found = {(id(owner), one) for owner, one in listing.find(aor, uri)}
                assert found == {
                    (id(OWNERS[number]), one)
                    for number, table in enumerate(tables)
                    for (its_aor, _), one in table.items()
                    if its_aor == aor
                    and one.contact.uri != "nonsense"
                    and uri.matches(Uri.parse(one.contact.uri))
                }

    for number, aor, contact, text in steps:
        table, key = tables[number], (aor, contact)
        after = None if text is None else row(contact, text, aor)
        change = RowChange(aor, contact, table.get(key), after)
        listing.update(OWNERS[number], [change])
        done.append((number, change))
        if after is None:
            table.pop(key, None)
        else:
            table[key] = after
        check()
    for number, change in reversed(done[len(done) - undone :]):
        listing.undo(OWNERS[number], [change])
        if change.before is None:
            tables[number].pop((change.aor, change.id), None)
        else:
            tables[number][change.aor, change.id] = change.before
        check()


def test_a_whole_table_is_noted_and_forgotten() -> None:
    listing: Listing[Owner] = Listing()
    table = [row("1", URIS[0]), row("2", URIS[2]), row("3", URIS[3])]
    listing.add(OWNERS[0], table)
    assert [one for _, one in listing.find(ALICE, Uri.parse(URIS[2]))] == [table[1]]
    listing.remove(OWNERS[0], table)
    assert not listing._found


@pytest.mark.parametrize(
    ("number", "id"), [(1, "1"), (0, "2")], ids=["another owner", "another row"]
)
def test_what_is_removed_takes_no_other_row_with_the_same_uri_away(
    number: int, id: str
) -> None:
    listing: Listing[Owner] = Listing()
    known = row("1", URIS[0])
    listing.add(OWNERS[0], [known])
    listing.remove(OWNERS[number], [row(id, URIS[0])])
    found = list(listing.find(ALICE, Uri.parse(URIS[0])))
    assert found == [(OWNERS[0], known)]
