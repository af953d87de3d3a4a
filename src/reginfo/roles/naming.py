"""Users in the documents of others, named as their records are kept here."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ..reg.document import Reginfo, Registration
from ..reg.reader import merge
from ..sip.errors import RemoteProtocolError
from ..sip.uri import Uri

Name = Callable[[Uri], str]
"""The address-of-record that a URI names, as records are kept by."""


def as_written(uri: Uri) -> str:
    """Where each domain has users of its own."""
    return uri.aor


def named(document: Reginfo, name: Name) -> Reginfo:
    """
    ``document``, with the names by which the records of its users are kept.

    They are others where several domains share their users (`[usrloc] use_domain`).
    """
    if name is as_written:
        return document
    users: dict[str, Registration] = {}
    for registration in document.registrations:
        one = _named(registration, name)
        known = users.get(one.aor)
        users[one.aor] = one if known is None else merge(known, one)
    return msgspec.structs.replace(document, registrations=tuple(users.values()))


def _named(registration: Registration, name: Name) -> Registration:
    try:
        uri = Uri.parse(registration.aor)
        kept = name(uri)
    except RemoteProtocolError:
        return registration  # which is complained of where it is taken in
    if kept == uri.aor:
        return registration
    return msgspec.structs.replace(registration, aor=kept)
