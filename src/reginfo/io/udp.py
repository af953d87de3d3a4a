"""UDP for an endpoint: sockets, and their ICMP errors."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections import deque
from collections.abc import Callable

from msgspec.structs import replace

from ..sip.flow import Address, Flow, Local, family_of, with_scope
from ..sip.message import MAX_DATAGRAM
from ..sip.transaction import Datagram
from ..sip.transport import UDP

logger = logging.getLogger("reginfo.transport")

DRAIN = 64
"""The maximum number of datagrams per wake-up; with more, timers would be late."""

BUFFER = 4 << 20
"""The receive buffer that is requested from the kernel, in octets."""

WAITING = 10_000
"""The maximum number of datagrams queued while the kernel accepts none."""

QUOTED = 2048
"""The number of octets read of a quoted datagram, which include its Via."""

# Linux constants (ip(7), ipv6(7)) that the socket module does not define.
_RECVERR = {
    socket.AF_INET: (socket.IPPROTO_IP, 11),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 25),
}
_ERROR = struct.Struct("=IBBBxII")
"""struct sock_extended_err: errno, origin, type, code, info, data."""

Receive = Callable[[bytes, Flow], None]
Failed = Callable[[Datagram, str], None]
Trace = Callable[[str, bytes, Address, Address], None]


class UdpSocket:
    """
    One listening address for SIP over UDP.

    A wake-up receives all waiting datagrams before it settles, so that one commit
    covers all of them. asyncio's datagram transport wakes up for each datagram, and
    costs four times as much.

    Args:
        receive: called with each datagram and its flow.
        settle: called after a wake-up.
        failed: called with a datagram that could not be sent, and the reason.
        unreachable: called for an ICMP error, with the quoted datagram, the flow on
            which that was sent, and the error as text.
        inherited: a socket that is bound to ``address`` already.
    """

    def __init__(
        self,
        address: Address,
        *,
        receive: Receive,
        settle: Callable[[], None],
        failed: Failed,
        unreachable: Callable[[bytes, Flow, str], None],
        trace: Trace | None = None,
        inherited: socket.socket | None = None,
    ) -> None:
        self._socket = inherited or socket.socket(
            family_of(address[0]), socket.SOCK_DGRAM
        )
        try:
            if self._socket.family == socket.AF_INET6 and inherited is None:
                # IPv4 has sockets of its own, so "::" must not receive its datagrams.
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self._socket.setsockopt(*_RECVERR[self._socket.family], 1)
            self._socket.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER)
            if inherited is None:
                self._socket.bind(address)
        except OSError:
            self._socket.close()
            raise
        name = self._socket.getsockname()
        self.local = Local(UDP, with_scope(name), name[1])
        self._receive = receive
        self._settle = settle
        self._failed = failed
        self._unreachable = unreachable
        self._trace = trace
        self._waiting: deque[Datagram] = deque()
        self._loop = asyncio.get_running_loop()

    def advertise(self, address: str) -> None:
        """Set the advertised ``address``, a host and port; before it is used."""
        self.local = replace(self.local, advertised=address)

    def start(self) -> None:
        """Start receiving."""
        self._loop.add_reader(self._socket, self._drain)

    def stop(self) -> None:
        """Stop receiving; sending still works."""
        self._loop.remove_reader(self._socket)

    def close(self) -> None:
        """Close the socket; queued datagrams are dropped."""
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()

    def send(self, datagram: Datagram) -> None:
        """Send a datagram, or queue it until the kernel accepts it."""
        if self._waiting:
            self._wait(datagram)
            return
        flow = datagram.flow
        try:
            self._socket.sendto(datagram.data, flow.remote)
        except BlockingIOError:
            self._wait(datagram)
            return
        except (OSError, OverflowError) as exc:
            # The kernel may also report the ICMP error of an earlier datagram here.
            if not (self._read_errors() and self._sends(datagram)):
                logger.debug("! %s:%d: %s", *flow.remote, exc)
                self._failed(datagram, reason(exc))
                return
        if self._trace is not None:
            local = (self.local.host, self.local.port)
            self._trace(">", datagram.data, local, flow.remote)

    def _sends(self, datagram: Datagram) -> bool:
        try:
            self._socket.sendto(datagram.data, datagram.flow.remote)
        except OSError:
            return False
        return True

    def _drain(self) -> None:
        recvfrom, receive = self._socket.recvfrom, self._receive
        local, trace = self.local, self._trace
        for count in range(DRAIN):
            try:
                data, remote = recvfrom(MAX_DATAGRAM)
            except BlockingIOError:
                if count == 0:
                    # Nothing to receive: the error queue caused the wake-up.
                    self._read_errors()
                break
            except OSError:
                self._read_errors()
                continue
            if len(remote) > 2:
                remote = (with_scope(remote), remote[1])  # IPv6 adds flow and scope
            if trace is not None:
                trace("<", data, (local.host, local.port), remote)
            receive(data, Flow(local, remote))
        self._settle()

    def _read_errors(self) -> bool:
        """
        Report ICMP errors (§18.4); return whether there were any.

        The kernel handles errors about the size of a packet: it fragments later
        datagrams to that host.
        """
        found = False
        while True:
            try:
                quoted, ancillary, _, remote = self._socket.recvmsg(
                    QUOTED, 512, socket.MSG_ERRQUEUE
                )
            except OSError:
                return found
            if not found:
                found = True
                self._loop.call_soon(self._settle)
            for _, _, error in ancillary:
                errno, origin, kind, code, _, _ = _ERROR.unpack_from(error)
                if is_unreachable(origin, kind, code):
                    text = os.strerror(errno).lower()
                    logger.debug("! %s:%d: ICMP: %s", remote[0], remote[1], text)
                    flow = Flow(self.local, (with_scope(remote), remote[1]))
                    self._unreachable(quoted, flow, text)

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


def is_unreachable(origin: int, kind: int, code: int) -> bool:
    """
    Whether an extended error means that a datagram did not arrive (RFC 3261 §18.4).

    This applies to "unreachable" and "parameter problem" of ICMP and ICMPv6. "Source
    quench and TTL exceeded [...] SHOULD be ignored"; a packet that is too big is sent
    again in fragments.

    Args:
        origin: 2 for ICMP, 3 for ICMPv6; others are local errors.
        kind, code: the type and code of the ICMP message.
    """
    if origin == 2:
        return kind == 12 or (kind == 3 and code != 4)
    return origin == 3 and kind in (1, 4)


def reason(exc: Exception) -> str:
    """Return the reason of a failure as text, such as `connection refused`."""
    errno = exc.errno if isinstance(exc, OSError) else None
    return os.strerror(errno).lower() if errno else str(exc) or "no connection"
