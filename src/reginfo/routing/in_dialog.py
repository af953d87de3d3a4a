"""Sends our in-dialog requests: finds their next hop, replaces closed connections."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..ledger.journal import Journal
from ..sip.address import numeric
from ..sip.destination import Destination
from ..sip.errors import RemoteProtocolError
from ..sip.flow import Flow, unscoped
from ..sip.message import Draft, Response
from ..sip.moment import Moment
from ..sip.uri import Uri
from ..sip.user import User
from .nat import Nat
from .targets import Targets

logger = logging.getLogger("reginfo.proxy")

SendRequest = Callable[..., Any]
"""See :meth:`reginfo.sip.endpoint.Endpoint.send_request`."""


class DialogRequest:
    """
    The user of one in-dialog request, with further flows to try.

    Args:
        uri: the first Route, or the remote target.
        flow: the flow of the dialog.
    """

    __slots__ = (
        "draft", "flow", "flows", "is_cancelled", "is_divisible", "sender", "tried",
        "uri", "user",
    )  # fmt: skip

    def __init__(
        self,
        sender: InDialog,
        draft: Draft,
        uri: Uri,
        flow: Flow,
        user: User,
        is_divisible: bool,
    ) -> None:
        self.sender = sender
        self.draft = draft
        self.uri = uri
        self.flow = flow
        self.user = user
        self.is_divisible = is_divisible
        self.tried: Flow | None = None
        "The flow that it was last sent on."

        self.flows: list[Flow] | None = None
        "The remaining flows, best first; None before the URI is resolved."

        self.is_cancelled = False
        "Whether the decision to send it was undone."

    def begin(self) -> None:
        """Send on the best flow, when the URI is resolved."""
        if self.flows:
            self.send(self.flows.pop(0))
        else:
            # At worst there is the flow of the dialog, unless that is not secure.
            self.user.receive_failure("transport", self.sender.moment())

    def send(self, flow: Flow) -> None:
        self.tried = flow
        self.sender.send_request(self.draft, flow, self, is_divisible=self.is_divisible)

    def cancel(self) -> None:
        self.is_cancelled = True

    def receive_response(self, response: Response, moment: Moment) -> None:
        self.user.receive_response(response, moment)

    def receive_failure(self, cause: str, moment: Moment) -> None:
        """Replace a closed connection; a timeout ends the request."""
        if cause == "transport" and self.flows is None:
            self.sender.resolve(self, lambda: self._next(moment))
        elif cause == "transport":
            self._next(moment)
        else:
            self.user.receive_failure(cause, moment)

    def never_sent(self) -> None:
        self.user.never_sent()

    def _next(self, moment: Moment) -> None:
        if self.flows:
            self.send(self.flows.pop(0))
        else:
            self.user.receive_failure("transport", moment)


class InDialog:
    """
    Sends requests in dialogs (RFC 3261 §12.2.1.1, RFC 3263).

    A request goes to the first Route or the remote target, with the transport that this
    names; host names are resolved. It uses the flow of the dialog if the target
    resolves to that, or if nothing else reaches the peer (RFC 5626, a NAT). A flow
    whose connection is closed is replaced by a new one.

    Args:
        is_open: whether the connection of a flow is open.
        send_request: sends a request on a flow.
        moment: reads both clocks.
    """

    def __init__(
        self,
        targets: Targets,
        journal: Journal,
        *,
        nat: Nat,
        is_open: Callable[[Flow], bool],
        send_request: SendRequest,
        moment: Callable[[], Moment],
    ) -> None:
        self._targets = targets
        self._journal = journal
        self._nat = nat
        self._is_open = is_open
        self.send_request = send_request
        self.moment = moment

    def send(
        self,
        draft: Draft,
        uri: Uri,
        flow: Flow,
        user: User,
        *,
        is_divisible: bool = False,
    ) -> None:
        """
        Send a request.

        Args:
            uri: the first Route, or the remote target.
            flow: the flow of the latest message from the peer.
            user: receives the response.
            is_divisible: as of `send_request`.
        """
        request = DialogRequest(self, draft, uri, flow, user, is_divisible)
        # The usual case first: the flow of the peer leads to the URI.
        if self._is_at(uri, flow) or self._needs_flow(uri, flow):
            request.send(flow)
            return
        self._journal.remember(request.cancel)
        self.resolve(request, request.begin)

    def resolve(self, request: DialogRequest, then: Callable[[], object]) -> None:
        """Find the flows of a request, and call ``then``: now, or later."""

        def found(destinations: list[Destination] | RemoteProtocolError) -> None:
            if request.is_cancelled:
                return
            tried = request.tried
            request.flows = [
                flow
                for flow in self._flows(request.uri, destinations, request.flow)
                # A connection can be opened again; a datagram has failed.
                if flow != tried or flow.local.is_reliable
            ]
            then()

        self._targets.find(request.uri, found)

    def _needs_flow(self, uri: Uri, flow: Flow) -> bool:
        """Whether only its flow reaches the peer, and is still open."""
        if uri.scheme == "sips" and not flow.local.transport.is_secure:
            return False
        host = numeric(uri.host).address
        is_other_family = host and (":" in host) != (":" in flow.remote[0])
        if is_other_family or self._nat.needs_flow(uri, flow):
            return self._is_open(flow)
        return False

    def _is_at(self, uri: Uri, flow: Flow) -> bool:
        """Whether a numeric URI leads to the flow of the peer, which is still open."""
        remote, port = flow.remote
        if uri.host != remote:  # the usual case first: an IPv4 address
            host = numeric(uri.host).address
            if not host or host != unscoped(remote):
                return False
        transport = flow.local.transport
        if not transport.serves(uri):
            return False
        if (uri.port or transport.default_port) == port:
            return not transport.is_reliable or self._is_open(flow)
        # Without a transport parameter, the stream of a user agent is used.
        if not transport.is_reliable or uri.param("transport"):
            return False
        return self._is_open(flow)

    def _flows(
        self,
        uri: Uri,
        destinations: list[Destination] | RemoteProtocolError,
        flow: Flow,
    ) -> list[Flow]:
        """Return the flows to the destinations; by default that of the dialog."""
        # A `sips:` URI is not reached by anything else than TLS (RFC 5630 §5.3).
        is_usable = uri.scheme != "sips" or flow.local.transport.is_secure
        default = [flow] if is_usable else []
        if isinstance(destinations, RemoteProtocolError):
            instead = "; using the dialog's flow" if is_usable else ""
            logger.info("! %s: %s%s", uri.text, destinations, instead)
            return default
        flows = [
            found
            for one in destinations
            if (found := self._targets.by(one, flow.local)) is not None
        ]
        # The flow of the dialog first, if it leads to one of them.
        flows.sort(key=lambda one: one != flow)
        return flows or default
