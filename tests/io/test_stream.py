"""TLS on sockets: streams opened to us and by us, and what is wrong with them."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from reginfo.io import stream
from reginfo.io.certificates import Certificates
from reginfo.io.secured import Secured
from reginfo.io.tcp import StreamTransport
from reginfo.io.websocket import WebSocketFraming
from reginfo.sip.flow import Address, Flow
from reginfo.sip.transaction import Datagram
from reginfo.sip.transport import TLS, WS

from ..authority import Authority

MESSAGE = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 5\r\n\r\nhello"
OK = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def certificates(authority: Authority) -> Certificates:
    return Certificates(authority.section(authority.issue("a.example", "127.0.0.1")))


class Rim:
    """Keeps what a transport tells."""

    def __init__(self, certificates: Certificates | None, **arguments: Any) -> None:
        self.received: list[tuple[bytes, Flow]] = []
        self.failed: list[tuple[bytes, str]] = []
        self.lost: list[Flow] = []
        self._news = asyncio.Event()

        def securing(name: str) -> Secured:
            assert certificates is not None
            return certificates.client(name) if name else certificates.server()

        self.transport = StreamTransport.listening(
            ("127.0.0.1", 0),
            WS if certificates is None else TLS,
            receive=lambda data, flow: self.received.append((data, flow)),
            settle=self._news.set,
            failed=lambda datagram, cause: self.failed.append((datagram.data, cause)),
            lost=self.lost.append,
            securing=None if certificates is None else securing,
            **arguments,
        )
        self.transport.start()
        self.address: Address = ("127.0.0.1", self.transport.local.port)

    def send(self, to: Address, name: str, data: bytes = MESSAGE) -> Flow:
        flow = Flow(self.transport.local, to, name)
        self.transport.send(Datagram(data, flow))
        return flow

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not holds():
                self._news.clear()
                await self._news.wait()

    def close(self) -> None:
        self.transport.close()


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.path))


def test_a_request_comes_by_tls_and_is_answered_on_its_stream(
    authority: Authority, certificates: Certificates
) -> None:
    """3261-161"""

    async def run() -> None:
        rim = Rim(certificates)
        await asyncio.sleep(0)
        reader, writer = await asyncio.open_connection(
            *rim.address, ssl=trusting(authority), server_hostname="a.example"
        )
        assert writer.get_extra_info("ssl_object").version() in ("TLSv1.2", "TLSv1.3")
        writer.write(MESSAGE[:9])
        await writer.drain()
        writer.write(MESSAGE[9:] + b"\r\n\r\n")
        await rim.until(lambda: bool(rim.received))
        ((data, flow),) = rim.received
        assert data == MESSAGE and flow.local.transport is TLS and flow.name == ""
        assert await reader.readexactly(2) == b"\r\n"  # the answer to a ping
        rim.transport.send(Datagram(OK, flow))
        assert await reader.readexactly(len(OK)) == OK
        writer.close()
        await rim.until(lambda: rim.lost == [flow])
        rim.close()

    asyncio.run(run())


def test_a_stream_is_opened_by_tls_and_used_again(certificates: Certificates) -> None:
    """3261-161: for the name whose certificate was checked, and for no other."""

    async def run() -> None:
        theirs, ours = Rim(certificates), Rim(certificates)
        await asyncio.sleep(0)
        flow = ours.send(theirs.address, "a.example")
        ours.send(theirs.address, "a.example")
        await theirs.until(lambda: len(theirs.received) == 2)
        ours.send(theirs.address, "a.example")
        await theirs.until(lambda: len(theirs.received) == 3)
        assert len({one for _, one in theirs.received}) == 1
        assert ours.transport.is_open(*flow[1:])
        assert ours.transport.identities(*flow[1:]) == {"a.example", "127.0.0.1"}
        # By their side, it has no name.
        back = theirs.received[0][1]
        theirs.transport.send(Datagram(OK, back))
        await ours.until(lambda: bool(ours.received))
        assert ours.received == [(OK, flow)]
        # Another name of the same server is another connection.
        assert not ours.transport.is_open(theirs.address, "127.0.0.1")
        ours.send(theirs.address, "127.0.0.1")
        await theirs.until(lambda: len(theirs.received) == 4)
        assert len({one for _, one in theirs.received}) == 2
        ours.transport.hang_up(*flow[1:])
        assert ours.lost == [flow]
        ours.close()
        theirs.close()

    asyncio.run(run())


def test_a_certificate_with_another_name_is_one_line_and_a_failure(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    """5922-04: nothing is sent to a server whose name is another one."""

    async def run() -> None:
        theirs, ours = Rim(certificates), Rim(certificates)
        await asyncio.sleep(0)
        ours.send(theirs.address, "b.example")
        await ours.until(lambda: bool(ours.failed))
        wrong = "its certificate is for 127.0.0.1, a.example, not for b.example"
        assert ours.failed == [(MESSAGE, f"TLS: {wrong}")]
        port = theirs.address[1]
        assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
            f"! tls 127.0.0.1:{port}: TLS: {wrong}"
        ]
        assert theirs.received == []
        ours.close()
        theirs.close()

    with caplog.at_level(logging.INFO):
        asyncio.run(run())


def test_without_a_name_no_stream_is_opened(certificates: Certificates) -> None:
    """5922-04: a client whose connection is gone is not connected to by anybody."""

    async def run() -> None:
        theirs, ours = Rim(certificates), Rim(certificates)
        await asyncio.sleep(0)
        ours.send(theirs.address, "")
        assert ours.failed == [(MESSAGE, "the connection is closed")]
        ours.close()
        theirs.close()

    asyncio.run(run())


def test_who_speaks_no_tls_is_one_line_in_the_log(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        rim = Rim(certificates)
        await asyncio.sleep(0)
        reader, writer = await asyncio.open_connection(*rim.address)
        writer.write(MESSAGE)
        await reader.read()
        writer.close()
        assert rim.received == [] and rim.lost == []
        rim.close()

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    (line,) = [r.getMessage() for r in caplog.records if r.name == "reginfo.transport"]
    assert line.startswith("! tls 127.0.0.1:") and ": TLS: " in line


def test_a_server_that_speaks_no_tls_is_a_failure(certificates: Certificates) -> None:
    async def run() -> None:
        async def plain(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            writer.write(OK)
            await reader.read()
            writer.close()

        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        ours = Rim(certificates)
        ours.send(server.sockets[0].getsockname(), "a.example")
        await ours.until(lambda: bool(ours.failed))
        ((_, cause),) = ours.failed
        assert cause.startswith("TLS: ")
        ours.close()
        server.close()

    asyncio.run(run())


def test_who_connects_and_says_nothing_is_let_go(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HANDSHAKE", 0.01)

    async def run() -> None:
        rim = Rim(certificates)
        await asyncio.sleep(0)
        with socket.create_connection(rim.address) as silent:
            silent.setblocking(False)
            loop = asyncio.get_running_loop()
            with pytest.raises(ConnectionResetError):
                async with asyncio.timeout(5):
                    while await loop.sock_recv(silent, 100):
                        pass
                raise ConnectionResetError
        rim.close()

    asyncio.run(run())


def test_an_orderly_end_leaves_time_for_responses(
    authority: Authority, certificates: Certificates
) -> None:
    """3261-81: also by TLS, whose end is said by close_notify."""

    async def run() -> None:
        rim = Rim(certificates)
        await asyncio.sleep(0)
        client = Certificates(authority.section()).client("a.example")
        reader, writer = await asyncio.open_connection(*rim.address)
        client.receive(b"")
        while not client.is_open:
            writer.write(client.octets_to_send())
            client.receive(await reader.read(65_536))
        client.write(MESSAGE)
        client.close()
        writer.write(client.octets_to_send())
        await rim.until(lambda: bool(rim.lost))  # for requests of ours, it is gone
        rim.transport.send(Datagram(OK, rim.received[0][1]))
        async with asyncio.timeout(5):
            plain = b""
            while octets := await reader.read(65_536):
                plain += client.receive(octets)
        writer.close()
        assert plain == OK and client.is_over
        rim.close()

    asyncio.run(run())


def test_an_orderly_end_is_answered(
    authority: Authority, certificates: Certificates
) -> None:
    """Else the other side could not tell it from a connection that was cut off."""

    async def run() -> None:
        rim = Rim(certificates)
        await asyncio.sleep(0)
        client = Certificates(authority.section()).client("a.example")
        reader, writer = await asyncio.open_connection(*rim.address)
        client.receive(b"")
        while not client.is_open:
            writer.write(client.octets_to_send())
            client.receive(await reader.read(65_536))
        client.close()
        writer.write(client.octets_to_send())
        async with asyncio.timeout(5):
            while octets := await reader.read(65_536):
                client.receive(octets)
        assert client.is_over
        writer.close()
        rim.close()

    asyncio.run(run())


def test_a_stop_is_said_to_the_other_side(
    authority: Authority, certificates: Certificates
) -> None:
    """Else nobody could tell the end of a stream from one that was cut off."""

    async def run() -> None:
        rim = Rim(certificates)
        await asyncio.sleep(0)
        client = Certificates(authority.section()).client("a.example")
        reader, writer = await asyncio.open_connection(*rim.address)
        client.receive(b"")
        while not rim.transport._streams:
            writer.write(client.octets_to_send())
            client.receive(await reader.read(65_536))
            await asyncio.sleep(0)
        rim.transport.stop()
        rim.close()
        while octets := await reader.read(65_536):
            client.receive(octets)
        assert client.is_over
        writer.close()

    asyncio.run(run())


# WebSocket.


@pytest.mark.parametrize("answers", [True, False])
def test_a_page_that_answers_no_ping_is_let_go(
    answers: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """7118-06"""

    async def run() -> None:
        rim = Rim(None, framing=lambda: WebSocketFraming(None, 1000), ping=0.02)
        await asyncio.sleep(0)
        reader, writer = await asyncio.open_connection(*rim.address)
        client = ClientProtocol(
            parse_uri("ws://127.0.0.1/"), subprotocols=[Subprotocol("sip")]
        )
        client.send_request(client.connect())
        writer.writelines(client.data_to_send())
        pings = 0
        async with asyncio.timeout(5):
            while pings < 3 and (octets := await reader.read(65_536)):
                client.receive_data(octets)
                events = client.events_received()
                pings += sum(getattr(e, "opcode", None) is Opcode.PING for e in events)
                if answers:
                    writer.writelines(client.data_to_send())
        assert (pings == 3) is answers
        if not answers:
            await rim.until(lambda: bool(rim.lost))
            assert pings == 1
        writer.close()
        rim.close()

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    told = [r.getMessage() for r in caplog.records if "ping" in r.getMessage()]
    assert len(told) == (0 if answers else 1)
