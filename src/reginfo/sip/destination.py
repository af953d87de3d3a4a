"""Destinations: the transport and address of a next hop (RFC 3263)."""

from __future__ import annotations

from typing import NamedTuple

from .flow import Address


class Destination(NamedTuple):
    """A transport and an address to which a URI resolves."""

    transport: str
    "UDP or TCP, as in Via."

    address: Address
