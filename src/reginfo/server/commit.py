"""A thread that makes batches durable, one after the other."""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading

from ..location.journal import Entry
from ..location.sqlite import SqliteJournal
from .rim import Done

logger = logging.getLogger("reginfo.store")

FOLD_AT = 200_000
"""Entries in the journal at which it is folded: what a start replays in a second."""


class Writer:
    """
    Commits what it is given in a thread, and reports in the event loop.

    A commit waits for the disk; the loop decides the next batch meanwhile.
    """

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="reginfo-writer")
        self._thread.start()

    def commit(
        self, entries: list[Entry], *, boot: float, wall: float, done: Done
    ) -> None:
        """Make ``entries`` durable; call ``done`` with what failed, or with None."""
        self._work.put((entries, boot, wall, done))

    def stop(self) -> None:
        """Finish what was given, and end the thread."""
        self._work.put(None)
        self._thread.join()

    def _run(self) -> None:
        folding = False
        while True:
            try:
                work = self._work.get_nowait() if folding else self._work.get()
            except queue.Empty:
                folding = self._fold()
                continue
            if work is None:
                return
            entries, boot, wall, done = work
            failure: Exception | None = None
            try:
                self._journal.append(entries, boot=boot, wall=wall)
            except Exception as exc:
                # Whatever it is: those who wait for this commit must hear of it.
                failure = exc
            try:
                self._loop.call_soon_threadsafe(done, failure)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more
            folding = folding or self._journal.entries > FOLD_AT

    def _fold(self) -> bool:
        try:
            return self._journal.fold()
        except (sqlite3.Error, OSError) as exc:
            # The journal holds all that it held; it only stays long.
            logger.error("! the journal cannot be folded: %s", exc)
            return False


_Work = tuple[list[Entry], float, float, Done]
