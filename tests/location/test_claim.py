"""A claim: what identifies it, and what is left of it in the end."""

from __future__ import annotations

import msgspec

from reginfo.location.claim import stripped

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
