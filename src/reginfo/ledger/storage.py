"""What a database must do for the server: append, load, fold, back up, close."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from ..sip.errors import ReginfoError
from .journal import Entry


class StoreError(ReginfoError):
    """The storage cannot be opened, read or written; the message says why."""


class StoredRow(NamedTuple):
    """One row as it was written, and how to read the times in it."""

    kind: str
    key: str

    value: bytes
    "As msgpack; as JSON if :attr:`is_json`. :class:`~.shelf.Shelf` decodes it."

    shift: float = 0.0
    "Seconds to add to each moment in the value, to have it on the present clock."

    is_json: bool = False


class Storage(Protocol):
    """
    A database that keeps the entries of the journal.

    A row is named by its kind and its key, and holds the last value that was appended
    for it. A batch of entries is durable as a whole, or not at all.

    An implementation need not be thread-safe, but it may be used by any thread, one at
    a time: a start loads in the event loop, a writer thread appends and folds.
    `tests/ledger/storage.py` has the tests that each implementation must pass.
    """

    entries: int
    "Number of entries that wait to be folded."

    @property
    def name(self) -> str:
        """What an operator calls this storage: the path of a file, for example."""

    @property
    def last_commit(self) -> float | None:
        """
        Time of the last commit in seconds since the epoch; None if there is none.

        Raises:
            StoreError: the storage is damaged.
        """

    def load(
        self, *, boot: float, wall: float, boot_id: str = ""
    ) -> Iterator[StoredRow]:
        """
        Return every row that has a value, each once, in no particular order.

        Later appends belong to this run of the kernel.

        Args:
            boot: the present time on the clock that moments in the rows are on.
            wall: the present time in seconds since the epoch.
            boot_id: identifies this run of the kernel, and with it the clock of
                ``boot``. What was written with the same one needs no shift, whatever
                the calendar did since. Empty if it is not known.

        Raises:
            StoreError: the storage is damaged.
        """

    def append(self, entries: list[Entry], *, boot: float, wall: float) -> None:
        """
        Make ``entries`` durable, all of them or none.

        An entry whose value is None removes its row.

        Args:
            boot, wall: the present time, as in :meth:`load`.

        Raises:
            StoreError: the entries are not durable: the disk is full, for example.
        """

    def fold(self) -> bool:
        """
        Do one small step of the work that keeps the storage short and fast to load.

        Each step is durable by itself, and none changes what :meth:`load` returns.

        Returns:
            Whether more steps are needed for the entries that waited at the first.

        Raises:
            StoreError: this step failed. The next call begins anew.
        """

    def backup(self, target: Path, overwrite: bool = False) -> None:
        """
        Copy the present state into a file that can be opened like this storage.

        Args:
            overwrite: whether an existing file named ``target`` may be replaced.

        Raises:
            StoreError: there is no copy, and nothing has changed.
        """

    def close(self) -> None:
        """Close the storage. Everything appended is durable already."""
