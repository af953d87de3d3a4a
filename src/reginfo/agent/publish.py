"""One PUBLISH, and the answer of the presence server (RFC 3903 §4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from ..events.publish import Operation, Publication
from ..reg import xml
from ..reg.document import (
    Contact,
    ContactEvent,
    RegistrationState,
    contact_id,
    registration_id,
)
from ..reg.legacy import publish_body
from ..sip.errors import RemoteProtocolError
from ..sip.message import Draft, Response
from ..sip.uri import Uri
from .register import Exchange


class PublishResult(Struct, frozen=True):
    """A publication, as the server granted it."""

    etag: str | None
    "Entity-tag for the next PUBLISH; None if the publication was removed."

    expires: int
    "Seconds until the publication expires."


def publish_draft(
    uri: Uri, *, body: bytes, expires: int, etag: str | None, exchange: Exchange
) -> Draft:
    """
    Make a PUBLISH: one of the four operations of §4.1, table 1.

    Args:
        body: what to publish; empty to refresh or to remove.
        expires: in seconds; 0 removes.
        etag: of an existing publication; None for a new one.

    Raises:
        ValueError: there is no such PUBLISH.
    """
    if etag is None and not body:
        raise ValueError(
            "a refresh or a removal needs the entity-tag of the publication"
        )
    if not expires and body:
        raise ValueError("a publication needs an expiry; a removal has no document")
    # For its state machine the publication exists, and is to be refreshed now.
    publication = Publication(
        uri=uri.text,
        call_id=exchange.call_id,
        tag=exchange.tag,
        etag=etag,
        expires_at=math.inf,
        dirty=bool(body),
        wanted=expires > 0,
    )
    operation = publication.next(0.0)
    headers = f"Event: {xml.PACKAGE}\r\n"
    if operation in (Operation.INITIAL, Operation.MODIFY):
        headers += f"Content-Type: {xml.MEDIA_TYPE}\r\n"
    return publication.draft(headers, expires, body)


def published(response: Response, asked: int) -> PublishResult:
    """
    Read the 200 to a PUBLISH.

    Args:
        asked: seconds that were requested; granted if the response has no Expires.

    Raises:
        RemoteProtocolError: it has no entity-tag, which §11.3.1 requires.
    """
    granted = response.expires
    expires = asked if granted is None else granted
    if not asked:
        return PublishResult(None, 0)
    etag = response.header("SIP-ETag")
    if not etag:
        raise RemoteProtocolError("a 200 to PUBLISH without a SIP-ETag")
    return PublishResult(etag, expires)


def document_of(aor: Uri, contacts: Sequence[str], expires: int) -> bytes:
    """
    Make a document that says that ``aor`` is registered at ``contacts``.

    All presence servers accept it, also those that overwrite its version. Without
    contacts it says that the user is not registered any more.
    """
    name = aor.aor
    elements = []
    for uri in contacts:
        id = contact_id(name, uri)
        contact = Contact(id=id, uri=uri, event=ContactEvent.CREATED, callid=id, cseq=1)
        elements.append(xml.contact_element(xml.contact_parts(contact), expires, 0))
    state = RegistrationState.ACTIVE if elements else RegistrationState.TERMINATED
    registration = xml.registration_element(
        name, registration_id(name), state, elements
    )
    return publish_body([registration])
