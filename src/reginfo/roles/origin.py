"""Where a document comes from."""

from __future__ import annotations

from ..location.place import Aor, Place
from ..sip.value import Value


class DocumentOrigin(Value, frozen=True):
    """Where a document comes from."""

    peer: str
    "The owner of what it says, unless it is of our kind, or we know better."

    source: str
    "The source of the claims that are made of it; see :class:`~.source.Source`."

    table: str
    "The location table that is learned into."

    until: float
    "How long a contact is believed that comes without `expires`, on our clock."

    since: float | None = None
    """
    For the first document after the peer was out of reach: since when, in seconds since
    the epoch.
    """

    def place(self, aor: str) -> Place:
        """The record of a user in a document that :func:`.naming.named` returned."""
        return Place(self.table, Aor(aor))
