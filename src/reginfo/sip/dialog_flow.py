"""The flow of a request in a dialog, as far as it is known without asking the DNS."""

from __future__ import annotations

from .address import numeric
from .flow import Flow
from .transport import SIP_PORT
from .uri import Uri


def dialog_flow(uri: Uri, flow: Flow) -> Flow:
    """
    Return the flow to ``uri`` from the address of ours that the dialog uses.

    :class:`reginfo.routing.in_dialog.InDialog` sends by the transport that the URI
    names, and to where a host name leads; without it, as in a user agent that knows one
    server only, the flow of the dialog serves for these.

    A numeric address is reached where it says, but for a peer that asks for its flow
    (``;ob``, RFC 5626 §5.3), one that names a private address from behind a NAT, and
    one of another address family.
    """
    host, is_global = numeric(uri.host)
    came_from = flow.remote[0]
    if (
        not host
        or uri.param("ob") is not None
        or not flow.local.transport.serves(uri)
        or (not is_global and host != came_from)
        or (":" in host) != (":" in came_from)
    ):
        return flow
    address = (host, uri.port or SIP_PORT)
    return flow if address == flow.remote else Flow(flow.local, address)
