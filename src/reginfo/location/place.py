"""Which user is meant: an address-of-record, and the table that it is looked up in."""

from __future__ import annotations

from collections.abc import Callable
from typing import NewType

from ..sip.errors import RemoteProtocolError
from ..sip.uri import Uri
from ..sip.value import Value

TABLE = "location"
"""The table of a server whose operator configures no other."""

Aor = NewType("Aor", str)
"""
An address-of-record in canonical form: `sip:alice@example.com`.

Text becomes one at the border, by a :data:`Name`: that of a server is
:meth:`.Domains.aor`. What is stored is one already. Below the border nothing makes it
canonical again, and two are the same user if they are equal.

A `NewType`, since it costs nothing on the hot path: at run time it is the `str` itself,
and only the border calls it.
"""


Name = Callable[[Uri], Aor]
"""
Returns the address-of-record that a URI names.

Raises:
    RemoteProtocolError: it can name none.
"""


def as_written(uri: Uri) -> Aor:
    """Return the address-of-record of a URI where each domain has its own users."""
    if not uri.aor:
        raise RemoteProtocolError(f"no address-of-record: {uri.text[:80]!r}")
    return Aor(uri.aor)


class Place(Value, frozen=True):
    """
    The key of a record in the location service.

    A struct and not a tuple: it takes a quarter of the time to make, and a pair of
    strings in the wrong order is found by the type checker.
    """

    table: str
    "The location table: :data:`TABLE`, unless an operator has several."

    aor: Aor

    def __str__(self) -> str:
        """The address-of-record alone, where the table is the usual one."""
        return self.aor if self.table == TABLE else f"{self.aor} in {self.table}"


def row_key(place: Place) -> str:
    """How the keys of the rows of a user begin in the storage."""
    return f"{place.table}\0{place.aor}"


def place_in(key: str) -> Place:
    """Read the user from the key of a stored row, see :func:`row_key`."""
    table, aor = key.split("\0", 2)[:2]
    return Place(table, Aor(aor))
