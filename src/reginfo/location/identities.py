"""The public identities of a user, as P-Associated-URI has them (RFC 7315 §4.1)."""

from __future__ import annotations

from ..sip.errors import RemoteProtocolError
from ..sip.headers import parse_name_addr, split
from .place import Aor, Name


def read(value: str, canonical: Name) -> tuple[tuple[Aor, ...], tuple[str, ...]]:
    """
    The identities in ``value``, and the elements that are none.

    Elements are name-addr or addr-spec, with or without parameters, separated by
    commas. Each identity is named once, in the order of the list.

    Args:
        canonical: the address-of-record that a URI names; raises `RemoteProtocolError`.

    Returns:
        addresses-of-record; and what could not be read, as written.
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
