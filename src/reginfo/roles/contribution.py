"""One publication of others, and the contacts in it."""

from __future__ import annotations

import msgspec

from ..location.place import Aor
from ..reg.table import Table, TableState


class ContributionRow(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """What of a publication is stored; its contacts have rows of their own."""

    id: str
    "Names it in the journal, for all its life."

    aor: Aor
    peer: str
    "Who publishes it."

    etag: str
    "The last one given: whoever has it may change the publication."

    expires_at: float
    "When it ends unless it is refreshed, in seconds on the server's clock."

    request: tuple[str, str, int]
    "Call-ID, From tag and CSeq of the last PUBLISH, to recognise a retransmission."

    granted: int
    "For how many seconds that was granted."

    state: TableState = TableState()
    "What its table knows beside the contacts."


class Contribution:
    """
    One publication.

    A publication is a whole: its table holds the contacts of its latest document.
    """

    __slots__ = ("row", "scheduled_at", "table", "timer_at", "untimed")

    def __init__(self, row: ContributionRow) -> None:
        self.row = row
        self.table = Table()
        self.untimed = False
        "Whether it has listed a contact without `expires`: such live as long as it."

        self.timer_at: float | None = row.expires_at
        self.scheduled_at: float | None = None

    def __repr__(self) -> str:
        return f"<Contribution of {self.row.peer} to {self.row.aor}>"

    def timer_due(self, now: float) -> None:
        # Its compositor finds out what is due.
        self.timer_at = None


def shifted_row(row: ContributionRow, by: float) -> ContributionRow:
    """Return ``row`` with ``by`` seconds added to its moments."""
    return msgspec.structs.replace(row, expires_at=row.expires_at + by)
