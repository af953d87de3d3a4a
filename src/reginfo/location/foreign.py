"""
What a foreign peer says of a contact, made into a claim.

Kamailio, OpenSIPS, an S-CSCF or a phone send documents of RFC 3680: what is listed is
bound there, and what is listed no longer is not. They know no claims. The gateway, the
server of ours that is told, keeps what the peer listed last, and makes claims of the
*transitions* only: a document that says the same again says nothing new.
"""

from __future__ import annotations

import msgspec

from ..reg.document import ContactEvent
from .claim import Claim
from .lives import SLACK, Claims, ended_at, newest_of, next_stamp
from .stamp import Stamp, stamp_at

MOVED = 1.0
"""Seconds by which an end has to move to be said anew: documents have whole seconds."""

GRACE = 60.0
"""
Seconds that a contact without `expires` outlives the subscription that lists it, so
that a refresh that comes late does not end it.
"""

FINAL = frozenset(
    {
        ContactEvent.UNREGISTERED,
        ContactEvent.DEACTIVATED,
        ContactEvent.REJECTED,
        ContactEvent.PROBATION,
    }
)
"""Ends that somebody has wished; `expired` is only what became of the peer's own."""


class Told(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who lists a contact, when, and what is known of the contact so far."""

    peer: str
    "Name of the peer: it owns what it was the first to list."

    claims: Claims
    "All that is kept of the contact, from whatever server."

    now: float
    "Seconds on this server's clock."

    wall: float
    "Seconds since the epoch."

    since: float | None = None
    """
    For the first document after the peer was out of reach: the moment since when, in
    seconds since the epoch. What it lists may have happened at any time since. None:
    it has happened now.
    """

    is_exact: bool = False
    "Whether the peer says since when the contact has been bound."

    floor: int = 0
    "Stamp of a record of the user that a new claim has to be later than."

    def new_stamp(self) -> Stamp:
        """A stamp later than all that is kept of the contact."""
        return next_stamp(self.claims, self.wall, self.floor)


def listed(listing: Claim, told: Told, *, had: tuple[str, int] | None) -> Claim | None:
    """
    The claim that a contact listed as bound makes; None if it says nothing new.

    Args:
        listing: the contact as the peer lists it. ``call_id``, ``cseq`` and the ends
            are the peer's; ``begin``, ``stamp`` and ``edition`` are not read. A cseq
            of 0 with :func:`unnumbered` for one without Call-ID or CSeq.
        had: Call-ID and CSeq under which the peer has listed it until now; None if it
            is new in what the peer lists.
    """
    known = newest_of(told.claims, listing.call_id)
    if known is None:
        return _begun(listing, told)
    if listing.cseq > known.cseq:
        return _continued(listing, known, told)
    if listing.cseq < known.cseq:
        # A phone that has started again counts from 1. Else it is a stale row.
        ended_at = _over_since(known, told)
        if had is None and ended_at is not None and ended_at + SLACK <= told.now:
            return _begun(listing, told)
        return None
    if not known.gone:
        moved = abs(listing.expires_at - known.expires_at) > MOVED
        if known.owner != told.peer or not moved:
            return None  # an echo, or another gateway was faster
        return _edition(listing, known, told)
    if known.owner != told.peer:
        return None  # one of ours has ended it: a stale listing does not bring it back
    return _edition(listing, known, told)


def ended(
    event: ContactEvent,
    call_id: str,
    cseq: int,
    told: Told,
    *,
    retry_after: int | None = None,
) -> Claim | None:
    """
    The claim that a contact has ended at the peer; None if that ends nothing here.

    Args:
        event: EXPIRED for a contact that the peer lists no longer, too.
        call_id: with ``cseq``: what it is said of, as listed.
    """
    known = newest_of(told.claims, call_id)
    if known is None or known.gone or cseq < known.cseq:
        return None  # a claim made since, here or elsewhere, is not touched
    if event not in FINAL and known.owner != told.peer:
        return None
    return msgspec.structs.replace(
        known,
        cseq=cseq,
        edition=told.new_stamp(),
        gone=True,
        event=event,
        owner=told.peer,
        source=None,
        retry_after=retry_after,
        branch=0,
        number=0,
    )


def prolonged(listing: Claim, told: Told) -> Claim | None:
    """
    The claim that keeps a contact bound whose time is up here, but not at the peer.

    An echo of what another server owns is no news while that lasts. When it has ended
    by time, and by nothing else, the peer's own later end counts.
    """
    if not told.claims:
        return None
    holds = told.claims[0]
    if (
        holds.gone
        or holds.expires_at > told.now
        or holds.call_id != listing.call_id
        or holds.cseq != listing.cseq
        or listing.expires_at <= told.now + MOVED
    ):
        return None
    return _edition(listing, holds, told)


def unnumbered(
    listing: Claim, contact_id: str, told: Told, *, changed: bool
) -> Claim | None:
    """
    ``listing`` of a peer that sends no Call-ID or no CSeq; None if it is an echo.

    The contact's id at that peer, and the order in which it changed, stand for them.

    Args:
        changed: whether the peer says something else of it than before.
    """
    bound = [claim for claim in told.claims[:1] if not claim.is_over(told.now)]
    if bound and bound[0].owner != told.peer:
        return None
    call_id = f"{contact_id}@{told.peer}"
    known = newest_of(told.claims, call_id)
    cseq = told.new_stamp() if changed or known is None else known.cseq
    return msgspec.structs.replace(listing, call_id=call_id, cseq=cseq)


def _begun(listing: Claim, told: Told) -> Claim:
    stamp = _stamp(listing, told)
    return _made(listing, begin=stamp, stamp=stamp, edition=stamp, told=told)


def _continued(listing: Claim, known: Claim, told: Told) -> Claim:
    # It follows what is known of its Call-ID, whenever that was.
    stamp = max(_stamp(listing, told), known.stamp + 1)
    return _made(
        listing, begin=known.begin, stamp=Stamp(stamp), edition=Stamp(stamp), told=told
    )


def _edition(listing: Claim, known: Claim, told: Told) -> Claim:
    edition = told.new_stamp()
    return _made(
        listing, begin=known.begin, stamp=known.stamp, edition=edition, told=told
    )


def _made(
    listing: Claim, *, begin: Stamp, stamp: Stamp, edition: Stamp, told: Told
) -> Claim:
    left = listing.expires_at - told.now
    return msgspec.structs.replace(
        listing,
        begin=begin,
        stamp=stamp,
        edition=edition,
        gone=False,
        owner=told.peer,
        until=stamp_at(told.wall + left),
    )


def _stamp(listing: Claim, told: Told) -> Stamp:
    """When the wish that is listed was accepted, as far as that can be known."""
    if told.since is None:
        return told.new_stamp()
    if not told.is_exact:
        return stamp_at(told.since)
    registered = told.wall - (told.now - listing.registered_at)
    return stamp_at(max(told.since, min(registered, told.wall)))


def _over_since(claim: Claim, told: Told) -> float | None:
    """Since when a claim is over, on this server's clock; None if it is not."""
    if not claim.is_over(told.now):
        return None
    return ended_at(claim, told.now, told.wall)
