"""
The rows of a table, as they are stored.

They stand apart from what works with them: msgspec reads the types of their fields,
which a compiled module does not keep.
"""

from __future__ import annotations

import msgspec

from .contact import Contact


class ReportedContact(msgspec.Struct, frozen=True, gc=False):
    """An active contact, as last reported."""

    aor: str
    contact: Contact

    expires_at: float | None
    "None if unknown: then it lasts as long as the subscription that reported it."


class RowChange(msgspec.Struct, frozen=True, gc=False):
    """A change of one row of a table by a document."""

    aor: str

    id: str
    "The id of the contact."

    before: ReportedContact | None
    after: ReportedContact | None


class TableState(msgspec.Struct, frozen=True, gc=False):
    """The state of a table without its rows: which document comes next."""

    version: int | None = None
    cseq: int = -1
    gone: tuple[tuple[str, Contact], ...] = ()
    "The terminated contacts of the latest document, with their address-of-record."


class TableDump(msgspec.Struct, frozen=True, kw_only=True):
    """A whole table for storage; its times are relative to the time of the dump."""

    version: int | None
    cseq: int
    rows: tuple[ReportedContact, ...]
    gone: tuple[tuple[str, Contact], ...]

    @property
    def state(self) -> TableState:
        return TableState(self.version, self.cseq, self.gone)


def shifted(row: ReportedContact, by: float) -> ReportedContact:
    """Return ``row`` with ``by`` seconds added to its end."""
    if row.expires_at is None:
        return row
    return ReportedContact(row.aor, row.contact, row.expires_at + by)
