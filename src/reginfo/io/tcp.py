"""TCP, TLS and WebSocket for an endpoint: one transport for all connections."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from msgspec.structs import replace

from ..sip.errors import RemoteProtocolError
from ..sip.flow import Address, Flow, Local, family_of, with_scope
from ..sip.framing import MAX_MESSAGE, Framer
from ..sip.transaction import Datagram
from ..sip.transport import TCP, TLS, Transport
from .acceptor import Acceptor
from .crowd import Crowd
from .secured import Secured
from .stream import RESPONSE, Framing, Place, SocketStream
from .udp import Failed, Receive, Trace, reason

logger = logging.getLogger("reginfo.transport")

CONNECT = 1.0
"""Seconds to connect; then a request falls back to UDP if it can (RFC 3261 §18.1.1)."""

SECURE = 4.0
"""Seconds to connect and to shake hands by TLS."""

Securing = Callable[[str], Secured]
"""
Begins TLS on a connection: as a client that checks the certificate for a name, or, if
that is empty, as a server.
"""


class StreamTransport:
    """
    All connections between one local address and its peers.

    A connection opened by a peer is used in both directions; if there is none to a
    peer, one is opened. If a peer has shut down its side, or has sent something that
    cannot be parsed, the connection accepts no more requests, and is closed when all
    pending responses have been sent.

    By TLS, a connection is opened only to somebody who has a name (`Flow.name`), and is
    used for that name only: nobody else's certificate was checked. None is opened by
    WebSocket.

    Args:
        receive, settle: as for :class:`reginfo.io.udp.UdpSocket`.
        failed: called with each datagram that could not be sent, and the reason.
        lost: called with the flow of a connection that was closed.
        max_message: the maximum size of a received message, in octets.
        max_head: the maximum size of its head, in octets; 0 for no other limit.
        crowd: the streams of all transports, and their limits.
        securing: begins TLS; for transports that are secure.
        framing: begins WebSocket; None for a stream of messages with Content-Length.
        ping: seconds between two pings of a WebSocket; 0 for none.
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
        max_head: int = 0,
        crowd: Crowd | None = None,
        securing: Securing | None = None,
        framing: Callable[[], Framing] | None = None,
        ping: float = 0.0,
    ) -> None:
        self.local = local
        self.receive = receive
        self.settle = settle
        self.lost = lost
        self.trace = trace
        self.max_message = max_message
        self.max_head = max_head
        self.crowd = Crowd() if crowd is None else crowd
        self._securing = securing
        self._framing = framing
        self._ping = ping
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._acceptor: Acceptor | None = None
        self._socket: socket.socket | None = None
        self._streams: dict[Place, SocketStream] = {}
        self._ending: dict[Place, SocketStream] = {}
        "Streams that accept no more requests, until their last response is sent."

        self._opening: dict[Place, list[Datagram]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_stopped = False

    @classmethod
    def listening(
        cls,
        address: Address,
        transport: Transport = TCP,
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
        local = Local(transport, with_scope(name), name[1])
        created = cls(local, **arguments)  # type: ignore[arg-type]
        created._socket = listener
        return created

    def advertise(self, address: str) -> None:
        """Set the advertised ``address``, a host and port; before it is used."""
        self.local = replace(self.local, advertised=address)

    def start(self) -> None:
        """Start accepting connections."""
        if self._socket is not None:
            self._acceptor = Acceptor(self._socket, lambda: SocketStream(self))
            self._acceptor.start()
        if self._ping:
            self._run(self._ping_all())

    def stop(self) -> None:
        """Stop receiving; sending still works."""
        self.is_stopped = True
        if self._acceptor is not None:
            self._acceptor.close()
        for stream in self._streams.values():
            stream.pause()

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._acceptor is not None:
            self._acceptor.close()
        elif self._socket is not None:
            self._socket.close()
        for stream in [*self._streams.values(), *self._ending.values()]:
            stream.close()

    def send(self, datagram: Datagram) -> None:
        """Send on the stream of the datagram's flow, or open one."""
        place = datagram.flow[1:]
        stream = self._streams.get(place)
        if self._ending and datagram.data.startswith(RESPONSE):
            ending = self._ending.get(place)
            if ending is not None and ending.owes_responses:
                stream = ending
        if stream is not None:
            stream.send(datagram.data)
        elif place in self._opening:
            self._opening[place].append(datagram)
        elif self._can_open(place) and not self.crowd.may_open:
            self.crowd.refused += 1
            self._failed(datagram, "too many connections are being opened")
        elif self._can_open(place):
            self._opening[place] = [datagram]
            self._run(self._open(place))
        else:
            self._failed(datagram, "the connection is closed")

    def is_open(self, remote: Address, name: str = "") -> bool:
        """Whether there is a stream to ``remote``; see `Flow.name`."""
        return (remote, name) in self._streams

    def identities(self, remote: Address, name: str = "") -> frozenset[str]:
        """The SIP domains of the certificate that was shown on a stream."""
        stream = self._streams.get((remote, name)) or self._ending.get((remote, name))
        return frozenset() if stream is None else stream.identities

    def hang_up(self, remote: Address, name: str = "") -> None:
        """End the stream to ``remote`` at once: nothing comes by it any more."""
        stream = self._streams.pop((remote, name), None)
        if stream is not None:
            stream.abort()
            self.lost(Flow(self.local, remote, name))

    # Called by the streams.

    def secured(self, name: str) -> Secured | None:
        """Begin TLS on a connection, if this transport is secure."""
        return None if self._securing is None else self._securing(name)

    def framing(self) -> Framing:
        """Begin to look for messages on a connection."""
        if self._framing is None:
            return Framer(self.max_message, self.max_head)
        return self._framing()

    def add(self, place: Place, stream: SocketStream) -> None:
        """Add a stream that was opened."""
        self._streams[place] = stream
        if self.is_stopped:
            stream.pause()

    def end(self, place: Place, stream: SocketStream) -> None:
        """Use a stream only for pending responses."""
        if self._streams.get(place) is stream:
            del self._streams[place]
            self._ending[place] = stream
            self.lost(Flow(self.local, *place))

    def remove(self, place: Place, stream: SocketStream) -> None:
        """Remove a stream that was closed."""
        if self._ending.get(place) is stream:
            del self._ending[place]
        if self._streams.get(place) is stream:
            del self._streams[place]
            self.lost(Flow(self.local, *place))
            self.settle()

    # How.

    def _can_open(self, place: Place) -> bool:
        transport = self.local.transport
        return transport is TCP or (transport is TLS and bool(place[1]))

    async def _open(self, place: Place) -> None:
        (host, port), name = place
        longest = SECURE if name else CONNECT
        stream: SocketStream | None = None
        self.crowd.opening += 1
        try:
            async with asyncio.timeout(longest):
                opening = SocketStream(self, name, is_ours=True)
                await self._loop.create_connection(lambda: opening, host, port)
                stream = opening
                await stream.opened
            cause = stream.problem
        except TimeoutError:
            cause = f"no connection within {longest:g} s"
            if stream is not None:
                stream.abort()
        except OSError as exc:
            cause = reason(exc)
        except RemoteProtocolError as exc:
            cause = str(exc)  # not a name that TLS can ask for
        finally:
            self.crowd.opening -= 1
        # A stream that was reset at once counts as a failed connection, because the
        # peer would reset it again.
        stream = self._streams.get(place)
        if stream is None:
            logger.debug("! %s:%d: %s", host, port, cause)
        for datagram in self._opening.pop(place):
            if stream is None:
                self._failed(datagram, cause)
            else:
                stream.send(datagram.data)
        if stream is None:
            self.settle()

    async def _ping_all(self) -> None:
        while True:
            await asyncio.sleep(self._ping)
            for stream in list(self._streams.values()):
                stream.ping()

    def _run(self, coroutine: asyncio._CoroutineLike[None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
