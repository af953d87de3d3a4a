"""HTTP in the loop of the server: over a port, or over a Unix socket."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from reginfo.config.address import SocketAddress, UnixPath
from reginfo.web.server import WebServer


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


HELLO = Starlette(routes=[Route("/", hello)])


@pytest.mark.parametrize(
    "host", ["127.0.0.1", pytest.param("::1", marks=pytest.mark.ipv6)]
)
def test_any_free_port_serves(host: str) -> None:
    async def ask() -> None:
        server = WebServer(HELLO, SocketAddress(host, 0))
        await server.start()
        assert server.address.startswith(f"http://{SocketAddress(host, 0)}"[:-1])
        async with httpx2.AsyncClient() as client:
            assert (await client.get(server.address)).text == "hello"
        await server.stop()

    asyncio.run(ask())


def test_a_unix_socket_serves_and_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "admin"
    # The socket of a server that was killed is no obstacle.
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))

    async def ask() -> None:
        server = WebServer(HELLO, UnixPath(path))
        await server.start()
        assert server.address == f"unix:{path}"
        assert path.stat().st_mode & 0o777 == 0o660
        transport = httpx2.AsyncHTTPTransport(uds=str(path))
        async with httpx2.AsyncClient(transport=transport) as client:
            assert (await client.get("http://localhost/")).text == "hello"
        await server.stop()

    asyncio.run(ask())
    assert not path.exists()


@pytest.mark.parametrize("kind", ["live socket", "file", "port"])
def test_what_is_taken_is_an_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "admin"

    async def start() -> None:
        with socket.socket(socket.AF_INET if kind == "port" else socket.AF_UNIX) as s:
            if kind == "file":
                path.write_text("precious")
            else:
                s.bind(("127.0.0.1", 0) if kind == "port" else str(path))
                s.listen()
            await WebServer(
                HELLO,
                SocketAddress(*s.getsockname()) if kind == "port" else UnixPath(path),
            ).start()

    with pytest.raises(OSError, match="in use"):
        asyncio.run(start())
    if kind == "file":
        assert path.read_text("utf-8") == "precious"


def test_signals_are_left_alone() -> None:
    async def run() -> None:
        before = signal.getsignal(signal.SIGTERM)
        server = WebServer(HELLO, SocketAddress("127.0.0.1", 0))
        await server.start()
        await asyncio.sleep(0)
        assert signal.getsignal(signal.SIGTERM) is before
        await server.stop()

    asyncio.run(run())
