"""Transports, local addresses, and flows."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any, NamedTuple

from .address import numeric
from .transport import SIP_PORT, Transport
from .value import Value

Address = tuple[str, int]
"""Host and port of a socket."""


class Local(Value, frozen=True):
    """One listening address."""

    transport: Transport

    host: str
    "The address; IPv6 without brackets, link-local with its scope."

    port: int

    advertised: str = ""
    "The advertised host and port, as in a URI; empty for `host` and `port`."

    def __str__(self) -> str:
        """
        Write it as in the configuration: ``udp:192.0.2.1:5060``.

        A link-local address has its scope: interfaces may have equal ones. This names
        a listener on this machine, and is never sent.
        """
        return f"{self.transport.token}:{bracketed(self.host)}:{self.port}"

    @property
    def is_reliable(self) -> bool:
        """Whether the transport retransmits."""
        return self.transport.is_reliable

    @property
    def default_port(self) -> int:
        """The port of a sent-by that names none."""
        return self.transport.default_port

    @property
    def bound(self) -> str:
        """The host and port of the socket, as in a URI."""
        return f"{uri_host(self.host)}:{self.port}"

    @property
    def sent_by(self) -> str:
        """The advertised host and port, for Via and for our URIs."""
        return self.advertised or f"{uri_host(self.host)}:{self.port}"

    @property
    def via_start(self) -> str:
        """Our Via, up to the value of its branch (RFC 3261 §18.1.1)."""
        return f"{self.transport.sent_protocol} {self.sent_by};branch="

    def via(self, branch: str) -> str:
        """Return our Via of a request sent from here, with `rport` (RFC 3581)."""
        return f"{self.via_start}{branch};rport"

    @property
    def uri(self) -> str:
        """Our URI at this address, with a transport unless it is UDP."""
        return f"sip:{self.sent_by}{self.transport.uri_param}"


def place_of(sent_by: str) -> tuple[str, int]:
    """Return host and port of a sent-by, in canonical spelling."""
    host, colon, port = sent_by.rpartition(":")
    if not colon or not port.isdecimal():
        host, port = sent_by, str(SIP_PORT)
    return numeric(host).address or host.lower(), int(port)


def is_numeric(host: str) -> bool:
    """Whether a host, without brackets, is an address rather than a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def family_of(host: str) -> socket.AddressFamily:
    """Return the address family of a numeric address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def with_scope(name: tuple[Any, ...]) -> str:
    """
    Return the host of a socket's address, with the scope of a link-local one.

    Args:
        name: the address as returned by a socket: four items for IPv6, two for IPv4.
    """
    host: str = name[0]
    if len(name) > 2 and name[3] and "%" not in host:
        return f"{host}%{name[3]}"
    return host


def unscoped(host: str) -> str:
    """Return the address of a socket without the scope of a link-local one."""
    return host.partition("%")[0] if "%" in host else host


def scoped(address: Address, local: Local) -> Address:
    """Return the address of a peer with the scope of the listener that reaches it."""
    host, port = address
    scope = local.host.partition("%")[2]
    if scope and "%" not in host and host.startswith("fe80:"):
        return f"{host}%{scope}", port
    return address


def uri_host(host: str) -> str:
    """
    Return an address as written in a URI: IPv6 in brackets.

    The scope of a link-local address is omitted: it has no meaning on another host.
    """
    return bracketed(unscoped(host))


def bracketed(host: str) -> str:
    """Return an address in brackets if it is IPv6, with its scope: never sent so."""
    return f"[{host}]" if ":" in host else host


class Flow(NamedTuple):
    """A local address and a remote address of one transport (RFC 5626 §3.1)."""

    local: Local
    remote: Address

    name: str = ""
    """
    The name that the other side's certificate must have, for a secure connection that
    we open (RFC 5922 §7.3): the SIP domain that led to `remote`. Empty for any other.
    """

    def __str__(self) -> str:
        """As a log names it: ``udp:192.0.2.1:5060 to 192.0.2.50:5060``."""
        host, port = self.remote
        return f"{self.local} to {bracketed(host)}:{port}"

    def __repr__(self) -> str:
        return f"<Flow {self}>"
