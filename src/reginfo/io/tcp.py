"""TCP for an endpoint: one transport for all connections at an address."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Callable

from msgspec.structs import replace

from ..sip.flow import Address, Flow, Local, family_of, with_scope
from ..sip.framing import MAX_MESSAGE, PONG, Framer
from ..sip.transaction import Datagram
from ..sip.transport import TCP
from .udp import Failed, Receive, Trace, reason

logger = logging.getLogger("reginfo.transport")

CONNECT = 1.0
"""Seconds to connect; then a request falls back to UDP if it can (RFC 3261 §18.1.1)."""

READ = 65_536
"""
The number of octets read at once. asyncio's default of 256 KiB costs an mmap per read
(cpython #85451).
"""

BACKLOG = 1 << 20
"""The number of octets that a peer may leave unread before its stream is closed."""

UNACKNOWLEDGED = 20_000
"""
Milliseconds for which the peer's host may acknowledge nothing of what was sent, before
the stream counts as lost (TCP_USER_TIMEOUT, RFC 5482). Linux alone waits for a quarter
of an hour, and a link would be stalled for as long.
"""

LINGER = 180.0
"""
Seconds for which a stream that the peer has shut down is kept open for pending
responses: Timer C, the longest that an INVITE may take (§16.6 step 11).
"""


class StreamTransport:
    """
    All connections between one local address and its peers.

    A connection opened by a peer is used in both directions; if there is none to a
    peer, one is opened. If a peer has shut down its side, or has sent something that
    cannot be parsed, the connection accepts no more requests, and is closed when all
    pending responses have been sent.

    Args:
        receive, settle: as for :class:`reginfo.io.udp.UdpSocket`.
        failed: called with each datagram that could not be sent, and the reason.
        lost: called with the flow of a connection that was closed.
        max_message: the maximum size of a received message, in octets.
    """

    def __init__(
        self,
        local: Local,
        *,
        receive: Receive,
        settle: Callable[[], None],
        failed: Failed,
        lost: Callable[[Flow], None],
        trace: Trace | None = None,
        max_message: int = MAX_MESSAGE,
    ) -> None:
        self.local = local
        self.receive = receive
        self.settle = settle
        self.lost = lost
        self.trace = trace
        self.max_message = max_message
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._server: asyncio.Server | None = None
        self._socket: socket.socket | None = None
        self._streams: dict[Address, _Stream] = {}
        self._ending: dict[Address, _Stream] = {}
        "Streams that accept no more requests, until their last response is sent."

        self._opening: dict[Address, list[Datagram]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False

    @classmethod
    def listening(
        cls,
        address: Address,
        inherited: socket.socket | None = None,
        **arguments: object,
    ) -> StreamTransport:
        """
        Create a transport that accepts connections when it is started.

        Args:
            inherited: a socket that listens at ``address`` already.

        Raises:
            OSError: the address is not available.
        """
        listener = inherited or socket.socket(family_of(address[0]), socket.SOCK_STREAM)
        try:
            listener.setblocking(False)
            if inherited is None:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(address)
            listener.listen(1024)
        except OSError:
            listener.close()
            raise
        name = listener.getsockname()
        local = Local(TCP, with_scope(name), name[1])
        transport = cls(local, **arguments)  # type: ignore[arg-type]
        transport._socket = listener
        return transport

    def advertise(self, address: str) -> None:
        """Set the advertised ``address``, a host and port; before it is used."""
        self.local = replace(self.local, advertised=address)

    def start(self) -> None:
        """Start accepting connections."""
        if self._socket is not None:
            self._run(self._serve(self._socket))

    def stop(self) -> None:
        """Stop receiving; sending still works."""
        self._stopped = True
        if self._server is not None:
            self._server.close()
        for stream in self._streams.values():
            stream.pause()

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._server is not None:
            self._server.close()
        elif self._socket is not None:
            self._socket.close()
        for stream in [*self._streams.values(), *self._ending.values()]:
            stream.close()

    def send(self, datagram: Datagram) -> None:
        """Send on the stream of the datagram's flow, or open one."""
        remote = datagram.flow.remote
        stream = self._streams.get(remote)
        if self._ending and datagram.data.startswith(RESPONSE):
            ending = self._ending.get(remote)
            if ending is not None and ending.owes_responses:
                stream = ending
        if stream is not None:
            stream.send(datagram.data)
        elif remote in self._opening:
            self._opening[remote].append(datagram)
        else:
            self._opening[remote] = [datagram]
            self._run(self._open(remote))

    def is_open(self, remote: Address) -> bool:
        """Whether there is a stream to ``remote``."""
        return remote in self._streams

    def hang_up(self, remote: Address) -> None:
        """End the stream to ``remote`` at once: nothing comes by it any more."""
        stream = self._streams.pop(remote, None)
        if stream is not None:
            stream.abort()
            self.lost(Flow(self.local, remote))

    def add(self, remote: Address, stream: _Stream) -> None:
        """Add a stream that was opened."""
        self._streams[remote] = stream
        if self._stopped:
            stream.pause()

    def end(self, remote: Address, stream: _Stream) -> None:
        """Use a stream only for pending responses."""
        if self._streams.get(remote) is stream:
            del self._streams[remote]
            self._ending[remote] = stream
            self.lost(Flow(self.local, remote))

    def remove(self, remote: Address, stream: _Stream) -> None:
        """Remove a stream that was closed."""
        if self._ending.get(remote) is stream:
            del self._ending[remote]
        if self._streams.get(remote) is stream:
            del self._streams[remote]
            self.lost(Flow(self.local, remote))
            self.settle()

    async def _serve(self, listener: socket.socket) -> None:
        self._server = await self._loop.create_server(
            lambda: _Stream(self), sock=listener
        )

    async def _open(self, remote: Address) -> None:
        try:
            async with asyncio.timeout(CONNECT):
                await self._loop.create_connection(
                    lambda: _Stream(self), remote[0], remote[1]
                )
            cause = "connection reset"
        except TimeoutError:
            cause = f"no connection within {CONNECT:g} s"
        except OSError as exc:
            cause = reason(exc)
        # A stream that was reset at once counts as a failed connection, because the
        # peer would reset it again.
        stream = self._streams.get(remote)
        if stream is None:
            logger.debug("! %s:%d: %s", *remote, cause)
        for datagram in self._opening.pop(remote):
            if stream is None:
                self._failed(datagram, cause)
            else:
                stream.send(datagram.data)
        if stream is None:
            self.settle()

    def _run(self, coroutine: asyncio._CoroutineLike[None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


RESPONSE = b"SIP/2.0 "
"""The beginning of every response, and of no request."""


_VIA = re.compile(rb"\n(?:via|v)[ \t]*:", re.IGNORECASE)


class _Stream(asyncio.Protocol):
    """One connection."""

    def __init__(self, owner: StreamTransport) -> None:
        self._owner = owner
        self._framer = Framer(owner.max_message)
        self._remote: Address = ("", 0)
        self._unanswered = 0
        "The number of received requests without a final response."

        self._is_ending = False
        self._linger: asyncio.TimerHandle | None = None

    @property
    def owes_responses(self) -> bool:
        """Whether the peer waits for a response."""
        return self._unanswered > 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        if peer is None:
            transport.abort()  # it was reset before its peer could be determined
            return
        transport.max_size = READ  # type: ignore[attr-defined]
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED
        )
        self._remote = (with_scope(peer), peer[1])
        self._flow = Flow(self._owner.local, self._remote)
        self._owner.add(self._remote, self)

    def data_received(self, data: bytes) -> None:
        framer = self._framer
        messages = framer.receive(data)
        if framer.pongs:
            self._transport.write(PONG * framer.pongs)
            framer.pongs = 0
        for message in messages:
            self._take(message)
        if messages:
            self._owner.settle()
        if framer.error is not None:
            self._refuse()

    def eof_received(self) -> bool:
        """
        Keep the connection open for pending responses.

        The peer has shut down only its side (§18.2.2: responses are sent on the
        connection of the request while it is open).
        """
        self._end()
        return self.owes_responses

    def connection_lost(self, exc: Exception | None) -> None:
        if self._linger is not None:
            self._linger.cancel()
        self._owner.remove(self._remote, self)

    def send(self, data: bytes) -> None:
        """Write a message, or abort the stream of a peer that does not read."""
        if self._transport.get_write_buffer_size() > BACKLOG:
            logger.warning("! %s:%d does not read: stream closed", *self._remote)
            self._transport.abort()
            return
        self._transport.write(data)
        owner = self._owner
        if owner.trace is not None:
            owner.trace(">", data, (owner.local.host, owner.local.port), self._remote)
        if self._unanswered and data.startswith(RESPONSE) and data[8:9] != b"1":
            self._unanswered -= 1
            if self._is_ending and not self._unanswered:
                self._transport.close()

    def pause(self) -> None:
        """Stop receiving."""
        if self._transport.is_reading():
            self._transport.pause_reading()

    def close(self) -> None:
        """Close the stream when everything that was written has been sent."""
        self._transport.close()

    def abort(self) -> None:
        """Close the stream, and lose what was not sent."""
        self._transport.abort()

    def _take(self, message: bytes) -> None:
        owner = self._owner
        if owner.trace is not None:
            owner.trace(
                "<", message, (owner.local.host, owner.local.port), self._remote
            )
        if not message.startswith((RESPONSE, b"ACK ")):
            self._unanswered += 1
        owner.receive(message, self._flow)

    def _refuse(self) -> None:
        """
        Stop reading the stream after a message whose end is unknown (§18.3).

        The message itself is answered if its head can be parsed.
        """
        framer = self._framer
        logger.info("! stream from %s:%d closed: %s", *self._remote, framer.error)
        self.pause()
        # Without a Via there is no response, and nothing to wait for.
        if _VIA.search(framer.broken):
            self._take(framer.broken)
        self._end()
        if not self._unanswered:
            self._transport.close()

    def _end(self) -> None:
        if self._is_ending:
            return
        self._is_ending = True
        self._owner.end(self._remote, self)
        loop = asyncio.get_running_loop()
        self._linger = loop.call_later(LINGER, self._transport.close)
        self._owner.settle()
