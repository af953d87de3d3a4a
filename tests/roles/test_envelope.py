"""Claims and records in documents between `reginfo` servers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.location.claim import Claim
from reginfo.location.record import Record, RecordKind
from reginfo.reg import xml
from reginfo.reg.document import (
    ContactEvent,
    RecordKey,
    Registration,
    RegistrationState,
    contact_id,
)
from reginfo.roles.envelope import (
    SPEAKER,
    claim_elements,
    claim_of,
    record_elements,
    record_of,
    speaker_element,
)

from ..make import ALICE, NOW, binding
from .told import claim, contact

LONGEST = 86_400.0
SOURCE = f"p/{ALICE}"


def sent(*elements: bytes) -> Registration:
    """What the other server reads of these elements."""
    one = xml.registration_element(ALICE, "r", RegistrationState.ACTIVE, [*elements])
    (registration,) = xml.parse(xml.reginfo_body(0, True, [one])).registrations
    return registration


texts = st.text("aB1 ;<&\"'ü", max_size=5)
stamps = st.integers(0, 2**53)
claims = st.builds(
    binding,
    st.integers(0, 2**31 - 1),
    st.sampled_from([str(event) for event in ContactEvent]),
    call_id=st.text("ab@1", min_size=1, max_size=5),
    owner=st.sampled_from("abc"),
    stamp=stamps,
    begin=stamps,
    edition=stamps,
    until=stamps,
    registered_at=st.integers(0, 1000).map(lambda ago: NOW - ago),
    expires_at=st.integers(1, 80_000_000).map(lambda ms: NOW + ms / 1000),
    source=st.just(SOURCE),
    q=st.sampled_from([None, "0.5", "1"]),
    params=st.sampled_from([(), (("a", None), ("b", '"x y"'))]),
    display_name=texts.map(str.strip),
    path=st.sampled_from([(), ("<sip:p1;lr>", "<sip:p2;lr>")]),
    received=st.sampled_from(["", "sip:192.0.2.50:5070"]),
    user_agent=texts.map(str.strip),
    retry_after=st.none() | st.integers(0, 1000),
)


@given(claims)
def test_reading_is_the_inverse_of_writing(known: Claim) -> None:
    (element,) = sent(*claim_elements((known,), ALICE, NOW)).contacts
    read = claim_of(element, SOURCE, NOW, LONGEST)
    assert read is not None
    assert abs(read.expires_at - known.expires_at) < 0.001  # sent in milliseconds
    assert msgspec.structs.replace(read, expires_at=known.expires_at) == known


@pytest.mark.parametrize("gone", [True, False])
def test_what_is_over_says_so_in_its_state_too(gone: bool) -> None:
    """Whoever knows RFC 3680 alone sees a contact that has ended."""
    over = binding(event="refreshed", gone=gone, expires_at=NOW - 1)
    (element,) = sent(*claim_elements((over,), ALICE, NOW)).contacts
    assert element.event is ContactEvent.EXPIRED
    assert element.claim is not None
    assert (element.claim.gone, element.claim.left) == (gone, None)
    read = claim_of(element, SOURCE, NOW, LONGEST)
    assert read is not None
    assert read.is_over(NOW)


def test_each_life_is_an_element_and_the_first_has_the_id_of_the_contact() -> None:
    lives = binding(call_id="b"), binding(call_id="a"), binding(call_id="c", begin=2)
    elements = sent(*claim_elements(lives, ALICE, NOW)).contacts
    assert [one.callid for one in elements] == ["b", "a", "c"]
    assert elements[0].id == contact_id(ALICE, lives[0].key)
    assert len({one.id for one in elements}) == 3


def test_nobody_is_believed_to_grant_more_than_the_longest_life() -> None:
    element = contact(claim=msgspec.structs.replace(claim(), left=10**12, key="k"))
    read = claim_of(element, SOURCE, NOW, LONGEST)
    assert read is not None
    assert read.expires_at == NOW + LONGEST


@pytest.mark.parametrize(
    "wrong",
    [{"callid": None}, {"cseq": None}, {"uri": "nonsense"}, {"claim": None}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_contact_that_is_not_whole_is_no_claim(wrong: dict[str, Any]) -> None:
    element = msgspec.structs.replace(contact(claim=claim()), **wrong)
    assert claim_of(element, SOURCE, NOW, LONGEST) is None


# Records.

records = st.builds(
    Record,
    kind=st.sampled_from(list(RecordKind)),
    name=st.text("ab", min_size=1, max_size=3),
    value=st.none() | texts.map(str.strip),
    stamp=stamps,
    owner=st.sampled_from("abc"),
    source=st.just(SOURCE),
)


@given(records, st.none() | st.integers(1, 10**6))
def test_a_record_is_read_as_it_was_written(known: Record, left: int | None) -> None:
    if left is not None:
        expires_at = NOW + left / 1000
        known = msgspec.structs.replace(known, until=5, expires_at=expires_at)
    (key,) = sent(*record_elements([known], NOW)).keys
    read = record_of(key, SOURCE, NOW)
    assert read is not None
    assert abs(read.expires_at - known.expires_at) < 0.001
    assert msgspec.structs.replace(read, expires_at=known.expires_at) == known


def test_a_record_of_an_unknown_kind_is_skipped() -> None:
    """sync.md 4: a later version may have more kinds, of the same wire version."""
    assert record_of(RecordKey("k", "v", "a", 1, kind="colour"), SOURCE, NOW) is None
    (speaker,) = sent(speaker_element("a")).keys
    assert (speaker.kind, speaker.owner) == (SPEAKER, "a")
    assert record_of(speaker, SOURCE, NOW) is None


@pytest.mark.parametrize(
    ("until", "left", "expires_at"),
    [(0, None, 0.0), (0, 500, 0.0), (5, None, NOW), (5, 0, NOW), (5, 1, NOW + 0.001)],
)
def test_the_end_of_a_record_is_counted_from_now(
    until: int, left: int | None, expires_at: float
) -> None:
    key = RecordKey("", "60", "a", 1, kind="probation", until=until, left=left)
    read = record_of(key, SOURCE, NOW)
    assert read is not None
    assert (read.until, read.expires_at) == (until, expires_at)
