"""A socket that is served by a thread of its own, beside the test."""

from __future__ import annotations

import select
import socket
import threading
import time
from types import TracebackType
from typing import Self

from .phone import Address

TICK = 0.05  # seconds for which it looks at nothing else, at most


class Worker:
    """
    Serves UDP on loopback until its ``with`` block ends.

    What it raises, its test raises at the end of the block.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((host, port))
        self.address: Address = self.udp.getsockname()
        self.lock = threading.Lock()
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def port(self) -> int:
        return self.address[1]

    @property
    def uri(self) -> str:
        return f"sip:127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self.close()
        if self._error is not None and error is None:
            raise self._error

    # What one of them does.

    def close(self) -> None:
        self.udp.close()

    def sockets(self) -> list[socket.socket]:
        """What to wait for."""
        return [self.udp]

    def readable(self, ready: socket.socket, now: float) -> None:
        """Something has come."""
        raise NotImplementedError

    def tick(self, now: float) -> float | None:
        """Do what is due; when to be called again, at the latest."""
        return None

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                now = time.monotonic()
                with self.lock:
                    at = self.tick(now)
                    sockets = self.sockets()
                wait = TICK if at is None else min(TICK, max(0.0, at - now))
                for ready in select.select(sockets, [], [], wait)[0]:
                    with self.lock:
                        self.readable(ready, time.monotonic())
        except BaseException as exc:
            self._error = exc
