"""Reads and writes parts of documents, for several roles."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from ..location.binding import Binding
from ..location.place import Aor, Name
from ..reg import xml
from ..reg.document import Contact, ContactEvent, Reginfo, contact_id
from ..reg.writer import plain_parts
from ..sip.demands import check_extensions, understands_body
from ..sip.errors import RemoteProtocolError
from ..sip.message import Request
from .naming import named

logger = logging.getLogger("reginfo.document")


MayTell = Callable[[str, Aor], bool]
"""Whether the peer of a name may report a user."""


def anything(peer: str, aor: Aor) -> bool:
    """Let every peer report every user."""
    return True


class UnreadableDocument(RemoteProtocolError):
    """A body that cannot be parsed; it has been logged, with the sender."""


def contact_of(
    binding: Binding, aor: Aor, *, is_legacy: bool = False, implicit: bool = False
) -> Contact:
    """
    Return a binding as a document lists it, without the fields that change with time.

    Args:
        is_legacy: whether to add the attributes of Kamailio and OpenSIPS.
        implicit: whether the REGISTER named another identity of the user than ``aor``:
            then the network has bound this one.
    """
    return Contact(
        id=contact_id(aor, binding.key),
        uri=binding.contact,
        event=_event_of(binding, implicit),
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


def binding_parts(
    binding: Binding, aor: str, *, implicit: bool = False
) -> tuple[bytes, bytes]:
    """
    Write what :func:`contact_of` returns, as :func:`~reginfo.reg.writer.contact_parts`.

    It makes no contact: this is the hot path.
    """
    return plain_parts(
        contact_id(aor, binding.key),
        binding.contact,
        _event_of(binding, implicit),
        binding.call_id,
        binding.cseq,
        binding.q,
        binding.retry_after,
        binding.display_name or None,
        binding.params,
    )


def _event_of(binding: Binding, implicit: bool) -> ContactEvent:
    event = binding.event
    if implicit and event is ContactEvent.REGISTERED:
        return ContactEvent.CREATED
    return event


def read_document(
    request: Request,
    source: str,
    name: Name,
    longest: int | None = None,
    may_tell: Callable[[Aor], bool] | None = None,
) -> Reginfo | None:
    """
    Read the document in a NOTIFY or PUBLISH; None if there is none.

    Its addresses-of-record are canonical (:func:`.naming.named`).

    Args:
        source: the name of the sender, for the log.
        name: returns the address-of-record of a URI.
        longest: the longest lifetime that a contact may have, in seconds.
        may_tell: whether the sender may report a user; what it says of others is left
            out, and logged.

    Raises:
        Refusal: 415 for a body of another type that is not optional, 420 for a required
            extension.
        UnreadableDocument: the body cannot be parsed.
    """
    check_extensions(request)
    if not understands_body(request, xml.MEDIA_TYPE):
        return None
    try:
        document = Reginfo.parse(request.body)
    except RemoteProtocolError as exc:
        logger.warning("! %s of %s: %s", request.method, source, exc)
        raise UnreadableDocument(str(exc), status=exc.status) from exc
    for warning in document.warnings:
        logger.debug("! %s of %s: %s", request.method, source, warning)
    document = named(document, name, source)
    if may_tell is not None:
        document = _bounded(document, source, may_tell)
    return document if longest is None else _limited(document, longest)


def _bounded(
    document: Reginfo, source: str, may_tell: Callable[[Aor], bool]
) -> Reginfo:
    """``document`` without the users that its sender may not report."""
    kept = tuple(one for one in document.registrations if may_tell(Aor(one.aor)))
    if len(kept) == len(document.registrations):
        return document
    left = len(document.registrations) - len(kept)
    logger.warning("! document of %s: it may not report %d of its users", source, left)
    return msgspec.structs.replace(document, registrations=kept)


def _exceeds(document: Reginfo, longest: int) -> bool:
    """Whether a contact lasts longer than ``longest`` seconds."""
    for registration in document.registrations:
        for contact in registration.contacts:
            if contact.expires is not None and contact.expires > longest:
                return True
    return False


def _limited(document: Reginfo, longest: int) -> Reginfo:
    """``document`` without a contact that lasts longer than ``longest`` seconds."""
    if not _exceeds(document, longest):
        return document
    registrations = tuple(
        msgspec.structs.replace(
            registration,
            contacts=tuple(
                contact
                if contact.expires is None or contact.expires <= longest
                else msgspec.structs.replace(contact, expires=longest)
                for contact in registration.contacts
            ),
        )
        for registration in document.registrations
    )
    return msgspec.structs.replace(document, registrations=registrations)
