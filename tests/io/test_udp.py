"""Real UDP on loopback: the one unit test file with sockets."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from reginfo.io.udp import DRAIN, UdpSocket, is_unreachable
from reginfo.sip.flow import Flow, Local
from reginfo.sip.transaction import Datagram
from reginfo.sip.transport import Transport

LOOPBACK = "127.0.0.1"


class Received:
    def __init__(self) -> None:
        self.datagrams: list[tuple[bytes, Flow]] = []
        self.settled: list[int] = []
        self.failed: list[tuple[Datagram, str]] = []
        self.unreachable: list[tuple[bytes, Flow, str]] = []
        self.traced: list[tuple[str, bytes]] = []
        self._news = asyncio.Event()

    def open(self, host: str = LOOPBACK) -> UdpSocket:
        return UdpSocket(
            (host, 0),
            receive=lambda data, flow: self.datagrams.append((data, flow)),
            settle=self._settle,
            failed=lambda datagram, cause: self.failed.append((datagram, cause)),
            unreachable=lambda quoted, flow, cause: self.unreachable.append(
                (quoted, flow, cause)
            ),
            trace=lambda mark, data, local, remote: self.traced.append((mark, data)),
        )

    def _settle(self) -> None:
        self.settled.append(len(self.datagrams))
        self._news.set()

    async def wait_for(self, count: int) -> None:
        await self.until(lambda: len(self.datagrams) >= count)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not holds():
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
        assert [datagram for datagram, _ in received.failed] == [too_much, nowhere]
        assert received.failed[0][1] == "message too long"
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


def closed_port(host: str) -> int:
    """A port at which nobody listens."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.bind((host, 0))
        port: int = udp.getsockname()[1]
        return port


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_unreachable_is_reported_with_the_datagram_that_it_quotes(
    host: str,
) -> None:
    """3261-66 (§18.4)"""

    async def main() -> None:
        received = Received()
        transport = received.open(host)
        transport.start()
        flow = Flow(transport.local, (host, closed_port(host)))
        data = b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\r\n"
        transport.send(Datagram(data, flow))
        await received.until(lambda: bool(received.unreachable))
        assert received.unreachable == [(data, flow, "connection refused")]
        assert received.failed == []
        settled = len(received.settled)
        for _ in range(10):
            await asyncio.sleep(0)
        # The queue of errors is empty: nothing wakes us without end.
        assert len(received.settled) <= settled + 2
        transport.close()

    asyncio.run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_icmp_error_of_one_peer_does_not_fail_what_is_sent_to_another(
    host: str,
) -> None:
    """3261-66: the kernel reports it at the next datagram, whoever that is for."""

    async def main() -> None:
        received = Received()
        transport = received.open(host)
        dead = Flow(transport.local, (host, closed_port(host)))
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as phone:
            phone.bind((host, 0))
            phone.settimeout(5)
            alive = Flow(transport.local, phone.getsockname()[:2])
            for number in range(3):
                transport.send(Datagram(b"dead %d" % number, dead))
                transport.send(Datagram(b"alive %d" % number, alive))
            assert [phone.recv(100) for _ in range(3)] == [
                b"alive 0", b"alive 1", b"alive 2",
            ]  # fmt: skip
        assert received.failed == []
        assert {flow for _, flow, _ in received.unreachable} == {dead}
        transport.close()

    asyncio.run(main())


ERRNO = errno.ECONNREFUSED


class Kernel:
    """A socket whose queue of errors has what a test puts there."""

    def __init__(self, received: Received, local: Local) -> None:
        self.errors: list[tuple[bytes, list[bytes], tuple[Any, ...]]] = []
        self.sends: list[OSError | None] = []
        "What becomes of the next datagrams: an error, or None if they are taken."

        self.sent: list[bytes] = []
        self.receives: list[OSError | bytes] = []
        "What the next calls receive; then nothing is waiting."

        self.transport = received.open()
        self.transport._socket.close()
        self.transport._socket = self  # type: ignore[assignment]
        self.transport.local = local

    def recvmsg(self, size: int, more: int, flags: int) -> Any:
        assert flags == socket.MSG_ERRQUEUE
        if not self.errors:
            raise BlockingIOError
        quoted, errors, remote = self.errors.pop(0)
        ancillary = [(socket.IPPROTO_IP, 11, error) for error in errors]
        return quoted, ancillary, flags, remote

    def recvfrom(self, size: int) -> Any:
        found = self.receives.pop(0) if self.receives else BlockingIOError()
        if isinstance(found, OSError):
            raise found
        return found, ("192.0.2.9", 5060)

    def sendto(self, data: bytes, remote: object) -> None:
        if self.sends and (error := self.sends.pop(0)) is not None:
            raise error
        self.sent.append(data)


def extended(origin: int, kind: int, code: int, number: int = ERRNO) -> bytes:
    """struct sock_extended_err, and the address behind it."""
    return struct.pack("=IBBBxII", number, origin, kind, code, 0, 0) + bytes(16)


