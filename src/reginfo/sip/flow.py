"""Where a message came from, and the way back."""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple

from .value import Value

Address = tuple[str, int]
"""Host and port of a socket."""


class Local(Value, frozen=True):
    """One address that we listen at."""

    transport: str
    "UDP or TCP, as it stands in Via."

    host: str
    "An IPv6 address without its brackets."

    port: int

    @property
    def is_reliable(self) -> bool:
        """Whether what is sent arrives, or fails: nothing is sent twice."""
        return self.transport != "UDP"

    @property
    def sent_by(self) -> str:
        """Host and port, as they stand in Via and in a URI."""
        return f"{uri_host(self.host)}:{self.port}"

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


def uri_host(host: str) -> str:
    """An address as it stands in a URI: an IPv6 one in brackets."""
    return f"[{host}]" if ":" in host else host


class Flow(NamedTuple):
    """Where a message came from, and the way back (RFC 5626 §3.1)."""

    local: Local
    remote: Address
