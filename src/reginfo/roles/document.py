"""Documents in and out, as several roles need them."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from ..location.binding import Binding
from ..location.lives import Claims
from ..location.place import Aor, Name
from ..location.record import Record
from ..reg import xml
from ..reg.document import (
    ClaimElement,
    Contact,
    ContactEvent,
    RecordKey,
    Reginfo,
    contact_id,
)
from ..sip.demands import check_extensions, understands_body
from ..sip.errors import RemoteProtocolError
from ..sip.message import Request
from .naming import named

ACTIVE = "active"

logger = logging.getLogger("reginfo.document")


SPEAKER = "server"
"""
The kind of a record that ends each registration which a server of our kind is sent.

It says that what is not listed is not gone.
"""


def contact_of(
    binding: Binding, aor: Aor, *, is_legacy: bool = False, implicit: bool = False
) -> Contact:
    """
    Return a binding as a document lists it, without what changes with time.

    Args:
        is_legacy: whether to add what Kamailio and OpenSIPS have attributes for.
        implicit: whether the REGISTER named another of the user's identities than
            ``aor``: then it is the network that has bound this one.
    """
    event = binding.event
    if implicit and event is ContactEvent.REGISTERED:
        event = ContactEvent.CREATED
    return Contact(
        id=contact_id(aor, binding.key),
        uri=binding.contact,
        event=event,
        q=binding.q,
        callid=binding.call_id,
        cseq=binding.cseq,
        display_name=binding.display_name or None,
        params=binding.params,
        retry_after=binding.retry_after,
        path=binding.path if is_legacy else (),
        received=binding.received if is_legacy else "",
        user_agent=binding.user_agent if is_legacy else "",
    )


def claim_elements(claims: Claims, aor: Aor, now: float) -> list[bytes]:
    """
    All claims for a contact, whole, for a server of our kind.

    Each is a ``<contact>`` of its own: one that lost may come to hold there.
    """
    elements = []
    for at, claim in enumerate(claims):
        left = claim.expires_at - now
        key = f"{claim.key}\0{claim.begin}\0{claim.call_id}" if at else claim.key
        event = claim.event
        if claim.gone is (event.state == ACTIVE) or (left <= 0 and not claim.gone):
            # The state in the document has to agree with the event in it.
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
    """The records of a user, for a server of our kind."""
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
    """What says that a registration comes from a server of our kind."""
    return xml.key_element(RecordKey("", None, server_id, 0, kind=SPEAKER))


def read_document(request: Request, source: str, name: Name) -> Reginfo | None:
    """
    Read the document in a NOTIFY or PUBLISH; None if there is none.

    Its addresses-of-record are canonical (:func:`.naming.named`).

    Args:
        source: who sends it, for the log.
        name: the address-of-record that a URI names.

    Raises:
        Refusal: 415 for a body that is not understood and not optional, 420 for
            an extension that is required.
        RemoteProtocolError: it cannot be read.
    """
    check_extensions(request)
    if not understands_body(request, xml.MEDIA_TYPE):
        return None
    try:
        document = xml.parse(request.body)
    except RemoteProtocolError as exc:
        logger.warning("! %s of %s: %s", request.method, source, exc)
        exc.is_logged = True
        raise
    for warning in document.warnings:
        logger.debug("! %s of %s: %s", request.method, source, warning)
    return named(document, name, source)
