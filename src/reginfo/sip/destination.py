"""Where a URI is (RFC 3263): what a name comes to."""

from __future__ import annotations

from typing import NamedTuple

from .flow import Address


class Destination(NamedTuple):
    """One of the places at which a URI is reached."""

    transport: str
    "UDP or TCP, as it stands in Via."

    address: Address