@pytest.mark.parametrize(
    ("origin", "kind", "remote", "host"),
    [
        (2, 3, ("192.0.2.9", 5060), "192.0.2.9"),
        (3, 1, ("2001:db8::9", 5060, 0, 0), "2001:db8::9"),
        (3, 1, ("fe80::9", 5060, 0, 7), "fe80::9%7"),
    ],
)
def test_all_errors_of_the_queue_are_read_at_once(
    origin: int, kind: int, remote: tuple[Any, ...], host: str
) -> None:
    """3261-66: each with its datagram and flow; others are read and left alone."""

    async def main() -> None:
        received = Received()
        kernel = Kernel(received, Local(Transport.UDP, "192.0.2.1", 5060))
        kernel.errors = [
            (b"one", [extended(origin, kind, 0)], remote),
            (b"too long", [extended(2, 3, 4), extended(3, 2, 0)], remote),
            (b"of this host", [extended(1, 3, 3)], remote),
            (b"nothing said", [], remote),
            (b"two", [extended(origin, kind, 0, errno.EHOSTUNREACH)], remote),
        ]
        assert kernel.transport._read_errors()
        flow = Flow(kernel.transport.local, (host, 5060))
        assert received.unreachable == [
            (b"one", flow, "connection refused"),
            (b"two", flow, "no route to host"),
        ]
        assert received.settled == []  # not within the call: it may be a sender's
        await asyncio.sleep(0)
        assert len(received.settled) == 1
        assert not kernel.transport._read_errors()
        await asyncio.sleep(0)
        assert len(received.settled) == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    "receives",
    [
        [],  # it is the queue alone that wakes us
        [OSError(ERRNO, "refused")],
        [b"one", OSError(ERRNO, "refused"), b"two"],
        [OSError(ERRNO, "refused"), b"one"],
    ],
)
def test_a_wake_up_reads_the_errors_and_all_that_is_waiting(
    receives: list[OSError | bytes],
) -> None:
    """3261-66: an error among the datagrams ends nothing."""

    async def main() -> None:
        received = Received()
        kernel = Kernel(received, Local(Transport.UDP, "192.0.2.1", 5060))
        kernel.errors = [(b"sent", [extended(2, 3, 3)], ("192.0.2.9", 5060))]
        kernel.receives = list(receives)
        kernel.transport._drain()
        assert [quoted for quoted, _, _ in received.unreachable] == [b"sent"]
        datagrams = [one for one in receives if isinstance(one, bytes)]
        assert [data for data, _ in received.datagrams] == datagrams
        assert received.settled == [len(datagrams)]

    asyncio.run(main())


@pytest.mark.parametrize("queued", [True, False])
@pytest.mark.parametrize("again", [None, OSError(ERRNO, "refused")])
def test_a_datagram_is_sent_again_if_the_error_was_of_an_earlier_one(
    queued: bool, again: OSError | None
) -> None:
    """3261-66: without an error in the queue, it is the datagram's own."""

    async def main() -> None:
        received = Received()
        kernel = Kernel(received, Local(Transport.UDP, "192.0.2.1", 5060))
        if queued:
            kernel.errors = [(b"earlier", [extended(2, 3, 3)], ("192.0.2.9", 5060))]
        kernel.sends = [OSError(ERRNO, "refused"), again]
        flow = Flow(kernel.transport.local, ("192.0.2.8", 5060))
        datagram = Datagram(b"data", flow)
        kernel.transport.send(datagram)
        arrives = queued and again is None
        assert kernel.sent == ([b"data"] if arrives else [])
        assert received.traced == ([(">", b"data")] if arrives else [])
        expected = [] if arrives else [(datagram, "connection refused")]
        assert received.failed == expected
        assert [quoted for quoted, _, _ in received.unreachable] == (
            [b"earlier"] if queued else []
        )

    asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ((2, 3, 3), True),  # port unreachable
        ((2, 3, 1), True),  # host unreachable
        ((2, 3, 0), True),  # network unreachable
        ((2, 3, 2), True),  # protocol unreachable
        ((2, 3, 13), True),  # prohibited
        ((2, 3, 4), False),  # fragmentation needed
        ((2, 12, 0), True),  # parameter problem
        ((2, 11, 0), False),  # TTL exceeded
        ((2, 4, 0), False),  # source quench
        ((3, 1, 4), True),  # IPv6: port unreachable
        ((3, 1, 0), True),  # IPv6: no route
        ((3, 4, 0), True),  # IPv6: parameter problem
        ((3, 2, 0), False),  # IPv6: packet too big
        ((3, 3, 0), False),  # IPv6: hop limit exceeded
        ((1, 3, 3), False),  # an error of this host
    ],
)
def test_only_unreachables_and_parameter_problems_count(
    error: tuple[int, int, int], expected: bool
) -> None:
    """3261-66: "Source quench and TTL exceeded [...] SHOULD be ignored"."""
    assert is_unreachable(*error) == expected
