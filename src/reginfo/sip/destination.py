"""Destinations: the transport and address of a next hop (RFC 3263)."""

from __future__ import annotations

from typing import NamedTuple

from .flow import Address, bracketed
from .transport import Transport


class Destination(NamedTuple):
    """A transport and an address to which a URI resolves."""

    transport: Transport

    address: Address

    name: str = ""
    "The SIP domain that led there, for the certificate; see :class:`.flow.Flow`."

    def __str__(self) -> str:
        """As the configuration writes it: ``udp:192.0.2.1:5060``."""
        host, port = self.address
        return f"{self.transport.token}:{bracketed(host)}:{port}"

    def __repr__(self) -> str:
        return f"<Destination {self}>"
