"""Which of several claims holds: maxima of total orders."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from reginfo.location.claim import Claim
from reginfo.location.lives import (
    LIVES,
    SLACK,
    Claims,
    ended,
    forgotten_at,
    join,
    newest_of,
    next_stamp,
    outlives,
)
from reginfo.reg.document import ContactEvent

from .claims import claim

SMALL = st.integers(1, 4)

ANY = st.builds(
    claim,
    call_id=st.sampled_from("abc"),
    begin=st.sampled_from([1, 2]),
    cseq=SMALL,
    stamp=SMALL,
    edition=SMALL,
    gone=st.booleans(),
    owner=st.sampled_from("ab"),
)
"""Any claim of six lives, whether or not a server could have made it."""


def joined(claims: list[Claim]) -> Claims:
    kept: Claims = ()
    for one in claims:
        kept = join(kept, one)
    return kept


def orders(claims: Claims) -> list[object]:
    return [one.order for one in claims]


@given(st.lists(ANY, max_size=8), st.data())
def test_the_order_of_arrival_and_repetition_do_not_matter(
    claims: list[Claim], data: st.DataObject
) -> None:
    again = data.draw(st.permutations(claims + claims[:3]))
    assert orders(joined(claims)) == orders(joined(again))


LIFE_STAMPS = st.dictionaries(
    st.integers(1, 14), st.lists(st.integers(0, 30), min_size=1, max_size=3), min_size=9
)


@given(LIFE_STAMPS, st.data())
def test_the_order_does_not_matter_with_more_lives_than_are_kept(
    lives: dict[int, list[int]], data: st.DataObject
) -> None:
    claims = [
        claim(call_id=f"c{begin}", begin=begin, cseq=cseq, stamp=begin + later)
        for begin, laters in lives.items()
        for cseq, later in enumerate(sorted(laters))
    ]
    first = joined(data.draw(st.permutations(claims)))
    second = joined(data.draw(st.permutations(claims + claims[:4])))
    assert orders(first) == orders(second)
    assert len(first) <= LIVES + 1


def test_an_ending_outlives_what_it_ends_and_no_later_register() -> None:
    bound, ended = claim(cseq=3, stamp=10), claim(cseq=3, stamp=10, gone=True)
    later = claim(begin=10, cseq=4, stamp=11)
    assert outlives(ended, bound) and not outlives(bound, ended)
    assert outlives(later, ended)


def test_an_edition_counts_for_more_than_that_the_contact_is_gone() -> None:
    gone = claim(cseq=3, stamp=10, edition=11, gone=True)
    again = claim(cseq=3, stamp=10, edition=12)
    assert outlives(again, gone) and not outlives(gone, again)


def test_the_latest_wish_holds_even_if_it_was_to_be_gone() -> None:
    bound, gone = claim(call_id="a", stamp=5), claim(call_id="b", stamp=6, gone=True)
    assert join((bound,), gone) == (gone, bound)
    assert join((gone,), bound) == (gone, bound)


def test_what_ends_an_older_life_does_not_hold() -> None:
    old, new = claim(call_id="a", stamp=5), claim(call_id="b", stamp=6)
    end = claim(call_id="a", stamp=5, edition=9, gone=True)
    assert join(join((old,), new), end)[0] == new


def test_a_known_claim_changes_nothing_at_all() -> None:
    kept = joined([claim(call_id="a", stamp=5), claim(call_id="b", stamp=6)])
    for known in kept:
        assert join(kept, known) is kept
    alone = (claim(),)
    assert join(alone, claim()) is alone


def test_lives_that_pile_up_are_forgotten_but_for_the_last_seven_and_what_holds() -> (
    None
):
    oldest = claim(call_id="c0", stamp=100, begin=0)
    others = [claim(call_id=f"c{n}", stamp=n) for n in range(1, 40)]
    kept = joined([oldest, *others])
    assert kept == (oldest, *reversed(others[-7:]))
    assert join(kept, claim(call_id="late", stamp=2)) is kept


def test_the_cycle_of_the_simple_rule_is_none_here() -> None:
    three = [
        claim(call_id="a", begin=1, cseq=5, stamp=10),
        claim(call_id="a", begin=1, cseq=4, stamp=20),
        claim(call_id="b", begin=15, cseq=1, stamp=15),
    ]
    results = {tuple(orders(joined(list(p)))) for p in itertools.permutations(three)}
    assert len(results) == 1


def test_a_stamp_is_later_than_all_that_is_kept_and_than_the_floor() -> None:
    kept = (claim(stamp=5_000_000, edition=9_000_000),)
    assert next_stamp((), 1.0) == 1_000_000
    assert next_stamp(kept, 1.0) == 9_000_001
    assert next_stamp(kept, 60.0) == 60_000_000
    assert next_stamp((), 1.0, floor=7_000_000) == 7_000_001


def test_the_newest_of_a_call_id_is_found_among_its_lives() -> None:
    kept = joined([claim(call_id="a", cseq=9, stamp=5), claim(call_id="a", stamp=6)])
    assert newest_of(kept, "a") == claim(call_id="a", stamp=6)
    assert newest_of(kept, "b") is None


def test_a_contact_is_forgotten_when_nothing_older_can_come_back() -> None:
    wall, now, longest = 1000.0, 50.0, 3600.0
    gone = claim(stamp=990_000_000, gone=True)
    assert forgotten_at((gone,), now, wall, longest) == now - 10 + longest + SLACK
    bound = claim(stamp=990_000_000, expires_at=9000.0)
    assert forgotten_at((gone, bound), now, wall, longest) == 9000.0 + SLACK


def test_the_end_of_a_binding_ends_that_registration_and_no_later_one() -> None:
    """The end keeps the stamp: a REGISTER that was on its way holds (3680-32)."""
    bound = claim(call_id="a", cseq=3, stamp=5_000_000, retry_after=30, number=9)
    other = claim(call_id="b", stamp=4_000_000, edition=8_000_000)
    kept = joined([bound, other])
    end = ended(bound, ContactEvent.DEACTIVATED, kept, 7.0)
    assert (end.gone, end.event) == (True, ContactEvent.DEACTIVATED)
    assert (end.life, end.cseq, end.stamp) == (bound.life, 3, 5_000_000)
    assert end.edition == 8_000_001
    assert (end.retry_after, end.number) == (None, 0)
    assert ended(bound, ContactEvent.DEACTIVATED, (bound,), 9.0).edition == 9_000_000
    assert join(kept, end)[0] is end
    later = claim(call_id="a", cseq=4, stamp=5_000_001)
    assert join(join(kept, end), later)[0] is later
