"""The learner makes claims of what changes in what a peer lists (docs/sync.md)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reginfo.ledger.journal import Journal
from reginfo.location.binding import Binding
from reginfo.location.place import TABLE, Aor
from reginfo.location.store import LocationStore
from reginfo.reg.document import Reginfo
from reginfo.reg.table import Table
from reginfo.roles.learner import Learner
from reginfo.roles.listing import Listed
from reginfo.roles.origin import DocumentOrigin
from reginfo.sip.uri import Uri

from ..make import ALICE, NOW, WALL, binding, place
from .told import DESK, PHONE_URI, claim, contact, document

LONGEST = 7200
UNTIL = NOW + 3600


class Learning:
    """A learner over a store, and the tables of peers that the test plays."""

    def __init__(self) -> None:
        self.store = LocationStore("us", Journal())
        self.now = NOW
        self.tables: dict[str, Table] = {}
        self.learner = Learner(
            self.store, longest=lambda _: LONGEST, listings=self.listings
        )

    def listings(self, aor: Aor, uri: Uri, now: float) -> list[Listed]:
        return [
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
        return [row for _, row in self.store.changes.after(0)]

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


def test_a_contact_that_one_peer_drops_and_another_lists_belongs_to_the_latter() -> (
    None
):
    here = Learning()
    here.take(document(0, contact()))
    here.take(document(0, contact(expires=900)), peer="q")
    before = here.bound()[PHONE_URI]
    here.take(document(1))
    (after,) = here.bound().values()
    assert (before.owner, after.owner) == ("p", "q")
    assert after.life == before.life
    assert after.expires_at == NOW + 900


def test_what_ends_by_time_here_and_lasts_longer_at_a_peer_is_prolonged() -> None:
    here = Learning()
    here.take(document(0, contact(expires=60)))
    here.take(document(0, contact(expires=900)), peer="q")
    here.now += 61
    (row,) = here.rows()
    longer = here.learner.prolonged(row, here.now, WALL + here.now)
    assert longer is not None
    assert (longer.owner, longer.expires_at) == ("q", NOW + 900)
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
    assert "2 contacts ignored" in caplog.text
