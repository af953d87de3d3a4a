"""A network of its own for a server and its phones, with more than one address."""

from __future__ import annotations

import subprocess
from types import TracebackType
from typing import Self

ADDRESSES = ("127.0.0.2/8", "192.0.2.1/24", "2001:db8::1/64", "2001:db8::2/64")
"""What its loopback interface has beside 127.0.0.1 and ::1."""


class NoNetwork(Exception):
    """There can be none; says why."""


class Network:
    """
    A network namespace, seen by no process but those that :attr:`command` runs.

    Raises:
        NoNetwork: only root may make one, and not in every container.
    """

    def __init__(self) -> None:
        add = " && ".join(f"ip addr add {one} dev lo" for one in ADDRESSES)
        up = f"ip link set lo up && {add} && echo up && exec cat"
        # Whoever holds the namespace holds the network.
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", up],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None and self._holder.stderr is not None
        if self._holder.stdout.readline() != "up\n":
            said = self._holder.stderr.read().strip()
            self._close()
            raise NoNetwork(said)

    @property
    def command(self) -> list[str]:
        """What runs a program that sees the network."""
        return ["nsenter", f"--target={self._holder.pid}", "--net", "--"]

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
