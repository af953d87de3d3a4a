"""TCP for an endpoint: one transport for all streams at an address."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from msgspec.structs import replace

from ..sip.errors import RemoteProtocolError
from ..sip.flow import Address, Flow, Local, family_of
from ..sip.framing import PONG, Framer
from ..sip.transaction import Datagram
from .udp import Receive, Trace

logger = logging.getLogger("reginfo.transport")

CONNECT = 1.0
"""Seconds to connect; after that a request that can goes by UDP (RFC 3261 §18.1.1)."""

READ = 65_536
"""
Octets read at once. asyncio's own 256 KiB cost a mapping of memory at each read
(cpython #85451).
"""

BACKLOG = 1 << 20
"""Octets that a peer may leave unread before its stream is cut."""


class StreamTransport:
    """
    All streams between one address of ours and its peers.

    A stream that a peer has opened is used both ways; one that we need is opened.

    Args:
        receive, settle: as of :class:`reginfo.io.udp.UdpSocket`.
        failed: is told what could not be sent.
        lost: is told which flow is gone.
    """

    def __init__(
        self,
        local: Local,
        *,
        receive: Receive,
        settle: Callable[[], None],
        failed: Callable[[Datagram], None],
        lost: Callable[[Flow], None],
        trace: Trace | None = None,
    ) -> None:
        self.local = local
        self.receive = receive
        self.settle = settle
        self.lost = lost
        self.trace = trace
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._server: asyncio.Server | None = None
        self._socket: socket.socket | None = None
        self._streams: dict[Address, _Stream] = {}
        self._opening: dict[Address, list[Datagram]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False

    @classmethod
    def listening(cls, address: Address, **arguments: object) -> StreamTransport:
        """
        A transport that peers can open streams to, once it is started.

        Raises:
            OSError: the address cannot be had.
        """
        listener = socket.socket(family_of(address[0]), socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setblocking(False)
            listener.bind(address)
            listener.listen(1024)
        except OSError:
            listener.close()
            raise
        host, port = listener.getsockname()[:2]
        transport = cls(Local("TCP", host, port), **arguments)  # type: ignore[arg-type]
        transport._socket = listener
        return transport

    def advertise(self, address: str) -> None:
        """Have others told ``address``, a host and port; before it is used."""
        self.local = replace(self.local, advertised=address)

    def start(self) -> None:
        """Begin to take in streams."""
        if self._socket is not None:
            self._run(self._serve(self._socket))

    def stop(self) -> None:
        """Take in nothing more; what is to be sent still can be."""
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
        for stream in list(self._streams.values()):
            stream.close()

    def send(self, datagram: Datagram) -> None:
        """Send by the stream of the datagram's flow, or open one."""
        remote = datagram.flow.remote
        stream = self._streams.get(remote)
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

    def add(self, remote: Address, stream: _Stream) -> None:
        """A stream is there."""
        self._streams[remote] = stream
        if self._stopped:
            stream.pause()

    def remove(self, remote: Address, stream: _Stream) -> None:
        """A stream is gone."""
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
        except (OSError, TimeoutError) as exc:
            logger.debug("! %s:%d: %s", *remote, exc or "no connection")
        # A stream that was reset as soon as it was there has failed like one that never
        # was: a peer that does so would do it again, and again.
        stream = self._streams.get(remote)
        for datagram in self._opening.pop(remote):
            if stream is None:
                self._failed(datagram)
            else:
                stream.send(datagram.data)
        if stream is None:
            self.settle()

    def _run(self, coroutine: asyncio._CoroutineLike[None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Stream(asyncio.Protocol):
    """One connection."""

    def __init__(self, owner: StreamTransport) -> None:
        self._owner = owner
        self._framer = Framer()
        self._remote: Address = ("", 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        if peer is None:
            transport.abort()  # it was reset before we could ask whose it is
            return
        transport.max_size = READ  # type: ignore[attr-defined]
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._remote = peer[:2]
        self._flow = Flow(self._owner.local, self._remote)
        self._owner.add(self._remote, self)

    def data_received(self, data: bytes) -> None:
        owner = self._owner
        try:
            messages = self._framer.receive(data)
        except RemoteProtocolError as exc:
            # Where the next message begins, nobody can tell (§18.3).
            logger.info("! stream from %s:%d is cut: %s", *self._remote, exc)
            self._transport.close()
            return
        if self._framer.pongs:
            self._transport.write(PONG * self._framer.pongs)
            self._framer.pongs = 0
        for message in messages:
            if owner.trace is not None:
                owner.trace(
                    "<", message, (owner.local.host, owner.local.port), self._remote
                )
            owner.receive(message, self._flow)
        if messages:
            owner.settle()

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.remove(self._remote, self)

    def send(self, data: bytes) -> None:
        if self._transport.get_write_buffer_size() > BACKLOG:
            logger.warning("! %s:%d reads nothing: its stream is cut", *self._remote)
            self._transport.abort()
            return
        self._transport.write(data)
        owner = self._owner
        if owner.trace is not None:
            owner.trace(">", data, (owner.local.host, owner.local.port), self._remote)

    def pause(self) -> None:
        if self._transport.is_reading():
            self._transport.pause_reading()

    def close(self) -> None:
        self._transport.close()
