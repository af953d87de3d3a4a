"""The thread that commits batches, one after the other."""

from __future__ import annotations

import asyncio
import logging
import math
import queue
import threading
import time

from ..ledger.application import Done
from ..ledger.journal import Entry
from ..ledger.storage import Storage

logger = logging.getLogger("reginfo.store")

FOLD_AFTER = 10.0
"""Seconds that an entry waits to be folded, by which the view `location` lags."""

FOLD_AT = 50_000
"""The number of entries at which the journal is folded earlier; replay takes 0.5 s."""


class Writer:
    """
    Commits batches in a thread, and reports the results in the event loop.

    While a commit waits for the disk, the loop decides the next batch. When there is
    nothing to commit, the journal is folded, one small step at a time.
    """

    def __init__(self, journal: Storage) -> None:
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._fold_at = math.inf
        "When to fold, on the monotonic clock."

        self._folds = True
        "Whether folding worked the last time."

        self._thread = threading.Thread(target=self._run, name="reginfo-writer")
        self._thread.start()

    def commit(
        self, entries: list[Entry], *, boot: float, wall: float, done: Done
    ) -> None:
        """Commit ``entries``; call ``done`` with the failure, or with None."""
        self._work.put((entries, boot, wall, done))

    def stop(self) -> None:
        """Finish all commits, and end the thread."""
        self._work.put(None)
        self._thread.join()

    def _run(self) -> None:
        self._schedule()
        while True:
            try:
                work = self._work.get(timeout=self._patience())
            except queue.Empty:
                self._fold()
                continue
            if work is None or not self._commit(*work):
                return
            self._schedule()
            if self._folds and self._journal.entries > 2 * FOLD_AT:
                self._fold()  # there was no time without commits

    def _commit(
        self, entries: list[Entry], boot: float, wall: float, done: Done
    ) -> bool:
        failure: Exception | None = None
        try:
            self._journal.append(entries, boot=boot, wall=wall)
        except Exception as exc:
            # Any error: those who wait for this commit must be notified.
            failure = exc
        try:
            self._loop.call_soon_threadsafe(done, failure)
        except RuntimeError:
            return False  # the loop is closed; nobody waits
        return True

    def _schedule(self) -> None:
        """Schedule folding: soon, or at once if the journal is long."""
        entries = self._journal.entries
        if entries > FOLD_AT and self._folds:
            self._fold_at = -math.inf
        elif entries and self._fold_at == math.inf:
            self._fold_at = time.monotonic() + FOLD_AFTER

    def _patience(self) -> float | None:
        """Return the seconds to wait for a commit before folding."""
        if self._fold_at == math.inf:
            return None
        return max(0.0, self._fold_at - time.monotonic())

    def _fold(self) -> None:
        try:
            if self._journal.fold():
                return
        except Exception as exc:
            # The journal loses nothing; it only stays long.
            if self._folds:
                logger.error("! the journal cannot be folded: %s", exc)
            self._folds = False
        else:
            self._folds = True
        self._fold_at = math.inf
        self._schedule()


_Work = tuple[list[Entry], float, float, Done]
