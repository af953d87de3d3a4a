"""The learner makes claims of what changes in what a peer lists (docs/sync.md)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reginfo.ledger.journal import Journal
from reginfo.location.binding import Binding
from reginfo.location.claim import Claim
from reginfo.location.contact_row import ContactRow
from reginfo.location.foreign import GRACE
from reginfo.location.keyring import REMEMBERED
from reginfo.location.lives import SLACK
from reginfo.location.place import TABLE, Aor
from reginfo.location.record import Record, RecordKind
from reginfo.location.stamp import Stamp, stamp_at
from reginfo.location.store import LocationStore
from reginfo.reg.document import Contact, RecordKey, Reginfo
from reginfo.reg.table import News, Table
from reginfo.roles.learner import Learner
from reginfo.roles.listing import Listed
from reginfo.roles.origin import DocumentOrigin
from reginfo.sip.uri import Uri

from ..make import ALICE, NOW, WALL, binding, place
from .told import DESK, PHONE_URI, claim, contact, document, with_keys

LONGEST = 7200
UNTIL = NOW + 3600


class Learning:
    """A learner over a store, and the tables of peers that the test plays."""

    def __init__(self) -> None:
        self.store = LocationStore("us", Journal())
        self.now = NOW
        self.tables: dict[str, Table] = {}
        self.others: list[Listed] = []
        self.learner = Learner(
            self.store, longest=lambda _: LONGEST, listings=self.listings
        )

    def listings(self, aor: Aor, uri: Uri, now: float) -> list[Listed]:
        others = [
            one
            for one in self.others
            if one.aor == aor
            and Uri.parse(one.contact.uri).matches(uri)
            and one.expires_at > now
        ]
        return others + [
            Listed(peer, f"{peer}/{ALICE}", aor, row.contact, row.expires_at or UNTIL)
            for peer, table in self.tables.items()
            for row in table
            if row.aor == aor
            and row.contact.uri != "nonsense"
            and Uri.parse(row.contact.uri).matches(uri)
            and (row.expires_at or UNTIL) > now
        ]

    def origin(self, peer: str, **others: Any) -> DocumentOrigin:
        return DocumentOrigin(peer, f"{peer}/{ALICE}", TABLE, UNTIL, **others)

    def take(self, told: Reginfo, peer: str = "p", **others: Any) -> None:
        table = self.tables.setdefault(peer, Table())
        taken = table.take(told, told.version, self.now)
        self.learner.learn(
            self.origin(peer, **others),
            told,
            taken.news,
            table,
            self.now,
            WALL + self.now,
        )

    def rows(self) -> list[Any]:
        """The contacts that the store keeps, by the order of their changes."""
        changes = self.store.changes.after(0)
        return [row for _, row in changes if isinstance(row, ContactRow)]

    def claims(self, uri: str = PHONE_URI) -> list[Claim]:
        """All that is kept of a contact, in the order of the Call-IDs."""
        claims = self.store.claims(place(ALICE), Uri.parse(uri).key)
        return sorted(claims, key=lambda claim: claim.call_id)

    def bar_stamps(self) -> int:
        """A record of the user that is later than the clock; its stamp."""
        stamp = int((WALL + NOW + 5000) * 1e6)
        cleared = Record(kind=RecordKind.CLEARED, stamp=Stamp(stamp), owner="us")
        self.store.apply(place(ALICE), (), self.now, records=[cleared])
        return stamp

    def bound(self) -> dict[str, Binding]:
        found = self.store.bindings(place(ALICE), self.now)
        return {one.contact: one for one in found}


def test_what_is_listed_is_bound_and_the_peer_owns_it() -> None:
    here = Learning()
    here.take(document(0, contact(), contact(DESK, callid="desk", cseq=4)))
    phone, desk = here.bound()[PHONE_URI], here.bound()[DESK]
    assert (phone.owner, phone.source) == ("p", f"p/{ALICE}")
    assert (desk.call_id, desk.cseq, desk.expires_at) == ("desk", 4, NOW + 600)
    assert phone.stamp == int((WALL + NOW) * 1e6)


@pytest.mark.parametrize("full", [True, False])
def test_the_same_document_again_makes_no_claim(full: bool) -> None:
    here = Learning()
    here.take(document(0, contact()))
    known = here.bound()[PHONE_URI]
    here.now += 5
    here.take(document(1, contact(expires=595), full=full))
    assert here.bound()[PHONE_URI] is known


def test_what_a_contact_is_bound_since_makes_its_stamp_exact_after_an_outage() -> None:
    here = Learning()
    since = WALL + NOW - 300
    exact = contact(DESK, callid="desk", duration_registered=120)
    here.take(document(0, contact(), exact), since=since)
    bound = here.bound()
    assert bound[PHONE_URI].stamp == int(since * 1e6)
    assert bound[DESK].stamp == int((WALL + NOW - 120) * 1e6)


def test_of_one_contact_twice_in_a_document_the_greatest_cseq_counts() -> None:
    here = Learning()
    twice = (contact(cseq=2, id="1"), contact(cseq=3, id="2"), contact(cseq=1, id="3"))
    here.take(document(0, *twice))
    assert here.bound()[PHONE_URI].cseq == 3


def test_a_contact_whose_uri_is_none_is_left_out_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    here = Learning()
    here.take(document(0, contact("nonsense"), contact()))
    assert here.bound().keys() == {PHONE_URI}
    assert f"! document of p/{ALICE}" in caplog.text


def test_what_is_dropped_ends_only_if_the_peer_owns_it() -> None:
    here = Learning()
    here.store.apply(place(ALICE), [binding(owner="us", stamp=5)], NOW)
    here.take(document(0, contact(callid="a"), contact(DESK, callid="desk")))
    assert here.bound()[PHONE_URI].owner == "us"  # an echo
    here.take(document(1))
    assert here.bound().keys() == {PHONE_URI}


@pytest.mark.parametrize(
    ("callid", "cseq", "left"),
    [("a", 1, 0), ("a", 2, 0), ("b", 9, 1)],
    ids=["exact", "later", "of another Call-ID"],
)
def test_a_wish_to_end_it_ends_what_anybody_owns(
    callid: str, cseq: int, left: int
) -> None:
    here = Learning()
    here.store.apply(place(ALICE), [binding(1, owner="us")], NOW)
    here.take(document(0, contact(event="unregistered", callid=callid, cseq=cseq)))
    assert len(here.bound()) == left


@pytest.mark.parametrize(
    ("event", "how"),
    [
        ("unregistered", "listed"),
        ("rejected", "listed"),
        ("expired", "listed"),
        ("expired", "omitted"),
        ("expired", "first"),
    ],
)
def test_the_source_of_an_end_is_the_document_that_says_so(
    event: str, how: str
) -> None:
    """Whatever way it is said: it need not be sent back there."""
    here = Learning()
    here.take(document(0, contact()))
    if how == "listed":
        here.take(document(1, contact(event=event, expires=None)))
    elif how == "omitted":
        here.take(document(1))
    else:
        del here.tables["p"]
        now = NOW + 5
        here.learner.forget_others(here.origin("p"), ALICE, Table(), now, WALL + now)
    (one,) = here.claims()
    assert (one.gone, str(one.event), one.source) == (True, event, f"p/{ALICE}")


@pytest.mark.parametrize(
    "last",
    [
        pytest.param((), id="omitted"),
        pytest.param((contact(event="expired", expires=None),), id="expired"),
        pytest.param((contact(expires=0),), id="no time left"),
    ],
)
def test_a_contact_that_one_peer_drops_and_another_lists_belongs_to_the_latter(
    last: tuple[Contact, ...],
) -> None:
    """The source goes with the owner: p may be notified of it, q need not be."""
    here = Learning()
    here.take(document(0, contact()))
    here.take(document(0, contact(expires=900)), peer="q")
    before = here.bound()[PHONE_URI]
    here.take(document(1, *last))
    (after,) = here.bound().values()
    assert (before.owner, after.owner) == ("p", "q")
    assert (before.source, after.source) == (f"p/{ALICE}", f"q/{ALICE}")
    assert (after.life, after.stamp, after.until) == (
        before.life,
        before.stamp,
        before.until,
    )
    assert after.edition > before.edition
    assert after.expires_at == NOW + 900
    assert after.gone is False


def test_what_ends_by_time_here_and_lasts_longer_at_a_peer_is_prolonged() -> None:
    here = Learning()
    here.take(document(0, contact(expires=60)))
    here.take(document(0, contact(expires=900)), peer="q")
    here.now += 61
    (row,) = here.rows()
    longer = here.learner.prolonged(row, here.now, WALL + here.now)
    assert longer is not None
    assert (longer.owner, longer.expires_at) == ("q", NOW + 900)
    assert (longer.source, longer.key) == (f"q/{ALICE}", row.key)
    here.now = NOW + 901
    assert here.learner.prolonged(row, here.now, WALL + here.now) is None


@pytest.mark.parametrize("numbers", [{"callid": None}, {"cseq": None}])
def test_without_numbers_the_order_of_documents_counts(numbers: dict[str, Any]) -> None:
    here = Learning()
    here.take(document(0, contact(**numbers)))
    first = here.bound()[PHONE_URI]
    assert first.call_id == f"{contact().id}@p"
    here.now += 1
    here.take(document(1, contact(event="shortened", expires=30, **numbers)))
    second = here.bound()[PHONE_URI]
    assert second.life == first.life
    assert second.cseq > first.cseq
    here.take(document(2, contact(event="unregistered", **numbers)))
    assert here.bound() == {}


def test_without_expires_a_contact_lives_as_long_as_the_subscription() -> None:
    """3680-103: and each document that lists it again prolongs it."""
    here = Learning()
    here.take(document(0, contact(expires=None)))
    assert here.bound()[PHONE_URI].expires_at == UNTIL + 60
    again = msgspec.structs.replace(here.origin("p"), until=UNTIL + 1000)
    here.learner.prolong(again, [(ALICE, contact(expires=None))], NOW + 5, WALL + 5)
    assert here.bound()[PHONE_URI].expires_at == UNTIL + 1060


def test_the_first_full_state_ends_what_the_peer_owned_and_does_not_list() -> None:
    here = Learning()
    ours = binding(owner="us", contact="sip:ours@192.0.2.9")
    theirs = binding(owner="p", contact="sip:old@192.0.2.9", call_id="b")
    here.store.apply(place(ALICE), [ours, theirs], NOW)
    here.take(document(0, contact()))
    table = here.tables["p"]
    here.learner.forget_others(here.origin("p"), ALICE, table, NOW, WALL + NOW)
    assert here.bound().keys() == {ours.contact, PHONE_URI}


def test_from_a_server_of_our_kind_a_claim_is_taken_as_it_is() -> None:
    here = Learning()
    here.take(document(0, contact(claim=claim("b", 77), expires=60)))
    here.take(document(1, contact(DESK, claim=claim("b", 78), callid="desk")))
    bound = here.bound()  # what the second does not list is not gone
    assert bound[PHONE_URI].stamp == 77
    assert (bound[DESK].owner, bound[DESK].source) == ("b", f"p/{ALICE}")


def test_a_contact_without_a_valid_claim_is_ignored_among_claims(
    caplog: pytest.LogCaptureFixture,
) -> None:
    here = Learning()
    half = msgspec.structs.replace(contact(DESK, claim=claim()), callid=None)
    here.take(document(0, contact(claim=claim()), half, contact("sip:x@192.0.2.8")))
    assert here.bound().keys() == {PHONE_URI}
    assert [record.message for record in caplog.records] == [
        f"! document of p/{ALICE}: 2 contacts ignored, which are not valid claims"
    ]


# The claims that are made, to the microsecond.

BARE: dict[str, Any] = {"callid": None, "cseq": None}


def test_everything_that_a_document_says_of_a_contact_is_in_its_claim() -> None:
    here = Learning()
    told = contact(cseq=0, q="0.5", display_name="A", params=(("+x", None),))
    here.take(document(0, told))
    bound = here.bound()[PHONE_URI]
    assert (bound.cseq, bound.q, bound.display_name) == (0, "0.5", "A")
    assert (bound.params, bound.until) == (
        (("+x", None),),
        stamp_at(WALL + NOW + 600),
    )


def test_a_claim_that_a_contact_carries_is_no_news_and_the_next_contact_is() -> None:
    here = Learning()
    news = [News(ALICE, contact(claim=claim())), News(ALICE, contact(DESK))]
    here.learner.learn_news(here.origin("p"), news, {}, NOW, WALL + NOW)
    assert here.bound().keys() == {DESK}


def test_a_contact_that_is_listed_twice_continues_what_the_first_has_begun() -> None:
    here = Learning()
    here.take(document(0, contact(cseq=2, id="1"), contact(cseq=3, id="2")))
    (bound,) = here.claims()
    at = int((WALL + NOW) * 1e6)
    assert (bound.begin, bound.stamp, bound.cseq) == (at, at + 1, 3)


def test_a_contact_that_is_listed_twice_continues_what_is_stored() -> None:
    here = Learning()
    here.store.apply(place(ALICE), [binding(5, call_id="x", owner="p")], NOW)
    twice = (contact(callid="y", id="1"), contact(callid="x", cseq=6, id="2"))
    here.take(document(0, *twice))
    at = int((WALL + NOW) * 1e6)
    assert [(one.call_id, one.begin, one.stamp) for one in here.claims()] == [
        ("x", 1, at + 1),
        ("y", at, at),
    ]


def test_an_active_contact_with_no_time_left_is_gone() -> None:
    here = Learning()
    here.take(document(0, contact()))
    here.take(document(1, contact(cseq=2, expires=0)))
    (one,) = here.claims()
    assert (one.gone, one.event, one.cseq) == (True, "expired", 2)
    assert one.source == f"p/{ALICE}"


def test_what_ends_without_numbers_is_the_life_that_the_peer_has_begun() -> None:
    here = Learning()
    here.take(document(0, contact(**BARE)))
    later = binding(call_id="us", owner="us", stamp=int((WALL + NOW + 1) * 1e6))
    here.store.apply(place(ALICE), [later], NOW)
    here.take(document(1, contact(event="unregistered", **BARE)))
    assert [(one.call_id, one.gone) for one in here.claims()] == [
        (f"{contact().id}@p", True),
        ("us", False),
    ]


def test_what_ends_without_numbers_and_was_never_listed_is_no_claim() -> None:
    here = Learning()
    here.take(document(0, contact(event="unregistered", **BARE)))
    assert here.claims() == []


def test_of_two_lives_of_a_peer_that_with_the_id_of_the_contact_ends() -> None:
    here = Learning()
    here.take(document(0, contact(**BARE)))
    here.now += 1
    here.take(document(1, contact(callid="z", cseq=1)))
    here.take(document(2, contact(event="unregistered", **BARE)))
    assert [(one.call_id, one.gone) for one in here.claims()] == [
        (f"{contact().id}@p", True),
        ("z", False),
    ]


@pytest.mark.parametrize(
    ("peer", "source", "aor", "is_begun"),
    [
        ("p", "p/other", ALICE, False),
        ("p", "p/other", Aor("sip:other@example.com"), True),
        ("p", f"p/{ALICE}", ALICE, True),
        ("q", "q/other", ALICE, True),
    ],
    ids=["elsewhere at the peer", "of another user", "this source", "another peer"],
)
def test_a_lower_cseq_begins_a_new_life_unless_the_peer_has_listed_it_elsewhere(
    peer: str, source: str, aor: Aor, is_begun: bool
) -> None:
    here = Learning()
    here.others = [Listed(peer, source, aor, contact(cseq=1), NOW + 5000)]
    over = binding(5, call_id="phone", owner="p", expires_at=NOW + 1)
    here.store.apply(place(ALICE), [over], NOW)
    here.now += 1 + SLACK
    here.take(document(0, contact(cseq=1)))
    assert (PHONE_URI in here.bound()) is is_begun


# Later than a record of the user.


def test_a_claim_is_later_than_each_record_of_the_user() -> None:
    here = Learning()
    stamp = here.bar_stamps()
    here.take(document(0, contact()))
    assert here.bound()[PHONE_URI].stamp == stamp + 1


@pytest.mark.parametrize("how", ["listed again", "not listed"])
def test_an_edition_is_later_than_each_record_of_the_user(how: str) -> None:
    here = Learning()
    here.take(document(0, contact(expires=None)))
    stamp = here.bar_stamps()
    if how == "listed again":
        later = msgspec.structs.replace(here.origin("p"), until=UNTIL + 1000)
        again = [(ALICE, contact(expires=None))]
        here.learner.prolong(later, again, NOW + 5, WALL + NOW + 5)
    else:
        origin = here.origin("p")
        here.tables.clear()
        here.learner.forget_others(origin, ALICE, Table(), NOW, WALL + NOW)
    (one,) = here.claims()
    assert (one.edition, one.gone) == (stamp + 1, how == "not listed")


def test_what_is_prolonged_is_later_than_each_record_of_the_user() -> None:
    here = Learning()
    here.take(document(0, contact(expires=60)))
    here.take(document(0, contact(expires=900)), peer="q")
    stamp = here.bar_stamps()
    (row,) = here.rows()
    longer = here.learner.prolonged(row, NOW + 61, WALL + NOW + 61)
    assert longer is not None
    assert longer.edition == stamp + 1


# Contacts without `expires` that are listed again.


def test_what_cannot_be_prolonged_does_not_keep_the_next_from_it() -> None:
    here = Learning()
    ours = "sip:ours@192.0.2.9"
    longer = "sip:longer@192.0.2.9"
    here.store.apply(
        place(ALICE),
        [
            binding(owner="us", contact=ours),
            binding(owner="p", contact=longer, call_id="l", expires_at=NOW + 7000),
        ],
        NOW,
    )
    here.take(document(0, contact(expires=None)))
    again = [
        contact("nonsense", expires=None),
        contact(ours, expires=None, **BARE),  # an echo
        contact(DESK, expires=None),  # not known
        contact(longer, expires=None, callid="l"),
        contact(expires=None),
    ]
    later = msgspec.structs.replace(here.origin("p"), until=UNTIL + 1000)
    here.learner.prolong(later, [(ALICE, one) for one in again], NOW, WALL + NOW)
    assert {uri: one.expires_at - NOW for uri, one in here.bound().items()} == {
        ours: 600,
        longer: 7000,
        PHONE_URI: 4600 + GRACE,
    }


def test_a_contact_without_numbers_that_is_listed_again_keeps_its_cseq() -> None:
    here = Learning()
    here.take(document(0, contact(expires=None, **BARE)))
    before = here.bound()[PHONE_URI]
    later = msgspec.structs.replace(here.origin("p"), until=UNTIL + 1000)
    again = [(ALICE, contact(expires=None, **BARE))]
    here.learner.prolong(later, again, NOW + 5, WALL + NOW + 5)
    (after,) = here.claims()
    assert (after.cseq, after.stamp) == (before.cseq, before.stamp)
    assert after.expires_at == before.expires_at + 1000


def test_an_outdated_row_that_is_listed_again_begins_no_new_life() -> None:
    here = Learning()
    over = binding(5, call_id="phone", owner="p", expires_at=NOW + 1)
    here.store.apply(place(ALICE), [over], NOW)
    now = NOW + 1 + SLACK
    again = [(ALICE, contact(cseq=1, expires=None))]
    here.learner.prolong(here.origin("p"), again, now, WALL + now)
    assert [one.cseq for one in here.claims()] == [5]


def test_after_an_outage_what_is_listed_again_may_be_as_old_as_that() -> None:
    here = Learning()
    since = WALL + NOW - 300
    known = binding(call_id="phone", owner="p", registered_at=NOW - 9)
    here.store.apply(place(ALICE), [known], NOW)
    again = [(ALICE, contact(cseq=2, expires=None))]
    here.learner.prolong(here.origin("p", since=since), again, NOW, WALL + NOW)
    (one,) = here.claims()
    assert (one.cseq, one.stamp) == (2, stamp_at(since))


def test_what_is_over_without_numbers_is_prolonged_under_the_same_cseq() -> None:
    here = Learning()
    here.take(document(0, contact(expires=60, **BARE)))
    longer = contact(expires=900, **BARE)
    here.others = [Listed("p", f"p/{ALICE}", ALICE, longer, NOW + 900)]
    here.tables.clear()
    (row,) = here.rows()
    claim = here.learner.prolonged(row, NOW + 61, WALL + NOW + 61)
    assert claim is not None
    assert (claim.cseq, claim.expires_at) == (row.claims[0].cseq, NOW + 900)


# The first full state.


def test_what_the_first_full_state_does_not_list_belongs_to_who_lists_it() -> None:
    here = Learning()
    here.take(document(0, contact()))
    here.take(document(0, contact(expires=900)), peer="q")
    del here.tables["p"]
    now = NOW + 5
    here.learner.forget_others(here.origin("p"), ALICE, Table(), now, WALL + now)
    (one,) = here.claims()
    assert (one.owner, one.source, one.gone) == ("q", f"q/{ALICE}", False)


def test_the_first_full_state_lists_a_contact_by_any_spelling() -> None:
    here = Learning()
    known = binding(owner="p", contact="sip:al@example.net", call_id="al")
    here.store.apply(place(ALICE), [known], NOW)
    table = Table()
    other = contact("sip:al@EXAMPLE.net;x=1", callid="al")
    table.take(document(0, contact("nonsense"), other), 1, NOW)
    here.learner.forget_others(here.origin("p"), ALICE, table, NOW, WALL + NOW)
    assert here.bound().keys() == {"sip:al@example.net"}


def test_the_first_full_state_changes_nothing_that_is_over() -> None:
    here = Learning()
    over = binding(owner="p", expires_at=NOW + 1)
    here.store.apply(place(ALICE), [over], NOW)
    now = NOW + 2
    here.learner.forget_others(here.origin("p"), ALICE, Table(), now, WALL + now)
    (one,) = here.claims()
    assert (one.gone, one.edition) == (False, over.edition)


# From a server of our kind.


@pytest.mark.parametrize(("later", "names"), [(0, []), (1, ["k"])])
def test_a_removal_is_remembered_for_a_week(later: int, names: list[str]) -> None:
    here = Learning()
    stamp = stamp_at(WALL + NOW - REMEMBERED) + later
    gone = RecordKey("k", None, "a", stamp)
    here.take(with_keys(document(0), gone))
    assert [one.name for one in here.store.records(place(ALICE))] == names


def test_the_end_of_a_record_is_on_the_clock_of_this_server() -> None:
    here = Learning()
    key = RecordKey("", "60", "a", 70, kind="probation", until=5, left=60_000)
    here.take(with_keys(document(0), key))
    (record,) = here.store.records(place(ALICE))
    assert (record.expires_at, record.source) == (NOW + 60, f"p/{ALICE}")


def test_a_server_that_does_not_know_what_holds_is_sent_it() -> None:
    here = Learning()
    here.store.apply(place(ALICE), [binding(9, owner="us", stamp=99)], NOW)
    (before,) = here.bound().values()
    here.take(document(0, contact(callid="a", claim=claim("b", 77))))
    (after,) = here.bound().values()
    assert after.order == before.order
    ((number, row),) = here.store.changes.after(before.number)
    assert isinstance(row, ContactRow)
    assert row.claims[0].number == number
