"""Whether the report of a contact by a peer is a change."""

from __future__ import annotations

import math

import msgspec

from .contact import Contact, unquoted
from .table_row import ReportedContact

SLACK = 1.0
"Reports of one end may differ by this many seconds: documents have whole seconds."


def follow(
    known: ReportedContact | None, aor: str, contact: Contact, now: float
) -> ReportedContact:
    """Return the row for ``contact``; ``known`` itself if there is no change."""
    expires_at = None if contact.expires is None else now + contact.expires
    if known is None or known.contact.uri != contact.uri:
        return ReportedContact(aor, contact, expires_at)
    before, ends_before = known.contact, known.expires_at
    if expires_at is None and ends_before is not None:
        if _same_register(before, contact):
            # An earlier document has the end, and this one does not contradict it.
            expires_at = ends_before
            contact = msgspec.structs.replace(
                contact, expires=max(0, math.ceil(ends_before - now))
            )
    elif (
        expires_at is not None
        and ends_before is not None
        and abs(expires_at - ends_before) <= SLACK
    ):
        expires_at = ends_before
    if expires_at == ends_before and is_same(before, contact):
        return known
    return ReportedContact(aor, contact, expires_at)


def _same_register(before: Contact, contact: Contact) -> bool:
    """Whether both reports are about one REGISTER; unknown without a CSeq."""
    return (
        contact.cseq is not None
        and contact.cseq == before.cseq
        and contact.callid == before.callid
        and contact.claim == before.claim
    )


def is_same(one: Contact, other: Contact) -> bool:
    """Whether two reports have the same content, apart from time and spelling."""
    if one.cseq != other.cseq or one.event is not other.event:
        return False
    return _timeless(one) == _timeless(other)


def _timeless(contact: Contact) -> Contact:
    """Return ``contact`` without fields that depend on time or spelling."""
    params = contact.params
    if params:
        params = tuple([(name, value and unquoted(value)) for name, value in params])
    return msgspec.structs.replace(
        contact, expires=None, duration_registered=None, params=params
    )
