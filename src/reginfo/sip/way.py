"""By which flow a URI is reached, from within a dialog."""

from __future__ import annotations

from .flow import Flow
from .uri import Uri


def way_to(uri: Uri, flow: Flow) -> Flow:
    """
    The flow to ``uri``, for a request in a dialog that came by ``flow``.

    A numeric address is where it says; but the peer is reached only by the way it came
    if it asks for that (`;ob`, RFC 5626 §5.3), or names a private address from behind a
    NAT. A host name is reached by the way it came, too.
    """
    host = uri.host
    transport = uri.param("transport")
    if (
        not _is_ipv4(host)
        or uri.param("ob") is not None
        or (transport is not None and transport.upper() != flow.local.transport)
        or (_is_private(host) and host != flow.remote[0])
    ):
        return flow
    address = (host, uri.port or 5060)
    return flow if address == flow.remote else Flow(flow.local, address)


def _is_ipv4(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and all(
        p.isdecimal() and len(p) < 4 and int(p) < 256 for p in parts
    )


def _is_private(host: str) -> bool:
    """
    RFC 1918, and RFC 6598, which carriers use the same way; and what is not the address
    of any other host: this one, its link, all of them.
    """
    first, second = (int(part) for part in host.split(".")[:2])
    return (
        first in (0, 10, 127)
        or first >= 224
        or (first == 169 and second == 254)
        or (first == 172 and 16 <= second < 32)
        or (first == 192 and second == 168)
        or (first == 100 and 64 <= second < 128)
    )
