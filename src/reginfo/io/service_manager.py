"""Reports the state of the process to its service manager (sd_notify(3))."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Mapping
from typing import Self

logger = logging.getLogger("reginfo.server")


class ServiceManager:
    """
    A connection to systemd, or to whoever speaks its protocol; one datagram a message.

    Without ``NOTIFY_SOCKET`` in the environment nobody listens, and nothing is sent.
    Enter it as a context; at its end the socket is closed.

    Args:
        environment: the environment of the process.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            # A service manager that reads nothing must not stop the server.
            self._socket.setblocking(False)
        self.interval = self._watchdog_interval(environment)
        "Seconds between two signs of life, half of what is allowed; None: not wanted."

        self._timer: asyncio.TimerHandle | None = None
        self._is_failing = False

    def ready(self, status: str) -> None:
        """Say that the server serves, or has reloaded; ``status`` is for operators."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Say that the server reloads; :meth:`ready` ends it."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self) -> None:
        """Say that the server stops; it gives no further sign of life."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._send("STOPPING=1")

    def live(self) -> None:
        """
        Give signs of life from now on, each from a turn of the running event loop.

        A loop that hangs gives none, and the service manager ends the process.
        """
        if self.interval is not None:
            self._send("WATCHDOG=1")
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.interval, self.live)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()

    def _watchdog_interval(self, environment: Mapping[str, str]) -> float | None:
        time_limit = environment.get("WATCHDOG_USEC", "")
        meant = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        if self._socket is None or not meant or not time_limit.isdecimal():
            return None
        return int(time_limit) / 2e6 or None

    def _send(self, *lines: str) -> None:
        if self._socket is None:
            return
        text = "\n".join(line.replace("\n", " ") for line in lines)
        try:
            self._socket.sendto(text.encode(), self._address)
        except OSError as exc:
            if not self._is_failing:
                logger.warning("! NOTIFY_SOCKET %s: %s", self._address, exc.strerror)
            self._is_failing = True
        else:
            self._is_failing = False
