"""
The state of a contact: a function of its claims and of the user's records.

Nobody edits the state. It is evaluated when a claim or a record changes and when time
is up; what comes out differently is announced, with an event that follows from what was
before and what is now.
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
"""Seconds by which an end has to move to be news: documents carry whole seconds."""


def bound_by(claims: Claims, standing: Standing | None, now: float) -> Claim | None:
    """
    The claim that a contact is bound by at this moment; None if it is not bound.

    If the records of the user shorten it, the claim is returned with its new end.
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
    What is to be announced of a contact whose state was ``before``; None for nothing.

    Args:
        before: what was announced last, while the contact was bound.
        after: what :func:`bound_by` returns now.

    Returns:
        the claim to be shown, with the event that has happened.
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
        return None  # the same REGISTER, whoever says so
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
    """How a contact that was bound has come to its end."""
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
    # What ended it names the REGISTER; the attributes are those that were bound.
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
