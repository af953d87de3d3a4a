"""Users in the documents of others, by the names of their records here."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from ..reg.document import Reginfo, Registration
from ..reg.reader import merged
from ..sip.errors import RemoteProtocolError
from ..sip.uri import Uri

logger = logging.getLogger("reginfo.document")

Name = Callable[[Uri], str]
"""Returns the address-of-record that a URI names, in canonical form."""


def as_written(uri: Uri) -> str:
    """Return the address-of-record of a URI where each domain has its own users."""
    return uri.aor


def named(document: Reginfo, name: Name, source: str) -> Reginfo:
    """
    Return ``document`` with canonical addresses-of-record, each in one registration.

    They differ from what is written by spelling, and where several domains share their
    users (`[usrloc] use_domain`). A registration whose address-of-record cannot be
    used is left out and logged.

    Args:
        source: who sent the document, for the log.
    """
    aors: list[str] = []
    changed = False
    for registration in document.registrations:
        try:
            aor = name(Uri.parse(registration.aor))
        except RemoteProtocolError as exc:
            logger.warning("! document of %s: %s", source, exc)
            aor = ""
        aors.append(aor)
        if not aor or aor != registration.aor:
            changed = True
    if not changed and (len(aors) < 2 or len(set(aors)) == len(aors)):
        return document
    users: dict[str, list[Registration]] = {}
    for aor, registration in zip(aors, document.registrations, strict=True):
        if aor:
            if aor != registration.aor:
                registration = msgspec.structs.replace(registration, aor=aor)
            users.setdefault(aor, []).append(registration)
    registrations = tuple([merged(ones) for ones in users.values()])
    return msgspec.structs.replace(document, registrations=registrations)
