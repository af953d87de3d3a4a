"""Addresses of a configuration: host and port, or a Unix socket."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from msgspec import Struct

from ..sip.flow import uri_host


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
    """The address of a SIP listener, and its transport."""

    transport: str = "udp"

    def __str__(self) -> str:
        return f"{self.transport}:{uri_host(self.host)}:{self.port}"


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
