"""
Two servers, one contact, and every sequence of six events and deliveries.

After each the rest is delivered: both servers have the same claims, and the contact is
bound if and only if that is what the phone was last told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from reginfo.location.claim import Claim
from reginfo.location.lives import Claims, join, next_stamp
from reginfo.location.state import bound_by
from reginfo.reg.document import ContactEvent

from .claims import claim

EVENTS = 6
GRANTED = 600.0


class State(NamedTuple):
    a: Claims = ()
    b: Claims = ()
    calls: int = 0
    cseq: int = 0
    wished: float = 0.0
    "Until when the phone believes to be registered."

    now: float = 1.0

    rebooted: int = 0
    "The life that the phone began at b with a Call-ID that it had used before."


Act = Callable[[State], State]


def put(state: State, server: str, new: Claim) -> State:
    if server == "a":
        return state._replace(a=join(state.a, new))
    return state._replace(b=join(state.b, new))


def knows(claims: Claims, begin: int) -> bool:
    return not begin or any(claim.begin == begin for claim in claims)


def request(server: str, new_call: bool = False, expires: float = GRANTED) -> Act:
    """A REGISTER of the phone at ``server``."""

    def act(state: State) -> State:
        calls, cseq = state.calls, state.cseq + 1
        if new_call:
            calls, cseq = calls + 1, 1
            state = state._replace(rebooted=0)
        elif server == "a" and not knows(state.a, state.rebooted):
            # A limit of the rule: here its numbers would be taken for those of before.
            return state
        state = state._replace(calls=calls, cseq=cseq, now=state.now + 1)
        claims: Claims = getattr(state, server)
        bound = bound_by(claims, None, state.now)
        call_id = f"c{calls}"
        same = bound is not None and bound.call_id == call_id
        if bound is not None and same and cseq <= bound.cseq:
            return state  # 500
        stamp = next_stamp(claims, state.now)
        begin = bound.begin if bound is not None and same else stamp
        new = claim(
            call_id=call_id, cseq=cseq, begin=begin, stamp=stamp, gone=not expires,
            owner=server, edition=stamp, expires_at=state.now + expires,
            until=stamp + int(expires * 1e6),
        )  # fmt: skip
        return put(state._replace(wished=state.now + expires), server, new)

    return act


def reboot(state: State) -> State:
    """
    The phone begins to count again, with the same Call-ID, and registers at b.

    While b has it bound by that Call-ID, this is refused, and it takes a new one.
    """
    state = state._replace(cseq=0)
    after = request("b")(state)
    if after.b is state.b:
        return request("b", new_call=True)(after)
    begun = max(claim.begin for claim in after.b)
    return after._replace(rebooted=begun if begun == after.b[0].stamp else 0)


def remove(state: State) -> State:
    """The administrator removes the contact at a, if it is known there."""
    state = state._replace(now=state.now + 1)
    bound = bound_by(state.a, None, state.now)
    if bound is None:
        return state
    stamp = next_stamp(state.a, state.now)
    end = msgspec.structs.replace(
        bound, begin=stamp, stamp=stamp, edition=stamp, gone=True, owner="a",
        event=ContactEvent.DEACTIVATED,
    )  # fmt: skip
    return put(state._replace(wished=0.0), "a", end)


def deliver(of: str, to: str) -> Act:
    """All that one server knows is told to the other."""

    def act(state: State) -> State:
        for one in getattr(state, of):
            state = put(state, to, one)
        return state

    return act


def expire(state: State) -> State:
    return state._replace(now=state.now + GRANTED + 1)


ACTS: list[Act] = [
    request("a"), request("b"), request("b", new_call=True),
    request("a", expires=0.0), request("b", expires=0.0), reboot, remove,
    deliver("a", "b"), deliver("b", "a"), expire,
]  # fmt: skip


def check(state: State) -> None:
    state = deliver("b", "a")(deliver("a", "b")(state))
    at_a, at_b = [c.order for c in state.a], [c.order for c in state.b]
    assert at_a == at_b, state
    bound = bound_by(state.a, None, state.now) is not None
    assert bound == (state.wished > state.now), state


def test_every_sequence_of_six_events_ends_in_agreement_with_the_phone() -> None:
    states = {State()}
    for _ in range(EVENTS):
        # Sequences that lead to the same state have the same future.
        states = {act(state) for state in states for act in ACTS}
        for state in states:
            check(state)
    assert len(states) > 10_000
