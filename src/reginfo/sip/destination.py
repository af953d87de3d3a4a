"""Destinations: what DNS makes of a URI (RFC 3263)."""

from __future__ import annotations

from typing import NamedTuple

from .flow import Address
from .transport import Transport


class Destination(NamedTuple):
    """A transport and an address at which a URI is reached."""

    transport: Transport

    address: Address
