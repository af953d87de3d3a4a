"""
Reads and writes the claims and records in documents between `reginfo` servers.

The document of RFC 3680 is only their envelope. Each claim and record is complete in
itself, and omission removes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..location.claim import Claim
from ..location.lives import Claims
from ..location.record import Record, RecordKind
from ..location.stamp import Stamp
from ..reg import xml
from ..reg.document import (
    ClaimElement,
    Contact,
    ContactEvent,
    RecordKey,
    contact_id,
)
from ..sip.errors import RemoteProtocolError
from ..sip.uri import Uri

ACTIVE = "active"

LINK, VERSION = "Reginfo-Link", "1"
"""
The header field by which a `reginfo` server recognises another, and its value: the
major version of what they send each other.
"""

SPEAKER = "server"
"""
The kind of a record that ends each registration which a `reginfo` server is sent.

It says that omission removes nothing.
"""


def claim_elements(claims: Claims, aor: str, now: float) -> list[bytes]:
    """
    All claims for a contact, whole, for a `reginfo` server.

    Each is a ``<contact>`` of its own: one that lost may come to hold there.
    """
    elements = []
    for at, claim in enumerate(claims):
        left = claim.expires_at - now
        key = f"{claim.key}\0{claim.begin}\0{claim.call_id}" if at else claim.key
        event = claim.event
        if claim.gone is (event.state == ACTIVE) or (left <= 0 and not claim.gone):
            # The state in the document must agree with its event.
            event = ContactEvent.EXPIRED
        contact = Contact(
            id=contact_id(aor, key),
            uri=claim.contact,
            event=event,
            q=claim.q,
            callid=claim.call_id,
            cseq=claim.cseq,
            display_name=claim.display_name or None,
            params=claim.params,
            retry_after=claim.retry_after,
            claim=ClaimElement(
                owner=claim.owner,
                key=claim.key,
                begin=claim.begin,
                stamp=claim.stamp,
                edition=claim.edition,
                until=claim.until,
                left=None if left <= 0 else round(left * 1000),
                gone=claim.gone,
                path=claim.path,
                received=claim.received,
                user_agent=claim.user_agent,
            ),
        )
        registered = max(0, int(now - claim.registered_at))
        expires = claim.expires(now) if event.state == ACTIVE else None
        elements.append(
            xml.contact_element(xml.contact_parts(contact), expires, registered)
        )
    return elements


def record_elements(records: Iterable[Record], now: float) -> list[bytes]:
    """The records of a user, for a `reginfo` server."""
    return [
        xml.key_element(
            RecordKey(
                name=record.name,
                value=record.value,
                owner=record.owner,
                stamp=record.stamp,
                kind=record.kind.value,
                until=record.until,
                left=max(0, round((record.expires_at - now) * 1000))
                if record.until
                else None,
            )
        )
        for record in records
    ]


def speaker_element(server_id: str) -> bytes:
    """What says that a registration comes from a `reginfo` server."""
    return xml.key_element(RecordKey("", None, server_id, 0, kind=SPEAKER))


def claim_of(
    contact: Contact, source: str, now: float, longest_life: float
) -> Claim | None:
    """
    Return the claim that a contact carries; None if it carries none that can be used.

    Args:
        source: the source of the claim; see :class:`~reginfo.location.source.Source`.
        now: seconds on this server's clock.
        longest_life: the longest time in seconds that is granted here.
    """
    said = contact.claim
    if said is None or contact.callid is None or contact.cseq is None:
        return None
    try:
        Uri.parse(contact.uri)
    except RemoteProtocolError:
        return None
    left = 0.0 if said.left is None else said.left / 1000
    return Claim(
        contact=contact.uri,
        key=said.key,
        call_id=contact.callid,
        cseq=contact.cseq,
        begin=Stamp(said.begin),
        stamp=Stamp(said.stamp),
        edition=Stamp(said.edition),
        gone=said.gone,
        event=contact.event,
        owner=said.owner,
        until=Stamp(said.until),
        expires_at=now + min(left, longest_life),
        registered_at=now - (contact.duration_registered or 0),
        source=source,
        q=contact.q,
        params=contact.params,
        display_name=contact.display_name or "",
        path=said.path,
        received=said.received,
        user_agent=said.user_agent,
        retry_after=contact.retry_after,
    )


def record_of(key: RecordKey, source: str, now: float) -> Record | None:
    """Return a record as it was reported; None for one of an unknown kind."""
    if key.kind not in _KINDS:
        return None
    return Record(
        kind=RecordKind(key.kind),
        name=key.name,
        value=key.value,
        stamp=Stamp(key.stamp),
        owner=key.owner,
        until=Stamp(key.until),
        expires_at=now + (key.left or 0) / 1000 if key.until else 0.0,
        source=source,
    )


_KINDS = frozenset(kind.value for kind in RecordKind)
