"""The API of a server that a test makes up, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from reginfo.config.address import AdminAddress, SocketAddress
from reginfo.web.api import Administration, api
from reginfo.web.server import WebServer

ANY_PORT = SocketAddress("127.0.0.1", 0)


@contextmanager
def served(app: Administration, listen: AdminAddress = ANY_PORT) -> Iterator[str]:
    """The API of ``app``; its address."""
    ready: list[str] = []
    is_ready, enough = threading.Event(), asyncio.Event()

    async def serve() -> None:
        web = WebServer(api(app), listen)
        await web.start()
        ready.append(web.address)
        loops.append(asyncio.get_running_loop())
        is_ready.set()
        await enough.wait()
        await web.stop()

    loops: list[asyncio.AbstractEventLoop] = []
    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    assert is_ready.wait(10)
    try:
        yield ready[0]
    finally:
        loops[0].call_soon_threadsafe(enough.set)
        thread.join()
