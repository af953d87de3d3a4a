"""Which of several claims for a contact holds: the same on all servers."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.location.binding import Binding
from reginfo.location.merge import Survivors, forget, forgotten_at, join, outlives

from ..make import NOW, binding


def fold(claims: list[Binding]) -> Survivors:
    survivors: Survivors = ()
    for claim in claims:
        survivors = join(survivors, claim)
    return survivors


def claim(key: tuple[str, int, bool, int, str]) -> Binding:
    call_id, cseq, active, stamp, owner = key
    event = "registered" if active else "unregistered"
    return binding(cseq, event, call_id=call_id, stamp=stamp, owner=owner)


# What claims are ordered by: of few values, so that ties of all kinds come up.
claims = st.builds(
    claim,
    st.tuples(
        st.sampled_from("abc"),
        st.integers(1, 3),
        st.booleans(),
        st.integers(1, 4),
        st.sampled_from(["s1", "s2"]),
    ),
)


@given(st.lists(claims, max_size=8), st.randoms(use_true_random=False))
def test_claims_may_arrive_in_any_order(
    given_claims: list[Binding], random: Random
) -> None:
    shuffled = list(given_claims)
    random.shuffle(shuffled)
    assert fold(shuffled) == fold(given_claims)


@given(st.lists(claims, min_size=1, max_size=6), st.data())
def test_claims_may_arrive_any_number_of_times(
    given_claims: list[Binding], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(given_claims), max_size=6))
    assert fold(given_claims + again) == fold(given_claims)


@given(st.lists(claims, max_size=5), st.lists(claims, max_size=5))
def test_what_two_servers_know_merges_to_the_same_at_both(
    at_a: list[Binding], at_b: list[Binding]
) -> None:
    a, b = fold(at_a), fold(at_b)
    assert fold([*a, *b]) == fold([*b, *a]) == fold(at_a + at_b)


@given(st.lists(claims, min_size=1, max_size=8))
def test_one_claim_survives_of_each_call_id_and_the_latest_holds(
    given_claims: list[Binding],
) -> None:
    survivors = fold(given_claims)
    assert {c.call_id for c in survivors} == {c.call_id for c in given_claims}
    assert len({c.call_id for c in survivors}) == len(survivors)
    for survivor in survivors:
        rivals = [c for c in given_claims if c.call_id == survivor.call_id]
        assert not any(outlives(rival, survivor) for rival in rivals)
    assert survivors[0].stamp == max(c.stamp for c in survivors)


@given(st.lists(claims, max_size=6), claims)
def test_a_claim_that_changes_nothing_gives_back_the_very_same(
    given_claims: list[Binding], one: Binding
) -> None:
    survivors = fold([*given_claims, one])
    assert join(survivors, one) is survivors


CYCLE = (
    binding(5, call_id="a", stamp=10),
    binding(4, call_id="a", stamp=20),
    binding(1, call_id="b", stamp=15),
)


@pytest.mark.parametrize("order", list(itertools.permutations(CYCLE)))
def test_a_cycle_of_call_id_and_time_has_one_winner(
    order: tuple[Binding, ...],
) -> None:
    # Each beats the next if only the winner is kept: by CSeq if the Call-ID is equal,
    # else by time.
    assert fold(list(order)) == (CYCLE[2], CYCLE[0])


def test_within_a_call_id_the_cseq_decides_and_not_the_stamp() -> None:
    old, new = binding(1, stamp=99), binding(2, stamp=1)
    assert fold([old, new]) == fold([new, old]) == (new,)


def test_of_one_register_that_it_is_gone_outlives_that_it_is_there() -> None:
    there, gone = binding(1, stamp=9), binding(1, "expired", stamp=1)
    assert fold([there, gone]) == fold([gone, there]) == (gone,)


def test_a_register_of_another_call_id_brings_back_what_was_removed() -> None:
    gone = binding(9, "unregistered", call_id="a", stamp=1)
    back = binding(1, call_id="b", stamp=2)
    assert fold([gone, back])[0] is back


def test_an_older_register_of_another_call_id_brings_back_nothing() -> None:
    gone = binding(9, "unregistered", call_id="a", stamp=2)
    late = binding(1, call_id="b", stamp=1)
    assert fold([gone, late]) == fold([late, gone]) == (gone, late)


def test_a_claim_is_forgotten_when_no_copy_of_an_older_one_can_be_left() -> None:
    gone = binding(1, "unregistered", expires_at=NOW)
    assert forgotten_at(gone) == NOW + 92.0
    assert forget((gone,), NOW + 91.9) == (gone,)
    assert forget((gone,), NOW + 92.0) == ()
