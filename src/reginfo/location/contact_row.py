"""A contact as it is stored, and an index of contacts by URI."""

from __future__ import annotations

from collections.abc import Mapping

from ..sip.errors import RemoteProtocolError
from ..sip.uri import Uri
from ..sip.uri_group import UriGroup
from .claim import Claim
from .contacts import is_same
from .lives import Claims
from .place import Place

INDEXED = 16
"""The number of contacts of one address-of-record that need no index."""


class ContactRow:
    """
    One contact of an address-of-record.

    It is in the index of changes, and in the timer wheel of the store: first for its
    expiry, later for the time at which it can be forgotten.
    """

    __slots__ = (
        "claims", "key", "place", "scheduled_at", "shown", "timer_at", "uri",
    )  # fmt: skip

    def __init__(self, place: Place, key: str) -> None:
        self.place = place
        self.key = key

        self.claims: Claims = ()
        "Its stored claims; the claim that holds comes first."

        self.shown: Claim | None = None
        "The binding as it was announced; None if it is not bound."

        self.uri: Uri | None = None
        "The URI of the contact as an index has it, once it is in one."

        self.timer_at: float | None = None
        self.scheduled_at: float | None = None

    def has_number(self, number: int) -> bool:
        """Whether one of the claims has this number in the index of changes."""
        for claim in self.claims:
            if claim.number == number:
                return True
        return False

    def timer_due(self, now: float) -> None:
        # The store handles it.
        self.timer_at = None


class UserContacts:
    """The contacts of one address-of-record, by their keys."""

    __slots__ = ("bound", "over", "rows")

    def __init__(self) -> None:
        self.rows: dict[str, ContactRow] = {}
        "All stored contacts."

        self.bound: dict[str, ContactRow] = {}
        "The active contacts; usually few, even if there are many tombstones."

        self.over: dict[ContactRow, None] = {}
        "The other contacts, in the order in which they ended."


class ContactIndex:
    """
    Finds a contact by a URI that equals its own (RFC 3261 §19.1.4).

    It contains only records that have many contacts and were searched.
    """

    def __init__(self) -> None:
        # By user, then by `Uri.base`.
        self._records: dict[Place, dict[str, UriGroup[ContactRow]]] = {}

    def find(
        self, place: Place, record: Mapping[str, ContactRow], uri: Uri
    ) -> ContactRow | None:
        """
        Return the contact of a record that equals ``uri``.

        Args:
            record: all contacts of the address-of-record, by key.
        """
        if len(record) <= INDEXED:
            for row in record.values():
                if is_same(row.claims[0].contact, uri):
                    return row
            return None
        index = self._records.get(place)
        if index is None:
            index = self._records[place] = {}
            for row in record.values():
                self.add(row)
        group = index.get(uri.base)
        return None if group is None else next(group.find(uri), None)

    @property
    def is_used(self) -> bool:
        """Whether any record is in the index."""
        return bool(self._records)

    def add(self, row: ContactRow) -> None:
        """Add a contact of a record, or note that its URI is spelled differently."""
        if not self._records:
            return
        index = self._records.get(row.place)
        if index is not None:
            self.remove(row)
            uri = row.uri = _uri(row)
            if uri is not None:
                group = index.get(uri.base)
                if group is None:
                    group = index[uri.base] = UriGroup()
                group.add(uri, row.key, row)

    def remove(self, row: ContactRow) -> None:
        """Remove a contact of a record."""
        index = self._records.get(row.place)
        uri = row.uri
        group = None if index is None or uri is None else index.get(uri.base)
        if index is not None and uri is not None and group is not None:
            group.remove(uri, row.key)
            if not len(group):
                del index[uri.base]

    def forget(self, place: Place) -> None:
        """Remove a whole record."""
        self._records.pop(place, None)


def _uri(row: ContactRow) -> Uri | None:
    """Return the URI of a contact; None if it cannot be parsed."""
    try:
        return Uri.parse(row.claims[0].contact)
    except RemoteProtocolError:
        return None
