"""A claim: what identifies it, and what is left of it in the end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.location.claim import (
    FIXED,
    MARKUP,
    MAX_SIZE,
    WORST,
    is_too_large,
    stripped,
)
from reginfo.roles.envelope import claim_elements

from .claims import claim


def test_what_is_local_does_not_identify_a_claim() -> None:
    here = claim(expires_at=5.0, registered_at=1.0, source="b/x", number=7)
    assert here.order == claim().order
    assert here.order != claim(edition=1_001).order


def test_a_claim_is_over_when_it_says_so_or_its_time_is_up() -> None:
    assert not claim(expires_at=600.0).is_over(599.0)
    assert claim(expires_at=600.0).is_over(600.0)
    assert claim(expires_at=600.0, gone=True).is_over(0.0)


def test_seconds_left_are_rounded_up_and_never_more_than_granted() -> None:
    assert claim(expires_at=600.0).expires(599.5) == 1
    assert claim(expires_at=0.1 + 600.0).expires(0.1) == 600
    assert claim(expires_at=600.0).expires(700.0) == 0


def test_what_is_over_keeps_what_orders_it_in_few_octets() -> None:
    full = claim(
        params=(("+sip.instance", "x" * 500),),
        path=("<sip:edge.example.com;lr>",) * 9,
        user_agent="y" * 500,
        received="sip:203.0.113.5:40000",
        display_name="Alice",
        q="0.5",
        stamp=1_800_000_000_000_000,
    )
    left = stripped(full)
    assert left.order == full.order
    assert len(msgspec.msgpack.encode(left)) <= 300


@given(
    texts=st.lists(st.text(max_size=400), min_size=3, max_size=3),
    params=st.lists(st.tuples(st.text(min_size=1, max_size=9), st.text(max_size=200))),
    path=st.lists(st.text(min_size=1, max_size=300)),
)
def test_what_is_not_too_large_takes_8_kib_at_the_most(
    texts: list[str], params: list[tuple[str, str]], path: list[str]
) -> None:
    """3261-120: the size is judged without writing the contact."""
    one = claim(
        display_name=texts[0],
        user_agent=texts[1],
        received=texts[2],
        params=tuple(params),
        path=tuple(path),
        stamp=1_800_000_000_000_000,
    )
    written = claim_elements((one,), "sip:alice@example.com", 0.0)[0]
    assert len(written) <= MAX_SIZE or is_too_large(one)
    fields = [*texts, *path, *(name + value for name, value in params)]
    count = sum(map(len, fields)) + MARKUP * (len(params) + len(path))
    if count + 2 * len(one.contact) + len(one.call_id) <= (MAX_SIZE - FIXED) // WORST:
        assert not is_too_large(one)


@pytest.mark.parametrize(
    "large",
    [
        {"user_agent": "x" * 8000},
        {"path": ("<sip:edge.example.com;lr>",) * 150},
        {"params": (("a", None),) * 200},
        {"display_name": "&" * 1600},
        {"contact": "sip:alice@192.0.2.50;x=" + "y" * 8000},
    ],
)
def test_all_that_makes_up_a_contact_counts(large: dict[str, Any]) -> None:
    assert is_too_large(claim(**large))
    assert not is_too_large(claim())
