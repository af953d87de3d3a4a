"""What a batch of work has changed: entries for the disk, and how to take each back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from ..sip.value import MutableValue

logger = logging.getLogger("reginfo.turn")

Entry = tuple[str, str, Any]
"""Kind of row, its key, and its value as msgpack takes it; None where it is gone."""


Call = tuple[Callable[..., object], tuple[Any, ...]]


class Batch(MutableValue):
    """All that one commit makes durable, or nothing of it."""

    entries: list[Entry]
    undo: list[Call]

    after: list[Call]
    "What is to be done, and can first be observed, once this is durable."

    urgent: bool
    "Whether somebody waits for this; what is not urgent may go with a later one."

    def add(self, later: Batch) -> None:
        """Make one of this and the batch that was closed after it."""
        self.entries += later.entries
        self.undo += later.undo
        self.after += later.after
        self.urgent = self.urgent or later.urgent

    def take_back(self) -> None:
        """Put memory back as it was before, newest change first."""
        for function, arguments in reversed(self.undo):
            function(*arguments)

    def announce(self) -> None:
        """Let the world know, now that this is durable."""
        for function, arguments in self.after:
            try:
                function(*arguments)
            except Exception:
                # It is durable, and the others are to know.
                logger.exception("! a change cannot be announced")


class Mark(NamedTuple):
    """How much of a batch there was."""

    entries: int
    undo: int
    after: int
    urgent: bool


class Outbox(Protocol):
    """What is to be sent with a batch; see :class:`reginfo.sip.endpoint.Endpoint`."""

    def mark(self) -> int:
        """A point to :meth:`roll_back` to."""

    def roll_back(self, mark: int) -> None:
        """Forget the requests of ours that were made since ``mark``."""


class Attempt:
    """A `with` block that happens as a whole or not at all; see `Journal.attempt`."""

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

    def take_back(self) -> None:
        """Take back, newest first, all that was decided since the block began."""
        journal = self._journal
        journal.roll_back(Mark(self._entries, self._undo, self._after, self._urgent))
        if journal.outbox is not None:
            journal.outbox.roll_back(self._sent)


class Journal:
    """
    Collects what the roles change while a batch is open.

    A role changes its memory, then says here what to write and how to undo it. Nothing
    that it has decided is observable before :meth:`close` has been committed.

    Args:
        outbox: what is sent with the batch, and taken back with it; None in tests of a
            role by itself.
    """

    def __init__(self, outbox: Outbox | None = None) -> None:
        self._batch = _new()
        self.outbox = outbox

    def attempt(self) -> Attempt:
        """
        Begin something that happens as a whole or not at all.

        Use it as a `with` block: an exception that leaves the block first takes back
        what was decided inside, journal and outbox alike. Blocks may be nested.
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
        Have ``value`` written under (``kind``, ``key``) with this batch.

        Args:
            undo: called with ``arguments`` if the commit fails.
            urgent: False if a crash may lose this, at the cost of work and not of
                truth.
        """
        batch = self._batch
        batch.entries.append((kind, key, value))
        batch.undo.append((undo, arguments))
        if urgent:
            batch.urgent = True

    def remember(self, undo: Callable[..., None], *arguments: Any) -> None:
        """Have ``undo`` called if the commit fails; there is nothing to write."""
        self._batch.undo.append((undo, arguments))

    def after(self, function: Callable[..., object], *arguments: Any) -> None:
        """
        Have ``function`` called once the batch is durable: a log line, a hook.

        Nothing may be seen of what could still be taken back.
        """
        self._batch.after.append((function, arguments))

    def mark(self) -> Mark:
        """A point to :meth:`roll_back` to: before a request, say, that may fail."""
        batch = self._batch
        return Mark(len(batch.entries), len(batch.undo), len(batch.after), batch.urgent)

    def roll_back(self, mark: Mark) -> None:
        """Take back all that came after ``mark``, newest first."""
        batch = self._batch
        for function, arguments in reversed(batch.undo[mark.undo :]):
            function(*arguments)
        del batch.entries[mark.entries :]
        del batch.undo[mark.undo :]
        del batch.after[mark.after :]
        batch.urgent = mark.urgent

    def close(self) -> Batch:
        """What has been collected since the last call."""
        batch, self._batch = self._batch, _new()
        return batch


def _new() -> Batch:
    return Batch(entries=[], undo=[], after=[], urgent=False)
