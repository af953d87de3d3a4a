"""Bodies of NOTIFY, folded into one view (RFC 3680 §5.2)."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reginfo.reg import xml
from reginfo.reg.document import (
    ClaimElement,
    Contact,
    ContactEvent,
    ContactState,
    Piece,
    RecordKey,
    Reginfo,
    Registration,
    RegistrationState,
)
from reginfo.reg.table import News, ReportedContact, Table, TableDump, Taken

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"
ACTIVE = RegistrationState.ACTIVE
TERMINATED = RegistrationState.TERMINATED
LAST = 2**32 - 1


def contact(
    id: str = "1",
    event: str = "registered",
    *,
    uri: str | None = None,
    expires: int | None = 600,
    callid: str | None = "c",
    cseq: int | None = 1,
    claim: ClaimElement | None = None,
    params: tuple[tuple[str, str | None], ...] = (),
    duration_registered: int | None = None,
) -> Contact:
    return Contact(
        id=id,
        uri=f"sip:a@192.0.2.{id}" if uri is None else uri,
        event=ContactEvent(event),
        expires=expires,
        callid=callid,
        cseq=cseq,
        claim=claim,
        params=params,
        duration_registered=duration_registered,
    )


REGISTERED = contact()
UNREGISTERED = contact(event="unregistered", expires=None)
OTHER = contact("2")


def of(
    *contacts: Contact,
    aor: str = ALICE,
    id: str = "a",
    state: RegistrationState = ACTIVE,
) -> Registration:
    return Registration(aor=aor, id=id, state=state, contacts=contacts)


def full(version: int, *registrations: Registration) -> Reginfo:
    return Reginfo(version=version, full=True, registrations=registrations)


def partial(version: int, *registrations: Registration) -> Reginfo:
    return Reginfo(version=version, full=False, registrations=registrations)


def known(*registrations: Registration, version: int = 0) -> Table:
    """A table that has taken one full document, in the NOTIFY with CSeq 1, at 0 s."""
    table = Table()
    assert not table.take(full(version, *registrations), 1, 0.0).missed
    return table


def restarted(*documents: Reginfo) -> Table:
    """A table for a second subscription, after ``documents`` in the first one."""
    table = Table()
    for cseq, document in enumerate(documents, 7):
        table.take(document, cseq, 0.0)
    table.restart()
    return table


def ids(table: Table) -> set[tuple[str, str]]:
    return {(row.aor, row.contact.id) for row in table}


def omitted(contact: Contact, aor: str = ALICE) -> News:
    gone = msgspec.structs.replace(contact, event=ContactEvent.EXPIRED, expires=0)
    return News(aor, gone, omitted=True)


NOTHING = Taken()


# Versions.


def test_first_document_sets_the_version() -> None:
    """The first document sets the version (3680-90)."""
    table = Table()
    assert table.take(full(7, of(REGISTERED)), 1, 0.0) == Taken(
        (News(ALICE, REGISTERED),)
    )
    assert table.take(partial(8), 2, 0.0) == NOTHING
    assert list(table) == [ReportedContact(ALICE, REGISTERED, 600.0)]


def test_first_document_that_is_partial_misses_something() -> None:
    taken = Table().take(partial(0, of(REGISTERED)), 1, 0.0)
    assert taken == Taken((News(ALICE, REGISTERED),), missed=True)


def test_next_document_is_processed() -> None:
    """The document with the next version is processed (3680-91)."""
    table = known(of(REGISTERED))
    taken = table.take(partial(1, of(UNREGISTERED)), 2, 0.0)
    assert taken == Taken((News(ALICE, UNREGISTERED),))
    assert table.take(partial(2, of(OTHER)), 3, 0.0).missed is False


def test_gap_before_a_partial_document_shows() -> None:
    """A gap before a partial document is reported (3680-92)."""
    table = known(of(REGISTERED))
    taken = table.take(partial(2, of(UNREGISTERED)), 2, 0.0)
    assert taken == Taken((News(ALICE, UNREGISTERED),), missed=True)
    assert table.take(partial(3, of(OTHER)), 3, 0.0).missed is False


def test_full_document_stands_on_its_own() -> None:
    """A full document after a gap needs no refresh (3680-92)."""
    taken = known(of(REGISTERED)).take(full(7, of(REGISTERED, OTHER)), 2, 0.0)
    assert taken == Taken((News(ALICE, OTHER),))


def test_overtaken_document_is_discarded() -> None:
    """A document with a lower version is discarded (3680-93)."""
    table = known(of(REGISTERED), version=5)
    assert table.take(full(4, of(UNREGISTERED)), 2, 0.0) == NOTHING
    assert table.take(partial(4, of(UNREGISTERED)), 2, 0.0) == NOTHING
    assert ids(table) == {(ALICE, "1")}
    assert table.take(partial(6), 2, 0.0).missed is False


def test_equal_version_is_processed_if_full_and_newer() -> None:
    """
    A document with the same version is processed if it is full and its CSeq is higher
    (3680-94).
    """
    table = known(of(REGISTERED))
    assert table.take(full(0, of(OTHER)), 1, 0.0) == NOTHING
    assert table.take(partial(0, of(OTHER)), 2, 0.0) == NOTHING
    taken = table.take(full(0, of(OTHER)), 2, 0.0)
    assert taken == Taken((omitted(REGISTERED), News(ALICE, OTHER)))
    assert table.take(full(0, of(REGISTERED)), 2, 0.0) == NOTHING
    assert ids(table) == {(ALICE, "2")}


def test_version_after_the_last_is_a_gap() -> None:
    """The version after 2^32-1 counts as a gap (3680-98)."""
    table = known(of(REGISTERED), version=LAST)
    assert table.take(partial(0, of(OTHER)), 1, 0.0) == NOTHING  # an old one
    taken = table.take(partial(0, of(OTHER)), 2, 0.0)
    assert taken == Taken((News(ALICE, OTHER),), missed=True)
    assert table.take(partial(1, of(UNREGISTERED)), 3, 0.0).missed is False


@pytest.mark.parametrize("prepare", [Table, lambda: restarted(full(0))])
def test_any_cseq_may_be_the_first(prepare: Callable[[], Table]) -> None:
    table = prepare()
    table.take(full(0, of(REGISTERED)), 0, 0.0)
    assert table.take(full(0, of(OTHER)), 1, 0.0).news


# Full and partial.


def test_full_document_replaces_all() -> None:
    """A full document replaces the whole table (3680-95, -100)."""
    table = known(of(REGISTERED, OTHER), of(contact("3"), aor=BOB, id="b"))
    taken = table.take(full(1, of(OTHER)), 2, 1.0)
    assert taken == Taken((omitted(REGISTERED), omitted(contact("3"), BOB)))
    assert ids(table) == {(ALICE, "2")}
    assert table.take(full(2), 3, 2.0) == Taken((omitted(OTHER),))
    assert list(table) == []


def test_partial_document_leaves_the_rest_as_it_is() -> None:
    """A partial document leaves what it does not list as it is (3680-96)."""
    table = known(of(REGISTERED), of(contact("3"), aor=BOB, id="b"))
    refreshed = contact(event="refreshed", cseq=2)
    taken = table.take(partial(1, of(refreshed, OTHER)), 2, 10.0)
    assert taken == Taken((News(ALICE, refreshed), News(ALICE, OTHER)))
    assert ids(table) == {(ALICE, "1"), (ALICE, "2"), (BOB, "3")}


def test_terminated_contact_is_no_longer_known() -> None:
    """A terminated contact is no longer known (3680-97)."""
    table = known(of(REGISTERED, OTHER))
    table.take(partial(1, of(UNREGISTERED)), 2, 0.0)
    assert ids(table) == {(ALICE, "2")}


@pytest.mark.parametrize("state", [TERMINATED, RegistrationState.INIT])
@pytest.mark.parametrize("make", [full, partial])
def test_registration_that_is_not_active_has_no_contacts(
    state: RegistrationState, make: Callable[..., Reginfo]
) -> None:
    table = known(of(REGISTERED, OTHER), of(contact("3"), aor=BOB, id="b"))
    bob = of(contact("3"), aor=BOB, id="b")
    registrations = (of(UNREGISTERED, state=state, id="new"), bob)
    taken = table.take(make(1, *registrations), 2, 0.0)
    assert taken == Taken((News(ALICE, UNREGISTERED), omitted(OTHER)))
    assert ids(table) == {(BOB, "3")}


def test_empty_terminated_registration_of_kamailio() -> None:
    table = known(of(REGISTERED))
    taken = table.take(full(0, of(state=TERMINATED, id="new")), 2, 0.0)
    assert taken == Taken((omitted(REGISTERED),))


def test_one_registration_id_for_all() -> None:  # as Clearwater's Sprout has it
    table = known(of(REGISTERED, id="x"), of(REGISTERED, aor=BOB, id="x"))
    assert ids(table) == {(ALICE, "1"), (BOB, "1")}
    taken = table.take(partial(1, of(UNREGISTERED, aor=BOB, id="x")), 2, 0.0)
    assert taken == Taken((News(BOB, UNREGISTERED),))
    assert ids(table) == {(ALICE, "1")}


# Order.


def test_terminated_contacts_come_before_active_ones() -> None:
    again = contact("3", uri=REGISTERED.uri, callid="d")
    taken = known(of(REGISTERED, OTHER)).take(
        partial(1, of(again, UNREGISTERED)), 2, 0.0
    )
    assert taken == Taken((News(ALICE, UNREGISTERED), News(ALICE, again)))


def test_contact_that_came_back_under_its_id() -> None:
    table = known(of(REGISTERED))
    again = contact(cseq=3)
    document = full(0, of(again, UNREGISTERED))
    taken = table.take(document, 2, 0.0)
    assert taken == Taken((News(ALICE, UNREGISTERED), News(ALICE, again)))
    assert table.take(document, 3, 0.0) == NOTHING
    assert list(table) == [ReportedContact(ALICE, again, 600.0)]


def test_contact_is_not_gone_while_another_row_has_it() -> None:
    # Two servers publish for one user: the contact is known under two ids.
    twin = contact("9", uri=REGISTERED.uri)
    table = known(of(REGISTERED, twin))
    assert table.take(partial(1, of(UNREGISTERED)), 2, 0.0) == NOTHING
    assert ids(table) == {(ALICE, "9")}
    assert table.take(full(2, of(REGISTERED)), 3, 0.0).news == (
        News(ALICE, REGISTERED),
    )


def test_contact_that_is_left_out_is_gone_although_its_twin_was_long_before() -> None:
    twin = contact("9", uri=REGISTERED.uri)
    table = known(of(UNREGISTERED, twin))
    taken = table.take(full(1, of(UNREGISTERED)), 2, 0.0)
    assert taken == Taken((omitted(twin),))


def test_id_that_is_given_to_another_uri() -> None:
    table = known(of(REGISTERED))
    moved = contact(uri="sip:a@198.51.100.1")
    taken = table.take(partial(1, of(moved)), 2, 0.0)
    assert taken == Taken((omitted(REGISTERED), News(ALICE, moved)))
    ended = contact(event="expired", uri="sip:a@203.0.113.1")
    taken = table.take(partial(2, of(ended)), 3, 0.0)
    assert taken == Taken((News(ALICE, ended), omitted(moved)))


def test_twins_that_are_left_out_are_gone_once() -> None:
    table = known(of(REGISTERED, contact("9", uri=REGISTERED.uri)))
    assert table.take(full(1), 2, 0.0) == Taken((omitted(REGISTERED),))


def test_an_unchanged_contact_does_not_hide_later_changes() -> None:
    twin = contact("9", uri=REGISTERED.uri)
    table = known(of(REGISTERED, twin, OTHER, contact("3", "rejected")))
    repeated, ended = contact("3", "rejected"), contact("2", "expired")
    taken = table.take(full(0, of(UNREGISTERED, twin, repeated, ended)), 2, 0.0)
    assert taken == Taken((News(ALICE, ended),))


def test_contact_that_goes_as_it_went_before() -> None:
    # The same terminated row as in the document in which it came back.
    table = known(of(REGISTERED))
    table.take(full(0, of(UNREGISTERED, contact(cseq=3))), 2, 0.0)
    taken = table.take(full(0, of(UNREGISTERED)), 3, 0.0)
    assert taken == Taken((News(ALICE, UNREGISTERED),))


def test_last_of_two_active_contacts_with_one_id_counts() -> None:
    table = known(of(OTHER))
    first, last = contact("2", uri="sip:x"), OTHER
    document = full(0, of(first, last))
    assert table.take(document, 2, 0.0) == NOTHING
    assert table.take(document, 3, 0.0) == NOTHING


# What is news.


@pytest.mark.parametrize("expires, is_news", [(499, False), (501, False), (502, True)])
def test_a_second_more_or_less_is_no_news(expires: int, is_news: bool) -> None:
    table = known(of(contact(cseq=None)))
    taken = table.take(partial(1, of(contact(cseq=None, expires=expires))), 2, 100.0)
    assert bool(taken.news) is is_news


def test_same_document_again_brings_nothing() -> None:
    """The same document again brings no news (3680-102)."""
    document = full(0, of(REGISTERED, contact("2", "expired"), state=ACTIVE))
    table = Table()
    assert len(table.take(document, 1, 0.0).news) == 2
    assert table.take(document, 2, 0.0) == NOTHING
    # A copy that the notifier has stored says another end: that is all that is news.
    assert table.take(document, 3, 300.0).news == (News(ALICE, REGISTERED),)


def test_terminated_contact_is_news_once_while_it_is_repeated() -> None:
    """A terminated contact is news once, however often it is repeated (3680-102)."""
    table = known(of(REGISTERED))
    ended = of(UNREGISTERED, state=TERMINATED)
    assert table.take(full(0, ended), 2, 0.0).news == (News(ALICE, UNREGISTERED),)
    assert table.take(full(0, ended), 3, 9.0) == NOTHING
    rejected = contact(event="rejected")
    assert table.take(full(0, of(rejected, state=TERMINATED)), 4, 9.0).news == (
        News(ALICE, rejected),
    )


@pytest.mark.parametrize(
    "now, expires, is_news",
    [
        (100.0, 500, False),  # as it was
        (100.0, 501, False),  # rounded
        (100.0, 499, False),
        (100.0, 600, True),  # later
        (100.0, None, False),
        (100.0, 498, True),  # earlier
        (100.0, 0, True),
    ],
)
def test_the_same_register_may_end_earlier_or_later(
    now: float, expires: int | None, is_news: bool
) -> None:
    """For the same REGISTER the end of a contact may only become earlier (3680-103)."""
    table = known(of(REGISTERED))
    again = contact(expires=expires)
    taken = table.take(partial(1, of(again)), 2, now)
    assert taken == (Taken((News(ALICE, again),)) if is_news else NOTHING)
    (row,) = table
    assert row.expires_at == (
        600.0 if expires is None or not is_news else now + expires
    )


def test_small_steps_add_up_to_news() -> None:
    """Steps that are too small to report add up to news (3680-103)."""
    table = known(of(REGISTERED))
    steps = [
        len(table.take(partial(v, of(contact(expires=600 - v))), v + 1, 0.0).news)
        for v in range(1, 5)
    ]
    assert steps == [0, 1, 0, 1]


def test_other_event_of_the_same_register_is_news() -> None:
    table = known(of(REGISTERED))
    again = contact(event="refreshed", expires=900)
    (news,) = table.take(partial(1, of(again)), 2, 100.5).news
    assert news.contact == again
    (row,) = table
    assert row.expires_at == 1000.5
    # One that does not say when it ends does not deny what was said before.
    untimed = contact(event="created", expires=None)
    (news,) = table.take(partial(2, of(untimed)), 3, 600.5).news
    assert news.contact.expires == 400
    (news,) = table.take(
        partial(3, of(contact(event="refreshed", expires=None))), 4, 9999.0
    ).news
    assert news.contact.expires == 0


@pytest.mark.parametrize(
    "again",
    [contact(cseq=2), contact(callid="d"), contact(cseq=2, callid="d", expires=None)],
)
def test_other_register_is_news(again: Contact) -> None:
    table = known(of(REGISTERED))
    assert table.take(partial(1, of(again)), 2, 100.0).news == (News(ALICE, again),)
    (row,) = table
    assert row.expires_at == (None if again.expires is None else 700.0)


def test_without_cseq_a_later_end_is_a_refresh() -> None:
    bare = contact(callid=None, cseq=None)
    table = known(of(bare))
    again = contact(callid=None, cseq=None, expires=599)
    assert table.take(partial(1, of(again)), 2, 0.5) == NOTHING
    assert table.take(partial(2, of(bare)), 3, 100.0).news == (News(ALICE, bare),)
    (row,) = table
    assert row.expires_at == 700.0


def test_end_that_nobody_told_may_be_told() -> None:
    table = known(of(contact(expires=None)))
    assert table.take(partial(1, of(contact(expires=None))), 2, 9.0) == NOTHING
    assert table.take(partial(2, of(REGISTERED)), 3, 9.0).news == (
        News(ALICE, REGISTERED),
    )


def test_owner_with_our_extension_may_prolong() -> None:
    """An owner with our extension may prolong a contact (3680-103)."""
    first = contact(claim=ClaimElement(owner="s1", stamp=1))
    table = known(of(first))
    later = contact(claim=ClaimElement(owner="s1", stamp=2))
    assert table.take(partial(1, of(later)), 2, 100.0).news == (News(ALICE, later),)
    (row,) = table
    assert row.expires_at == 700.0


def test_duration_and_quotes_are_no_news() -> None:
    """A new duration, or quotes around a parameter, are no news (3680-74)."""
    table = known(of(contact(params=(("a", '"x"'), ("b", None)))))
    again = contact(params=(("a", "x"), ("b", None)), duration_registered=7)
    assert table.take(partial(1, of(again)), 2, 0.0) == NOTHING
    other = contact(params=(("a", "y"), ("b", None)))
    assert table.take(partial(2, of(other)), 3, 0.0).news == (News(ALICE, other),)


# For longer than a subscription, and than a process.


def test_new_subscription_keeps_what_is_known_until_its_first_full_document() -> None:
    """
    A new subscription keeps what is known until its first full document (3680-99).
    """
    ended = contact("3", "expired")
    table = known(of(REGISTERED, OTHER, ended), version=9)  # 3680-99
    table.restart()
    assert table.state.gone == ((ALICE, ended),)
    assert ids(table) == {(ALICE, "1"), (ALICE, "2")}
    assert table.take(full(0, of(REGISTERED)), 1, 0.0) == Taken((omitted(OTHER),))


def test_a_dumped_table_continues() -> None:
    table = known(of(REGISTERED, contact("3", "expired"), contact("4", expires=None)))
    data = msgspec.msgpack.encode(table.dump())
    loaded = Table.load(msgspec.msgpack.decode(data, type=TableDump))
    assert loaded.dump() == table.dump()
    assert list(loaded) == list(table)
    document = full(0, of(REGISTERED, contact("3", "expired"), OTHER))
    assert loaded.take(document, 1, 0.0) == NOTHING
    assert loaded.take(document, 2, 0.0) == Taken(
        (omitted(contact("4")), News(ALICE, OTHER))
    )


def test_a_dumped_table_continues_with_another_clock() -> None:
    dump = known(of(REGISTERED, contact("2", expires=None))).dump(now=100.0)
    loaded = Table.load(dump, now=7.0)
    assert [row.expires_at for row in loaded] == [507.0, None]


# Whatever comes.

some_contacts = st.builds(
    contact,
    st.sampled_from("123"),
    st.sampled_from([str(event) for event in ContactEvent]),
    uri=st.sampled_from(["sip:x", "sip:y", "sip:z"]),
    expires=st.none() | st.integers(0, 5),
    callid=st.none() | st.sampled_from("cd"),
    cseq=st.none() | st.integers(1, 3),
)
some_registrations = st.lists(
    st.builds(
        Registration,
        aor=st.sampled_from([ALICE, BOB]),
        id=st.just("x"),
        state=st.sampled_from(RegistrationState),
        contacts=st.lists(some_contacts, max_size=4).map(tuple),
    ),
    max_size=2,
    unique_by=lambda registration: registration.aor,
).map(tuple)
some_documents = st.builds(
    Reginfo,
    version=st.integers(0, 4) | st.integers(LAST - 1, LAST),
    full=st.booleans(),
    registrations=some_registrations,
)
histories = st.lists(
    st.tuples(some_documents, st.integers(1, 9), st.floats(0, 10)), max_size=8
)


@settings(deadline=None)  # a busy machine is no failure
@given(histories)
def test_news_are_all_that_a_listener_needs(
    history: list[tuple[Reginfo, int, float]],
) -> None:
    table = Table()
    heard: set[tuple[str, str]] = set()
    for document, cseq, now in history:
        for aor, contact, is_omitted in table.take(document, cseq, now).news:
            if contact.state is ContactState.ACTIVE:
                assert not is_omitted
                heard.add((aor, contact.uri))
            else:
                heard.discard((aor, contact.uri))
        assert heard == {(row.aor, row.contact.uri) for row in table}


@settings(deadline=None)  # a busy machine is no failure
@given(histories, st.floats(0, 10))
def test_nothing_is_told_twice(
    history: list[tuple[Reginfo, int, float]], wait: float
) -> None:
    """No news is reported twice (3680-102)."""
    table = Table()
    for document, cseq, now in history:
        table.take(document, cseq, now)
        same = msgspec.structs.replace(document, full=True)
        table.take(same, 10, now)
        assert table.take(same, 11, now).news == ()
        table = Table.load(table.dump())


@settings(deadline=None)  # a busy machine is no failure
@given(histories, some_documents)
def test_full_document_leaves_nothing_else(
    history: list[tuple[Reginfo, int, float]], last: Reginfo
) -> None:
    """After a full document the table has only what the document lists (3680-95)."""
    table = Table()
    for document, cseq, now in history:
        table.take(document, cseq, now)
    table.restart()
    table.take(msgspec.structs.replace(last, full=True), 1, 10.0)
    assert ids(table) == {
        (registration.aor, contact.id)
        for registration in last.registrations
        for contact in registration.contacts
        if contact.state is ContactState.ACTIVE
    }


def by_id(table: Table) -> dict[tuple[str, str], ReportedContact]:
    return {(row.aor, row.contact.id): row for row in table}


@settings(deadline=None)  # a busy machine is no failure
@given(histories)
def test_changes_are_the_difference_and_their_undo_restores_the_table(
    history: list[tuple[Reginfo, int, float]],
) -> None:
    """What is written of a document is the rows that it changed, and no others."""
    table = Table()
    for document, cseq, now in history:
        before, state = by_id(table), table.state
        table.take(document, cseq, now)
        after = by_id(table)
        differing = {
            key
            for key in before.keys() | after.keys()
            if before.get(key) is not after.get(key)
        }
        assert {(one.aor, one.id) for one in table.changes} == differing
        assert len(table.changes) == len(differing)
        for one in table.changes:
            assert one.before is before.get((one.aor, one.id))
            assert one.after is after.get((one.aor, one.id))
        if document.full:
            changes = table.changes
            table.undo(changes)
            table.restore(state)
            assert by_id(table) == before
            assert table.state == state
            table.take(document, cseq, now)
            assert by_id(table) == after


def test_a_discarded_document_changes_nothing_and_is_not_full() -> None:
    table = known(of(REGISTERED), version=3)
    assert table.is_full and len(table.changes) == 1
    assert table.take(full(2, of(OTHER)), 1, 1.0) == NOTHING
    assert not table.is_full and table.changes == []
    new = Table()
    assert not new.is_full and new.changes == []


# What else the latest document said.

CLAIMED = contact(claim=ClaimElement(owner="a", stamp=1))
KEYED = msgspec.structs.replace(of(OTHER), keys=(RecordKey("k", "v", "a", 1),))


@pytest.mark.parametrize("is_overtaken", [False, True])
@pytest.mark.parametrize(
    "registration, has_claims",
    [(of(OTHER), False), (of(CLAIMED), True), (KEYED, True), (of(), False)],
)
def test_a_document_with_claims_or_records_is_told_from_others(
    registration: Registration, has_claims: bool, is_overtaken: bool
) -> None:
    """Only the omissions of a foreign server mean an end, whichever document it is."""
    table = known(of(CLAIMED), version=3)
    assert table.has_claims is True
    table.take(full(2 if is_overtaken else 4, registration), 1, 1.0)
    assert table.has_claims is has_claims
    assert table.is_full is not is_overtaken
    assert Table().has_claims is Table().is_full is False


@pytest.mark.parametrize("is_overtaken", [False, True])
def test_active_contacts_without_an_end_are_listed_each_time(
    is_overtaken: bool,
) -> None:
    """Active contacts without `expires` are listed, those of one document (3680-67)."""
    endless = contact("3", expires=None)
    table = known(of(contact("4", expires=None)), version=3)
    assert [one.id for _, one in table.untimed] == ["4"]
    table.take(
        full(2 if is_overtaken else 4, of(REGISTERED, endless), of(UNREGISTERED)),
        1,
        1.0,
    )
    assert table.untimed == [(ALICE, endless)]
    assert Table().untimed == []


# A full state in pieces.


def piece(document: Reginfo, kind: Piece) -> Reginfo:
    return msgspec.structs.replace(document, piece=kind)


def uris(table: Table) -> set[str]:
    return {row.contact.uri for row in table}


def test_nothing_is_gone_before_the_last_piece() -> None:
    """3680-111: the first piece is full, and yet leaves out what comes later."""
    old = [contact(str(n)) for n in range(4)]
    table = known(of(*old))
    first = piece(full(1, of(contact("1", cseq=2))), Piece.MORE)
    assert not any(one.omitted for one in table.take(first, 2, 1.0).news)
    assert len(table) == 4 and not table.is_full
    second = piece(partial(2, of(contact("5"))), Piece.MORE)
    assert not any(one.omitted for one in table.take(second, 3, 2.0).news)
    assert len(table) == 5 and not table.is_full
    taken = table.take(piece(partial(3, of(old[2])), Piece.LAST), 4, 3.0)
    assert {one.contact.id for one in taken.news if one.omitted} == {"0", "3"}
    assert uris(table) == {f"sip:a@192.0.2.{n}" for n in (1, 2, 5)}
    assert table.is_full and not taken.missed
    assert table.take(partial(4, of(contact("6"))), 5, 4.0).news[0].contact.id == "6"
    assert len(table) == 4 and not table.is_full


def test_a_change_between_two_pieces_is_listed_too() -> None:
    """A change between two pieces of a full state is applied (3680-111)."""
    table = known(of(contact("1"), contact("2"), contact("3")))
    table.take(piece(full(1, of(contact("1"))), Piece.MORE), 2, 1.0)
    table.take(partial(2, of(contact("9"), contact("2", "expired"))), 3, 1.0)
    table.take(piece(partial(3, of(contact("3"))), Piece.LAST), 4, 1.0)
    assert {row.contact.id for row in table} == {"1", "3", "9"}


def test_registrations_that_no_piece_lists_are_gone() -> None:
    """Registrations that no piece lists are gone after the last (3680-111)."""
    table = known(of(contact("1")), of(contact("2"), aor=BOB, id="b"))
    table.take(piece(full(1, of(contact("1"))), Piece.MORE), 2, 1.0)
    assert table.aors() == (ALICE, BOB)
    taken = table.take(piece(partial(2, of(contact("3"))), Piece.LAST), 3, 1.0)
    assert [one.aor for one in taken.news if one.omitted] == [BOB]
    assert table.aors() == (ALICE,)


def test_a_piece_that_was_missed_ends_nothing() -> None:
    """3680-111: the refresh that follows brings all of them again."""
    table = known(of(contact("1"), contact("2"), contact("3")))
    table.take(piece(full(1, of(contact("1"))), Piece.MORE), 2, 1.0)
    taken = table.take(piece(partial(3, of(contact("3"))), Piece.LAST), 4, 1.0)
    assert taken.missed and not table.is_full
    assert len(table) == 3
    again = piece(full(4, of(contact("1"))), Piece.MORE)
    assert not table.take(again, 5, 1.0).missed
    table.take(piece(partial(5, of(contact("3"))), Piece.LAST), 6, 1.0)
    assert {row.contact.id for row in table} == {"1", "3"}


@pytest.mark.parametrize("how", ["restart", "dump", "undo"])
def test_the_end_of_a_series_of_before_ends_nothing(how: str) -> None:
    """The last piece of an earlier series ends nothing (3680-111)."""
    table = known(of(contact("1"), contact("2"), contact("3")))
    state = table.state
    table.take(piece(full(1, of(contact("1"))), Piece.MORE), 2, 1.0)
    if how == "restart":
        table.restart()
    elif how == "dump":
        table = Table.load(table.dump(0.0), 0.0)
    else:
        table.undo(table.changes)
        table.restore(state)
    table.take(piece(partial(2, of(contact("3"))), Piece.LAST), 3, 1.0)
    assert len(table) == 3 and not table.is_full


def test_the_last_piece_of_no_series_is_a_partial_document() -> None:
    """A last piece after a whole document ends nothing, and completes nothing."""
    table = known(of(contact("1"), contact("2")))
    table.take(piece(partial(1, of(contact("1"))), Piece.LAST), 2, 1.0)
    assert len(table) == 2 and not table.is_full


def test_a_whole_document_in_the_middle_of_a_series_is_whole() -> None:
    """A whole document in the middle of a series counts as full (3680-111)."""
    table = known(of(contact("1"), contact("2")))
    table.take(piece(full(1, of(contact("1"))), Piece.MORE), 2, 1.0)
    table.take(full(2, of(contact("2"))), 3, 1.0)
    assert table.is_full
    assert {row.contact.id for row in table} == {"2"}
    table.take(piece(partial(3, of(contact("4"))), Piece.LAST), 4, 1.0)
    assert {row.contact.id for row in table} == {"2", "4"}


GRUU = """<?xml version="1.0"?>
<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="{version}" state="full"
 xmlns:gr="{namespace}">
<registration aor="sip:a@example.com" id="r" state="active">
<contact id="c" state="active" event="registered"><uri>sip:a@192.0.2.1</uri>
<gr:pub-gruu uri="sip:a@example.com;gr={gruu}"/></contact>
</registration></reginfo>"""


@pytest.mark.shows("5628-06")
def test_the_public_gruu_of_the_newest_document_counts() -> None:
    table = Table()
    for version, gruu in enumerate(("old", "new")):
        body = GRUU.format(
            version=version, namespace="urn:ietf:params:xml:ns:gruuinfo", gruu=gruu
        )
        table.take(xml.parse(body.encode()), version + 1, 0.0)
    assert [row.contact.pub_gruu for row in table] == ["sip:a@example.com;gr=new"]


@pytest.mark.shows("5628-05")
def test_a_gruu_in_a_namespace_that_is_not_known_is_left_out() -> None:
    """So does a receiver that does not know RFC 5628: the contact stays."""
    body = GRUU.format(version=0, namespace="urn:unknown", gruu="x")
    ((contact,),) = (one.contacts for one in xml.parse(body.encode()).registrations)
    assert (contact.uri, contact.pub_gruu) == ("sip:a@192.0.2.1", None)
