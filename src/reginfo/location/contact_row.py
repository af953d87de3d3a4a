"""A contact as it is stored, and an index of contacts by URI."""

from __future__ import annotations

from collections.abc import Mapping

from ..sip.errors import RemoteProtocolError
from ..sip.uri import Uri
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
        "base", "claims", "key", "place", "scheduled_at", "shown", "timer_at",
    )  # fmt: skip

    def __init__(self, place: Place, key: str) -> None:
        self.place = place
        self.key = key

        self.claims: Claims = ()
        "Its stored claims; the claim that holds comes first."

        self.shown: Claim | None = None
        "The binding as it was announced; None if it is not bound."

        self.base = ""
        "`Uri.base` of the contact, once it is in an index."

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
        # By user, then by `Uri.base`, then by key.
        self._records: dict[Place, dict[str, dict[str, ContactRow]]] = {}

    def find(
        self, place: Place, record: Mapping[str, ContactRow], uri: Uri
    ) -> ContactRow | None:
        """
        Return the contact of a record that equals ``uri``.

        Args:
            record: all contacts of the address-of-record, by key.
        """
        found = record
        if len(record) > INDEXED:
            index = self._records.get(place)
            if index is None:
                index = self._records[place] = {}
                for row in record.values():
                    self.add(row)
            found = index.get(uri.base, {})
        for row in found.values():
            if is_same(row.claims[0].contact, uri):
                return row
        return None

    def add(self, row: ContactRow) -> None:
        """Add a new contact of a record."""
        if not self._records:
            return
        index = self._records.get(row.place)
        if index is not None:
            if not row.base:
                row.base = _base(row)
            index.setdefault(row.base, {})[row.key] = row

    def remove(self, row: ContactRow) -> None:
        """Remove a contact of a record."""
        index = self._records.get(row.place)
        rows = None if index is None else index.get(row.base)
        if index is not None and rows is not None:
            rows.pop(row.key, None)
            if not rows:
                del index[row.base]

    def forget(self, place: Place) -> None:
        """Remove a whole record."""
        self._records.pop(place, None)


def _base(row: ContactRow) -> str:
    """Return the part of a contact URI that all equal URIs share."""
    try:
        return Uri.parse(row.claims[0].contact).base
    except RemoteProtocolError:
        return ""
