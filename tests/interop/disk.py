"""A small disk for a server, which the test can fill up, free and make read-only."""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self


class NoDisk(Exception):
    """There can be none; says why."""


class Disk:
    """
    A tmpfs at ``directory``, seen by no process but those that :attr:`command` runs.

    Raises:
        NoDisk: only root may mount one, and not in every container.
    """

    def __init__(self, directory: Path, octets: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._mounted_at = directory
        mount = f"mount -t tmpfs -o size={octets} tmpfs {directory}"
        # Whoever holds the namespace holds the disk: it outlives the server.
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", f"{mount} && echo mounted && exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None and self._holder.stderr is not None
        if self._holder.stdout.readline() != "mounted\n":
            said = self._holder.stderr.read().strip()
            self._close()
            raise NoDisk(said)

    @property
    def command(self) -> list[str]:
        """What runs a program that sees the disk."""
        return ["nsenter", f"--target={self._holder.pid}", "--mount", "--"]

    @property
    def path(self) -> Path:
        """Where we see it."""
        inside = self._mounted_at.absolute().relative_to("/")
        return Path(f"/proc/{self._holder.pid}/root") / inside

    def fill(self) -> None:
        """Leave no octet free."""
        with (self.path / "filler").open("ab", buffering=0) as filler:
            for size in (4096, 1):
                try:
                    while filler.write(bytes(size)) == size:
                        pass
                except OSError as exc:
                    assert exc.errno == errno.ENOSPC

    def free(self) -> None:
        """Make room again."""
        (self.path / "filler").unlink()

    def make_read_only(self) -> None:
        """While nobody has a file open to write."""
        self._remount("ro")

    def make_writable(self) -> None:
        self._remount("rw")

    def _remount(self, how: str) -> None:
        mount = ["mount", "-o", f"remount,{how}", str(self._mounted_at)]
        subprocess.run([*self.command, *mount], check=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        for stream in (self._holder.stdin, self._holder.stdout, self._holder.stderr):
            assert stream is not None
            stream.close()
        self._holder.wait()
