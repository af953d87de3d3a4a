"""The public identities of a user, as P-Associated-URI has them (RFC 7315 §4.1)."""

from __future__ import annotations

from collections.abc import Callable

from ..sip.errors import RemoteProtocolError
from ..sip.headers import parse_name_addr, split
from ..sip.uri import Uri


def read(
    value: str, canonical: Callable[[Uri], str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """
    The identities in ``value``, and the elements that are none.

    Elements are name-addr or addr-spec, with or without parameters, separated by
    commas. Each identity is named once, in the order of the list.

    Args:
        canonical: the address-of-record that a URI names; raises `RemoteProtocolError`.

    Returns:
        addresses-of-record; and what could not be read, as written.
    """
    found: dict[str, None] = {}
    wrong: list[str] = []
    for element in split(value):
        try:
            aor = canonical(parse_name_addr(element).parsed)
        except RemoteProtocolError:
            wrong.append(element)
        else:
            found[aor] = None
    return tuple(found), tuple(wrong)


def canonical(uri: Uri) -> str:
    """
    The address-of-record that a URI names, where nobody has another idea of it.

    Raises:
        RemoteProtocolError: it can name none.
    """
    if not uri.aor:
        raise RemoteProtocolError(f"no address-of-record: {uri.text[:80]!r}")
    return uri.aor
