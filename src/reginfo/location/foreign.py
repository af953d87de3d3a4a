"""
Makes claims from the documents of foreign peers.

Foreign peers such as Kamailio, OpenSIPS, an S-CSCF or a phone send plain documents of
RFC 3680: a contact that is listed is bound there, and one that is no longer listed is
not. The server that receives them keeps what the peer listed last, and makes claims
only from the *changes*: a repeated document makes none.
"""

from __future__ import annotations

import msgspec

from ..reg.document import ContactEvent
from ..sip.value import Value
from .claim import Claim
from .lives import SLACK, Claims, ended_at, newest_of, next_stamp
from .stamp import Stamp, stamp_at

MOVED = 1.0
"""An end that moves by less, in seconds, is ignored: documents have whole seconds."""

GRACE = 60.0
"""
Seconds by which a contact without `expires` outlives the subscription that lists it, so
that a late refresh does not end it.
"""

FINAL = frozenset(
    {
        ContactEvent.UNREGISTERED,
        ContactEvent.DEACTIVATED,
        ContactEvent.REJECTED,
        ContactEvent.PROBATION,
    }
)
"""
Endings that somebody requested; `expired` applies only to the peer's own contacts.
"""


class Told(Value, frozen=True, kw_only=True):
    """The peer that lists a contact, the time, and the current claims."""

    peer: str
    "The name of the peer, which owns the contacts that it was the first to list."

    claims: Claims
    "All stored claims about the contact, from any server."

    now: float
    "Seconds on this server's clock."

    wall: float
    "Seconds since the epoch."

    since: float | None = None
    """
    For the first document after an outage of the peer: when the outage began, in
    seconds since the epoch. Its changes may have happened at any time since. None: they
    have happened now.
    """

    is_exact: bool = False
    "Whether the peer reports when the contact was first bound."

    floor: int = 0
    "The stamp of a record of the user; a new claim must be later."

    def new_stamp(self) -> Stamp:
        """Return a stamp later than all claims about the contact."""
        return next_stamp(self.claims, self.wall, self.floor)


def listed(listing: Claim, told: Told, *, had: tuple[str, int] | None) -> Claim | None:
    """
    Return the claim for a contact that is listed as bound; None if there is no change.

    Args:
        listing: the contact as the peer lists it. ``call_id``, ``cseq`` and the ends
            are the peer's; ``begin``, ``stamp`` and ``edition`` are not used. For a
            contact without Call-ID or CSeq, see :func:`unnumbered`.
        had: Call-ID and CSeq under which the peer listed it before; None if it is new.
    """
    known = newest_of(told.claims, listing.call_id)
    if known is None:
        return _begun(listing, told)
    if listing.cseq > known.cseq:
        return _continued(listing, known, told)
    if listing.cseq < known.cseq:
        # A phone that has restarted counts from 1; otherwise it is an outdated row.
        ended_at = _over_since(known, told)
        if had is None and ended_at is not None and ended_at + SLACK <= told.now:
            return _begun(listing, told)
        return None
    if not known.gone:
        moved = abs(listing.expires_at - known.expires_at) > MOVED
        if known.owner != told.peer or not moved:
            return None  # an echo, or another server was faster
        return _edition(listing, known, told)
    if known.owner != told.peer:
        return None  # a `reginfo` server ended it: an outdated row does not revive it
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
    Return the claim for a contact that ended at the peer; None if nothing ends here.

    Args:
        event: the event; EXPIRED also for a contact that the peer no longer lists.
        call_id: with ``cseq``, identifies the REGISTER, as listed.
    """
    known = newest_of(told.claims, call_id)
    if known is None or known.gone or cseq < known.cseq:
        return None  # a newer claim, from here or elsewhere, is not affected
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
        retry_after=_retry_after(event, retry_after),
        branch=0,
        number=0,
    )


def prolonged(listing: Claim, told: Told) -> Claim | None:
    """
    Return the claim that continues a contact which has expired here, but not at the
    peer.

    An echo of a contact that another server owns has no effect while that is bound.
    When it has expired, the peer's later end applies.
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
    Complete the ``listing`` of a peer without Call-ID or CSeq; None if it is an echo.

    The contact's id at that peer, and the order of its changes, take their place.

    Args:
        changed: whether the peer reports a change of it.
    """
    bound = [claim for claim in told.claims[:1] if not claim.is_over(told.now)]
    if bound and bound[0].owner != told.peer:
        return None
    call_id = f"{contact_id}@{told.peer}"
    known = newest_of(told.claims, call_id)
    cseq = told.new_stamp() if changed or known is None else known.cseq
    return msgspec.structs.replace(listing, call_id=call_id, cseq=cseq)


def _retry_after(event: ContactEvent, seconds: int | None) -> int | None:
    """
    Return the time of a probation, which our documents must have (RFC 3680 §5.1).

    With another event it means nothing; a peer that omits it with a probation leaves
    the user agent free to retry.
    """
    if event is not ContactEvent.PROBATION:
        return None
    return seconds or 0


def _begun(listing: Claim, told: Told) -> Claim:
    stamp = _stamp(listing, told)
    return _made(listing, begin=stamp, stamp=stamp, edition=stamp, told=told)


def _continued(listing: Claim, known: Claim, told: Told) -> Claim:
    # It follows the known claim with its Call-ID, however old that is.
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
    """Return when the listed request was accepted, as far as known."""
    if told.since is None:
        return told.new_stamp()
    if not told.is_exact:
        return stamp_at(told.since)
    registered = told.wall - (told.now - listing.registered_at)
    return stamp_at(max(told.since, min(registered, told.wall)))


def _over_since(claim: Claim, told: Told) -> float | None:
    """Return when a claim ended, on this server's clock; None if it has not."""
    if not claim.is_over(told.now):
        return None
    return ended_at(claim, told.now, told.wall)
