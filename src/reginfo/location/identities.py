"""Parses public identities, written as in P-Associated-URI (RFC 7315 §4.1)."""

from __future__ import annotations

from ..sip.errors import RemoteProtocolError
from ..sip.headers import parse_name_addr, split
from .place import Aor, Name


def read(value: str, canonical: Name) -> tuple[tuple[Aor, ...], tuple[str, ...]]:
    """
    Parse the identities in ``value``.

    Elements are name-addr or addr-spec, with or without parameters, separated by
    commas. Each identity is returned once, in the order of the list.

    Args:
        canonical: returns the address-of-record of a URI, or raises
            `RemoteProtocolError`.

    Returns:
        The addresses-of-record; and the elements that could not be parsed, as written.
    """
    found: dict[Aor, None] = {}
    wrong: list[str] = []
    for element in split(value):
        try:
            aor = canonical(parse_name_addr(element).parsed)
        except RemoteProtocolError:
            wrong.append(element)
        else:
            found[aor] = None
    return tuple(found), tuple(wrong)
