"""The origin of a document."""

from __future__ import annotations

from ..location.place import Aor, Place
from ..sip.value import Value


class DocumentOrigin(Value, frozen=True):
    """The peer that sent a document, the source, and the table to update."""

    peer: str
    "The owner of its contacts, unless the document or the store names another one."

    source: str
    "The source of the claims made from it; see :class:`~.source.Source`."

    table: str
    "The location table to update."

    until: float
    "When a contact without `expires` ends, in seconds on our clock."

    since: float | None = None
    """
    For the first document after an outage of the peer: when that began, in seconds
    since the epoch.
    """

    def place(self, aor: str) -> Place:
        """The record of a user in a document that :func:`.naming.named` returned."""
        return Place(self.table, Aor(aor))
