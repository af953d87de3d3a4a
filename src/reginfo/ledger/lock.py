"""A lock: one server per database file, whatever path leads to it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from .storage import StoreError

_in_use: set[tuple[int, int]] = set()
"""
Device and inode of each database that is open in this process. Opening such a file
again and closing it would release SQLite's locks on it (POSIX).
"""


class Lock:
    """
    Locks a database against other servers, whatever path they use.

    The lock is on the file itself, so symbolic links, hard links and bind mounts lead
    to the same lock. SQLite's own locks are of another type and are not affected.

    Raises:
        StoreError: another server has the lock, or the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        in_use = StoreError(f"{path}: in use by another server")
        try:
            if path.exists() and _identity(path.stat()) in _in_use:
                raise in_use
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            # SQLite's log and index get the mode of the database, which is made here.
            self._descriptor = os.open(path, flags, 0o600)
        except OSError as exc:
            raise StoreError(f"{path}: {exc.strerror}") from exc
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._descriptor)
            raise in_use from exc
        self._identity = _identity(os.fstat(self._descriptor))
        _in_use.add(self._identity)

    def release(self) -> None:
        """Release the lock; call it after SQLite has closed the database."""
        _in_use.discard(self._identity)
        os.close(self._descriptor)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
