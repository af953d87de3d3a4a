"""HTTP for the API, in the event loop of the server that it tells about."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from ..config.address import AdminAddress, SocketAddress, UnixPath
from ..sip.flow import family_of

STOP_LIMIT = 2  # seconds that a client has to read its response when we end


class WebServer:
    """
    Serves an ASGI application at one address.

    Args:
        listen: Port 0 is any free port; see :attr:`address`.
    """

    def __init__(self, application: Starlette, listen: AdminAddress) -> None:
        self._listen = listen
        self._task: asyncio.Task[None] | None = None
        self._server = _Uvicorn(
            uvicorn.Config(
                application,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=STOP_LIMIT,
            )
        )
        self.address = ""
        "Once started, where it is: ``http://HOST:PORT`` or ``unix:PATH``."

    async def start(self) -> None:
        """
        Begin to serve. Whoever connects from now on is answered.

        Raises:
            OSError: the address cannot be listened at.
        """
        # Bound here: uvicorn itself would end the process if that failed.
        listener = _bound(self._listen)
        listener.listen()
        if isinstance(self._listen, UnixPath):
            self.address = str(self._listen)
        else:
            host, port = listener.getsockname()[:2]
            self.address = f"http://{SocketAddress(host, port)}"
        self._task = asyncio.create_task(self._server.serve([listener]))

    async def stop(self) -> None:
        """Answer what has been asked, and end."""
        if self._task is None:
            return
        self._server.should_exit = True
        await self._task
        self._task = None
        if isinstance(self._listen, UnixPath):
            self._listen.path.unlink(missing_ok=True)


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals are the business of the whole process


def _bound(listen: AdminAddress) -> socket.socket:
    if isinstance(listen, UnixPath):
        listener = socket.socket(socket.AF_UNIX)
    else:
        # asyncio turns Nagle's algorithm off only where it sees that this is TCP; with
        # it, each response would wait 40 ms for an acknowledgement.
        listener = socket.socket(
            family_of(listen.host), socket.SOCK_STREAM, socket.IPPROTO_TCP
        )
    try:
        if isinstance(listen, UnixPath):
            _remove_stale(listen.path)
            listener.bind(str(listen.path))
            # Who may ask is who may write here: ourselves and our group.
            listen.path.chmod(0o660)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((listen.host, listen.port))
    except OSError:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    """Remove the socket of a server that was killed, and no other file."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
