"""UDP for an endpoint: sockets that are drained, not awaited."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable

from msgspec.structs import replace

from ..sip.flow import Address, Flow, Local, family_of
from ..sip.message import MAX_MESSAGE
from ..sip.transaction import Datagram

logger = logging.getLogger("reginfo.transport")

DRAIN = 64
"""Datagrams taken at one wake-up; with more, timers would have to wait too long."""

BUFFER = 4 << 20
"""Octets that the kernel is asked to keep for us while we are busy."""

WAITING = 10_000
"""Datagrams kept while the kernel takes none; more are dropped, as UDP may."""

Receive = Callable[[bytes, Flow], None]
Trace = Callable[[str, bytes, Address, Address], None]


class UdpSocket:
    """
    One address at which SIP over UDP is spoken.

    A wake-up takes all that is waiting and only then settles, so that one commit
    serves all of it. asyncio's own datagram transport wakes up once for each datagram,
    and costs four times as much.
    """

    def __init__(
        self,
        address: Address,
        *,
        receive: Receive,
        settle: Callable[[], None],
        failed: Callable[[Datagram], None],
        trace: Trace | None = None,
    ) -> None:
        self._socket = socket.socket(family_of(address[0]), socket.SOCK_DGRAM)
        try:
            if self._socket.family == socket.AF_INET6:
                # IPv4 has sockets of its own: "::" is not to take its datagrams.
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self._socket.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER)
            self._socket.bind(address)
        except OSError:
            self._socket.close()
            raise
        host, port = self._socket.getsockname()[:2]
        self.local = Local("UDP", host, port)
        self._receive = receive
        self._settle = settle
        self._failed = failed
        self._trace = trace
        self._waiting: deque[Datagram] = deque()
        self._loop = asyncio.get_running_loop()

    def advertise(self, address: str) -> None:
        """Have others told ``address``, a host and port; before it is used."""
        self.local = replace(self.local, advertised=address)

    def start(self) -> None:
        """Begin to receive."""
        self._loop.add_reader(self._socket, self._drain)

    def stop(self) -> None:
        """Receive no more; what is to be sent still can be."""
        self._loop.remove_reader(self._socket)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()

    def send(self, datagram: Datagram) -> None:
        """Send, or keep until the kernel takes it."""
        if self._waiting:
            self._wait(datagram)
            return
        try:
            self._socket.sendto(datagram.data, datagram.flow.remote)
        except BlockingIOError:
            self._wait(datagram)
            return
        except (OSError, OverflowError) as exc:
            logger.debug("! %s:%d: %s", *datagram.flow.remote, exc)
            self._failed(datagram)
            return
        if self._trace is not None:
            flow = datagram.flow
            local = (self.local.host, self.local.port)
            self._trace(">", datagram.data, local, flow.remote)

    def _drain(self) -> None:
        recvfrom, receive = self._socket.recvfrom, self._receive
        local, trace = self.local, self._trace
        for _ in range(DRAIN):
            try:
                data, remote = recvfrom(MAX_MESSAGE)
                if len(remote) > 2:
                    remote = remote[:2]  # IPv6 adds flow and scope
            except BlockingIOError:
                break
            except OSError as exc:
                # An ICMP error of an earlier sendto: Timer F decides about that.
                logger.debug("! %s: %s", local.sent_by, exc)
                continue
            if trace is not None:
                trace("<", data, (local.host, local.port), remote)
            receive(data, Flow(local, remote))
        self._settle()

    def _wait(self, datagram: Datagram) -> None:
        if not self._waiting:
            self._loop.add_writer(self._socket, self._send_waiting)
        if len(self._waiting) < WAITING:
            self._waiting.append(datagram)

    def _send_waiting(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        self._loop.remove_writer(self._socket)
        for datagram in waiting:
            self.send(datagram)
