"""Place: a user, identified by an address-of-record and a location table."""

from __future__ import annotations

from collections.abc import Callable
from typing import NewType

from ..sip.errors import RemoteProtocolError
from ..sip.uri import Uri
from ..sip.value import Value

TABLE = "location"
"""The default location table."""

Aor = NewType("Aor", str)
"""
An address-of-record in canonical form: `sip:alice@example.com`.

Text is converted at the border by a :data:`Name`, in a server by :meth:`.Domains.aor`;
stored values are canonical already. Inside the border nothing canonicalises again, and
two users are the same if their values are equal.

It is a `NewType` because that costs nothing on the hot path: at run time it is a `str`.
"""


Name = Callable[[Uri], Aor]
"""
Returns the address-of-record of a URI.

Raises:
    RemoteProtocolError: the URI has none.
"""


def as_written(uri: Uri) -> Aor:
    """Return the address-of-record of a URI if each domain has its own users."""
    if not uri.aor:
        raise RemoteProtocolError(f"not an address-of-record: {uri.text[:80]!r}")
    return Aor(uri.aor)


class Place(Value, frozen=True):
    """
    The key of a record in the location service.

    It is a struct rather than a tuple: it takes a quarter of the time to create, and
    the type checker finds two strings in the wrong order.
    """

    table: str
    "The location table: :data:`TABLE`, unless the operator uses several."

    aor: Aor

    def __str__(self) -> str:
        """Return the address-of-record; with the table if that is not the default."""
        return self.aor if self.table == TABLE else f"{self.aor} in {self.table}"


def row_key(place: Place) -> str:
    """Return the prefix of the storage keys of a user's rows."""
    return f"{place.table}\0{place.aor}"


def place_in(key: str) -> Place:
    """Return the user in the key of a stored row; see :func:`row_key`."""
    table, aor = key.split("\0", 2)[:2]
    return Place(table, Aor(aor))
