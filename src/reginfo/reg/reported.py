"""A contact as a peer has reported it, and whether a report is news."""

from __future__ import annotations

import math

import msgspec

from .contact import Contact, unquoted

SLACK = 1.0
"Seconds by which two reports of one end differ: documents carry whole seconds."


class ReportedContact(msgspec.Struct, frozen=True, gc=False):
    """An active contact, as last reported."""

    aor: str
    contact: Contact

    expires_at: float | None
    "None if nobody said: it lives as long as the subscription that told us."


def follow(
    known: ReportedContact | None, aor: str, contact: Contact, now: float
) -> ReportedContact:
    """Return the row for ``contact``: ``known`` itself if that is no news."""
    expires_at = None if contact.expires is None else now + contact.expires
    if known is None or known.contact.uri != contact.uri:
        return ReportedContact(aor, contact, expires_at)
    before, ends_before = known.contact, known.expires_at
    if expires_at is None and ends_before is not None:
        if _same_register(before, contact):
            # Another document says when it ends, and this one does not deny it.
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
    """Whether both reports are of one REGISTER; without its CSeq that is unknown."""
    return (
        contact.cseq is not None
        and contact.cseq == before.cseq
        and contact.callid == before.callid
        and contact.claim == before.claim
    )


def is_same(one: Contact, other: Contact) -> bool:
    """Whether two reports say the same, whenever made and however written."""
    # The first line is for speed: one of these differs in most reports.
    if one.cseq != other.cseq or one.event is not other.event:
        return False
    return _timeless(one) == _timeless(other)


def _timeless(contact: Contact) -> Contact:
    """Return ``contact`` without what depends on the time or the way of writing."""
    params = contact.params
    if params:
        params = tuple([(name, value and unquoted(value)) for name, value in params])
    return msgspec.structs.replace(
        contact, expires=None, duration_registered=None, params=params
    )


def shifted(row: ReportedContact, by: float) -> ReportedContact:
    """Return ``row`` with ``by`` seconds added to its end."""
    if row.expires_at is None:
        return row
    return ReportedContact(row.aor, row.contact, row.expires_at + by)
