"""What links tell, put into the location database."""

from __future__ import annotations

import msgspec
import pytest

from reginfo.events.subscribe import HeldSubscription
from reginfo.ledger.journal import Journal
from reginfo.location.claim import Claim
from reginfo.location.keyring import REMEMBERED
from reginfo.location.record import Record, RecordKind
from reginfo.location.stamp import Stamp
from reginfo.location.store import LocationStore
from reginfo.reg.document import ContactEvent
from reginfo.sync.held_link import HeldLink
from reginfo.sync.intake import Intake
from reginfo.sync.reader import UserNews

from ..make import ALICE, NOW, WALL, binding, place
from .test_held_link import WANTED
from .test_served_link import GROUP

LINK = "b/sip:all@example.com"


class Taking:
    """An intake into an empty store."""

    def __init__(self) -> None:
        journal = Journal()
        self.store = LocationStore("a", journal)
        self.intake = Intake(self.store, journal, self.own)
        self.link = HeldLink("b", GROUP.uri, GROUP, HeldSubscription(wanted=WANTED))

    @staticmethod
    def own(claim: Claim) -> Claim:
        return msgspec.structs.replace(claim, path=())

    def take(self, *claims: Claim, records: list[Record] | None = None) -> None:
        told = UserNews(ALICE, list(claims), records or [])
        self.intake.apply(self.link, told, NOW, WALL)

    def verify(self, *claims: Claim, records: list[Record] | None = None) -> int:
        before = self.link.drift
        told = UserNews(ALICE, list(claims), records or [])
        self.intake.verify(self.link, told, NOW, WALL)
        return self.link.drift - before

    def all(self) -> list[Claim]:
        rows = self.store.rows(place(ALICE))
        return [claim for claims in rows.values() for claim in claims]


def test_claims_are_taken_as_they_are() -> None:
    taking = Taking()
    taking.take(binding(1, source=LINK), binding(2, call_id="b", source=LINK))
    assert {claim.call_id for claim in taking.all()} == {"a", "b"}


def test_what_loses_here_is_owed_what_holds() -> None:
    """Who says it does not know: it gets a new number, for that peer."""
    taking = Taking()
    taking.take(binding(5, source=LINK))
    last = taking.store.changes.last
    taking.take(binding(4, source=LINK))
    assert taking.store.changes.last == last + 1
    [holds] = taking.all()
    assert (holds.cseq, holds.source) == (5, None)


def test_nothing_lasts_longer_than_anybody_grants() -> None:
    taking = Taking()
    taking.take(binding(1, expires_at=NOW + 10**9, source=LINK))
    assert taking.all()[0].expires_at == NOW + taking.store.longest_life


@pytest.mark.parametrize(("owner", "path"), [("a", ()), ("b", ("<sip:p;lr>",))])
def test_a_claim_of_ours_comes_back_as_it_was(
    owner: str, path: tuple[str, ...]
) -> None:
    taking = Taking()
    taking.take(binding(1, owner=owner, path=("<sip:p;lr>",), source=LINK))
    assert taking.all()[0].path == path


def test_a_removal_that_was_forgotten_is_no_news() -> None:
    taking = Taking()
    old = int((WALL - REMEMBERED - 1) * 1e6)
    gone = Record(kind=RecordKind.KEY, name="x", stamp=Stamp(old), owner="b")
    taking.take(records=[gone])
    assert taking.store.records(place(ALICE)) == []
    taking.take(records=[msgspec.structs.replace(gone, value="1")])
    assert taking.store.keys(place(ALICE)) == {"x": "1"}


def test_what_a_verification_brings_that_is_news_is_drift() -> None:
    taking = Taking()
    record = Record(
        kind=RecordKind.KEY,
        name="x",
        value="1",
        stamp=Stamp(int(WALL * 1e6)),
        owner="b",
    )
    taking.take(binding(1, source=LINK))
    assert taking.verify(binding(1, source=LINK)) == 0
    assert taking.verify(binding(2, source=LINK)) == 1
    assert taking.verify(binding(2, call_id="b", source=LINK), records=[record]) == 2
    assert taking.verify(binding(2, call_id="b", source=LINK), records=[record]) == 0


def test_what_was_forgotten_already_is_no_drift() -> None:
    taking = Taking()
    over = binding(1, expires_at=NOW - 5, source=LINK)
    assert taking.verify(over) == 0
    assert taking.all() == []


def test_that_a_contact_has_ended_is_drift_only_where_it_is_bound() -> None:
    """
    A contact that was forgotten early, and of which a claim that lost came back since.
    """
    lost = binding(1, stamp=1, begin=1, expires_at=NOW - 5, source=LINK)
    ended = binding(
        1, call_id="b", stamp=2, begin=2, gone=True, event=ContactEvent.UNREGISTERED,
        source=LINK,
    )  # fmt: skip
    taking = Taking()
    taking.take(lost)
    assert taking.verify(lost, ended) == 0
    assert taking.all()[0].call_id == "b"  # but it is kept
    taking = Taking()
    taking.take(msgspec.structs.replace(lost, expires_at=NOW + 5))
    assert taking.verify(lost, ended) == 1
