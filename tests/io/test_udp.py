"""Real UDP on loopback: the one unit test file with sockets."""

from __future__ import annotations

import asyncio
import socket

from reginfo.io.udp import DRAIN, UdpSocket
from reginfo.sip.flow import Flow
from reginfo.sip.transaction import Datagram

LOOPBACK = "127.0.0.1"


class Received:
    def __init__(self) -> None:
        self.datagrams: list[tuple[bytes, Flow]] = []
        self.settled: list[int] = []
        self.failed: list[Datagram] = []
        self.traced: list[tuple[str, bytes]] = []
        self._news = asyncio.Event()

    def open(self) -> UdpSocket:
        return UdpSocket(
            (LOOPBACK, 0),
            receive=lambda data, flow: self.datagrams.append((data, flow)),
            settle=self._settle,
            failed=self.failed.append,
            trace=lambda mark, data, local, remote: self.traced.append((mark, data)),
        )

    def _settle(self) -> None:
        self.settled.append(len(self.datagrams))
        self._news.set()

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.datagrams) < count:
                self._news.clear()
                await self._news.wait()


def peer() -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((LOOPBACK, 0))
    udp.settimeout(5)
    return udp


def test_what_is_waiting_is_taken_at_one_wake_up_and_settled_once() -> None:
    async def main() -> None:
        received = Received()
        transport = received.open()
        with peer() as phone:
            at = (LOOPBACK, transport.local.port)
            for number in range(DRAIN + 3):
                phone.sendto(b"%d" % number, at)
            transport.start()
            await received.wait_for(DRAIN + 3)
            assert received.settled == [DRAIN, DRAIN + 3]
            data, flow = received.datagrams[-1]
            assert data == b"%d" % (DRAIN + 2)
            assert flow == Flow(transport.local, phone.getsockname())
        transport.close()

    asyncio.run(main())


def test_what_is_sent_arrives_and_is_traced() -> None:
    async def main() -> None:
        received = Received()
        transport = received.open()
        with peer() as phone:
            flow = Flow(transport.local, phone.getsockname())
            transport.send(Datagram(b"hello", flow))
            assert phone.recvfrom(100) == (b"hello", (LOOPBACK, transport.local.port))
        assert received.traced == [(">", b"hello")]
        transport.close()

    asyncio.run(main())


def test_an_address_that_cannot_be_sent_to_is_reported_and_nothing_raises() -> None:
    async def main() -> None:
        received = Received()
        transport = received.open()
        too_much = Datagram(bytes(70_000), Flow(transport.local, (LOOPBACK, 9)))
        nowhere = Datagram(b"x", Flow(transport.local, (LOOPBACK, 70_000)))
        transport.send(too_much)
        transport.send(nowhere)
        assert received.failed == [too_much, nowhere]
        transport.close()

    asyncio.run(main())


def test_after_stop_nothing_is_received_and_all_can_be_sent() -> None:
    async def main() -> None:
        received = Received()
        transport = received.open()
        transport.start()
        transport.stop()
        with peer() as phone:
            phone.sendto(b"late", (LOOPBACK, transport.local.port))
            transport.send(Datagram(b"bye", Flow(transport.local, phone.getsockname())))
            assert phone.recv(100) == b"bye"
            await asyncio.sleep(0)
            assert received.datagrams == []
        transport.close()

    asyncio.run(main())
