"""
The epochs of a source: decides whether it can continue from a cursor.

The numbers of changes belong to one database. Each start opens an epoch, so that a
restored backup, an empty database and a truncated log need no special rules. An epoch
has a random id and the number at which it begins; it is on disk before it is sent. A
cursor is valid up to the beginning of the next epoch; everything beyond was lost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from ..ledger.journal import Journal
from ..ledger.shelf import Rows, Shelf
from .cursor import Cursor

KIND = "link-epoch"
"""The kind of its rows in the journal: one for each group."""

KEPT = 64
"""The maximum number of stored epochs of a group."""


class Epoch(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One run of a server, with one definition of a group."""

    id: str
    begin: int
    "The number of the last change before it."

    definition: str
    "A hash of the definition of the group at the time."


class Epochs:
    """The epochs of all groups."""

    def __init__(self, journal: Journal) -> None:
        self._kept: Shelf[tuple[Epoch, ...]] = Shelf(journal, KIND, tuple[Epoch, ...])

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        return (self._kept,)

    def open(
        self, group: str, definition: str, last: int, new_id: Callable[[], str]
    ) -> Epoch:
        """
        Open an epoch of a group.

        Args:
            last: the number of the last change so far.
        """
        epoch = Epoch(new_id(), last, definition)
        self._kept.put(group, (*(self._kept.get(group) or ()), epoch)[-KEPT:])
        return epoch

    def resume(self, group: str, cursor: Cursor | None, last: int) -> int:
        """
        Return the number up to which a sink with ``cursor`` knows everything; or 0.

        Args:
            last: the number of the last change so far.
        """
        epochs = self._kept.get(group) or ()
        if cursor is None or not epochs:
            return 0
        for at, epoch in enumerate(epochs):
            if epoch.id == cursor.epoch:
                end = epochs[at + 1].begin if at + 1 < len(epochs) else last
                is_good = epoch.definition == epochs[-1].definition
                return cursor.number if is_good and cursor.number <= end else 0
        return 0


def definition_of(table: str, domains: Iterable[str]) -> str:
    """Return a hash of the definition of a group."""
    text = "\0".join([table, *sorted(domains)])
    return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()
