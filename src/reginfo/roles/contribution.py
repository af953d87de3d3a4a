"""One publication of a peer, and its contacts."""

from __future__ import annotations

import msgspec

from ..location.place import Aor
from ..reg.table import Table, TableState


class ContributionRow(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The stored form of a publication; its contacts have rows of their own."""

    id: str
    "Its key in the journal, which never changes."

    aor: Aor
    peer: str
    "The name of the publisher."

    etag: str
    "The current entity-tag, which a change must name."

    expires_at: float
    "When it expires unless it is refreshed, in seconds on the server's clock."

    request: tuple[str, str, int]
    "Call-ID, From tag and CSeq of the last PUBLISH, to recognise a retransmission."

    granted: int
    "The granted interval in seconds."

    state: TableState = TableState()
    "The state of its table without the contacts."


class Contribution:
    """
    One publication.

    Its table holds the contacts of its latest document, which is complete.
    """

    __slots__ = ("row", "scheduled_at", "table", "timer_at", "untimed")

    def __init__(self, row: ContributionRow) -> None:
        self.row = row
        self.table = Table()
        self.untimed = False
        "Whether it lists a contact without `expires`, which lives as long as it does."

        self.timer_at: float | None = row.expires_at
        self.scheduled_at: float | None = None

    def __repr__(self) -> str:
        return f"<Contribution of {self.row.peer} to {self.row.aor}>"

    def timer_due(self, now: float) -> None:
        # The compositor handles it.
        self.timer_at = None


def shifted_row(row: ContributionRow, by: float) -> ContributionRow:
    """Return ``row`` with ``by`` seconds added to its moments."""
    return msgspec.structs.replace(row, expires_at=row.expires_at + by)
