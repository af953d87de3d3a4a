"""The server of an agent: its name, and its address."""

from __future__ import annotations

import asyncio
import socket

from msgspec import Struct

from ..sip.errors import RemoteProtocolError
from ..sip.flow import Address, family_of, uri_host
from ..sip.transport import PREFERRED, SIP_PORT, TLS, UDP, Transport
from ..sip.uri import Uri
from .errors import NoAnswer


def aor_uri(text: str) -> Uri:
    """
    Read an address-of-record as people write it: ``sip:`` may be left out.

    Raises:
        ValueError: it is no sip:, sips: or tel: URI.
    """
    try:
        uri = Uri.parse(text if ":" in text.partition("@")[0] else f"sip:{text}")
    except RemoteProtocolError as exc:
        raise ValueError(str(exc)) from exc
    if not uri.aor:
        raise ValueError(f"{text} is not a sip:, sips: or tel: URI")
    return uri


class ServerAddress(Struct, frozen=True):
    """A server, as ``--server`` names it."""

    host: str
    "A name or an address, an IPv6 one without its brackets."

    port: int = SIP_PORT

    transport: Transport = UDP

    name: str = ""
    "The name that its certificate must be for, by TLS; empty for its host."

    @staticmethod
    def parse(text: str, transport: str | None = None) -> ServerAddress:
        """
        Read ``HOST``, ``HOST:PORT``, ``[IPV6]:PORT`` or a SIP URI.

        Before a host, ``tls:`` names its transport, as the configuration of a server
        does; ``udp:`` and ``tcp:`` as well.

        Args:
            transport: `udp`, `tcp` or `tls`; by default that of the URI, or UDP.

        Raises:
            ValueError: it is none of these.
        """
        prefix, colon, rest = text.partition(":")
        if colon and Transport.named(prefix) in PREFERRED and not rest.isdecimal():
            written = f"sip:{rest};transport={prefix}"
        else:
            written = text if prefix in ("sip", "sips") else f"sip:{text}"
        try:
            uri = Uri.parse(written)
        except RemoteProtocolError as exc:
            raise ValueError(
                f"{text!r} is not HOST:PORT, [IPV6]:PORT or a SIP URI"
            ) from exc
        known = ", ".join(one.token for one in PREFERRED)
        wanted = None
        if transport is not None:
            wanted = Transport.named(transport)
            if wanted not in PREFERRED:
                raise ValueError(f"transport {transport!r} is none of {known}")
        name = uri.param("transport")
        named = Transport.of(uri) if name or uri.scheme == "sips" else None
        if name is not None and named not in PREFERRED:
            raise ValueError(f"{text!r}: transport {name} is none of {known}")
        if wanted is not None and named not in (None, wanted):
            raise ValueError(f"{text!r} has another transport than {transport}")
        chosen = wanted or named or UDP
        return ServerAddress(
            uri.host.strip("[]"), uri.port or chosen.default_port, chosen
        )

    @property
    def certified_name(self) -> str:
        """The name that its certificate must be for; empty without TLS."""
        return (self.name or self.host) if self.transport is TLS else ""

    def __str__(self) -> str:
        return f"{uri_host(self.host)}:{self.port} ({self.transport})"

    async def find(self) -> Address:
        """
        Find its address: the first IPv4 address of its name, or else the first.

        Raises:
            NoAnswer: the name has no address.
        """
        loop = asyncio.get_running_loop()
        kind = socket.SOCK_STREAM if self.transport.is_reliable else socket.SOCK_DGRAM
        try:
            found = await loop.getaddrinfo(self.host, self.port, type=kind)
        except OSError as exc:
            raise NoAnswer(f"{self.host}: {exc.strerror}") from exc
        # A server at "localhost" usually listens at 127.0.0.1; by UDP there would be no
        # error from the other address.
        found.sort(key=lambda entry: entry[0] != socket.AF_INET)
        host, port = found[0][4][:2]
        return str(host), int(port)


def own_host(server: Address) -> str:
    """
    Find the local address from which ``server`` is reached.

    Raises:
        NoAnswer: there is no route.
    """
    with socket.socket(family_of(server[0]), socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(server)  # sends nothing, and only looks up the route
        except OSError as exc:
            raise NoAnswer(f"{uri_host(server[0])}: {exc.strerror}") from exc
        host: str = probe.getsockname()[0]
    return host
