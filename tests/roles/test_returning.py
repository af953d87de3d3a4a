"""Turns for SUBSCRIBEs that begin a subscription: no storm, and nobody is forgotten."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reginfo.events.subscribe import HeldSubscription, Wanted
from reginfo.location.place import Aor
from reginfo.roles.mirror import Mirror
from reginfo.roles.returning import AT_ONCE, RATE, Returning

NOW = 1000.0


def mirror(user: str, peer: str = "p") -> Mirror:
    wanted = Wanted(uri=f"sip:{user}", local="sip:us", event="reg", accept="")
    keeper: Any = None  # no SUBSCRIBE is sent
    return Mirror(peer, Aor(f"sip:{user}"), HeldSubscription(wanted=wanted), keeper)


def test_a_few_need_not_wait() -> None:
    returning = Returning()
    assert [returning.turn(mirror(f"u{n}"), NOW) for n in range(AT_ONCE)] == (
        [NOW] * AT_ONCE
    )
    assert returning.turn(mirror("late"), NOW) > NOW


def test_a_turn_is_kept_until_it_has_come() -> None:
    returning = Returning()
    for number in range(AT_ONCE + 100):
        returning.turn(mirror(f"u{number}"), NOW)
    late = mirror("late")
    at = returning.turn(late, NOW)
    assert at > NOW
    assert returning.turn(late, NOW) == at  # asked early, it has the same turn
    assert returning.turn(late, at) == at
    assert returning.turn(late, at) > at  # the next one is another turn


@given(st.lists(st.floats(0.0, 0.5), min_size=1, max_size=2000))
def test_there_are_at_most_500_in_any_second(pauses: list[float]) -> None:
    returning, now, turns = Returning(), NOW, []
    for pause in pauses:
        now += pause if pause > 0.49 else 0.0
        turns.append(returning.reserve(now))
    assert turns == sorted(turns)
    for first in range(0, len(turns) - 500):
        assert turns[first + 500] - turns[first] > 1.0 - 1e-6
    assert turns[-1] - now <= len(turns) / RATE


def test_those_that_failed_come_back_with_their_peer_once() -> None:
    returning = Returning()
    alice, bob, other = mirror("alice"), mirror("bob"), mirror("alice", "q")
    for one in (alice, bob, other, alice):
        returning.failed(one)
    assert returning.back("p") == [alice, bob]
    assert returning.back("p") == []
    assert returning.back("q") == [other]


def test_what_has_ended_is_forgotten() -> None:
    returning = Returning()
    alice, bob = mirror("alice"), mirror("bob")
    returning.failed(alice)
    returning.failed(bob)
    returning.forget(bob)
    assert returning.back("p") == [alice]
    returning.failed(alice)
    returning.forget(alice)
    returning.forget(alice)
    assert returning.back("p") == []
