"""What an administrator does is told as what it is (RFC 3680 §4.7.1)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reginfo.ledger.journal import Journal
from reginfo.location.claim import Claim
from reginfo.location.contacts import Contacts
from reginfo.location.record import Record, RecordKind, Standing
from reginfo.location.stamp import Stamp
from reginfo.location.store import LocationStore
from reginfo.reg.document import ContactEvent, ContactState
from reginfo.roles.administrator import Act, ActResult, admit, create, remove, shorten
from reginfo.sip.errors import LocalProtocolError, RemoteProtocolError

from ..make import ALICE, NOW, binding, moment, place

PHONE, DESK = "sip:alice@192.0.2.50", "sip:alice@192.0.2.51"


class Server:
    """A store, and the administrator of its server."""

    def __init__(self) -> None:
        self.store = LocationStore("a", Journal())
        self.store.apply(place(ALICE), [binding(1), binding(1, contact=DESK)], NOW)
        self.stamp = 100

    def act(self, function: Any, *arguments: Any, **others: Any) -> list[str]:
        """Contact and event of each change that an act has made."""
        self.stamp += 1
        contacts = self.store.contacts(place(ALICE), NOW, self.stamp / 1e6)
        act = function(contacts, *arguments, server_id="a", **others)
        changes = self.store.apply(place(ALICE), act.claims, NOW, records=act.records)
        return [f"{c.binding.contact[-2:]} {c.binding.event.value}" for c in changes]

    def contacts(self) -> list[str]:
        return [b.contact for b in self.store.bindings(place(ALICE), NOW)]


def test_a_contact_can_be_created() -> None:
    """A contact can be created (3680-18)."""
    server = Server()
    other = "sip:alice@192.0.2.99"
    assert server.act(create, other, expires=60, call_id="new", q="0.50") == [
        "99 created"
    ]
    (created,) = [
        b for b in server.store.bindings(place(ALICE), NOW) if b.contact == other
    ]
    assert (created.expires(NOW), created.q, created.owner) == (60, "0.5", "a")
    assert (created.call_id, created.cseq) == ("new", 1)  # of no REGISTER
    assert (created.registered_at, created.stamp) == (NOW, server.stamp)
    assert created.event.state is ContactState.ACTIVE


def test_an_invalid_contact_is_not_created() -> None:
    with pytest.raises(RemoteProtocolError):
        Server().act(create, "nobody", expires=60, call_id="new")


def test_a_contact_that_is_known_is_created_under_its_key() -> None:
    server = Server()
    server.act(create, "sip:alice@192.0.2.50;new=1", expires=60, call_id="new")
    assert len(server.contacts()) == 2


def test_contacts_can_be_shortened() -> None:
    """Contacts can be shortened (3680-20)."""
    server = Server()
    assert server.act(shorten, expires=30) == ["50 shortened", "51 shortened"]
    assert [b.expires(NOW) for b in server.store.bindings(place(ALICE), NOW)] == [
        30,
        30,
    ]


def test_one_contact_can_be_shortened_alone() -> None:
    assert Server().act(shorten, expires=30, contact=DESK) == ["51 shortened"]


@pytest.mark.parametrize("expires", [600, 6000])
def test_what_ends_sooner_is_not_prolonged(expires: int) -> None:
    assert Server().act(shorten, expires=expires, contact=PHONE) == []


def test_what_is_removed_becomes_ours_in_a_life_of_its_own() -> None:
    server = Server()
    learned = binding(7, contact="sip:alice@192.0.2.52", owner="b", source="b/x")
    server.store.apply(place(ALICE), [learned], NOW)
    assert len(server.act(remove, contact=learned.contact)) == 1
    claim, before = server.store.claims(place(ALICE), learned.key)
    assert (claim.owner, claim.source, claim.stamp) == ("a", None, server.stamp)
    assert claim.begin == server.stamp and before is learned
    assert (claim.call_id, claim.cseq) == ("a", 7)  # what documents show
    # A refresh that was not heard of yet does not undo it, whatever its CSeq.
    late = binding(99, contact=learned.contact, owner="b", stamp=50)
    server.store.apply(place(ALICE), [late], NOW)
    assert learned.contact not in server.contacts()


def test_what_is_shortened_keeps_its_owner() -> None:
    server = Server()
    learned = binding(7, contact="sip:alice@192.0.2.52", owner="b", source="b/x")
    server.store.apply(place(ALICE), [learned], NOW)
    assert len(server.act(shorten, expires=30)) == 3
    assert {b.owner for b in server.store.bindings(place(ALICE), NOW)} == {"a", "b"}
    # What is registered later is not shortened any more.
    server.store.apply(place(ALICE), [binding(9, stamp=server.stamp + 1)], NOW)
    ends = [b.expires(NOW) for b in server.store.bindings(place(ALICE), NOW)]
    assert sorted(ends) == [30, 30, 600]


@pytest.mark.parametrize("expires_at", [NOW - 1, NOW])
def test_to_what_has_expired_nothing_is_done(expires_at: float) -> None:
    over = binding(1, expires_at=expires_at)
    contacts = Contacts(rows={over.key: (over,)}, now=NOW, wall=1.0)
    assert remove(contacts, server_id="a").claims == ()
    act = shorten(contacts, expires=-60, server_id="a", contact=over.contact)
    assert act.claims == ()


def test_who_is_rejected_stays_away_until_admitted() -> None:
    server = Server()
    removed = server.act(remove, event=ContactEvent.REJECTED)
    assert removed == ["50 rejected", "51 rejected"]
    # Another server has served the phone, and had not heard of it.
    server.store.apply(place(ALICE), [binding(2, stamp=999, owner="b")], NOW)
    assert server.contacts() == []
    server.stamp = 2000
    assert server.act(admit) == ["50 registered"]
    assert server.act(admit) == []


def test_who_is_on_probation_comes_back_when_it_is_over() -> None:
    server = Server()
    server.act(remove, event=ContactEvent.PROBATION, retry_after=30)
    server.store.apply(place(ALICE), [binding(2, stamp=999, owner="b")], NOW)
    assert server.contacts() == []
    assert server.store.timer_at == NOW + 30
    server.store.timer_due(moment(NOW + 30))
    assert server.contacts() == [PHONE]


@pytest.mark.parametrize(
    ("event", "retry_after"),
    [
        (ContactEvent.DEACTIVATED, None),  # 3680-22
        (ContactEvent.PROBATION, 120),  # 3680-23
        (ContactEvent.REJECTED, None),  # 3680-25
        (ContactEvent.UNREGISTERED, None),
    ],
)
def test_contacts_can_be_removed_for_a_reason(
    event: ContactEvent, retry_after: int | None
) -> None:
    """Contacts can be removed for a reason (3680-22, -23, -25)."""
    server = Server()
    assert server.act(remove, event=event, retry_after=retry_after, contact=DESK) == [
        f"51 {event.value}"
    ]
    assert server.contacts() == [PHONE]
    gone = server.store.claims(place(ALICE), DESK)[0]
    assert gone.retry_after == retry_after
    assert gone.event.state is ContactState.TERMINATED


def test_all_contacts_are_deactivated_if_nothing_else_is_said() -> None:
    server = Server()
    assert server.act(remove) == ["50 deactivated", "51 deactivated"]
    assert server.contacts() == []
    assert server.act(remove) == []


def test_a_contact_that_is_not_bound_is_not_removed() -> None:
    assert Server().act(remove, contact="sip:alice@192.0.2.77") == []


@pytest.mark.parametrize(
    ("event", "retry_after"),
    [
        (ContactEvent.REGISTERED, None),
        (ContactEvent.EXPIRED, None),
        (ContactEvent.PROBATION, None),
        (ContactEvent.REJECTED, 5),
    ],
)
def test_what_makes_no_sense_is_not_done(
    event: ContactEvent, retry_after: int | None
) -> None:
    with pytest.raises(LocalProtocolError):
        Server().act(remove, event=event, retry_after=retry_after)


def test_whoever_was_removed_can_register_again() -> None:
    server = Server()
    server.act(remove)
    server.store.apply(place(ALICE), [binding(2, stamp=server.stamp + 1)], NOW)
    assert server.contacts() == [PHONE]


# What an act says, exactly: other servers and the disk get all of it.

LEARNED = binding(
    7,
    call_id="c",
    owner="b",
    source="b/x",
    stamp=300,
    begin=5,
    registered_at=NOW - 50,
    number=8,
    branch=9,
)
"""The binding of the phone, as another server told it."""


def known(*claims: Claim, standing: Standing | None = None) -> Contacts:
    rows = {claim.key: (claim,) for claim in claims}
    return Contacts(rows=rows, now=NOW, wall=100e-6, standing=standing)


def barred(*records: Record) -> Contacts:
    """A user without contacts, with records that its standing does not know of."""
    store = LocationStore("a", Journal())
    store.apply(place(ALICE), [], NOW, records=records)
    return Contacts(rows={}, now=NOW, wall=100e-6, history=store, place=place(ALICE))


@pytest.mark.parametrize(
    ("before", "stamp", "registered_at"),
    [((), 100, NOW), ((LEARNED,), 301, NOW - 50)],
)
def test_a_created_contact_has_one_stamp_that_is_later_than_all_before(
    before: tuple[Claim, ...], stamp: int, registered_at: float
) -> None:
    """3680-18: the first time of registration stays that of a contact that is bound."""
    act = create(known(*before), PHONE, expires=60, server_id="a", call_id="new")
    assert act == Act(
        (
            Claim(
                contact=PHONE,
                key=LEARNED.key,
                call_id="new",
                cseq=1,
                begin=Stamp(stamp),
                stamp=Stamp(stamp),
                edition=Stamp(stamp),
                gone=False,
                event=ContactEvent.CREATED,
                owner="a",
                until=Stamp(stamp + 60_000_000),
                expires_at=NOW + 60,
                registered_at=registered_at,
            ),
        )
    )
    assert act.claims[0].gone is False


@pytest.mark.parametrize(
    "standing",
    [Standing(rejected=True), Standing(probation_ends=NOW + 0.5)],
)
def test_no_contact_is_created_for_a_user_who_is_barred(standing: Standing) -> None:
    with pytest.raises(LocalProtocolError, match="admit it first"):
        create(
            known(standing=standing), PHONE, expires=60, server_id="a", call_id="new"
        )


def test_a_contact_is_created_at_the_moment_at_which_a_probation_ends() -> None:
    standing = Standing(probation_ends=NOW, latest=Stamp(500))
    act = create(
        known(standing=standing), PHONE, expires=60, server_id="a", call_id="new"
    )
    assert [claim.stamp for claim in act.claims] == [501]


def test_a_shortened_contact_keeps_all_but_its_end_and_its_stamps() -> None:
    act = shorten(known(LEARNED), expires=30, server_id="a", contact=PHONE)
    stamp = Stamp(301)
    assert act == Act(
        (
            msgspec.structs.replace(
                LEARNED,
                begin=stamp,
                stamp=stamp,
                edition=stamp,
                event=ContactEvent.SHORTENED,
                until=Stamp(30_000_301),
                expires_at=NOW + 30,
                source=None,
                number=0,
                branch=0,
            ),
        )
    )


@pytest.mark.parametrize(("expires", "shortened"), [(599, 1), (600, 0), (601, 0)])
def test_only_a_contact_that_ends_later_is_shortened(
    expires: int, shortened: int
) -> None:
    act = shorten(known(LEARNED), expires=expires, server_id="a", contact=PHONE)
    assert len(act.claims) == shortened


def test_all_contacts_are_shortened_by_one_record() -> None:
    assert shorten(known(LEARNED), expires=30, server_id="a") == Act(
        records=(
            Record(
                kind=RecordKind.SHORTEN,
                value="",
                stamp=Stamp(301),
                owner="a",
                until=Stamp(30_000_301),
                expires_at=NOW + 30,
            ),
        )
    )


@pytest.mark.parametrize(
    ("event", "retry_after"),
    [(ContactEvent.DEACTIVATED, None), (ContactEvent.PROBATION, 30)],
)
def test_a_removed_contact_ends_with_the_stamp_of_its_removal(
    event: ContactEvent, retry_after: int | None
) -> None:
    act = remove(
        known(LEARNED),
        server_id="a",
        contact=PHONE,
        event=event,
        retry_after=retry_after,
    )
    stamp = Stamp(301)
    assert act == Act(
        (
            msgspec.structs.replace(
                LEARNED,
                begin=stamp,
                stamp=stamp,
                edition=stamp,
                gone=True,
                event=event,
                owner="a",
                until=stamp,
                source=None,
                retry_after=retry_after,
                number=0,
                branch=0,
            ),
        )
    )


def test_a_user_is_rejected_by_a_record_without_an_end() -> None:
    act = remove(known(LEARNED), server_id="a", event=ContactEvent.REJECTED)
    assert act.records == (
        Record(kind=RecordKind.REJECTED, value="", stamp=Stamp(301), owner="a"),
    )


def test_probation_has_its_seconds_and_its_end_in_the_record() -> None:
    act = remove(
        known(LEARNED), server_id="a", event=ContactEvent.PROBATION, retry_after=30
    )
    assert act.records == (
        Record(
            kind=RecordKind.PROBATION,
            value="30",
            stamp=Stamp(301),
            owner="a",
            until=Stamp(30_000_301),
            expires_at=NOW + 30,
        ),
    )


@pytest.mark.parametrize("kind", [RecordKind.REJECTED, RecordKind.PROBATION])
def test_who_is_admitted_gets_a_later_record_without_a_value(kind: RecordKind) -> None:
    bar = Record(kind=kind, value="30", stamp=Stamp(500), owner="b")
    lifted = Record(kind=kind, value=None, stamp=Stamp(501), owner="a")
    assert admit(barred(bar), server_id="a") == Act(records=(lifted,))
    assert admit(barred(bar, lifted), server_id="a") == Act()


def test_who_is_rejected_is_not_rejected_again_and_who_was_admitted_is() -> None:
    bar = Record(kind=RecordKind.REJECTED, value="", stamp=Stamp(500), owner="b")
    lifted = Record(kind=RecordKind.REJECTED, value=None, stamp=Stamp(501), owner="b")
    reject = ContactEvent.REJECTED
    assert remove(barred(bar), server_id="a", event=reject) == Act((), ())
    again = Record(kind=RecordKind.REJECTED, value="", stamp=Stamp(502), owner="a")
    act = remove(barred(bar, lifted), server_id="a", event=reject)
    assert act == Act((), (again,))


def test_a_record_that_shortens_is_later_than_the_one_before() -> None:
    before = Record(
        kind=RecordKind.SHORTEN,
        value="",
        stamp=Stamp(500),
        owner="b",
        expires_at=NOW + 90,
    )
    (record,) = shorten(barred(before), expires=30, server_id="a").records
    assert record.stamp == 501


@pytest.mark.parametrize(
    ("result", "has_changed"),
    [
        (ActResult(), False),
        (ActResult(contacts=1), True),
        (ActResult(is_recorded=True), True),
        (ActResult(2, True), True),
    ],
)
def test_an_act_has_changed_something_if_a_contact_or_a_record_has_changed(
    result: ActResult, has_changed: bool
) -> None:
    assert bool(result) is has_changed
