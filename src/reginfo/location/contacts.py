"""Finding a contact by its URI, among those of one address-of-record."""

from __future__ import annotations

from collections.abc import Mapping

from ..sip.errors import RemoteProtocolError
from ..sip.uri import Uri
from .merge import Survivors


def find(uri: Uri, rows: Mapping[str, Survivors]) -> tuple[str, Survivors]:
    """
    Return the key under which a contact is kept, and what is claimed of it.

    RFC 3261 §19.1.4 calls URIs equal that are spelled differently, and no key can
    express that. So this compares with each contact unless the key is known.
    :meth:`.LocationStore.find` does the same with an index.

    Args:
        rows: all contacts of the address-of-record, by their keys.

    Returns:
        ``uri.key`` and no claims if the contact is not known.
    """
    known = rows.get(uri.key)
    if known is not None:
        return uri.key, known
    for key, claims in rows.items():
        if is_same(claims[0].contact, uri):
            return key, claims
    return uri.key, ()


def is_same(contact: str, uri: Uri) -> bool:
    """Whether ``contact`` is a URI that equals ``uri`` (RFC 3261 §19.1.4)."""
    try:
        return uri.matches(Uri.parse(contact))
    except RemoteProtocolError:
        return False
