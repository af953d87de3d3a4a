"""
Decides which of several claims about a contact holds.

A *life* of a contact is one binding, from the REGISTER that begins it to its end; it is
identified by the Call-ID and the stamp of that REGISTER. Within one life the user agent
numbers its requests, so the greatest claim by (CSeq, edition, gone, owner) survives.
Among the survivors of all lives the greatest by (stamp, owner, life) holds, whether it
says that the contact is bound or gone, and whether or not it has expired.

Both are maxima of total orders: claims may arrive in any order, any number of times, by
any route, and all servers agree. A simpler rule, which keeps only the winner and
compares "by CSeq if the Call-ID is equal, otherwise by time", would be cyclic: each of
(a, 5, t10), (a, 4, t20) and (b, 1, t15) would beat the next.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..reg.document import ContactEvent
from .claim import Claim, Life
from .stamp import Stamp, wall_at

Claims = tuple[Claim, ...]
"""The stored claims about one contact, one for each life; the one that holds first."""

LIVES = 7
"""
The number of latest lives that are stored for one contact, in addition to the claim
that holds.

This limits the storage used by a phone that sends each REGISTER with a new Call-ID.
"""

SLACK = 92.0
"""
Seconds by which a late copy may outlive its claim: a transaction (64*T1, 32 s), and one
minute of clock difference.
"""


def outlives(claim: Claim, other: Claim) -> bool:
    """Whether ``claim`` replaces ``other`` of the same life."""
    if claim.cseq != other.cseq:
        return claim.cseq > other.cseq
    if claim.edition != other.edition:
        return claim.edition > other.edition
    # The last two are equal between servers that follow the rule. They are compared so
    # that a server that does not cannot leave two others in different states.
    return (claim.gone, claim.owner, claim.stamp, claim.until) > (
        other.gone,
        other.owner,
        other.stamp,
        other.until,
    )


def rank(claim: Claim) -> tuple[int, str, Life]:
    """Return the sort key of the survivors of several lives: the greatest holds."""
    return claim.stamp, claim.owner, (claim.begin, claim.call_id)


def join(claims: Claims, claim: Claim) -> Claims:
    """
    Merge ``claim`` into ``claims``; return the same object if nothing changes.

    This is commutative, associative and idempotent for claims of up to :data:`LIVES`
    lives; for more lives, if the stamps of a life grow with its CSeq.
    """
    if not claims:
        return (claim,)
    # The hot path: a refresh of the only life. (Comparing the length in the condition
    # itself would make mypyc build the tuple again.)
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
    # A life that began before all stored ones is ignored.
    return kept if any(known is claim for known in kept) else claims


def _kept(claims: list[Claim]) -> Claims:
    claims.sort(key=rank, reverse=True)
    if len(claims) > LIVES:
        last = sorted((c.life for c in claims), reverse=True)[:LIVES]
        claims = [c for i, c in enumerate(claims) if i == 0 or c.life in last]
    return tuple(claims)


def newest_of(claims: Claims, call_id: str) -> Claim | None:
    """Return the newest claim of any life with this Call-ID; None if there is none."""
    newest = None
    for claim in claims:
        if claim.call_id == call_id and (newest is None or rank(claim) > rank(newest)):
            newest = claim
    return newest


def next_stamp(claims: Iterable[Claim], wall: float, floor: int = 0) -> Stamp:
    """
    Return a stamp for a new claim: the time, but later than all claims about the
    contact.

    Only the order within one contact matters. So a server with a wrong clock affects
    only the contacts that it has changed, each until its next REGISTER.

    Args:
        wall: the time in seconds since the epoch.
        floor: the stamp of a record, which the new claim must exceed as well.
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
    Return when a contact can be forgotten, if nothing changes until then.

    All claims about a contact are forgotten together: forgetting one of them could
    revive another that it had beaten. Nothing that arrives late can be older than the
    longest interval that any server grants.

    Args:
        claims: the claims about one contact; at least one.
        wall: the time in seconds since the epoch, at ``now``.
        longest: the longest interval that any linked server grants, in seconds.

    Returns:
        A time on the clock of ``now``.
    """
    latest = 0.0
    for claim in claims:
        latest = max(latest, now + wall_at(claim.stamp) - wall + longest)
        if not claim.gone:
            latest = max(latest, claim.expires_at)
    return latest + SLACK
