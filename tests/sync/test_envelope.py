"""Documents of a link, written; and that the reader is the inverse."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from reginfo.location.claim import Claim
from reginfo.location.record import Record, RecordKind
from reginfo.location.stamp import Stamp
from reginfo.reg.document import ContactEvent, RegistrationState
from reginfo.sync.cursor import Stretch
from reginfo.sync.envelope import (
    claim_element,
    contact_and_claim,
    contact_start,
    document,
    record_element,
    registration_element,
)
from reginfo.sync.reader import LinkDocument, read

from ..make import ALICE, NOW, binding
from .make import check_document

SAID = Stretch("e1", 3, 9, server="b", time=1_700_000_000_000, longest=86_400)


def written(
    claims: list[Claim], records: list[Record] | None = None, said: Stretch = SAID
) -> bytes:
    """A document of one user."""
    inside = ""
    for claim in claims:
        bound = not claim.is_over(NOW)
        inside += contact_start(ALICE, claim, bound, NOW)
        inside += claim_element(claim, NOW, claim.path) + "</contact>"
    inside += "".join([record_element(record, NOW) for record in records or []])
    state = RegistrationState.ACTIVE if claims else RegistrationState.INIT
    return document(7, [registration_element(ALICE, state, inside)], said)


def read_back(body: bytes) -> LinkDocument:
    check_document(etree.fromstring(body))
    return read(body, takes=lambda aor: True, now=NOW, source="b/group")


def same(claim: Claim, **changes: Any) -> Claim:
    """``claim`` as the other server has it: without what is local."""
    local: dict[str, Any] = {"source": "b/group", "listener": "", "branch": 0}
    return msgspec.structs.replace(claim, number=0, **(local | changes))


def test_a_claim_goes_over_whole() -> None:
    """
    3680-130: the document is valid against both schemas, and loses nothing.
    """
    claim = binding(
        3,
        q="0.5",
        params=(
            ("methods", '"INVITE, ACK"'),
            ("+sip.instance", '"<urn:x>"'),
            ("x", None),
        ),
        display_name="Alice <&> Ä",
        path=("<sip:p1;lr>", '"P" <sip:p2;lr>'),
        received="sip:203.0.113.5:40000",
        user_agent='"phone" <1>',
        contact="sip:alice@192.0.2.50;x=%22",
        call_id='a"<&>b',
        begin=1,
        stamp=5,
        edition=6,
        registered_at=NOW - 17,
        source="c/x",
        listener="udp:192.0.2.1:5060",
        branch=5,
        number=9,
    )
    found = read_back(written([claim]))
    assert found.told[0].claims == [same(claim)]
    assert (found.version, found.said, found.refused) == (7, SAID, 0)
    assert found.told[0].aor == ALICE


def test_a_tombstone_goes_over_whole() -> None:
    claim = binding(4, "unregistered", expires_at=NOW - 5)
    assert read_back(written([claim])).told[0].claims == [same(claim, expires_at=NOW)]


def test_a_claim_whose_time_is_up_stays_over() -> None:
    claim = binding(4, expires_at=NOW - 5)
    [back] = read_back(written([claim])).told[0].claims
    assert back.is_over(NOW)
    assert back.order == claim.order


def test_the_contact_agrees_with_the_schema_whatever_has_happened() -> None:
    """A claim with an event that its state contradicts is shown as RFC 3680 wants."""
    expired = binding(4, "registered", expires_at=NOW - 5)
    stripped = msgspec.structs.replace(expired, event=ContactEvent.EXPIRED)
    bound = binding(4, "expired", gone=False)
    for claim in (expired, stripped, bound):
        read_back(written([claim]))


def test_records_go_over_whole() -> None:
    records = [
        Record(
            kind=RecordKind.KEY, name='a"b', value="x\ny<", stamp=Stamp(5), owner="a"
        ),
        Record(kind=RecordKind.KEY, name="gone", stamp=Stamp(6), owner="a"),
        Record(kind=RecordKind.CLEARED, value="1", stamp=Stamp(7), owner="b"),
        Record(
            kind=RecordKind.SHORTEN,
            value="1",
            stamp=Stamp(8),
            owner="b",
            until=Stamp(9),
            expires_at=NOW + 30,
        ),
    ]
    found = read_back(written([], records))
    expected = [msgspec.structs.replace(one, source="b/group") for one in records]
    # A line break has no place in a key that goes into a header some day.
    assert found.told[0].records == expected[1:]
    assert found.refused == 1


TEXT = st.text(
    st.characters(
        min_codepoint=0x20, exclude_characters="\x7f", exclude_categories=["Cs", "Cc"]
    ),
    min_size=1,
    max_size=40,
).filter(lambda text: text.encode("utf-8", "ignore").decode() == text)
STAMP = st.integers(0, 2**53)


@settings(max_examples=200)
@given(
    call_id=TEXT, agent=TEXT, owner=TEXT, name=TEXT, stamp=STAMP, begin=STAMP,
    edition=STAMP, until=STAMP, cseq=st.integers(0, 2**32 - 1), gone=st.booleans(),
    left=st.integers(1, 10**9),
)  # fmt: skip
def test_reading_is_the_inverse_of_writing(
    call_id: str, agent: str, owner: str, name: str, stamp: int, begin: int,
    edition: int, until: int, cseq: int, gone: bool, left: int,
) -> None:  # fmt: skip
    allowed = [
        t for t in (call_id, agent, owner, name) if "\ufffe" in t or "\uffff" in t
    ]
    claim = binding(
        cseq, "unregistered" if gone else "registered", call_id=call_id,
        user_agent=agent, owner=owner, display_name=name, stamp=stamp, begin=begin,
        edition=edition, until=until, expires_at=NOW + left / 1000, gone=gone,
    )  # fmt: skip
    [back] = read_back(written([claim])).told[0].claims
    if not allowed:
        assert back.order == claim.order
        assert (back.user_agent, back.display_name) == (agent, name)
    if not gone:
        assert abs(back.expires_at - claim.expires_at) < 0.001


USUAL = binding(3, user_agent="phone", registered_at=NOW - 7.5)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"user_agent": ""},
        {"begin": 1, "edition": 2},
        {"registered_at": NOW},
        {"registered_at": NOW + 1},
        {"expires_at": NOW + 0.0004},
        {"expires_at": NOW},
        {"gone": True, "event": ContactEvent.UNREGISTERED},
        {"event": ContactEvent.EXPIRED},
        {"call_id": 'a&"b'},
        {"owner": "\xe4"},
        {"key": "sip:other@192.0.2.1"},
        {"q": "0.5"},
        {"params": (("m", None),)},
        {"path": ("<sip:p;lr>",)},
        {"received": "sip:192.0.2.9"},
        {"display_name": "Alice"},
    ],
)
def test_the_short_way_to_write_a_claim_says_what_the_long_one_says(
    changes: dict[str, Any],
) -> None:
    claim = msgspec.structs.replace(USUAL, **changes)
    bound = not claim.is_over(NOW)
    inside = contact_and_claim(ALICE, claim, bound, NOW, claim.path) + "</contact>"
    element = registration_element(ALICE, RegistrationState.ACTIVE, inside)
    short, long = document(7, [element], SAID), written([claim])
    [user], [same_user] = read_back(short).told, read_back(long).told
    assert user.claims == same_user.claims != []
    [one], [other] = [
        list(etree.fromstring(body).iter("{*}contact")) for body in (short, long)
    ]
    assert one.attrib == other.attrib
    assert one[0].text == other[0].text == claim.contact


def test_a_claim_whose_time_is_up_has_no_negative_time_left() -> None:
    """Its contact may be reported as bound for a moment longer."""
    claim = msgspec.structs.replace(USUAL, expires_at=NOW - 1)
    inside = contact_and_claim(ALICE, claim, True, NOW, ()) + "</contact>"
    element = registration_element(ALICE, RegistrationState.ACTIVE, inside)
    found = read_back(document(7, [element], SAID))
    assert found.refused == 0
    assert found.told[0].claims == [same(claim, expires_at=NOW)]
