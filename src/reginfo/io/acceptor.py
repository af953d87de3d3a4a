"""Accepts connections, and pauses when there are no file descriptors left."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

logger = logging.getLogger("reginfo.transport")

AT_ONCE = 16
"""
The number of connections that are accepted before others get a turn, and those that
make room are closed. They take file descriptors until then.
"""

PAUSE = 1.0
"""Seconds until accepting is tried again, when resources have run out."""

QUIET = 60.0
"""The minimum number of seconds between two log lines about it."""

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Acceptor:
    """
    Accepts the connections to one listening socket.

    asyncio's own server would log a traceback for each connection that it cannot
    accept, a hundred at a time, and would be called again at once.

    Args:
        protocol: makes the protocol of a connection.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        self._listener = listener
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._logged_at = -QUIET
        self._is_closed = False

    def start(self) -> None:
        """Start accepting connections."""
        self._pause = None
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Stop accepting, and close the listening socket."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        for task in self._tasks:
            task.cancel()

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                if exc.errno in EXHAUSTED:
                    self._wait(exc)
                    return
                continue  # this connection was reset before it was accepted
            connection.setblocking(False)
            task = self._loop.create_task(self._connect(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:
            connection.close()  # it was reset meanwhile

    def _wait(self, error: OSError) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._pause = self._loop.call_later(PAUSE, self.start)
        now = self._loop.time()
        if now - self._logged_at >= QUIET:
            self._logged_at = now
            host, port = self._listener.getsockname()[:2]
            logger.error(
                "! %s:%d accepts no connections for %g s: %s",
                host, port, PAUSE, error.strerror,
            )  # fmt: skip
