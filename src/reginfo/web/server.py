"""The HTTP server of the API, in the event loop of the SIP server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from ..config.address import AdminAddress, SocketAddress, UnixPath
from ..io.inherited import Inherited
from ..sip.flow import family_of
from .guard import Guard

MAX_HEAD = 16_384
"""The most octets of the head of a request."""

STOP_LIMIT = 2  # seconds that clients have to read a response when the server stops


class WebServer:
    """
    Serves an ASGI application at one address.

    Args:
        listen: the address; port 0 selects any free port, see :attr:`address`.
        tokens: the file of tokens; see :class:`.Guard`.
        inherited: sockets that are bound already; one at that address is used.
    """

    def __init__(
        self,
        application: Starlette,
        listen: AdminAddress,
        inherited: Inherited | None = None,
        *,
        tokens: Path | None = None,
    ) -> None:
        self._listen = listen
        self._inherited = None if inherited is None else _taken(inherited, listen)
        self._task: asyncio.Task[None] | None = None
        self._server = _Uvicorn(
            uvicorn.Config(
                Guard(application, tokens, _host(listen)),
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=STOP_LIMIT,
                h11_max_incomplete_event_size=MAX_HEAD,
            )
        )
        self.address = ""
        "Its address once started: ``http://HOST:PORT`` or ``unix:PATH``."

    async def start(self) -> None:
        """
        Begin to accept connections.

        Raises:
            OSError: the server cannot listen at the address.
        """
        # Bound here, because uvicorn would exit the process if that failed.
        listener = self._inherited or _bound(self._listen)
        listener.listen()
        if isinstance(self._listen, UnixPath):
            self.address = str(self._listen)
        else:
            host, port = listener.getsockname()[:2]
            self.address = f"http://{SocketAddress(host, port)}"
        self._task = asyncio.create_task(self._server.serve([listener]))

    async def stop(self) -> None:
        """Finish the requests in progress, and stop."""
        if self._task is None:
            return
        self._server.should_exit = True
        await self._task
        self._task = None
        # The file of an inherited socket belongs to the service manager.
        if isinstance(self._listen, UnixPath) and self._inherited is None:
            self._listen.path.unlink(missing_ok=True)


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the process handles signals itself


def _host(listen: AdminAddress) -> str:
    """The host that the API listens at; empty for a Unix socket."""
    return "" if isinstance(listen, UnixPath) else listen.host


def _taken(inherited: Inherited, listen: AdminAddress) -> socket.socket | None:
    if isinstance(listen, UnixPath):
        return inherited.take(socket.SOCK_STREAM, str(listen.path))
    return inherited.take(socket.SOCK_STREAM, (listen.host, listen.port))


def _bound(listen: AdminAddress) -> socket.socket:
    if isinstance(listen, UnixPath):
        listener = socket.socket(socket.AF_UNIX)
    else:
        # asyncio disables Nagle's algorithm only if the protocol says TCP. With Nagle,
        # each response would wait 40 ms for an acknowledgement.
        listener = socket.socket(
            family_of(listen.host), socket.SOCK_STREAM, socket.IPPROTO_TCP
        )
    try:
        if isinstance(listen, UnixPath):
            _remove_stale(listen.path)
            # Only our own user and group may connect, from the beginning.
            mask = os.umask(0o117)
            try:
                listener.bind(str(listen.path))
            finally:
                os.umask(mask)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((listen.host, listen.port))
    except OSError:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    """Remove the socket of a server that was killed, but no other file."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
