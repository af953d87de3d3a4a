"""The disk: how long a commit takes there, and whether the database can be used."""

from __future__ import annotations

import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from .finding import Finding, error, ok, warning

SYNCS = 20
"""The number of syncs that are timed."""

SLOW = 0.020
"""Seconds of one sync above which requests wait noticeably."""

FREE = 1 << 30
"""Octets that should be free: a journal and its tables grow with the registrations."""

IN_MEMORY = frozenset({"tmpfs", "ramfs"})

OTHERS = 0o077


def sync_times(directory: Path) -> list[float]:
    """
    Time what each commit waits for: 4 KiB written, and on disk.

    Raises:
        OSError: nothing can be written there.
    """
    times = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(SYNCS):
            file.write(bytes(4096))
            file.flush()
            begin = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begin)
    return times


def syncs(times: Sequence[float]) -> Finding:
    """Judge the times of syncs, in seconds."""
    median, worst = statistics.median(times), max(times)
    text = f"a sync takes {median * 1e3:.1f} ms (median), {worst * 1e3:.1f} ms (worst)"
    if median > SLOW:
        return warning("disk", f"{text}: each request waits for one; use a faster disk")
    return ok("disk", text)


def file_system(directory: Path, mounts: str) -> Finding | None:
    """
    Report a file system that keeps nothing after a restart of the machine.

    Args:
        mounts: the text of /proc/mounts.
    """
    best, kind = -1, ""
    for line in mounts.splitlines():
        _, place, type_, *_ = [*line.split(" "), "", "", ""]
        place = place.replace("\\040", " ")
        if directory.is_relative_to(place or "/") and len(place) > best:
            best, kind = len(place), type_
    if kind in IN_MEMORY:
        return error(
            "disk",
            f"{directory} is in memory ({kind}): registrations are lost when the"
            " machine restarts",
        )
    return None


def space(directory: Path, free: int) -> Finding:
    """Judge the free space of a directory, in octets."""
    text = f"{free / (1 << 30):.1f} GiB free in {directory}"
    if free < FREE:
        return warning("disk", f"{text}: a full disk refuses all registrations")
    return ok("disk", text)


def access(path: Path, mode: int) -> Finding | None:
    """
    Report a database that other users of the machine can read or write.

    Args:
        mode: the permission bits of the file.
    """
    if mode & OTHERS:
        return warning(
            "store",
            f"{path} has mode {mode & 0o777:04o}: others can read who is registered"
            " where; chmod 600",
        )
    return None


def integrity(path: Path) -> Finding:
    """Check the structure of a database, without changing anything."""
    try:
        # Not immutable: the journal beside the file counts, and a server may use both.
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            found = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
        finally:
            connection.close()
    except sqlite3.Error as exc:
        return error("store", f"{path}: {exc}: restore a backup, or start without it")
    if found != ["ok"]:
        return error("store", f"{path} is damaged: {found[0]}: restore a backup")
    return ok("store", f"{path} is undamaged")


def examine(path: Path) -> Iterator[Finding]:
    """Examine the place of a database, and the database if there is one."""
    directory = path.absolute().parent
    try:
        yield syncs(sync_times(directory))
        yield space(directory, shutil.disk_usage(directory).free)
        mounts = Path("/proc/mounts")
        if mounts.exists():
            found = file_system(directory.resolve(), mounts.read_text("utf-8"))
            if found is not None:
                yield found
        if not path.exists():
            yield ok("store", f"{path} does not exist yet")
            return
        found = access(path, path.stat().st_mode)
        if found is not None:
            yield found
    except OSError as exc:
        yield error("disk", f"{exc.filename or directory}: {exc.strerror}")
        return
    yield integrity(path)
