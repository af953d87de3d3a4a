"""What a foreign peer lists, and what that is worth as a claim."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.location import foreign
from reginfo.location.claim import Claim
from reginfo.location.foreign import GRACE, MOVED, Told
from reginfo.location.lives import SLACK, Claims, join
from reginfo.reg.document import ContactEvent

from .claims import claim

NOW, WALL = 1000.0, 50_000.0
STAMP = int(WALL * 1e6)


def told(*claims: Claim, **fields: Any) -> Told:
    kept: Claims = ()
    for one in claims:
        kept = join(kept, one)
    defaults: dict[str, Any] = {"peer": "k", "claims": kept, "now": NOW, "wall": WALL}
    return Told(**(defaults | fields))


def listing(call_id: str = "a", cseq: int = 1, **fields: Any) -> Claim:
    fields = {"expires_at": NOW + 600, "registered_at": NOW} | fields
    return claim(call_id=call_id, cseq=cseq, stamp=0, owner="", **fields)


def known(cseq: int = 1, **fields: Any) -> Claim:
    """A claim of Call-ID `a`, made a minute ago and good for another nine."""
    early = STAMP - 60_000_000
    defaults = {
        "stamp": early,
        "owner": "k",
        "expires_at": NOW + 600,
        "until": STAMP + 600_000_000,
    }
    return claim(cseq=cseq, **(defaults | fields))


def listed(what: Claim, to: Told, had: tuple[str, int] | None = None) -> Claim | None:
    return foreign.listed(what, to, had=had)


def test_an_unknown_call_id_begins_a_life_now() -> None:
    made = listed(listing(), told())
    assert made is not None
    assert (made.begin, made.stamp, made.edition) == (STAMP, STAMP, STAMP)
    assert made.owner == "k" and not made.gone
    assert made.until == STAMP + 600_000_000


def test_a_greater_cseq_continues_the_known_life() -> None:
    made = listed(listing(cseq=2), told(known(cseq=1)))
    assert made is not None
    assert made.begin == known().begin and made.stamp == STAMP == made.edition
    # Whoever owned it: the phone has moved to that peer.
    moved = listed(listing(cseq=2), told(known(cseq=1, owner="b")))
    assert moved is not None and moved.owner == "k"


def test_an_echo_is_no_news() -> None:
    assert listed(listing(), told(known(owner="b"))) is None
    assert listed(listing(expires_at=NOW + 60), told(known(owner="b"))) is None
    assert listed(listing(), told(known(owner="k"))) is None


@pytest.mark.parametrize("by", [MOVED / 2, -MOVED / 2, MOVED, -MOVED])
def test_an_end_that_moves_by_less_than_a_second_is_no_news(by: float) -> None:
    assert listed(listing(expires_at=NOW + 600 + by), told(known())) is None


@pytest.mark.parametrize("by", [90.0, -90.0])
def test_another_end_is_a_new_edition_of_what_the_peer_owns(by: float) -> None:
    made = listed(listing(expires_at=NOW + 600 + by), told(known()))
    assert made is not None
    assert made.stamp == known().stamp and made.edition == STAMP
    assert made.expires_at == NOW + 600 + by


def test_what_the_peer_had_dropped_is_bound_again_in_a_new_edition() -> None:
    dropped = known(gone=True, edition=STAMP - 5)
    made = listed(listing(), told(known(), dropped))
    assert made is not None and not made.gone
    assert made.stamp == known().stamp and made.edition == STAMP


def test_a_stale_listing_does_not_bring_back_what_one_of_ours_has_ended() -> None:
    ended = known(gone=True, owner="b", edition=STAMP - 5)
    assert listed(listing(), told(known(), ended)) is None


def test_a_stale_cseq_is_nothing() -> None:
    assert listed(listing(cseq=1), told(known(cseq=4))) is None
    over = known(cseq=4, gone=True, edition=STAMP - 10)
    assert listed(listing(cseq=1), told(over)) is None


def test_a_phone_that_counts_from_one_again_begins_a_new_life() -> None:
    long_ago = STAMP - int((SLACK + 1) * 1e6)
    over = known(cseq=4, gone=True, stamp=long_ago, edition=long_ago)
    made = listed(listing(cseq=1), told(over))
    assert made is not None and made.begin == STAMP != over.begin
    assert listed(listing(cseq=1), told(over), had=("a", 1)) is None
    expired = known(cseq=4, expires_at=NOW - SLACK)
    assert listed(listing(cseq=1), told(expired)) is not None
    assert listed(listing(cseq=1), told(known(cseq=4, expires_at=NOW - 9))) is None


def test_after_an_outage_what_is_listed_may_be_as_old_as_that() -> None:
    # A wish that was accepted here since is later than what the peer may have meant.
    here = claim(call_id="b", stamp=STAMP - 5_000_000, owner="a")
    since = WALL - 300
    made = listed(listing(registered_at=NOW - 999), told(here, since=since))
    assert made is not None and made.stamp == int(since * 1e6)
    assert join((here,), made)[0] is here
    exact = listed(
        listing(registered_at=NOW - 2), told(here, since=since, is_exact=True)
    )
    assert exact is not None and exact.stamp == int((WALL - 2) * 1e6)
    assert join((here,), exact)[0] is exact


def test_after_an_outage_a_greater_cseq_is_later_than_what_is_known_of_it() -> None:
    made = listed(listing(cseq=2, registered_at=0.0), told(known(), since=WALL - 300))
    assert made is not None and made.stamp == known().stamp + 1
    exact = told(known(), since=WALL - 300, is_exact=True)
    made = listed(listing(cseq=2, registered_at=NOW - 2), exact)
    assert made is not None and made.stamp == int((WALL - 2) * 1e6)
    assert made.gone is False and made.begin == known().begin


@pytest.mark.parametrize("event", sorted(foreign.FINAL))
def test_a_final_word_ends_the_register_whoever_owns_it(event: ContactEvent) -> None:
    bound = known(owner="b", source="b/x", branch=7, number=3)
    made = foreign.ended(event, "a", 1, told(bound), retry_after=9)
    assert made is not None
    assert (made.source, made.branch, made.number) == (None, 0, 0)
    assert made is not None and made.gone and made.event is event
    assert made.stamp == bound.stamp and made.edition == STAMP
    # RFC 3680 §5.1: it means something with `probation` alone.
    expected = 9 if event is ContactEvent.PROBATION else None
    assert made.owner == "k" and made.retry_after == expected
    assert join((bound,), made) == (made,)


def test_a_probation_has_a_time_even_if_the_peer_does_not_say_it() -> None:
    """3680-68: the documents that we write of it must have one"""
    made = foreign.ended(ContactEvent.PROBATION, "a", 1, told(known()))
    assert made is not None and made.retry_after == 0


def test_a_final_word_of_a_greater_cseq_ends_what_has_a_smaller_one() -> None:
    made = foreign.ended(ContactEvent.UNREGISTERED, "a", 5, told(known(cseq=4)))
    assert made is not None and made.cseq == 5


def test_what_was_registered_since_is_not_touched() -> None:
    to = told(known(cseq=6))
    assert foreign.ended(ContactEvent.UNREGISTERED, "a", 5, to) is None
    other = claim(call_id="b", stamp=STAMP - 1, owner="a", expires_at=NOW + 60)
    made = foreign.ended(ContactEvent.UNREGISTERED, "a", 6, told(known(6), other))
    assert made is not None and join(told(known(6), other).claims, made)[0] is other


def test_what_is_dropped_or_has_expired_ends_what_the_peer_owns_alone() -> None:
    expired = ContactEvent.EXPIRED
    assert foreign.ended(expired, "a", 1, told(known(owner="b"))) is None
    made = foreign.ended(expired, "a", 1, told(known(owner="k")))
    assert made is not None and made.gone and made.event is expired


def test_what_is_unknown_or_gone_cannot_end() -> None:
    assert foreign.ended(ContactEvent.UNREGISTERED, "a", 1, told()) is None
    gone = told(known(gone=True))
    assert foreign.ended(ContactEvent.UNREGISTERED, "a", 1, gone) is None


def test_the_peers_own_later_end_counts_when_the_time_is_up_here() -> None:
    over = known(owner="b", expires_at=NOW)
    made = foreign.prolonged(listing(), told(over))
    assert made is not None and made.owner == "k"
    assert made.stamp == over.stamp and made.edition == STAMP
    assert join((over,), made) == (made,)


@pytest.mark.parametrize(
    "holds",
    [
        known(owner="b"),  # not yet over
        known(owner="b", expires_at=NOW, gone=True),
        known(owner="b", expires_at=NOW, cseq=2),
        known(owner="b", expires_at=NOW, call_id="other"),
    ],
)
def test_nothing_else_is_prolonged(holds: Claim) -> None:
    assert foreign.prolonged(listing(), told(holds)) is None


def test_what_ends_there_too_is_not_prolonged() -> None:
    over = told(known(owner="b", expires_at=NOW))
    assert foreign.prolonged(listing(expires_at=NOW + 0.5), over) is None
    assert foreign.prolonged(listing(expires_at=NOW + MOVED), over) is None
    assert foreign.prolonged(listing(expires_at=NOW + MOVED + 0.1), over) is not None
    assert foreign.prolonged(listing(), told()) is None


def test_without_call_id_and_cseq_the_contacts_id_and_the_order_stand_for_them() -> (
    None
):
    first = foreign.unnumbered(listing(), "77", told(), changed=True)
    assert first is not None
    assert (first.call_id, first.cseq) == ("77@k", STAMP)
    made = listed(first, told())
    assert made is not None
    same = foreign.unnumbered(listing(), "77", told(made), changed=False)
    assert same is not None and same.cseq == made.cseq
    later = foreign.unnumbered(listing(), "77", told(made, wall=WALL + 5), changed=True)
    assert later is not None and later.cseq > made.cseq


def test_without_call_id_a_contact_that_is_bound_from_elsewhere_is_an_echo() -> None:
    elsewhere = claim(owner="b", expires_at=NOW + 60)
    assert foreign.unnumbered(listing(), "77", told(elsewhere), changed=True) is None
    over = claim(owner="b", expires_at=NOW)
    assert foreign.unnumbered(listing(), "77", told(over), changed=True) is not None
    # What does not hold does not bind.
    lost = claim(call_id="z", owner="b", expires_at=NOW + 60)
    gone = claim(call_id="y", owner="b", stamp=2_000, gone=True)
    both = told(lost, gone)
    assert foreign.unnumbered(listing(), "77", both, changed=True) is not None


def test_two_gateways_that_are_told_the_same_agree() -> None:
    one = listed(listing(), told())
    other = listed(listing(), told(wall=WALL + 7))
    assert one is not None and other is not None
    assert [c.order for c in join((one,), other)] == [
        c.order for c in join((other,), one)
    ]
    # Whichever it heard from the other first, a gateway takes the rest for an echo.
    assert listed(listing(), told(other)) is None
    assert GRACE == 60.0
