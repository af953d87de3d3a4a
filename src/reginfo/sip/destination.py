"""Destinations: the transport and address of a next hop (RFC 3263)."""

from __future__ import annotations

from typing import NamedTuple

from .flow import Address
from .transport import Transport


class Destination(NamedTuple):
    """A transport and an address to which a URI resolves."""

    transport: Transport

    address: Address
