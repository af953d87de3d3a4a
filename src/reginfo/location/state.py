"""
The state of a contact: a function of its claims and of the user's records.

The state is never edited. It is evaluated when a claim or a record changes, and when a
contact expires; a difference is announced, with an event that follows from the states
before and after.
"""

from __future__ import annotations

import msgspec

from ..reg.document import ContactEvent
from .claim import Claim
from .lives import Claims
from .record import Standing

REGISTERED, REFRESHED = ContactEvent.REGISTERED, ContactEvent.REFRESHED
CREATED, SHORTENED = ContactEvent.CREATED, ContactEvent.SHORTENED

NOTICEABLE = 1.0
"""
An end that moves by less, in seconds, is not announced: documents have whole seconds.
"""


def bound_by(claims: Claims, standing: Standing | None, now: float) -> Claim | None:
    """
    Return the claim that binds a contact now; None if it is not bound.

    If a record of the user shortens it, the claim is returned with its new end.
    """
    if not claims:
        return None
    holds = claims[0]
    if holds.gone or holds.expires_at <= now:
        return None
    if standing is None:
        return holds
    if holds.stamp < standing.cleared or standing.bars(now):
        return None
    if holds.stamp < standing.shortened and standing.shortened_to < holds.expires_at:
        if standing.shortened_to <= now:
            return None
        return msgspec.structs.replace(
            holds, expires_at=standing.shortened_to, event=SHORTENED
        )
    return holds


def change(
    before: Claim | None,
    after: Claim | None,
    claims: Claims,
    standing: Standing | None,
    now: float,
) -> Claim | None:
    """
    Return the change to announce for a contact; None if there is none.

    Args:
        before: the binding that was announced last; None if it was not bound.
        after: the result of :func:`bound_by` now.

    Returns:
        The claim to show, with the event.
    """
    if after is None:
        if before is None:
            return None
        return _ended(before, claims, standing, now)
    if before is None:
        event = CREATED if after.event is CREATED else REGISTERED
    elif (
        before.stamp == after.stamp
        and before.cseq == after.cseq
        and before.begin == after.begin
        and before.call_id == after.call_id
        and abs(before.expires_at - after.expires_at) <= NOTICEABLE
    ):
        return None  # the same REGISTER, from another source
    elif after.event is SHORTENED:
        event = SHORTENED
    else:
        event = REFRESHED
    if after.event is event:
        return after
    return msgspec.structs.replace(after, event=event)


def _ended(
    before: Claim, claims: Claims, standing: Standing | None, now: float
) -> Claim:
    """Return the ending of a contact that was bound."""
    holds = claims[0] if claims else before
    event, retry_after = ContactEvent.EXPIRED, None
    if standing is not None and standing.rejected:
        event = ContactEvent.REJECTED
    elif standing is not None and now < standing.probation_ends:
        event, retry_after = ContactEvent.PROBATION, standing.retry_after
    elif holds.gone:
        event, retry_after = holds.event, holds.retry_after
    elif standing is not None and holds.stamp < standing.cleared:
        event = ContactEvent.UNREGISTERED
    # The ending has the REGISTER; the attributes are those of the binding.
    return msgspec.structs.replace(
        before,
        call_id=holds.call_id,
        cseq=holds.cseq,
        begin=holds.begin,
        stamp=holds.stamp,
        edition=holds.edition,
        gone=holds.gone,
        owner=holds.owner,
        source=holds.source,
        number=holds.number,
        event=event,
        retry_after=retry_after,
    )
