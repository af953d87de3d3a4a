"""A batch that is decided or committed, and what depends on it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..sip.transaction import Datagram
from .journal import Batch

logger = logging.getLogger("reginfo.turn")

Waiter = Callable[[bool], None]
"""Receives True if what it waited for is durable, False if it was undone."""


class OpenBatch:
    """A batch, and the datagrams and waiters that depend on it."""

    __slots__ = ("batch", "outbox", "waiters")

    def __init__(self) -> None:
        self.batch = Batch(entries=[], undo=[], after=[], urgent=False)
        self.outbox: list[Datagram] = []
        self.waiters: list[Waiter] = []

    def inform(self, *, is_durable: bool) -> None:
        """Call the waiters, once."""
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            try:
                waiter(is_durable)
            except Exception:
                logger.exception("! what waited for a commit cannot go on")


def is_independent(datagram: Datagram) -> bool:
    """
    Whether a datagram reveals no change, so that it waits for no commit: it is relayed,
    was sent before, or says what is wrong with a request.
    """
    transaction = datagram.transaction
    return transaction is None or transaction.is_independent
