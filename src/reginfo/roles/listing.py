"""An index of the contacts in the tables of several senders, by address-of-record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from ..location.contacts import is_same
from ..location.place import Aor
from ..reg.document import Contact
from ..reg.table import ReportedContact, RowChange
from ..sip.errors import RemoteProtocolError
from ..sip.uri import Uri
from ..sip.uri_group import UriGroup

T = TypeVar("T")

_id = id  # the name is also that of a contact's id

_Row = tuple[T, ReportedContact]
_Rows = UriGroup[_Row[T]]
"""By URI, then by the identity of the owner and the id of the contact."""


class Listed(NamedTuple):
    """A contact that a peer lists as bound, in one of its documents."""

    peer: str
    source: str
    aor: Aor
    contact: Contact

    expires_at: float
    "When it ends at the peer; estimated if the peer does not say."


Listings = Callable[[Aor, Uri, float], Iterable[Listed]]
"""
Returns the peers that list a contact of an address-of-record as bound at a moment.
"""


class Listing(Generic[T]):
    """
    An index over the rows of many tables.

    The cost of a lookup does not depend on the size of the tables. Contacts whose URI
    cannot be parsed are not indexed.
    """

    def __init__(self) -> None:
        # Equal URIs have the same `base`; other URIs rarely do.
        # Most contacts have a single row, which needs no dictionary.
        self._found: dict[tuple[str, str], _Row[T] | _Rows[T]] = {}

    def update(self, owner: T, changes: Iterable[RowChange]) -> None:
        """Apply changes of rows in the table of ``owner``."""
        for change in changes:
            aor, id, before, after = change.aor, change.id, change.before, change.after
            if (
                before is not None
                and after is not None
                and before.contact.uri == after.contact.uri
            ):
                # The usual case: a contact was refreshed.
                self._add(owner, aor, id, after)
                continue
            if before is not None:
                self._remove(owner, aor, id, before)
            if after is not None:
                self._add(owner, aor, id, after)

    def undo(self, owner: T, changes: Iterable[RowChange]) -> None:
        """Undo ``changes``."""
        for change in changes:
            if change.after is not None:
                self._remove(owner, change.aor, change.id, change.after)
            if change.before is not None:
                self._add(owner, change.aor, change.id, change.before)

    def add(self, owner: T, rows: Iterable[ReportedContact]) -> None:
        """Add a whole table."""
        for row in rows:
            self._add(owner, row.aor, row.contact.id, row)

    def remove(self, owner: T, rows: Iterable[ReportedContact]) -> None:
        """Remove a whole table."""
        for row in rows:
            self._remove(owner, row.aor, row.contact.id, row)

    def find(self, aor: str, uri: Uri) -> Iterator[tuple[T, ReportedContact]]:
        """Return the owners that list a contact, each with its row."""
        found = self._found.get((aor, uri.base))
        if found is None:
            return
        if isinstance(found, tuple):
            if is_same(found[1].contact.uri, uri):
                yield found
            return
        yield from found.find(uri)

    def _add(self, owner: T, aor: str, id: str, row: ReportedContact) -> None:
        try:
            uri = Uri.parse(row.contact.uri)
        except RemoteProtocolError:
            return
        key = (aor, uri.base)
        found = self._found.get(key)
        if found is None:
            self._found[key] = (owner, row)
            return
        if isinstance(found, tuple):
            other, its_row = found
            if other is owner and its_row.contact.id == id:
                self._found[key] = (owner, row)
                return
            first, found = found, UriGroup()
            its_uri = Uri.parse(its_row.contact.uri)
            found.add(its_uri, (_id(other), its_row.contact.id), first)
            self._found[key] = found
        found.add(uri, (_id(owner), id), (owner, row))

    def _remove(self, owner: T, aor: str, id: str, row: ReportedContact) -> None:
        try:
            uri = Uri.parse(row.contact.uri)
        except RemoteProtocolError:
            return
        key = (aor, uri.base)
        found = self._found.get(key)
        if isinstance(found, tuple):
            other, its_row = found
            if other is owner and its_row.contact.id == id:
                del self._found[key]
        elif found is not None:
            found.remove(uri, (_id(owner), id))
            if not len(found):
                del self._found[key]
