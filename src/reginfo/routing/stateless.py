"""Forwards messages without a transaction: the ACK of a 2xx, a lost response."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ..ledger.part import Found
from ..sip.destination import Destination
from ..sip.errors import RemoteProtocolError
from ..sip.flow import Flow, Local
from ..sip.forward import draft_of
from ..sip.headers import MAGIC_COOKIE, Via
from ..sip.message import Request
from ..sip.route import outgoing, request_uri_of
from ..sip.uri import Uri
from .forwarding import Forwarding
from .target import Target

MOST_ACKS = 16
"""The maximum number of targets of one ACK, which has no response to stop it."""


class DatagramSender(Protocol):
    """Sends single datagrams; see :class:`reginfo.sip.endpoint.Endpoint`."""

    def send_stateless(self, data: bytes, flow: Flow) -> None: ...


class StatelessProxy:
    """
    Forwards single messages.

    Args:
        find, flow, is_ours, is_open: as for :class:`reginfo.routing.proxy.Proxy`.
    """

    def __init__(
        self,
        sender: DatagramSender,
        forwarding: Forwarding,
        *,
        find: Callable[[Uri, Found], None],
        flow: Callable[[Destination, Local | None], Flow | None],
        is_ours: Callable[[Uri], bool],
        is_open: Callable[[Flow], bool],
        new_id: Callable[[], str],
    ) -> None:
        self._sender = sender
        self._forwarding = forwarding
        self._find = find
        self._flow = flow
        self._is_ours = is_ours
        self._is_open = is_open
        self._new_id = new_id

    def relay_ack(
        self, request: Request, targets: Sequence[Target], route: tuple[str, ...]
    ) -> None:
        """
        Forward the ACK of a 2xx (§16.11).

        Args:
            targets: its targets; more than one if the Contact of the callee is one of
                our URIs, and only the target in the dialog will use it.
            route: the remaining Route of the ACK.

        Raises:
            Refusal, RemoteProtocolError: it is not forwarded.
        """
        self._forwarding.check(request)
        for target in targets[:MOST_ACKS]:
            is_routed = target.flow is not None or target.route or route
            if is_routed or not self._is_ours(target.uri):
                self._send_ack(request, target, route)

    def receive_lost(self, data: bytes, via: Via) -> None:
        """Send a response to the sent-by of ``via`` (RFC 3263 §5)."""
        try:
            uri = Uri.parse(f"sip:{via.sent_by};transport={via.transport.lower()}")
        except RemoteProtocolError:
            return

        def found(destinations: list[Destination] | RemoteProtocolError) -> None:
            flow = self._first(destinations, None)
            if flow is not None:
                self._sender.send_stateless(data, flow)

        self._find(uri, found)

    def _send_ack(
        self, request: Request, target: Target, route: tuple[str, ...]
    ) -> None:
        written = outgoing(request_uri_of(target.uri), (*target.route, *route))
        vias = request.headers["Via"]
        headers = self._forwarding.headers(request, vias, written.route)

        def send(flow: Flow) -> None:
            via = via_of(flow.local, MAGIC_COOKIE + self._new_id())
            draft = draft_of(request, uri=written.uri, headers=headers)
            self._sender.send_stateless(draft.write(via), flow)

        def found(destinations: list[Destination] | RemoteProtocolError) -> None:
            flow = self._first(destinations, target.local)
            if flow is not None:
                send(flow)

        if target.flow is None:
            self._find(written.first, found)
        elif self._is_open(target.flow) and target.is_secure_enough:
            send(target.flow)

    def _first(
        self,
        destinations: list[Destination] | RemoteProtocolError,
        local: Local | None,
    ) -> Flow | None:
        if isinstance(destinations, RemoteProtocolError):
            return None
        flows = (self._flow(destination, local) for destination in destinations)
        return next((flow for flow in flows if flow is not None), None)


def via_of(local: Local, branch: str) -> str:
    """Return the Via of a request sent from ``local``."""
    return local.via(branch)
