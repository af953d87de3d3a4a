"""By which flow a URI is reached, from within a dialog."""

from __future__ import annotations

from .address import numeric
from .flow import Flow
from .uri import Uri


def way_to(uri: Uri, flow: Flow) -> Flow:
    """
    The flow to ``uri``, for a request in a dialog that came by ``flow``.

    A numeric address is where it says; but the peer is reached only by the way it came
    if it asks for that (`;ob`, RFC 5626 §5.3), names a private address from behind a
    NAT, or one of the other family, which our address there cannot send to. A host name
    is reached by the way it came, too.
    """
    host, is_global = numeric(uri.host)
    transport = uri.param("transport")
    came_from = flow.remote[0]
    if (
        not host
        or uri.param("ob") is not None
        or (transport is not None and transport.upper() != flow.local.transport)
        or (not is_global and host != came_from)
        or (":" in host) != (":" in came_from)
    ):
        return flow
    address = (host, uri.port or 5060)
    return flow if address == flow.remote else Flow(flow.local, address)
