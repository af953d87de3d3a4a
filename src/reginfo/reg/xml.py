"""The codec of ``application/reginfo+xml`` (RFC 3680 §5.4)."""

from __future__ import annotations

from .document import Reginfo
from .elements import CLAIM_NAMESPACE, GRUU_NAMESPACE, NAMESPACE
from .markup import MAX_BODY
from .writer import (
    contact_element,
    contact_parts,
    escape,
    key_element,
    reginfo_body,
    registration_element,
)

__all__ = [
    "CLAIM_NAMESPACE",
    "GRUU_NAMESPACE",
    "MAX_BODY",
    "MEDIA_TYPE",
    "NAMESPACE",
    "PACKAGE",
    "contact_element",
    "contact_parts",
    "escape",
    "key_element",
    "parse",
    "reginfo_body",
    "registration_element",
    "serialize",
]

MEDIA_TYPE = "application/reginfo+xml"

PACKAGE = "reg"
"""The event package (RFC 3680 §4.1)."""


def parse(body: bytes, *, strict: bool = False) -> Reginfo:
    """The same as :meth:`.document.Reginfo.parse`."""
    return Reginfo.parse(body, strict=strict)


def serialize(document: Reginfo) -> bytes:
    """The same as :meth:`.document.Reginfo.serialize`."""
    return document.serialize()
