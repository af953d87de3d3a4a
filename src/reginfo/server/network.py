"""The addresses of a server: where it listens, and how it gets to others."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from typing import Any

from ..sip.endpoint import Endpoint
from ..sip.errors import ReginfoError
from ..sip.flow import Address, Flow, Local
from ..sip.uri import Uri
from .address import ListenAddress
from .rim import Rim
from .stream import StreamTransport
from .transport import Trace, UdpSocket, family_of


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

    async def find(self, uris: Iterable[str]) -> dict[str, Address]:
        """
        Where each of ``uris`` is.

        Raises:
            StartError: a host is unknown, or of a kind that we do not listen at.
        """
        loop = asyncio.get_running_loop()
        families = {family_of(local.host) for local in self._rim.locals}
        addresses: dict[str, Address] = {}
        for text in uris:
            uri = Uri.parse(text)
            try:
                found = await loop.getaddrinfo(
                    uri.host.strip("[]"), uri.port or 5060, type=socket.SOCK_DGRAM
                )
            except OSError as exc:
                raise StartError(f"{text}: {uri.host}: {exc}") from exc
            usable = [entry[4] for entry in found if entry[0] in families]
            if not usable:
                raise StartError(f"{text}: we do not listen at an address of its kind")
            addresses[text] = (str(usable[0][0]), int(usable[0][1]))
        return addresses

    def _bound(self, address: ListenAddress) -> UdpSocket | StreamTransport:
        rim, place = self._rim, (address.host, address.port)
        if address.transport == "tcp":
            return StreamTransport.listening(place, **self._stream_callbacks())
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


def flow_to(text: str, address: Address, locals: Sequence[Local]) -> Flow:
    """The flow to a URI that is at ``address``, by the transport that it names."""
    transport = (Uri.parse(text).param("transport") or "udp").upper()
    family = family_of(address[0])
    able = [local for local in locals if family_of(local.host) == family]
    fitting = [local for local in able if local.transport == transport]
    return Flow((fitting or able or list(locals))[0], address)
