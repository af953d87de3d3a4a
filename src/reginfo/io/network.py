"""The addresses of a server: where it listens, and how it gets to others."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from typing import Any

from ..config.address import ListenAddress
from ..config.sections import DnsSection
from ..sip.destination import Destination
from ..sip.endpoint import Endpoint
from ..sip.errors import ReginfoError, RemoteProtocolError
from ..sip.flow import Flow, Local, family_of
from ..sip.uri import Uri
from .nameservers import NameServers, at, hosts
from .resolver import Resolver
from .rim import Rim
from .tcp import StreamTransport
from .udp import Trace, UdpSocket


class StartError(ReginfoError):
    """The server cannot start; the message says why."""


class Network:
    """Binds transports and joins them to a rim."""

    def __init__(self, rim: Rim, endpoint: Endpoint, trace: Trace | None) -> None:
        self._rim = rim
        self._endpoint = endpoint
        self._trace = trace
        self.listening: list[str] = []
        "Where we really listen, as the configuration writes it."

        self._streams: dict[Local, StreamTransport] = {}

    def listen(self, addresses: Iterable[ListenAddress]) -> None:
        """
        Bind all that the configuration asks for.

        Raises:
            StartError: an address cannot be had.
        """
        for address in addresses:
            try:
                transport = self._bound(address)
            except OSError as exc:
                raise StartError(f"{address}: {exc.strerror}") from exc
            self._rim.add(transport)
            self.listening.append(f"{address.transport}:{transport.local.sent_by}")
        self._pair_streams()

    def resolver(self, dns: DnsSection) -> Resolver:
        """Finds where URIs are, of those that can be reached from our addresses."""
        locals = self._rim.locals
        servers = [at((server.host, server.port)) for server in dns.servers]
        return Resolver(
            NameServers(servers, dns.timeout).ask,
            hosts=hosts(),
            transports=sorted({local.transport for local in locals}, reverse=True),
            families={family_of(local.host) for local in locals},
            now=time.monotonic,
            chance=random.random,
            wake=self._rim.wake,
            attempt=self._rim.attempt,
        )

    def is_open(self, flow: Flow) -> bool:
        """Whether a flow can be sent by: of TCP, whether its stream is there."""
        stream = self._streams.get(flow.local)
        return stream is None or stream.is_open(flow.remote)

    async def find(
        self, uris: Iterable[str], names: Resolver
    ) -> dict[str, Destination]:
        """
        Where each of ``uris`` is, by the first of its places.

        Raises:
            StartError: a host is unknown, or of a kind that we do not listen at.
        """
        families = {family_of(local.host) for local in self._rim.locals}
        places: dict[str, Destination] = {}
        for text in uris:
            try:
                found = await names.locate(Uri.parse(text))
            except RemoteProtocolError as exc:
                raise StartError(f"{text}: {exc}") from exc
            usable = [
                place for place in found if family_of(place.address[0]) in families
            ]
            if not usable:
                raise StartError(f"{text}: we do not listen at an address of its kind")
            places[text] = usable[0]
        return places

    def _bound(self, address: ListenAddress) -> UdpSocket | StreamTransport:
        rim, place = self._rim, (address.host, address.port)
        if address.transport == "tcp":
            stream = StreamTransport.listening(place, **self._stream_callbacks())
            self._streams[stream.local] = stream
            return stream
        return UdpSocket(
            place,
            receive=rim.receive,
            settle=rim.settle,
            failed=rim.failed,
            trace=self._trace,
        )

    def _pair_streams(self) -> None:
        """Give each UDP address a TCP one for what is too long for a datagram."""
        locals = self._rim.locals
        for local in locals:
            if local.is_reliable:
                continue
            stream = next(
                (one for one in locals if one.is_reliable and one.host == local.host),
                None,
            )
            if stream is None:
                # We can open streams although nobody can open one to us.
                transport = StreamTransport(
                    Local("TCP", local.host, local.port), **self._stream_callbacks()
                )
                self._rim.add(transport)
                stream = transport.local
                self._streams[stream] = transport
            self._endpoint.use_streams(local, stream)

    def _stream_callbacks(self) -> dict[str, Any]:
        rim = self._rim
        return {
            "receive": rim.receive,
            "settle": rim.settle,
            "failed": rim.failed,
            "lost": rim.lost,
            "trace": self._trace,
        }


def flow_to(place: Destination, locals: Sequence[Local]) -> Flow:
    """The flow to ``place``, by its transport if we have that."""
    family = family_of(place.address[0])
    able = [local for local in locals if family_of(local.host) == family]
    fitting = [local for local in able if local.transport == place.transport]
    return Flow((fitting or able or list(locals))[0], place.address)
