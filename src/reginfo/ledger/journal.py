"""The changes of a batch: entries for the disk, and their undo list."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from ..sip.value import MutableValue

logger = logging.getLogger("reginfo.turn")

Entry = tuple[str, str, Any]
"""The kind and key of a row, and its value for msgpack; None if it is removed."""


Call = tuple[Callable[..., object], tuple[Any, ...]]


class Batch(MutableValue):
    """The changes that one commit makes durable, atomically."""

    entries: list[Entry]
    undo: list[Call]

    after: list[Call]
    "Calls to make when this is durable; their effects are observable."

    urgent: bool
    "Whether somebody waits for this; otherwise it may be committed with a later one."

    def add(self, later: Batch) -> None:
        """Append the batch that was closed after this one."""
        self.entries += later.entries
        self.undo += later.undo
        self.after += later.after
        self.urgent = self.urgent or later.urgent

    def take_back(self) -> None:
        """Undo all changes in memory, newest first."""
        for function, arguments in reversed(self.undo):
            function(*arguments)

    def announce(self) -> None:
        """Make the deferred calls, now that this is durable."""
        for function, arguments in self.after:
            try:
                function(*arguments)
            except Exception:
                # It is durable, and the others are to know.
                logger.exception("! a change cannot be announced")


class Mark(NamedTuple):
    """A point in a batch."""

    entries: int
    undo: int
    after: int
    urgent: bool


class Outbox(Protocol):
    """The requests of a batch; see :class:`reginfo.sip.endpoint.Endpoint`."""

    def mark(self) -> int:
        """Return a point for :meth:`roll_back`."""

    def roll_back(self, mark: int) -> None:
        """Undo the requests made since ``mark``."""


class Attempt:
    """An atomic `with` block; see `Journal.attempt`."""

    __slots__ = ("_after", "_entries", "_journal", "_sent", "_undo", "_urgent")

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        batch, outbox = journal._batch, journal.outbox
        self._entries = len(batch.entries)
        self._undo = len(batch.undo)
        self._after = len(batch.after)
        self._urgent = batch.urgent
        self._sent = 0 if outbox is None else outbox.mark()

    def __enter__(self) -> Attempt:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.take_back()

    @property
    def has_changes(self) -> bool:
        """Whether something has been changed since the block began."""
        batch = self._journal._batch
        return len(batch.undo) != self._undo or len(batch.entries) != self._entries

    def take_back(self) -> None:
        """Undo everything that was decided since the block began, newest first."""
        journal = self._journal
        journal.roll_back(Mark(self._entries, self._undo, self._after, self._urgent))
        if journal.outbox is not None:
            journal.outbox.roll_back(self._sent)


class Journal:
    """
    Collects the changes of the roles while a batch is open.

    A role changes its state in memory, then notes here what to write and how to undo
    it. None of it is observable before the closed batch has been committed.

    Args:
        outbox: the requests that are sent with the batch, and undone with it; None in
            tests of a single role.
    """

    def __init__(self, outbox: Outbox | None = None) -> None:
        self._batch = _new()
        self.outbox = outbox

    def attempt(self) -> Attempt:
        """
        Begin an atomic operation.

        Use it as a `with` block: an exception that leaves the block undoes everything
        that was decided inside, in the journal and the outbox. Blocks may be nested.
        """
        return Attempt(self)

    def write(
        self,
        kind: str,
        key: str,
        value: Any,
        undo: Callable[..., None],
        *arguments: Any,
        urgent: bool = True,
    ) -> None:
        """
        Write ``value`` under (``kind``, ``key``) with this batch.

        Args:
            undo: called with ``arguments`` if the commit fails.
            urgent: False if a crash may lose this, at the cost of repeated work only.
        """
        self.put((kind, key, value), (undo, arguments), urgent)

    def put(self, entry: Entry, undo: Call, urgent: bool) -> None:
        """Like :meth:`write`; without arguments to unpack and to pack again."""
        batch = self._batch
        batch.entries.append(entry)
        batch.undo.append(undo)
        if urgent:
            batch.urgent = True

    def remember(self, undo: Callable[..., None], *arguments: Any) -> None:
        """Call ``undo`` if the commit fails, without writing anything."""
        self._batch.undo.append((undo, arguments))

    def after(self, function: Callable[..., object], *arguments: Any) -> None:
        """
        Call ``function`` when the batch is durable, for example for a log line or a
        hook.

        Nothing that could still be undone may be observable.
        """
        self._batch.after.append((function, arguments))

    def mark(self) -> Mark:
        """Return a point for :meth:`roll_back`, for example before a request."""
        batch = self._batch
        return Mark(len(batch.entries), len(batch.undo), len(batch.after), batch.urgent)

    def roll_back(self, mark: Mark) -> None:
        """Undo everything after ``mark``, newest first."""
        batch = self._batch
        for function, arguments in reversed(batch.undo[mark.undo :]):
            function(*arguments)
        del batch.entries[mark.entries :]
        del batch.undo[mark.undo :]
        del batch.after[mark.after :]
        batch.urgent = mark.urgent

    def close(self) -> Batch:
        """Return the changes since the last call."""
        batch, self._batch = self._batch, _new()
        return batch


def _new() -> Batch:
    return Batch(entries=[], undo=[], after=[], urgent=False)
