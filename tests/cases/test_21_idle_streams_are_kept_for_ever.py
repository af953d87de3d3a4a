"""Streams on which nothing is said do not use up the server's file descriptors."""

from __future__ import annotations

import asyncio
import resource
import socket

from reginfo.config.config import Config
from reginfo.io.clock import Clock
from reginfo.server.app import App

from ..simulation import given

STREAMS = 300
CONFIG = """
[server]
id = "a"
listen = ["tcp:127.0.0.1:{port}"]
domains = ["example.com"]
[store]
url = "memory:"
"""


class Ahead(Clock):
    """A clock that the test sets forward."""

    by = 0.0

    def now(self) -> float:
        return super().now() + self.by


def is_closed(stream: socket.socket) -> bool:
    """Whether the server has closed a stream."""
    try:
        return stream.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_silent_streams_of_one_host_are_limited_or_closed() -> None:
    """3261-156: one host opens many streams and says nothing on them for an hour."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * STREAMS), hard))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    async def run() -> int:
        loop, time, clock = asyncio.get_running_loop(), 0.0, Ahead()
        app = App(Config.parse(CONFIG.format(port=port)), clock=clock)
        await app.start()
        streams = []
        try:
            for _ in range(STREAMS):
                stream = socket.socket()
                stream.setblocking(False)
                streams.append(stream)
                await loop.sock_connect(stream, ("127.0.0.1", port))
            original = loop.time
            loop.time = lambda: original() + time  # type: ignore[method-assign]
            for _ in range(60):
                time += 60
                clock.by += 60
                for _ in range(5):
                    await asyncio.sleep(0)
            return sum(not is_closed(stream) for stream in streams)
        finally:
            for stream in streams:
                stream.close()
            await app.stop()

    try:
        kept = asyncio.run(run())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    given(kept <= STREAMS)
    assert kept < STREAMS * 3 // 4
