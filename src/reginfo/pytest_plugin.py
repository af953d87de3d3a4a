"""
A pytest plugin: the fixture ``reginfo_server``, for the tests of an application.

pytest loads it wherever this package is installed; it imports the server only when a
test uses the fixture.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .library.server import Server

LIMIT = 15.0  # seconds that a start or a stop may take, on a loaded machine


class BackgroundServer:
    """A server in a thread of its own, for tests that have no event loop."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop

    @property
    def address(self) -> str:
        """``HOST:PORT``, by UDP."""
        return self._server.address

    @property
    def addresses(self) -> tuple[str, ...]:
        """All listeners, such as ``tcp:127.0.0.1:5060``."""
        return self._server.addresses

    def contacts(self, aor: str) -> list[str]:
        """Return the contact URIs of an address-of-record."""

        async def ask() -> list[str]:
            return self._server.contacts(aor)

        return asyncio.run_coroutine_threadsafe(ask(), self._loop).result(LIMIT)


@pytest.fixture
def reginfo_server() -> Iterator[BackgroundServer]:
    """A registrar for example.com on free ports of 127.0.0.1, in memory."""
    from .library.server import Server

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="reginfo_server")
    thread.start()

    async def start() -> Server:
        return await Server().__aenter__()

    async def stop(server: Server) -> None:
        await server.__aexit__(None, None, None)

    try:
        server = asyncio.run_coroutine_threadsafe(start(), loop).result(LIMIT)
        try:
            yield BackgroundServer(server, loop)
        finally:
            asyncio.run_coroutine_threadsafe(stop(server), loop).result(LIMIT)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(LIMIT)
        loop.close()
