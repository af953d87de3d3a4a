"""
Which of several claims for a contact holds: a join, not a last writer.

For each Call-ID the greatest claim by (CSeq, gone, stamp, owner) survives: within one
Call-ID the user agent itself has numbered its wishes. Among the survivors of all
Call-IDs the greatest by (stamp, owner, Call-ID) holds. Both are maxima of total orders,
so claims may arrive in any order, any number of times, by any way, and all servers
come to the same. To keep the winner alone, and compare "by CSeq if the Call-ID is
equal, else by time", is a cycle: of (a, 5, t10), (a, 4, t20), (b, 1, t15) each would
beat the next.
"""

from __future__ import annotations

from collections.abc import Iterable

from .binding import Binding

Survivors = tuple[Binding, ...]
"""Claims for one contact, one for each Call-ID; the one that holds comes first."""

T1_64 = 32.0
MAX_CLOCK_SKEW = 60.0
"""Seconds: by how much the clocks of two servers may differ."""


def outlives(claim: Binding, other: Binding) -> bool:
    """Whether ``claim`` replaces ``other``, which is of the same Call-ID."""
    if claim.cseq != other.cseq:
        return claim.cseq > other.cseq
    return (not claim.active, claim.stamp, claim.owner) > (
        not other.active,
        other.stamp,
        other.owner,
    )


def join(survivors: Survivors, claim: Binding) -> Survivors:
    """
    ``survivors`` with ``claim`` taken in; the very same object if it changes nothing.

    Commutative, associative and idempotent, over claims that differ in what they are
    ordered by.
    """
    if not survivors:
        return (claim,)
    # The hot path: a refresh by the only Call-ID there is. (A comparison of the length
    # in the condition itself would let mypyc build the tuple anew.)
    alone = len(survivors) == 1
    if alone and survivors[0].call_id == claim.call_id:
        if not outlives(claim, survivors[0]):
            return survivors
        return (claim,)
    others: list[Binding] = []
    for known in survivors:
        if known.call_id != claim.call_id:
            others.append(known)
        elif not outlives(claim, known):
            return survivors
    others.append(claim)
    return _ordered(others)


def forget(survivors: Survivors, now: float) -> Survivors:
    """``survivors`` without those that nothing late can contradict any more."""
    return tuple(claim for claim in survivors if now < forgotten_at(claim))


def forgotten_at(claim: Binding) -> float:
    """
    Until when a claim that does not hold, or says that the contact is gone, is kept.

    What it keeps out is a copy of an older claim, and no copy lives longer than the
    claim itself would have, and a transaction, and what clocks differ by.
    """
    return claim.expires_at + T1_64 + MAX_CLOCK_SKEW


def _ordered(claims: Iterable[Binding]) -> Survivors:
    return tuple(
        sorted(claims, key=lambda c: (c.stamp, c.owner, c.call_id), reverse=True)
    )
