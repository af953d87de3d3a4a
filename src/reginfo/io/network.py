"""The sockets of a server: where it listens, and how it reaches others."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from ..config.address import ListenAddress
from ..config.sections import DnsSection
from ..config.secure_sections import WebSocketSection
from ..sip.endpoint import Endpoint
from ..sip.errors import ReginfoError
from ..sip.flow import Address, Flow, Local, family_of
from ..sip.framing import MAX_MESSAGE
from ..sip.transport import PREFERRED, TCP, WS, WSS, Transport
from .certificates import Certificates
from .crowd import Crowd, StreamLimits
from .inherited import Inherited
from .interfaces import expand, source_of
from .nameservers import NameServers, at, hosts
from .resolver import Resolver
from .rim import Rim
from .secured import Secured
from .tcp import Securing, StreamTransport
from .udp import Trace, UdpSocket

SOURCES = 10_000
"""The number of destinations whose source address is cached."""


SWEEP = 5.0
"""Seconds between two searches for streams on which nothing is said."""


class StartError(ReginfoError):
    """The server cannot start; the message has the reason."""


class Network:
    """
    Binds transports, and connects them to a rim.

    Args:
        max_message: the maximum size of a message on a stream, in octets.
        max_head: the same for its head; 0 for no other limit.
        limits: the limits of streams.
        inherited: sockets that are bound already, used for their addresses.
        certificates: for TLS and WSS.
        web: for WebSocket.
    """

    def __init__(
        self,
        rim: Rim,
        endpoint: Endpoint,
        trace: Trace | None,
        *,
        max_message: int = MAX_MESSAGE,
        max_head: int = 0,
        limits: StreamLimits | None = None,
        inherited: Inherited | None = None,
        certificates: Certificates | None = None,
        web: WebSocketSection | None = None,
    ) -> None:
        self._rim = rim
        self._endpoint = endpoint
        self._trace = trace
        self._max_message = max_message
        self._max_head = max_head
        self.crowd = Crowd(limits)
        self._sweeping: asyncio.TimerHandle | None = None
        self._inherited = inherited or Inherited([])
        self._certificates = certificates
        self._web = web or WebSocketSection()
        self.listening: list[str] = []
        "The actual listening addresses, as the configuration writes them."

        self._streams: dict[Local, StreamTransport] = {}
        self._sources: dict[str, str | None] = {}

    def listen(
        self,
        addresses: Iterable[ListenAddress],
        advertised: Callable[[int, int], str] = lambda number, port: "",
    ) -> None:
        """
        Bind all configured addresses.

        Args:
            advertised: returns the advertised host and port, for the index of an
                address and the port that it is bound to.

        Raises:
            StartError: an address cannot be bound, or an inherited socket is not at
                one of them.
        """
        for number, address in enumerate(addresses):
            try:
                hosts = expand(address.host)
            except OSError as exc:
                raise StartError(f"{address}: {exc.strerror}") from exc
            for host in hosts:
                one = ListenAddress(host, address.port, address.transport)
                try:
                    transport = self._bound(one)
                except OSError as exc:
                    raise StartError(f"{one}: {exc.strerror}") from exc
                if said := advertised(number, transport.local.port):
                    transport.advertise(said)
                if isinstance(transport, StreamTransport):
                    self._streams[transport.local] = transport
                self._rim.add(transport)
                self.listening.append(str(transport.local))
        if left := self._inherited.left():
            raise StartError(f"inherited and not in listen: {', '.join(left)}")
        self._pair_streams()

    def start(self) -> None:
        """Start to close the streams on which nothing is said."""
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(SWEEP, self.start)
        self.crowd.timer_due(loop.time())

    def stop(self) -> None:
        """Close no more of them."""
        if self._sweeping is not None:
            self._sweeping.cancel()

    def source_of(self, address: Address) -> str | None:
        """Return the local address from which packets to ``address`` are sent."""
        host = address[0]
        if host not in self._sources:
            if len(self._sources) >= SOURCES:
                self._sources.clear()
            self._sources[host] = source_of(host)
        return self._sources[host]

    def resolver(self, dns: DnsSection, at_most: int = 0) -> Resolver:
        """
        Return a resolver for destinations that our addresses can send to.

        Args:
            at_most: the number of queries that may wait for an answer; 0 for any.
        """
        locals = self._rim.locals
        ours = {local.transport for local in locals}
        servers = [at((server.host, server.port)) for server in dns.servers]
        return Resolver(
            NameServers(servers, dns.timeout).ask,
            hosts=hosts(),
            transports=[one for one in PREFERRED if one in ours],
            families={family_of(local.host) for local in locals},
            now=time.monotonic,
            chance=random.random,
            wake=self._rim.wake,
            attempt=self._rim.attempt,
            at_most=at_most,
        )

    def is_open(self, flow: Flow) -> bool:
        """Whether a flow can be used: for a stream, whether it is open."""
        stream = self._streams.get(flow.local)
        return stream is None or stream.is_open(flow.remote, flow.name)

    def identities(self, flow: Flow) -> frozenset[str]:
        """The SIP domains that the other end of a flow has shown a certificate for."""
        stream = self._streams.get(flow.local)
        if stream is None:
            return frozenset()
        return stream.identities(flow.remote, flow.name)

    def hang_up(self, flow: Flow) -> None:
        """End the stream of a flow at once: nothing comes by it any more."""
        stream = self._streams.get(flow.local)
        if stream is not None:
            stream.hang_up(flow.remote, flow.name)

    def _bound(self, address: ListenAddress) -> UdpSocket | StreamTransport:
        rim, bound = self._rim, (address.host, address.port)
        transport = address.transport
        if transport.is_reliable:
            return StreamTransport.listening(
                bound,
                transport,
                self._inherited.take(socket.SOCK_STREAM, bound),
                **self._stream_arguments(transport),
            )
        return UdpSocket(
            bound,
            receive=rim.receive,
            settle=rim.settle,
            failed=rim.failed,
            unreachable=rim.unreachable,
            trace=self._trace,
            inherited=self._inherited.take(socket.SOCK_DGRAM, bound),
        )

    def _pair_streams(self) -> None:
        """
        Pair each UDP address with TCP, for requests that are too long for a datagram.
        """
        locals = self._rim.locals
        for local in locals:
            if local.is_reliable:
                continue
            stream = next(
                (o for o in locals if o.transport is TCP and o.host == local.host),
                None,
            )
            if stream is None:
                stream = self.connect_only(
                    Local(TCP, local.host, local.port, local.advertised)
                )
            self._endpoint.use_streams(local, stream)

    def connect_only(self, local: Local) -> Local:
        """Use a local address to open connections, though nobody can connect to it."""
        transport = StreamTransport(local, **self._stream_arguments(local.transport))
        self._rim.add(transport)
        self._streams[local] = transport
        return local

    def _stream_arguments(self, transport: Transport) -> dict[str, Any]:
        rim, web = self._rim, transport in (WS, WSS)
        securing = framing = None
        if transport.is_secure:
            securing = self._securing(web)
        if web:
            # Only who listens for WebSocket needs the library, and waits for it.
            from .websocket import WebSocketFraming

            origins = None if "*" in self._web.origins else self._web.origins
            framing = partial(WebSocketFraming, origins, self._max_message)
        return {
            "securing": securing,
            "framing": framing,
            "ping": self._web.ping if web else 0.0,
            "receive": rim.receive,
            "settle": rim.settle,
            "failed": rim.failed,
            "lost": rim.lost,
            "trace": self._trace,
            "max_message": self._max_message,
            "max_head": self._max_head,
            "crowd": self.crowd,
        }

    def _securing(self, web: bool) -> Securing:
        certificates = self._certificates
        assert certificates is not None  # the configuration was checked

        def begin(name: str) -> Secured:
            if name:
                return certificates.client(name)
            return certificates.web_server() if web else certificates.server()

        return begin
