"""By which flow a URI is reached, from within a dialog."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from .flow import Flow
from .uri import Uri

CACHE = 65_536
"""Hosts whose kind is kept: watchers are told again and again."""


def way_to(uri: Uri, flow: Flow) -> Flow:
    """
    The flow to ``uri``, for a request in a dialog that came by ``flow``.

    A numeric address is where it says; but the peer is reached only by the way it came
    if it asks for that (`;ob`, RFC 5626 §5.3), names a private address from behind a
    NAT, or one of the other family, which our address there cannot send to. A host name
    is reached by the way it came, too.
    """
    host, private = numeric(uri.host)
    transport = uri.param("transport")
    came_from = flow.remote[0]
    if (
        not host
        or uri.param("ob") is not None
        or (transport is not None and transport.upper() != flow.local.transport)
        or (private and host != came_from)
        or (":" in host) != (":" in came_from)
    ):
        return flow
    address = (host, uri.port or 5060)
    return flow if address == flow.remote else Flow(flow.local, address)


@lru_cache(CACHE)
def numeric(host: str) -> tuple[str, bool]:
    """
    A host as a socket has it, and whether others may have the same; "" for a name.

    Private are RFC 1918, RFC 4193, and RFC 6598, which carriers use the same way; and
    what is not the address of any other host: this one, its link, all of them.
    """
    try:
        if host.startswith("["):
            six = ipaddress.IPv6Address(host[1:-1])
            return str(six), any(six in network for network in _PRIVATE_6)
        four = ipaddress.IPv4Address(host)
    except ValueError:
        return "", False
    return str(four), any(four in network for network in _PRIVATE_4)


_PRIVATE_4 = [
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3",
    )
]  # fmt: skip
_PRIVATE_6 = [
    ipaddress.IPv6Network(text)
    # Mapped addresses are IPv4's, whose sockets are others.
    for text in ("::/127", "::ffff:0:0/96", "fc00::/7", "fe80::/10", "ff00::/8")
]
