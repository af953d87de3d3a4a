"""Where a message came from, and the way back."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import NamedTuple

from .value import Value

Address = tuple[str, int]
"""Host and port of a socket."""

SIP_PORT = 5060
"""The default port of UDP and TCP (RFC 3261 §19.1.2)."""


class Local(Value, frozen=True):
    """One address that we listen at."""

    transport: str
    "UDP or TCP, as it stands in Via."

    host: str
    "An IPv6 address without its brackets."

    port: int

    advertised: str = ""
    "Host and port under which others reach it, as in a URI; empty if at `host`."

    def __str__(self) -> str:
        """As the configuration writes it: ``udp:192.0.2.1:5060``."""
        return f"{self.transport.lower()}:{uri_host(self.host)}:{self.port}"

    @property
    def is_reliable(self) -> bool:
        """Whether the transport retransmits by itself."""
        return self.transport != "UDP"

    @property
    def bound(self) -> str:
        """The host and port of the socket, as in a URI."""
        return f"{uri_host(self.host)}:{self.port}"

    @property
    def sent_by(self) -> str:
        """The host and port that others are told: in Via, and in URIs of ours."""
        return self.advertised or f"{uri_host(self.host)}:{self.port}"

    @property
    def uri(self) -> str:
        """Where we are reached there: without a transport it would be by UDP."""
        transport = f";transport={self.transport.lower()}" if self.is_reliable else ""
        return f"sip:{self.sent_by}{transport}"


def is_numeric(host: str) -> bool:
    """Whether a host, without brackets, is an address and not a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def family_of(host: str) -> socket.AddressFamily:
    """The address family of a numeric address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def uri_host(host: str) -> str:
    """
    Return an address as a URI has it: an IPv6 address in brackets.

    The scope of a link-local address is left out: it means nothing to another host.
    """
    return f"[{host.partition('%')[0]}]" if ":" in host else host


class Flow(NamedTuple):
    """Where a message came from, and the way back (RFC 5626 §3.1)."""

    local: Local
    remote: Address
