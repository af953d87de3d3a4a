"""Addresses of a configuration: host and port, or a Unix socket."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from msgspec import Struct

from ..sip.errors import RemoteProtocolError
from ..sip.flow import uri_host
from ..sip.transport import UDP, Transport
from ..sip.uri import Uri


class SocketAddress(Struct, frozen=True):
    """A numeric address and a port; port 0 is any free one."""

    host: str
    port: int

    @staticmethod
    def parse(text: str) -> SocketAddress:
        """
        Read ``HOST:PORT``, or ``[HOST]:PORT`` for IPv6.

        Raises:
            ValueError: it is not that, or the host is not a numeric address.
        """
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdecimal():
            raise ValueError(f"{text!r} is not HOST:PORT")
        if int(port) > 65_535:
            raise ValueError(f"port {port} is out of range (0 to 65535)")
        try:
            if host.startswith("[") and host.endswith("]"):
                numeric = ipaddress.IPv6Address(host[1:-1]).compressed
            else:
                numeric = str(ipaddress.IPv4Address(host))
        except ValueError as exc:
            raise ValueError(f"{host!r} is not an IPv4 or [IPv6] address") from exc
        return SocketAddress(numeric, int(port))

    def __str__(self) -> str:
        return f"{uri_host(self.host)}:{self.port}"


class ListenAddress(SocketAddress, frozen=True):
    """
    A transport, and a host and port at which SIP is received.

    The host may also be `0.0.0.0`, `::` or the name of an interface, which stand for
    addresses of the machine; see :func:`reginfo.io.interfaces.expand`.
    """

    transport: Transport = UDP

    def __str__(self) -> str:
        return f"{self.transport.token}:{uri_host(self.host)}:{self.port}"


class AdvertisedAddress(Struct, frozen=True):
    """The host and port under which others reach an address that we listen at."""

    host: str
    "A name, or a numeric address as a URI has it; empty to advertise nothing."

    port: int | None = None
    "None for the port that we listen at."

    @staticmethod
    def parse(text: str) -> AdvertisedAddress:
        """
        Read ``HOST`` or ``HOST:PORT``; an IPv6 address stands in brackets.

        Raises:
            ValueError: it is neither, or the host stands for all addresses.
        """
        try:
            uri = Uri.parse(f"sip:{text}")
        except RemoteProtocolError:
            uri = None
        if uri is None or uri.user or uri.params or uri.headers or not uri.host:
            raise ValueError(f"{text!r} is neither HOST nor HOST:PORT")
        if uri.host in ("0.0.0.0", "[::]"):
            raise ValueError(f"{text!r} is no address that others can reach")
        return AdvertisedAddress(uri.host, uri.port)

    def at(self, port: int) -> str:
        """Return host and port as Via and URIs have them, for a listener's port."""
        return f"{self.host}:{self.port or port}" if self.host else ""


class UnixPath(Struct, frozen=True):
    """A Unix socket, by its path."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


AdminAddress = SocketAddress | UnixPath


def parse_admin(text: str) -> AdminAddress:
    """
    Read the address of the API: ``HOST:PORT`` or ``unix:PATH``.

    Raises:
        ValueError: it is neither.
    """
    if text.startswith("unix:"):
        if text == "unix:":
            raise ValueError("unix: needs a path")
        return UnixPath(Path(text.removeprefix("unix:")))
    return SocketAddress.parse(text.removeprefix("http://").rstrip("/"))
