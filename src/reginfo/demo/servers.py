"""Runs servers as processes, on free ports of this machine."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

START_LIMIT = 15.0  # seconds until a server is ready; some disks are slow
STOP_LIMIT = 10.0  # seconds from SIGTERM to the end of the process

READY = re.compile(r"^ready sip=udp:([\d.]+):(\d+) admin=(\S+)$", re.MULTILINE)


class ServerFailed(Exception):
    """A server did not start, or did not exit with 0."""


class DemoServer:
    """
    One ``reginfo serve`` process, as a context manager.

    Args:
        directory: for its files, which are named after the server.
        name: the id of the server.
        config: the text of its configuration.
    """

    def __init__(self, directory: Path, name: str, config: str) -> None:
        self.name = name
        self.trace = directory / f"{name}.trace"
        self._log = directory / f"{name}.log"
        self._config = directory / f"{name}.toml"
        self._config.write_text(config, "utf-8")
        self._process: subprocess.Popen[bytes] | None = None
        self.sip: tuple[str, int] = ("", 0)
        self.admin = ""

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "reginfo", "serve"),
                    *("-c", str(self._config)),
                    *("--trace", str(self.trace)),
                    *("--log-level", "info"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def stop(self) -> None:
        """
        Send SIGTERM, and wait until the process has ended.

        Raises:
            ServerFailed: it did not end in time, or not with 0.
        """
        assert self._process is not None
        self._process.terminate()
        try:
            code = self._process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired as exc:
            raise ServerFailed(
                f"server {self.name} did not stop within {STOP_LIMIT:g} s"
            ) from exc
        if code:
            raise ServerFailed(f"server {self.name} exited with {code}")

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._process is None or self._process.poll() is not None

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines of its log."""
        if not self._log.exists():
            return ""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            if ready := READY.search(self._log.read_text(errors="replace")):
                self.sip = (ready[1], int(ready[2]))
                self.admin = ready[3]
                return
            if process.poll() is not None:
                raise ServerFailed(
                    f"server {self.name} exited with {process.returncode} at the start"
                )
            time.sleep(0.01)
        raise ServerFailed(f"server {self.name} was not ready within {START_LIMIT:g} s")

    def _end(self) -> None:
        if self._process is not None and not self.has_ended:
            self._process.kill()
            self._process.wait()


def free_port() -> int:
    """
    Return a UDP port that is free at this moment.

    A server whose configuration must name its own port cannot listen on port 0.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
