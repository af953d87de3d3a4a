"""Connections are accepted; without file descriptors there is a pause (3261-156)."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from typing import Any

import pytest

from reginfo.io import acceptor
from reginfo.io.acceptor import Acceptor


class Listener:
    """A listening socket that does what the test says."""

    def __init__(self, *outcomes: int) -> None:
        self.outcomes = list(outcomes)
        self._read, self._write = os.pipe()
        os.write(self._write, b"x")  # somebody always wants to connect

    def fileno(self) -> int:
        return self._read

    def getsockname(self) -> tuple[str, int]:
        return "192.0.2.1", 5060

    def accept(self) -> Any:
        number = self.outcomes.pop(0) if self.outcomes else errno.EAGAIN
        raise OSError(number, os.strerror(number))

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


def test_accepting_pauses_while_there_are_no_file_descriptors(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(acceptor, "PAUSE", 0.01)
    assert acceptor.QUIET == 60.0

    async def run() -> None:
        listener: Any = Listener(errno.EMFILE, errno.ENFILE, errno.ECONNABORTED)
        one = Acceptor(listener, asyncio.Protocol)
        one.start()
        left: list[int] = []
        while listener.outcomes:
            await asyncio.sleep(0)
            left.append(len(listener.outcomes))
        # One attempt, a pause, another attempt, a pause.
        assert left.count(2) > 1 and left.count(1) > 1
        one.close()
        one.close()

    with caplog.at_level(logging.ERROR):
        asyncio.run(run())
    (record,) = caplog.records  # the second pause is not logged
    assert "192.0.2.1:5060 accepts no connections for 0.01 s" in record.getMessage()


def test_connections_get_their_protocol() -> None:
    made: list[asyncio.BaseTransport] = []

    class Note(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(transport)

    async def run() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        one = Acceptor(listener, Note)
        one.start()
        address = listener.getsockname()
        writers = [(await asyncio.open_connection(*address))[1] for _ in range(3)]
        async with asyncio.timeout(5):
            while len(made) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        one.close()
        for writer in [*writers, *made]:
            writer.close()  # type: ignore[attr-defined]
        with pytest.raises(OSError):
            await asyncio.open_connection(*address)

    asyncio.run(run())


def test_a_pause_ends_with_the_acceptor() -> None:
    async def run() -> None:
        listener: Any = Listener(errno.EMFILE)
        one = Acceptor(listener, asyncio.Protocol)
        one.start()
        while listener.outcomes:  # noqa: ASYNC110
            await asyncio.sleep(0)
        one.close()

    asyncio.run(run())
