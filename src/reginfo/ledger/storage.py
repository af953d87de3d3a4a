"""The protocol of a database: append, load, fold, back up, close."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from ..sip.errors import ReginfoError
from .journal import Entry


class StoreError(ReginfoError):
    """The storage cannot be opened, read or written; the message has the reason."""


class StoredRow(NamedTuple):
    """One row as it was written, and the shift of the times in it."""

    kind: str
    key: str

    value: bytes | str
    """
    The value as msgpack, or as JSON if :attr:`is_json`; see :class:`~.shelf.Shelf`.
    JSON is text, but a damaged database may hold anything in its place.
    """

    shift: float = 0.0
    "Seconds to add to each time in the value, to convert it to the current clock."

    is_json: bool = False


class Storage(Protocol):
    """
    A database that keeps the entries of the journal.

    A row is identified by its kind and key, and holds the last value that was appended
    for it. A batch of entries becomes durable atomically.

    An implementation need not be thread-safe, but any thread may use it, one at a time:
    the start loads in the event loop, a writer thread appends and folds.
    `tests/ledger/storage.py` has the tests that each implementation must pass.
    """

    entries: int
    "The number of entries that wait to be folded."

    @property
    def name(self) -> str:
        """The name of this storage for operators, such as the path of a file."""

    @property
    def last_commit(self) -> float | None:
        """
        Return the time of the last commit in seconds since the epoch; None if none.

        Raises:
            StoreError: the storage is damaged.
        """

    def load(
        self, *, boot: float, wall: float, boot_id: str = ""
    ) -> Iterator[StoredRow]:
        """
        Return every row that has a value, each once, in no particular order.

        Later appends belong to this boot.

        Args:
            boot: the current time on the boot-time clock, which times in rows refer to.
            wall: the current time in seconds since the epoch.
            boot_id: identifies this boot, and its boot-time clock. Rows written with
                the same id need no shift, whatever the wall clock did since. Empty if
                it is unknown.

        Raises:
            StoreError: the storage is damaged.
        """

    def append(self, entries: list[Entry], *, boot: float, wall: float) -> None:
        """
        Make ``entries`` durable, atomically.

        An entry with the value None removes its row.

        Args:
            boot, wall: the current time, as in :meth:`load`.

        Raises:
            StoreError: the entries are not durable, for example because the disk is
                full.
        """

    def fold(self) -> bool:
        """
        Do one small step of the work that keeps the storage short and fast to load.

        Each step is durable by itself, and none changes what :meth:`load` returns.

        Returns:
            Whether more steps are needed for the entries that waited at the first one.

        Raises:
            StoreError: this step failed. The next call begins again.
        """

    def backup(self, target: Path, overwrite: bool = False) -> None:
        """
        Copy the current state into a file that can be opened like this storage.

        Args:
            overwrite: whether an existing file named ``target`` may be replaced.

        Raises:
            StoreError: there is no copy, and nothing has changed.
        """

    def close(self) -> None:
        """Close the storage; everything that was appended is already durable."""
