"""
Which of several claims for a contact holds.

A *life* of a contact is one binding, from the REGISTER that begins it to its end; its
name is the Call-ID and the stamp of that REGISTER. Within one life the user agent has
numbered its requests, so the greatest claim by (CSeq, edition, gone, owner) survives.
Among the survivors of all lives the greatest by (stamp, owner, life) holds, whether it
says that the contact is bound or gone, and whether or not its time is up.

Both are maxima of total orders: claims may arrive in any order, any number of times and
by any way, and all servers agree. Keeping the winner alone, and comparing "by CSeq if
the Call-ID is equal, else by time", would be a cycle: of (a, 5, t10), (a, 4, t20) and
(b, 1, t15) each would beat the next.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..reg.document import ContactEvent
from .claim import Claim, Life
from .stamp import Stamp, wall_at

Claims = tuple[Claim, ...]
"""Claims for one contact, one for each life that is kept; the one that holds first."""

LIVES = 7
"""
Lives begun last that are kept of one contact; the one that holds is kept besides.

Bounds what somebody can store who sends each REGISTER with a new Call-ID.
"""

SLACK = 92.0
"""
Seconds by which a late copy may outlive its claim: a transaction (64*T1, 32 s), and a
minute that clocks may differ by.
"""


def outlives(claim: Claim, other: Claim) -> bool:
    """Whether ``claim`` replaces ``other``, which is of the same life."""
    if claim.cseq != other.cseq:
        return claim.cseq > other.cseq
    if claim.edition != other.edition:
        return claim.edition > other.edition
    # The last two are equal between servers that keep to the rule. They are compared
    # so that one that does not cannot leave two others apart.
    return (claim.gone, claim.owner, claim.stamp, claim.until) > (
        other.gone,
        other.owner,
        other.stamp,
        other.until,
    )


def rank(claim: Claim) -> tuple[int, str, Life]:
    """By what the survivors of several lives are ordered: the greatest holds."""
    return claim.stamp, claim.owner, (claim.begin, claim.call_id)


def join(claims: Claims, claim: Claim) -> Claims:
    """
    ``claims`` with ``claim`` taken in; the very same object if it changes nothing.

    Commutative, associative and idempotent over claims of up to :data:`LIVES` lives;
    and beyond, where the stamps of a life grow with its CSeq.
    """
    if not claims:
        return (claim,)
    # The hot path: a refresh of the only life there is. (Comparing the length in the
    # condition itself would make mypyc build the tuple anew.)
    alone = len(claims) == 1
    if alone:
        known = claims[0]
        if known.begin == claim.begin and known.call_id == claim.call_id:
            return (claim,) if outlives(claim, known) else claims
    others: list[Claim] = []
    for known in claims:
        if known.begin != claim.begin or known.call_id != claim.call_id:
            others.append(known)
        elif not outlives(claim, known):
            return claims
    others.append(claim)
    kept = _kept(others)
    # A life that began before all that are kept is not taken in.
    return kept if any(known is claim for known in kept) else claims


def _kept(claims: list[Claim]) -> Claims:
    claims.sort(key=rank, reverse=True)
    if len(claims) > LIVES:
        last = sorted((c.life for c in claims), reverse=True)[:LIVES]
        claims = [c for i, c in enumerate(claims) if i == 0 or c.life in last]
    return tuple(claims)


def newest_of(claims: Claims, call_id: str) -> Claim | None:
    """The newest claim of any life with that Call-ID; None if none is kept."""
    newest = None
    for claim in claims:
        if claim.call_id == call_id and (newest is None or rank(claim) > rank(newest)):
            newest = claim
    return newest


def next_stamp(claims: Iterable[Claim], wall: float, floor: int = 0) -> Stamp:
    """
    A stamp for a new claim: the time, and later than all that is kept of the contact.

    Order is needed within one contact only. So a server whose clock is wrong spoils the
    contacts that it has touched, each until its next REGISTER, and no others.

    Args:
        wall: seconds since the epoch.
        floor: a stamp of a record that the new claim has to be later than, too.
    """
    stamp = int(wall * 1e6)
    if stamp <= floor:
        stamp = floor + 1
    for claim in claims:
        known = claim.edition if claim.edition > claim.stamp else claim.stamp
        if known >= stamp:
            stamp = known + 1
    return Stamp(stamp)


def ended(binding: Claim, event: ContactEvent, claims: Claims, wall: float) -> Claim:
    """
    Return the claim that ends a binding which nobody has wished to end.

    It ends this registration and no later one: the stamp stays.

    Args:
        event: says why.
        claims: all that is kept of the contact.
        wall: seconds since the epoch.
    """
    return msgspec.structs.replace(
        binding,
        gone=True,
        event=event,
        edition=next_stamp(claims, wall),
        retry_after=None,
        number=0,
    )


def ended_at(claim: Claim, now: float, wall: float) -> float:
    """
    When a contact has ended, or will end if nothing changes, on the clock of ``now``.

    Args:
        claim: the claim that holds.
        wall: seconds since the epoch, at the moment ``now``.
    """
    if claim.gone:
        return now + wall_at(claim.edition) - wall
    return claim.expires_at


def forgotten_at(claims: Claims, now: float, wall: float, longest: float) -> float:
    """
    When a contact can be forgotten, if nothing changes until then.

    A contact is forgotten whole or not at all: forgetting one of its claims could let
    another hold that it had beaten. Nothing that arrives late can be older than the
    longest life that any server grants.

    Args:
        claims: of one contact; at least one.
        wall: seconds since the epoch, at the moment ``now``.
        longest: the longest time in seconds that any linked server grants.

    Returns:
        a moment on the clock of ``now``.
    """
    latest = 0.0
    for claim in claims:
        latest = max(latest, now + wall_at(claim.stamp) - wall + longest)
        if not claim.gone:
            latest = max(latest, claim.expires_at)
    return latest + SLACK
