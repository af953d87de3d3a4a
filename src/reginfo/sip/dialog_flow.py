"""The flow of an in-dialog request, as far as it is known without a DNS lookup."""

from __future__ import annotations

from .address import numeric
from .flow import Flow
from .uri import Uri


def dialog_flow(uri: Uri, flow: Flow) -> Flow:
    """
    Return the flow to ``uri`` from the local address of the dialog.

    :class:`reginfo.routing.in_dialog.InDialog` follows the transport in the URI, and
    resolves host names. Without it, as in a user agent that knows only one server, the
    flow of the dialog is used in these cases.

    A numeric address is used directly, with three exceptions: a peer that requests its
    flow (``;ob``, RFC 5626 §5.3), a private address behind a NAT, and an address of
    another family.
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
    address = (host, uri.port or flow.local.transport.default_port)
    return flow if address == flow.remote else Flow(flow.local, address, flow.name)
