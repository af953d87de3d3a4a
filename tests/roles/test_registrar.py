"""What a REGISTER comes to (RFC 3261 §10.3): decided here, done elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.ledger.journal import Journal
from reginfo.location.binding import Binding
from reginfo.location.contacts import Contacts
from reginfo.location.lives import Claims, join
from reginfo.location.record import Record, RecordKind, Standing
from reginfo.location.stamp import Stamp
from reginfo.location.store import LocationStore
from reginfo.roles.registrar import Decision, RegistrarPolicy, decide
from reginfo.roles.requested import contact_value
from reginfo.sip.errors import Refusal, RemoteProtocolError
from reginfo.sip.flow import Flow, Local
from reginfo.sip.headers import parse_name_addr
from reginfo.sip.transport import Transport

from ..make import ALICE, LOCAL, NOW, PHONE, binding, place, request

CONTACT = "sip:alice@192.0.2.50"
DESK = "sip:alice@192.0.2.51"
Rows = Mapping[str, Claims]


def rows(*claims: Binding) -> dict[str, Claims]:
    found: dict[str, Claims] = {}
    for claim in claims:
        found[claim.key] = join(found.get(claim.key, ()), claim)
    return found


def register(
    *contacts: str,
    known: Rows | None = None,
    expires: int | str | None = None,
    headers: tuple[str, ...] = (),
    cseq: int = 10,
    call_id: str = "a",
    branch: str = "z9hG4bKnew",
    policy: RegistrarPolicy | None = None,
    source: tuple[str, int] = PHONE,
    now: float = NOW,
    date: str = "",
    standing: Standing | None = None,
) -> Decision:
    lines = [f"Contact: {contact}" for contact in contacts]
    if expires is not None:
        lines.append(f"Expires: {expires}")
    return decide(
        request(
            "REGISTER", *lines, *headers, cseq=cseq, call_id=call_id, branch=branch
        ),
        Contacts(rows=known or {}, now=now, wall=99e-6, standing=standing),
        policy=policy or RegistrarPolicy(),
        server_id="us",
        flow=Flow(LOCAL, source),
        date=date,
    )


def contacts(decision: Decision) -> list[str]:
    assert decision.response.status == 200
    return decision.response.headers.get("Contact", [])


def refused(*args: object, **kwargs: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        register(*args, **kwargs)  # type: ignore[arg-type]
    return caught.value


# What is asked.


def test_without_contact_all_bindings_are_listed() -> None:
    """A REGISTER without Contact lists all bindings (3261-06, -14)."""
    known = rows(
        binding(expires_at=NOW + 59.2, q="0.5", display_name='A "B"',
                params=(("+x", '"y"'), ("ob", None))),
        binding(contact=DESK, expires_at=NOW + 10),
        binding(contact="sip:gone@192.0.2.1", event="unregistered"),
        binding(contact="sip:over@192.0.2.1", expires_at=NOW),
    )  # fmt: skip
    decision = register(known=known)
    assert contacts(decision) == [
        r'"A \"B\"" <sip:alice@192.0.2.50>;expires=60;q=0.5;+x="y";ob',
        "<sip:alice@192.0.2.51>;expires=10",
    ]
    assert decision.claims == ()


def test_a_query_of_an_unknown_address_lists_nothing() -> None:
    decision = register()
    assert "Contact" not in decision.response.headers


def test_the_response_has_the_date_if_there_is_one() -> None:
    """The response has a Date header when the time is known (3261-14)."""
    assert "Date" not in register().response.headers
    date = "Sat, 13 Nov 2010 23:29:00 GMT"
    assert register(date=date).response.headers["Date"] == [date]


# What is bound.


@pytest.mark.parametrize(
    ("contact", "headers"),
    [
        (f"<{CONTACT}>;x=" + "y" * 7600, ()),
        (f"<{CONTACT};x={'y' * 3900}>", ()),
        (f"<{CONTACT}>" + "".join(f";a{n}" for n in range(300)), ()),
        (f"<{CONTACT}>", (f"User-Agent: {'x' * 8000}",)),
        (f"<{CONTACT}>", (f"User-Agent: {'&' * 1600}",)),
        (f"<{CONTACT}>", (f"Path: {', '.join(['<sip:p.example.com;lr>'] * 150)}",)),
        (f"<{CONTACT}>", ("User-Agent: " + "x" * 4500, f"Path: <sip:{'y' * 3900}>")),
        (f"<{CONTACT}>", ("User-Agent: " + "x" * 8000, "Path: <sip:p;lr>")),
        (f"<{CONTACT}>", ("Path: " + ", ".join(["<sip:p>"] * 180),)),
    ],
)  # fmt: skip
def test_a_contact_that_is_too_large_is_answered_413_and_nothing_is_bound(
    contact: str, headers: tuple[str, ...]
) -> None:
    """3261-120"""
    refusal = refused(f"<{DESK}>", contact, headers=headers)
    assert (refusal.status, refusal.reason) == (413, "Contact Too Large")


def test_an_ordinary_contact_with_much_in_it_is_bound() -> None:
    """3261-120: there is room for what phones and edge proxies really send."""
    features = ";".join(f'+g.3gpp.feature{n}="urn%3Aurn-7%3Ax.{n}"' for n in range(30))
    path = ", ".join(f"<sip:edge{n}.example.com;lr;ob>" for n in range(10))
    decision = register(
        f'<{CONTACT};transport=tcp>;+sip.instance="<urn:uuid:0>";{features}',
        headers=(f"Path: {path}", "Supported: path", "User-Agent: " + "x" * 200),
    )
    assert decision.response.status == 200


def test_what_is_too_large_can_be_removed() -> None:
    """3261-120: a limit does not keep a contact bound that was there before."""
    large = f"{CONTACT};x={'y' * 3900}"
    headers = ("User-Agent: " + "x" * 8000,)
    known = rows(binding(contact=large))
    decision = register(f"<{large}>", expires=0, headers=headers, known=known)
    assert decision.response.status == 200
    (claim,) = decision.claims
    assert claim.gone and claim.user_agent == ""


def test_a_new_contact_is_registered() -> None:
    """A new contact is registered (3261-16, 3680-17)."""
    decision = register(f"<{CONTACT}>;q=0.500;+Foo=Bar;expires=60", headers=(
        "User-Agent: Phone/1",
    ))  # fmt: skip
    (claim,) = decision.claims
    assert claim == Binding(
        contact=CONTACT,
        key=claim.key,
        call_id="a",
        cseq=10,
        begin=Stamp(99),
        edition=Stamp(99),
        event=claim.event,
        expires_at=NOW + 60,
        registered_at=NOW,
        owner="us",
        gone=False,
        until=Stamp(60_000_099),
        stamp=Stamp(99),
        q="0.5",
        params=(("+foo", "Bar"),),
        user_agent="Phone/1",
        branch=claim.branch,
        listener="udp:192.0.2.1:5060",
    )
    assert claim.event == "registered"
    assert contacts(decision) == [f"<{CONTACT}>;expires=60;q=0.5;+foo=Bar"]


@pytest.mark.parametrize(
    ("call_id", "cseq"),
    [("a", 2), ("another", 1)],
)
def test_a_known_contact_is_refreshed(call_id: str, cseq: int) -> None:
    """A known contact is refreshed (3261-12, 3680-19)."""
    known = rows(binding(1, registered_at=NOW - 50))
    decision = register(f"<{CONTACT}>", known=known, call_id=call_id, cseq=cseq)
    (claim,) = decision.claims
    assert (claim.event, claim.call_id, claim.cseq) == ("refreshed", call_id, cseq)
    assert claim.registered_at == NOW - 50
    assert contacts(decision) == [f"<{CONTACT}>;expires=3600"]


@pytest.mark.parametrize(
    "before",
    [
        binding(1, "unregistered", registered_at=NOW - 50),
        binding(1, expires_at=NOW - 1, registered_at=NOW - 50),
        binding(1, expires_at=NOW, registered_at=NOW - 50),
    ],
)
def test_a_contact_that_was_gone_begins_a_new_life(before: Binding) -> None:
    """A contact that comes back begins a new life (3680-27)."""
    (claim,) = register(f"<{CONTACT}>", known=rows(before)).claims
    assert (claim.event, claim.registered_at) == ("registered", NOW)


def test_a_binding_learned_from_a_peer_becomes_ours_when_it_is_refreshed() -> None:
    known = rows(binding(1, owner="b", source="b/x"))
    (claim,) = register(f"<{CONTACT}>", known=known).claims
    assert (claim.owner, claim.source, claim.event) == ("us", None, "refreshed")


def test_all_bindings_are_listed_after_a_register_of_one() -> None:
    """The response to a REGISTER of one contact lists all bindings (3261-14)."""
    known = rows(binding(contact=DESK, expires_at=NOW + 60, call_id="b"))
    decision = register(f"<{CONTACT}>", known=known)
    assert contacts(decision) == [
        f"<{DESK}>;expires=60",
        f"<{CONTACT}>;expires=3600",
    ]


def test_all_bindings_are_listed_after_a_refresh_of_one_of_two() -> None:
    """3261-14"""
    known = rows(binding(1), binding(contact=DESK, expires_at=NOW + 60, call_id="b"))
    both = [f"<{CONTACT}>;expires=3600", f"<{DESK}>;expires=60"]
    assert contacts(register(f"<{CONTACT}>", known=known)) == both


def test_both_are_listed_if_one_is_refreshed_and_another_is_new() -> None:
    """3261-14"""
    decision = register(f"<{CONTACT}>", f"<{DESK}>", known=rows(binding(1)))
    both = [f"<{CONTACT}>;expires=3600", f"<{DESK}>;expires=3600"]
    assert contacts(decision) == both


# For how long.


@pytest.mark.parametrize(
    ("contact", "expires", "granted"),
    [
        (";expires=100", 200, 100),
        ("", 200, 200),
        ("", None, 1800),
        (";expires=soon", 200, 3600),
        (";expires", 200, 3600),
        ("", "soon", 3600),
        ("", 999_999, 7200),
        (";expires=4294967296", None, 7200),
        (";expires=99999999999999999999", None, 7200),
    ],
)
def test_expires_of_the_contact_comes_first_then_the_header_then_the_policy(
    contact: str, expires: int | str | None, granted: int
) -> None:
    """
    Expires is taken from the contact first, then from the header, then from the policy
    (3261-09).
    """
    policy = RegistrarPolicy(min_expires=60, default_expires=1800, max_expires=7200)
    decision = register(f"<{CONTACT}>{contact}", expires=expires, policy=policy)
    assert contacts(decision) == [f"<{CONTACT}>;expires={granted}"]
    assert decision.claims[0].expires_at == NOW + granted


@pytest.mark.parametrize("contact", ["", ";expires=59", ";expires=1"])
def test_too_short_an_interval_is_refused(contact: str) -> None:
    """Too short an interval is refused (3261-10)."""
    refusal = refused(f"<{CONTACT}>{contact}", expires=59)
    assert refusal.status == 423
    assert ("Min-Expires", "60") in refusal.headers


def test_an_interval_of_an_hour_is_never_refused() -> None:
    """An interval of an hour is never refused (3261-10)."""
    # "less than one hour".
    policy = RegistrarPolicy(min_expires=7200, max_expires=86_400)
    assert refused(f"<{CONTACT}>", expires=3599, policy=policy).status == 423
    (claim,) = register(f"<{CONTACT}>", expires=3600, policy=policy).claims
    assert claim.expires_at == NOW + 3600


def test_to_unbind_is_never_too_short() -> None:
    known = rows(binding(1))
    (claim,) = register(f"<{CONTACT}>", expires=0, known=known).claims
    assert claim.event == "unregistered"


# What is unbound.


def test_a_contact_that_expires_at_once_is_unregistered() -> None:
    """A contact that expires at once is unregistered (3261-16, 3680-24)."""
    known = rows(binding(1, owner="b", source="b/x", expires_at=NOW + 77))
    decision = register(f"<{CONTACT}>;expires=0", known=known)
    (claim,) = decision.claims
    assert (claim.event, claim.owner, claim.source) == ("unregistered", "us", None)
    assert claim.gone and claim.is_over(NOW)
    assert (claim.begin, claim.stamp, claim.edition) == (1, 99, 99)
    assert contacts_or_none(decision) is None


def contacts_or_none(decision: Decision) -> list[str] | None:
    return decision.response.headers.get("Contact")


def test_unbinding_an_unknown_contact_changes_nothing() -> None:
    decision = register(f"<{CONTACT}>", expires=0)
    assert decision.claims == ()
    assert contacts_or_none(decision) is None
    decision = register(f"<{CONTACT}>;expires=0", f"<{DESK}>")
    assert [claim.contact for claim in decision.claims] == [DESK]


def test_a_star_unbinds_all() -> None:
    """A "*" unbinds all contacts (3261-08)."""
    known = rows(
        binding(1),
        binding(1, "expired", contact="sip:c@192.0.2.9"),
        binding(1, contact=DESK, call_id="b", owner="b", source="b/x"),
    )
    decision = register("*", expires=0, known=known)
    assert [c.contact for c in decision.claims] == [CONTACT, DESK]
    for claim in decision.claims:
        assert (claim.event, claim.owner, claim.source) == ("unregistered", "us", None)
        assert (claim.call_id, claim.cseq, claim.stamp) == ("a", 10, 99)
    assert contacts_or_none(decision) is None


FULL = binding(
    1, owner="b", source="b/x", begin=5, stamp=50, branch=3, number=8, retry_after=9
)
"""A binding with a value in every field that a removal sets."""


def test_a_star_goes_on_with_the_life_of_its_call_id_and_ends_any_other() -> None:
    """3261-08: a refresh of another Call-ID that is still on its way undoes nothing."""
    other = msgspec.structs.replace(
        FULL, contact=DESK, key=binding(contact=DESK).key, call_id="b", stamp=Stamp(200)
    )
    mine, desk = register("*", expires=0, known=rows(FULL, other)).claims
    stamp, branch = Stamp(201), mine.branch
    assert branch not in (0, 3)
    for claim, before, begin in ((mine, FULL, Stamp(5)), (desk, other, stamp)):
        assert claim == msgspec.structs.replace(
            before,
            call_id="a",
            cseq=10,
            begin=begin,
            stamp=stamp,
            edition=stamp,
            gone=True,
            event=claim.event,
            owner="us",
            until=stamp,
            source=None,
            branch=branch,
            number=0,
        )
        assert claim.event == "unregistered"


def test_a_star_makes_a_record_that_is_later_than_the_one_before() -> None:
    before = Record(kind=RecordKind.CLEARED, value="", stamp=Stamp(500), owner="b")
    store = LocationStore("us", Journal())
    store.apply(place(ALICE), [], NOW, records=[before])
    decision = decide(
        request("REGISTER", "Contact: *", "Expires: 0"),
        Contacts(rows={}, now=NOW, wall=99e-6, history=store, place=place(ALICE)),
        policy=RegistrarPolicy(has_links=True),
        server_id="us",
        flow=Flow(LOCAL, PHONE),
    )
    assert decision.claims == ()
    assert decision.records == (
        Record(kind=RecordKind.CLEARED, value="", stamp=Stamp(501), owner="us"),
    )


@pytest.mark.parametrize(
    ("given_contacts", "expires"),
    [
        (("*", f"<{CONTACT}>"), 0),
        ((f"<{CONTACT}>, *",), 0),
        (("*",), 60),
        (("*",), None),
        (("*",), "never"),
        (("*;expires=0",), None),
    ],
)
def test_a_star_stands_alone_and_expires_at_once(
    given_contacts: tuple[str, ...], expires: int | str | None
) -> None:
    """A "*" must be the only contact, with Expires 0 (3261-07)."""
    with pytest.raises(RemoteProtocolError) as caught:
        register(*given_contacts, expires=expires, known=rows(binding()))
    assert caught.value.status == 400


@pytest.mark.parametrize("cseq", [9, 10])
def test_a_star_that_was_overtaken_fails_whole(cseq: int) -> None:
    """A "*" with an overtaken CSeq changes nothing (3261-08)."""
    known = rows(binding(1, contact=DESK, call_id="b"), binding(10))
    assert refused("*", expires=0, known=known, cseq=cseq).status == 500


def test_a_star_of_nothing_is_fine() -> None:
    assert register("*", expires=0).claims == ()


# In order, and whole.


@pytest.mark.parametrize("expires", [0, 600])
@pytest.mark.parametrize("cseq", [4, 5])
def test_a_register_that_was_overtaken_is_refused(cseq: int, expires: int) -> None:
    """A REGISTER whose CSeq was overtaken is refused (3261-12)."""
    known = rows(binding(5))
    refusal = refused(f"<{CONTACT}>", known=known, cseq=cseq, expires=expires)
    assert (refusal.status, refusal.reason) == (500, "CSeq Out Of Order")


@pytest.mark.parametrize(
    "known",
    [
        [],
        [binding(100, "unregistered")],
        [binding(100, expires_at=NOW)],
        [binding(100, "expired", owner="b")],
        [binding(100, stamp=1), binding(1, call_id="b", begin=2, stamp=2)],
    ],
)
def test_cseq_is_compared_only_with_what_the_contact_is_bound_by(
    known: list[Binding],
) -> None:
    """
    CSeq is compared only with a binding of the same contact and Call-ID (3261-74).
    """
    # RFC 3261 §10.3 step 7: no binding, or one of another Call-ID.
    (claim,) = register(f"<{CONTACT}>", known=rows(*known), cseq=1).claims
    assert claim.begin == claim.stamp >= 99
    bound = [one for one in known if one.call_id == "b"]
    assert claim.event == ("refreshed" if bound else "registered")


def test_the_call_id_that_binds_the_contact_continues_its_life() -> None:
    known = rows(binding(5, begin=7, registered_at=NOW - 50))
    (claim,) = register(f"<{CONTACT}>", known=known, cseq=6).claims
    assert (claim.begin, claim.stamp, claim.registered_at) == (7, 99, NOW - 50)
    (other,) = register(f"<{CONTACT}>", known=known, call_id="new", cseq=1).claims
    assert (other.begin, other.registered_at) == (99, NOW - 50)


def test_a_stamp_is_later_than_what_is_known_of_the_contact() -> None:
    known = rows(binding(5, stamp=500), binding(1, contact=DESK, stamp=900))
    (claim,) = register(f"<{CONTACT}>", known=known, cseq=6).claims
    assert claim.stamp == 501  # whatever a wrong clock has done to another contact


LINKED = RegistrarPolicy(has_links=True)


def test_what_is_not_bound_here_may_be_bound_elsewhere() -> None:
    (claim,) = register(f"<{CONTACT}>", expires=0, policy=LINKED).claims
    assert claim.gone and claim.call_id == "a" and claim.begin == claim.stamp
    assert register(f"<{CONTACT}>", expires=0).claims == ()


def test_a_star_clears_what_other_servers_know() -> None:
    known = rows(binding(5, stamp=500), binding(1, contact=DESK, stamp=900))
    decision = register("*", expires=0, known=known, policy=LINKED)
    (record,) = decision.records
    assert record.kind == "cleared" and record.stamp == 901
    assert {claim.stamp for claim in decision.claims} == {901}
    assert register("*", expires=0, policy=LINKED).records
    assert not register("*", expires=0, known=known).records


def decided(standing: Standing) -> Decision:
    message = request("REGISTER", f"Contact: <{CONTACT}>")
    known = Contacts(rows={}, now=NOW, wall=99e-6, standing=standing)
    return decide(
        message, known, policy=RegistrarPolicy(), server_id="us",
        flow=Flow(LOCAL, PHONE),
    )  # fmt: skip


def test_a_user_that_is_barred_is_refused() -> None:
    with pytest.raises(Refusal) as rejected:
        decided(Standing(rejected=True))
    assert rejected.value.status == 403
    for left, seconds in ((29.5, "30"), (1.0, "1"), (0.1, "1")):
        with pytest.raises(Refusal) as waiting:
            decided(Standing(probation_ends=NOW + left))
        assert waiting.value.status == 500
        assert waiting.value.headers == (("Retry-After", seconds),)
    (claim,) = decided(Standing(probation_ends=NOW, latest=Stamp(500))).claims
    assert claim.stamp == 501


def test_two_spellings_of_one_contact_are_unbound_together() -> None:
    # §19.1.4; two servers that had not heard of each other have made two keys.
    known = rows(binding(1, contact=f"{CONTACT};x=1"), binding(1, contact=CONTACT))
    decision = register(f"<{CONTACT}>", known=known, expires=0)
    assert [claim.gone for claim in decision.claims] == [True, True]
    assert len(register(f"<{CONTACT}>", known=known).claims) == 1


def test_a_spelling_that_is_not_bound_keeps_no_other_from_being_removed() -> None:
    """3261-11, -16"""
    known = rows(
        binding(1, contact=CONTACT, expires_at=NOW),
        binding(1, contact=f"{CONTACT};x=1"),
    )
    (claim,) = register(f"<{CONTACT}>", known=known, expires=0).claims
    assert claim.gone and claim.key == binding(contact=f"{CONTACT};x=1").key


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        ("<sip:x@192.0.2.1>;expires=5", 423),
        (f"<{DESK}>", 500),  # overtaken, see below
        ("<sip:x@192.0.2.1>;q=2", 400),
        ("<sip:x@>", 400),
        ("<sip:x@192.0.2.1", 400),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_one_contact_that_fails_fails_all(bad: str, status: int, first: bool) -> None:
    """One contact that fails fails the whole REGISTER (3261-13)."""
    # A decision is whole, or there is none.
    known = rows(binding(10, contact=DESK))
    good = f"<{CONTACT}>"
    with pytest.raises((Refusal, RemoteProtocolError)) as caught:
        register(*([bad, good] if first else [good, bad]), known=known)
    assert isinstance(caught.value, Refusal | RemoteProtocolError)
    assert caught.value.status == status


def test_a_register_that_comes_again_is_answered_again_and_changes_nothing() -> None:
    """
    A REGISTER that comes again after a restart is answered again and changes nothing
    (3261-29).
    """
    # Its transaction was lost with a restart.
    first = register(f"<{CONTACT}>", f"<{DESK}>;expires=60")
    known = rows(*first.claims)
    again = register(f"<{CONTACT}>", f"<{DESK}>;expires=60", known=known, now=NOW + 2)
    assert again.claims == ()
    assert contacts(again) == [f"<{CONTACT}>;expires=3598", f"<{DESK}>;expires=58"]


def test_an_unregister_that_comes_again_is_answered_again() -> None:
    """An unregistration that comes again is answered again (3261-29)."""
    known = rows(binding(1))
    first = register("*", expires=0, known=known)
    after = rows(binding(1), *first.claims)
    again = register("*", expires=0, known=after)
    assert (again.response, again.claims) == (first.response, ())
    # Also if something has been bound since: it must not go as well.
    desk = binding(1, contact=DESK, call_id="b")
    assert register("*", expires=0, known={**after, **rows(desk)}).claims == ()


@pytest.mark.parametrize(
    ("branch", "call_id", "cseq"),
    [("z9hG4bKother", "a", 10), ("z9hG4bKnew", "a", 9)],
)
def test_a_register_with_anything_else_in_it_is_not_the_same(
    branch: str, call_id: str, cseq: int
) -> None:
    known = rows(*register(f"<{CONTACT}>").claims)
    refusal = refused(
        f"<{CONTACT}>", known=known, branch=branch, call_id=call_id, cseq=cseq
    )
    assert refusal.status == 500


class Stored:
    """The contacts of a user in a store, which knows those that have gone."""

    def __init__(self) -> None:
        self.store = LocationStore("us", Journal())

    def register(self, *contacts: str, branch: str, cseq: int = 10) -> Decision:
        """Process a REGISTER; what it claims is stored."""
        lines = [f"Contact: {contact}" for contact in contacts]
        decision = decide(
            request("REGISTER", *lines, cseq=cseq, call_id="a", branch=branch),
            self.store.contacts(place(ALICE), NOW, 99e-6),
            policy=RegistrarPolicy(has_links=True),
            server_id="us",
            flow=Flow(LOCAL, PHONE),
        )
        self.store.apply(place(ALICE), decision.claims, NOW)
        return decision


@pytest.mark.parametrize(
    ("branch", "cseq", "is_new"),
    [("z9hG4bK1", 10, 0), ("z9hG4bK2", 10, 1), ("z9hG4bK1", 11, 1)],
)
def test_a_removal_that_comes_again_is_known_by_the_contact_that_has_gone(
    branch: str, cseq: int, is_new: int
) -> None:
    """3261-29: the transaction was lost with a restart; nothing is told twice."""
    stored = Stored()
    removal = f"<{CONTACT}>;expires=0"
    assert len(stored.register(removal, branch="z9hG4bK1").claims) == 1
    again = stored.register(removal, branch=branch, cseq=cseq)
    assert len(again.claims) == is_new
    assert again.response.status == 200


def test_a_register_is_known_again_though_one_of_its_contacts_was_refreshed() -> None:
    """3261-29"""
    stored = Stored()
    both = (f"<{DESK}>;expires=600", f"<{CONTACT}>;expires=0")
    assert len(stored.register(*both, branch="z9hG4bK1").claims) == 2
    stored.register(f"<{DESK}>;expires=700", branch="z9hG4bK2", cseq=11)
    again = stored.register(*both, branch="z9hG4bK1")
    assert again.claims == ()
    assert contacts(again) == [f"<{DESK}>;expires=700"]


def test_a_via_without_a_branch_is_not_known_again() -> None:
    via = request("REGISTER", f"Contact: <{CONTACT}>", cseq=10, call_id="a")
    via.headers["Via"] = ["SIP/2.0/UDP 192.0.2.50"]

    def again(known: Rows) -> Decision:
        return decide(
            via,
            Contacts(rows=known, now=NOW, wall=99e-6),
            policy=RegistrarPolicy(),
            server_id="us",
            flow=Flow(LOCAL, PHONE),
        )

    first = again({})
    for known in (rows(binding(10, branch=0)), rows(*first.claims)):
        with pytest.raises(Refusal, match="CSeq"):
            again(known)
    assert "Date" not in first.response.headers
    assert first.claims[0].user_agent == ""


# Which contact.


@pytest.mark.parametrize(
    ("spelling", "same"),
    [
        ("sip:alice@EXAMPLE.net", True),
        ("SIP:alice@example.net", True),
        ("sip:%61lice@example.net", True),
        ("sip:alice@example.net;foo=bar", True),
        ("sip:alice@example.net:5060", False),
        ("sip:Alice@example.net", False),
        ("sip:alice@example.net;transport=tcp", False),
        ("sip:alice@example.net;user=phone", False),
        ("sips:alice@example.net", False),
        ("sip:alice:pw@example.net", False),
    ],
)
def test_contacts_are_the_same_if_their_uris_are_equal(
    spelling: str, same: bool
) -> None:
    """Contacts are the same if their URIs are equal (3261-11)."""
    known = rows(binding(1, contact="sip:alice@example.net"))
    (claim,) = register(f"<{spelling}>", known=known).claims
    assert claim.event == ("refreshed" if same else "registered")
    assert (claim.key in known) == same
    assert claim.contact == spelling


def test_one_register_may_spell_a_contact_twice() -> None:
    decision = register("<sip:a@example.net>", "<sip:a@example.net;foo=bar>;q=0.3")
    (claim,) = decision.claims
    assert claim.q == "0.3"
    assert len(contacts(decision)) == 1


def test_the_name_of_a_contact_is_kept() -> None:
    decision = register(f'"Alice" <{CONTACT}>;expires=60')
    assert decision.claims[0].display_name == "Alice"
    assert contacts(decision) == [f'"Alice" <{CONTACT}>;expires=60']


def test_parameters_of_the_uri_and_of_the_header_are_kept_apart() -> None:
    """Parameters of the URI and of the header are kept apart (4475-04)."""
    # Cparam01, cparam02
    (claim,) = register("<sip:alice@192.0.2.50;unknownparam>;other;+a=b").claims
    assert claim.contact == "sip:alice@192.0.2.50;unknownparam"
    assert claim.params == (("other", None), ("+a", "b"))
    (bare,) = register("sip:alice@192.0.2.50;unknownparam").claims
    assert bare.contact == "sip:alice@192.0.2.50"
    assert bare.params == (("unknownparam", None),)


def test_an_escaped_header_in_a_contact_is_kept() -> None:
    """An escaped header in a contact is kept (4475-04)."""
    # Regescrt
    uri = "sip:user@example.com?Route=%3Csip:sip.example.com%3E"
    (claim,) = register(f"<{uri}>").claims
    assert claim.contact == uri


@pytest.mark.parametrize(
    ("q", "kept"), [("1", "1"), ("1.000", "1"), ("0.70", "0.7"), ("0", "0"), ("", None)]
)
def test_q_is_kept_in_its_shortest_form(q: str, kept: str | None) -> None:
    """A q value is kept in its shortest form (3680-70)."""
    (claim,) = register(f"<{CONTACT}>;q={q}").claims
    assert claim.q == kept


@pytest.mark.parametrize("q", ["1.1", "-1", "x"])
def test_an_invalid_q_is_refused(q: str) -> None:
    with pytest.raises(RemoteProtocolError, match="q"):
        register(f"<{CONTACT}>;q={q}")


# How many.


LIMITED = RegistrarPolicy(max_contacts=2)


@pytest.mark.parametrize("expires", [3600, 0])
def test_one_request_names_so_many_contacts(expires: int) -> None:
    """3261-151: whatever they are; none of them is looked at."""
    two = RegistrarPolicy(max_per_register=2)
    contacts = [f"<{CONTACT}>", f"<{DESK}>"]
    assert len(register(*contacts, policy=two, known=rows(), expires=3600).claims) == 2
    refusal = refused(*contacts, "no contact <", policy=two, expires=expires)
    assert (refusal.status, refusal.reason) == (403, "Too Many Contacts")
    assert refusal.headers == (("Warning", '399 reginfo "at most 2 in one REGISTER"'),)
    register(*contacts, "<sip:third@192.0.2.9>", policy=RegistrarPolicy())


def test_contacts_that_others_report_do_not_count() -> None:
    """3261-17: nobody else can lock out a user."""
    known = rows(binding(1, owner="b"), binding(1, contact=DESK, owner="b"))
    assert register("<sip:third@192.0.2.9>", known=known, policy=LIMITED).claims
    replacing = RegistrarPolicy(max_contacts=1, replaces=True)
    (claim,) = register("<sip:third@192.0.2.9>", known=known, policy=replacing).claims
    assert claim.contact == "sip:third@192.0.2.9"


def test_a_contact_that_moves_here_counts() -> None:
    """3261-17"""
    known = rows(
        binding(1, owner="us"), binding(1, contact=DESK, owner="us"),
        binding(1, contact="sip:third@192.0.2.9", owner="b"),
    )  # fmt: skip
    refusal = refused("<sip:third@192.0.2.9>", known=known, policy=LIMITED)
    assert refusal.status == 503


def test_what_is_stored_with_a_contact_is_limited() -> None:
    """3261-120: the path and the user agent count, for each contact."""
    small = RegistrarPolicy(max_contact_size=1500)
    path = ("Supported: path", f"Path: <sip:{'p' * 900};lr>")
    register(f"<{CONTACT}>", policy=small)
    for long in (path, (f"User-Agent: {'u' * 900}",), (f"User-Agent: {'u' * 1600}",)):
        refusal = refused(f"<{CONTACT}>", policy=small, headers=long)
        assert refusal.status == 413
        assert "at most 1500 octets" in dict(refusal.headers)["Warning"]


def test_too_many_contacts_are_refused() -> None:
    """Too many contacts are refused (3261-17)."""
    known = rows(binding(1, owner="us"), binding(1, contact=DESK, owner="us"))
    refusal = refused("<sip:third@192.0.2.9>", known=known, policy=LIMITED)
    assert refusal.status == 503


def test_who_is_refused_learns_when_the_first_contact_expires() -> None:
    """RFC 3261 §21.5.4"""
    known = rows(
        binding(1, owner="us", expires_at=NOW + 700),
        binding(1, contact=DESK, owner="us", expires_at=NOW + 300),
    )
    refusal = refused("<sip:third@192.0.2.9>", known=known, policy=LIMITED)
    assert refusal.headers == (("Retry-After", "300"),)
    one = RegistrarPolicy(max_contacts=1)
    refusal = refused("<sip:1@192.0.2.9>", "<sip:2@192.0.2.9>", policy=one)
    assert (refusal.status, refusal.headers) == (503, (("Retry-After", "60"),))


@pytest.mark.parametrize(("left", "seconds"), [(0.1, "1"), (1.0, "1"), (1.1, "2")])
def test_who_is_refused_never_comes_back_at_once(left: float, seconds: str) -> None:
    known = rows(binding(1, owner="us", expires_at=NOW + left))
    one = RegistrarPolicy(max_contacts=1)
    refusal = refused(f"<{DESK}>", known=known, policy=one)
    assert refusal.headers == (("Retry-After", seconds),)


REPLACING = RegistrarPolicy(max_contacts=2, replaces=True)


def test_a_contact_that_is_replaced_ends_in_a_life_of_its_own() -> None:
    """3261-16: neither a refresh that is on its way nor its CSeq undoes it."""
    one = RegistrarPolicy(max_contacts=1, replaces=True)
    replaced, new = register(
        f"<{DESK}>",
        known=rows(msgspec.structs.replace(FULL, owner="us", stamp=Stamp(200))),
        policy=one,
    ).claims
    stamp = Stamp(201)
    assert replaced == msgspec.structs.replace(
        FULL,
        begin=stamp,
        stamp=stamp,
        edition=stamp,
        gone=True,
        event=replaced.event,
        owner="us",
        until=stamp,
        source=None,
        retry_after=None,
        number=0,
    )
    assert replaced.event == "deactivated"
    assert (new.contact, new.stamp) == (DESK, 99)


def test_or_the_oldest_contact_is_replaced() -> None:
    """3261-16, -17: removed explicitly, and told as `deactivated`."""
    known = rows(
        binding(1, owner="us", registered_at=NOW - 5),
        binding(1, contact=DESK, owner="us", registered_at=NOW - 9),
    )
    decision = register("<sip:third@192.0.2.9>", known=known, policy=REPLACING)
    assert [(c.contact, c.event.value, c.owner) for c in decision.claims] == [
        (DESK, "deactivated", "us"),
        ("sip:third@192.0.2.9", "registered", "us"),
    ]
    assert decision.claims[0].stamp == 99
    listed = " ".join(contacts(decision))
    assert DESK not in listed
    assert "sip:third@192.0.2.9" in listed


def test_a_register_never_replaces_what_it_lists_itself() -> None:
    known = rows(
        binding(1, owner="us", registered_at=NOW - 9),
        binding(1, contact=DESK, owner="us", registered_at=NOW - 5),
    )
    decision = register(
        f"<{CONTACT}>", "<sip:third@192.0.2.9>", known=known, policy=REPLACING
    )
    assert [(c.contact, c.event.value) for c in decision.claims] == [
        (DESK, "deactivated"),
        (CONTACT, "refreshed"),
        ("sip:third@192.0.2.9", "registered"),
    ]
    refusal = refused(
        *[f"<sip:{n}@192.0.2.9>" for n in range(3)], known=known, policy=REPLACING
    )
    assert refusal.status == 503


def test_as_many_are_replaced_as_are_over_the_limit() -> None:
    known = rows(
        *[
            binding(1, contact=f"sip:{n}@192.0.2.9", owner="us", registered_at=NOW - n)
            for n in range(5)
        ]
    )
    decision = register("<sip:new@192.0.2.9>", known=known, policy=REPLACING)
    gone = [c.contact for c in decision.claims if not c.active]
    assert gone == [f"sip:{n}@192.0.2.9" for n in (4, 3, 2, 1)]
    assert register("<sip:1@192.0.2.9>", known=known, policy=REPLACING).claims[0].active


def test_one_may_go_and_another_come_within_the_limit() -> None:
    known = rows(binding(1, owner="us"), binding(1, contact=DESK, owner="us"))
    decision = register(
        "<sip:third@192.0.2.9>", f"<{DESK}>;expires=0", known=known, policy=LIMITED
    )
    assert len(decision.claims) == 2


def test_a_limit_that_was_lowered_keeps_nobody_from_refreshing() -> None:
    known = rows(
        *[binding(1, contact=f"sip:{n}@192.0.2.9", owner="us") for n in range(3)]
    )
    assert register("<sip:1@192.0.2.9>", known=known, policy=LIMITED).claims


# Extensions, and the way back.


def test_an_extension_that_is_required_and_unknown_is_refused() -> None:
    """An extension that is required and unknown is refused with 420 (3261-02)."""
    refusal = refused(f"<{CONTACT}>", headers=("Require: path, gruu, outbound",))
    assert refusal.status == 420
    assert refusal.headers == (("Unsupported", "gruu, outbound"),)
    assert register(f"<{CONTACT}>", headers=("Require: Path",)).claims


def test_a_body_that_is_not_optional_is_refused() -> None:
    """RFC 3261 §8.2.3: the body of a REGISTER has no meaning here."""

    def of(*headers: str) -> Decision:
        return decide(
            request("REGISTER", f"Contact: <{CONTACT}>", *headers, body=b"x"),
            Contacts(rows={}, now=NOW, wall=99e-6),
            policy=RegistrarPolicy(),
            server_id="us",
            flow=Flow(LOCAL, PHONE),
        )

    with pytest.raises(Refusal) as caught:
        of("Content-Type: text/plain")
    assert caught.value.status == 415
    optional = "Content-Disposition: render;handling=optional"
    assert len(of("Content-Type: text/plain", optional).claims) == 1


def test_the_path_is_stored_in_order_and_copied_if_supported() -> None:
    """
    The Path is stored in order, and copied to the response if supported (3327-01, -03).
    """
    path = ("Path: <sip:p1;lr>, <sip:p2;lr>", "Path: <sip:p3;lr>")
    decision = register(f"<{CONTACT}>", headers=(*path, "Supported: path"))
    (claim,) = decision.claims
    assert claim.path == ("<sip:p1;lr>", "<sip:p2;lr>", "<sip:p3;lr>")
    assert decision.response.headers["Path"] == [
        "<sip:p1;lr>, <sip:p2;lr>",
        "<sip:p3;lr>",
    ]


def test_a_path_that_the_phone_knows_nothing_of_is_stored_and_not_copied() -> None:
    """The Path is stored but not copied if the phone does not support it (3327-02)."""
    decision = register(f"<{CONTACT}>", headers=("Path: <sip:p;lr>",))
    assert decision.claims[0].path == ("<sip:p;lr>",)
    assert "Path" not in decision.response.headers


@pytest.mark.parametrize(
    ("contact", "source", "received"),
    [
        (CONTACT, ("192.0.2.50", 5060), ""),
        (f"{CONTACT}:5060", ("192.0.2.50", 5060), ""),
        (CONTACT, ("192.0.2.50", 4444), "sip:192.0.2.50:4444"),
        ("sip:alice@10.0.0.1", ("192.0.2.9", 5060), "sip:192.0.2.9:5060"),
        ("sip:alice@[2001:db8::5]", ("2001:db8::5", 5060), ""),
        ("sip:alice@[2001:DB8:0::5]:5060", ("2001:db8::5", 5060), ""),
        ("sip:alice@[2001:db8::5]", ("2001:db8::5", 41), "sip:[2001:db8::5]:41"),
        ("sip:alice@[fd00::1]", ("2001:db8::5", 5060), "sip:[2001:db8::5]:5060"),
        ("sip:alice@[fe80::1]", ("fe80::1%eth0", 5060), ""),
        # The scope of a link-local address is of no use to others.
        ("sip:alice@10.0.0.1", ("fe80::1%eth0", 5060), "sip:[fe80::1]:5060"),
    ],
)
def test_where_a_register_came_from_is_kept_if_it_is_not_its_contact(
    contact: str, source: tuple[str, int], received: str
) -> None:
    (claim,) = register(f"<{contact}>", source=source).claims
    assert claim.received == received


def test_a_binding_knows_the_address_that_its_register_came_to() -> None:
    """3261-42: requests to the contact leave from there"""
    (claim,) = register(f"<{CONTACT}>").claims
    assert claim.listener == "udp:192.0.2.1:5060"


@pytest.mark.parametrize(
    "path",
    [
        *["<mailto:p@example.com>", "<sip:[::g];lr>", "<sip:>", "sip:p@:5060"],
        *["sip:p.example.com;lr", "<sip:p;lr>, sip:q", 'sip:p;x="<sip:p>"'],
    ],
)
def test_a_path_that_no_request_can_follow_is_400(path: str) -> None:
    """3327-02, 3261-133: RFC 3327 §5.3"""
    with pytest.raises(RemoteProtocolError) as caught:
        register(f"<{CONTACT}>", headers=(f"Path: {path}",))
    assert caught.value.status == 400


def test_a_register_that_came_by_a_path_was_received_by_somebody_else() -> None:
    (claim,) = register(
        "<sip:alice@10.0.0.1>", headers=("Path: <sip:p;lr>",), source=("192.0.2.9", 5)
    ).claims
    assert (claim.received, claim.listener) == ("", "")


def test_what_came_by_a_stream_says_so() -> None:
    message = request("REGISTER", f"Contact: <{CONTACT}>")
    tcp = Local(Transport.TCP, "192.0.2.1", 5060)
    decision = decide(
        message, Contacts(rows={}, now=NOW, wall=1.0), policy=RegistrarPolicy(),
        server_id="us", flow=Flow(tcp, ("192.0.2.50", 4444)),
    )  # fmt: skip
    assert decision.claims[0].received == "sip:192.0.2.50:4444;transport=tcp"


@pytest.mark.parametrize("name", ["a", 'a"b\\', "a\x07\0", "a\r\nX: y", "é<>,;"])
@pytest.mark.parametrize(
    "params",
    [
        (("q", "0.1"), ("expires", "5"), ("x", None)),
        (("expires", None), ("q", '"0.1"'), ("y", '"<,;>"')),
    ],
)
def test_no_parameter_stands_twice_whatever_a_peer_has_listed(
    name: str, params: tuple[tuple[str, str | None], ...]
) -> None:
    """3261-96: a Contact that is written can be read, and says what is meant."""
    known = binding(params=params, display_name=name, q="0.5", owner="b")
    value = contact_value(known, NOW)
    assert not set(value) & set("\r\n")
    contact = parse_name_addr(value)
    assert contact.uri == known.contact
    assert contact.display_name == re.sub("[\r\n]", " ", name)
    assert contact.params == {"expires": "600", "q": "0.5", **dict([params[-1]])}


def test_record_route_is_ignored() -> None:
    """Record-Route in a REGISTER is ignored (3261-26)."""
    decision = register(f"<{CONTACT}>", headers=("Record-Route: <sip:p;lr>",))
    assert list(decision.response.headers) == ["Contact"]


@pytest.mark.parametrize("branch", ["z9hG4bKold", "z9hG4bKnew"])
@pytest.mark.parametrize("value", [f"<{CONTACT}>", "*"])
@pytest.mark.parametrize("expires", [0, 600])
def test_an_equal_cseq_is_refused(branch: str, value: str, expires: int) -> None:
    """
    3261-12: "if the CSeq value in the request is not greater", the update "MUST be
    aborted", also for one that is equal; and nothing is decided.
    """
    known = rows(binding(5), binding(7, contact=DESK))
    for cseq in (5, 4):
        try:
            register(value, known=known, cseq=cseq, expires=expires, branch=branch)
        except (Refusal, RemoteProtocolError) as exc:
            assert exc.status == (400 if value == "*" and expires else 500)
        else:
            raise AssertionError("it was accepted")
    if value != "*":
        (claim,) = register(value, known=known, cseq=6, expires=expires).claims
        assert claim.cseq == 6


@pytest.mark.parametrize("known", ["q=1", "expires=90", "Q=0.5", "Expires=90", "q=1.0"])
@pytest.mark.parametrize("value", [f"<{CONTACT}>", CONTACT])
def test_what_rfc_3261_defines_is_no_unknown_parameter(known: str, value: str) -> None:
    """3680-73: neither q nor expires is among the parameters of the document."""
    (claim,) = register(f"{value};{known};x=2;+y").claims
    assert claim.params == (("x", "2"), ("+y", None))


@pytest.mark.parametrize("contact", [f"<{CONTACT}>", f"<{DESK}>;expires=0", "*", ""])
@pytest.mark.parametrize("expires", ["", "0", "1", "x", "99999999999"])
@pytest.mark.parametrize(
    "others",
    [
        {},
        {"cseq": 5},
        {"headers": ("Require: nothing",)},
        {"headers": ("Path: <mailto:a@b>",)},
        {"headers": ("Record-Route: <sip:p;lr>",)},
        {"policy": RegistrarPolicy(max_contacts=1)},
        {"policy": RegistrarPolicy(max_contacts=1, replaces=True)},
        {"policy": RegistrarPolicy(min_expires=3600)},
        {"standing": Standing(rejected=True)},
        {"standing": Standing(probation_ends=NOW + 30)},
    ],
)
def test_a_registrar_never_answers_6xx(
    contact: str, expires: str, others: dict[str, Any]
) -> None:
    """3261-26 (§10.3): "Registrars MUST NOT generate 6xx responses", nor a route."""
    known = rows(binding(5), binding(5, contact="sip:alice@192.0.2.52"))
    values = [contact] if contact else []
    try:
        decision = register(*values, known=known, expires=expires, **others)
    except (Refusal, RemoteProtocolError) as exc:
        assert 400 <= exc.status < 600
        names = [name for name, _ in exc.headers] if isinstance(exc, Refusal) else []
    else:
        assert decision.response.status == 200
        names = list(decision.response.headers)
    assert "Record-Route" not in names


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20))
def test_a_contact_makes_sense_or_is_refused(text: str) -> None:
    """A contact that cannot be used is refused (3261-18)."""
    try:
        decision = register(text or "x")
    except RemoteProtocolError as exc:
        assert exc.status in (400, 414, 416)
    else:
        assert len(decision.claims) <= 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_expires": "60"},
        {"default_expires": 3600.0},
        {"max_expires": None},
        {"max_contacts": True},
        {"replaces": "replace"},
        {"replaces": 1},
    ],
)
def test_a_policy_of_wrong_types_is_refused_where_it_is_made(
    wrong: dict[str, Any],
) -> None:
    # Compiled code checks some of them itself, in words of its own.
    message = f"RegistrarPolicy.{next(iter(wrong))}|object expected; got"
    with pytest.raises(TypeError, match=message):
        RegistrarPolicy(**wrong)


def test_a_policy_has_no_negative_times() -> None:
    with pytest.raises(ValueError, match="max_contacts: -1"):
        RegistrarPolicy(max_contacts=-1)
