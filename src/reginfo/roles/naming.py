"""Maps users in the documents of peers to the records here."""

from __future__ import annotations

import logging

import msgspec

from ..location.place import Aor, Name
from ..reg.document import Reginfo, Registration
from ..reg.reader import merged
from ..sip.errors import RemoteProtocolError
from ..sip.uri import Uri

logger = logging.getLogger("reginfo.document")


def named(document: Reginfo, name: Name, source: str) -> Reginfo:
    """
    Return ``document`` with canonical addresses-of-record, each in one registration.

    They may differ from the written ones in spelling, and if several domains share
    their users (`[usrloc] use_domain`). A registration whose address-of-record cannot
    be used is left out and logged.

    Args:
        source: the sender of the document, for the log.
    """
    aors: list[Aor | None] = []
    changed = False
    for registration in document.registrations:
        aor: Aor | None = None
        try:
            aor = name(Uri.parse(registration.aor))
        except RemoteProtocolError as exc:
            logger.warning("! document of %s: %s", source, exc)
        aors.append(aor)
        if aor != registration.aor:
            changed = True
    if not changed and (len(aors) < 2 or len(set(aors)) == len(aors)):
        return document
    users: dict[str, list[Registration]] = {}
    for aor, registration in zip(aors, document.registrations, strict=True):
        if aor is not None:
            if aor != registration.aor:
                registration = msgspec.structs.replace(registration, aor=aor)
            users.setdefault(aor, []).append(registration)
    registrations = tuple([merged(ones) for ones in users.values()])
    return msgspec.structs.replace(document, registrations=registrations)


def users_of(document: Reginfo) -> tuple[Aor, ...]:
    """Return the users in a document that :func:`named` has returned."""
    return tuple([Aor(one.aor) for one in document.registrations])
