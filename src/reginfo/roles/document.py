"""Documents in and out, as several roles need them."""

from __future__ import annotations

import logging

from ..location.binding import Binding
from ..location.omission import split
from ..reg import xml
from ..reg.document import ClaimElement, Contact, ContactEvent, Reginfo, contact_id
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.message import Request
from .naming import Name, named

logger = logging.getLogger("reginfo.document")


def contact_of(
    binding: Binding, aor: str, with_claim: bool, implicit: bool = False
) -> Contact:
    """
    Return a binding as a document lists it, without what changes with time.

    Args:
        with_claim: whether to add the owner and the stamp, for a server of our kind.
        implicit: whether the REGISTER named another of the user's identities than
            ``aor``: then it is the network that has bound this one.
    """
    event = binding.event
    if implicit and event is ContactEvent.REGISTERED:
        event = ContactEvent.CREATED
    call_id, by = split(binding.call_id)
    return Contact(
        id=contact_id(aor, binding.key),
        uri=binding.contact,
        event=event,
        q=binding.q,
        callid=call_id,
        cseq=binding.cseq,
        display_name=binding.display_name or None,
        params=binding.params,
        retry_after=binding.retry_after,
        claim=ClaimElement(
            owner=binding.owner,
            stamp=binding.stamp,
            path=binding.path,
            received=binding.received,
            user_agent=binding.user_agent,
            omitted_by=by,
        )
        if with_claim
        else None,
    )


def read_document(request: Request, source: str, name: Name) -> Reginfo | None:
    """
    Return the document in a NOTIFY or PUBLISH; None if it has no body.

    Its addresses-of-record are canonical (:func:`.naming.named`).

    Args:
        source: who sends it, for the log.
        name: the address-of-record that a URI names.

    Raises:
        Refusal: 415 for a body of another type.
        RemoteProtocolError: it cannot be read.
    """
    if not request.body:
        return None
    content_type = (request.header("Content-Type") or "").partition(";")[0]
    if content_type.strip().lower() != xml.MEDIA_TYPE:
        accept = [("Accept", xml.MEDIA_TYPE)]
        raise Refusal(415, "Unsupported Media Type", headers=accept)
    try:
        document = xml.parse(request.body)
    except RemoteProtocolError as exc:
        logger.warning("! %s of %s: %s", request.method, source, exc)
        exc.is_logged = True
        raise
    for warning in document.warnings:
        logger.debug("! %s of %s: %s", request.method, source, warning)
    return named(document, name, source)
