"""Sends the branches of a forwarded request, to one destination at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from ..ledger.part import Found
from ..sip.destination import Destination
from ..sip.errors import RemoteProtocolError
from ..sip.event import AnyClient, AnyServer
from ..sip.flow import Flow, Local
from ..sip.forward import draft_of
from ..sip.headers import MAGIC_COOKIE
from ..sip.invite import InviteClientTransaction
from ..sip.message import Draft, Response
from ..sip.moment import Moment
from ..sip.reason import phrase_of
from ..sip.route import outgoing, request_uri_of
from ..sip.timer import TimerWheel
from ..sip.uri import Uri
from ..sip.user import User
from .context import Branch
from .forwarding import Forwarding, loop_mark

logger = logging.getLogger("reginfo.proxy")

"""Reason phrases for a target that cannot be resolved; otherwise 503 (§16.9)."""


class Transactions(Protocol):
    """
    What a proxy needs from an endpoint; see :class:`reginfo.sip.endpoint.Endpoint`.
    """

    def send_request(
        self, draft: Draft, flow: Flow, user: User, *, branch: str | None = None
    ) -> AnyClient: ...

    def cancel(self, transaction: InviteClientTransaction, now: float) -> None: ...
    def respond(self, transaction: AnyServer, response: Response) -> None: ...
    def forward(self, transaction: AnyServer, response: Response) -> None: ...
    def trying(self, transaction: AnyServer) -> None: ...
    def abandon(self, transaction: AnyServer) -> None: ...


class Receiver(Protocol):
    """Receives the results of a branch; see :class:`reginfo.routing.proxy.Proxy`."""

    def receive_response(
        self, branch: Branch, response: Response, now: float
    ) -> None: ...

    def receive_failure(self, branch: Branch, cause: str, now: float) -> None: ...


class ForwardedRequest:
    """The user of one copy of a request: a branch at one of its destinations."""

    __slots__ = ("branch", "receiver")

    def __init__(self, receiver: Receiver, branch: Branch) -> None:
        self.receiver = receiver
        self.branch = branch

    def receive_response(self, response: Response, moment: Moment) -> None:
        """Receive a response of the branch."""
        self.receiver.receive_response(self.branch, response, moment.now)

    def receive_failure(self, cause: str, moment: Moment) -> None:
        """Try the next destination, unless this has been done already."""
        if self.branch.sent is self:
            self.receiver.receive_failure(self.branch, cause, moment.now)

    def never_sent(self) -> None:
        """Do nothing: the decision to send it was undone."""


class Branching:
    """
    Sends the branches of requests.

    Args:
        receiver: receives responses and failures.
        failed: receives a branch that cannot be sent, with a response for it.
        wheel: runs Timer C of each branch.
        find, flow, timer_c, now: as for :class:`reginfo.routing.proxy.Proxy`.
    """

    def __init__(
        self,
        transactions: Transactions,
        forwarding: Forwarding,
        *,
        receiver: Receiver,
        failed: Callable[[Branch, Response], None],
        wheel: TimerWheel,
        find: Callable[[Uri, Found], None],
        flow: Callable[[Destination, Local | None], Flow | None],
        timer_c: float,
        new_id: Callable[[], str],
        now: Callable[[], float],
    ) -> None:
        self._transactions = transactions
        self._forwarding = forwarding
        self._receiver = receiver
        self._failed = failed
        self._wheel = wheel
        self._find = find
        self._flow = flow
        self._timer_c = timer_c
        self._new_id = new_id
        self._now = now

    def begin(self, branch: Branch) -> None:
        target = branch.target
        if target.flow is not None:
            branch.destinations = [target.flow]
            self.send_next(branch)
            return

        def found(destinations: list[Destination] | RemoteProtocolError) -> None:
            if branch.is_over:
                return  # cancelled meanwhile
            if isinstance(destinations, RemoteProtocolError):
                logger.info("! %s: %s", target, destinations)
                status = destinations.status
                self._failed(branch, Response(status, phrase_of(status)))
                return
            branch.destinations = list(destinations)
            self.send_next(branch)

        try:
            written = outgoing(request_uri_of(target.uri), branch.route)
        except RemoteProtocolError as exc:
            found(exc)
        else:
            self._find(written.first, found)

    def send_next(self, branch: Branch) -> None:
        """Send to the next destination of a target (RFC 3263 §4.3)."""
        flow: Flow | None = None
        while branch.destinations and flow is None:
            destination = branch.destinations.pop(0)
            if isinstance(destination, Flow):
                flow = destination
            else:
                flow = self._flow(destination, branch.target.local)
        if flow is None:
            self._failed(branch, instead_of("transport"))
            return
        branch.sent = ForwardedRequest(self._receiver, branch)
        transaction = branch.context.transaction
        branch.transaction = self._transactions.send_request(
            self._draft(branch, flow),
            flow,
            branch.sent,
            branch=f"{MAGIC_COOKIE}{self._new_id()}.{loop_mark(transaction.request)}",
        )
        if branch.context.request.method == "INVITE":
            self.start_timer_c(branch, self._now())

    def _draft(self, branch: Branch, flow: Flow) -> Draft:
        """Write the copy of a request for one branch (§16.6)."""
        context, forwarding = branch.context, self._forwarding
        request, transaction = context.request, context.transaction
        vias = transaction.request.headers["Via"]
        if transaction.via:
            vias = [transaction.via, *vias[1:]]
        written = outgoing(request_uri_of(branch.target.uri), branch.route)
        headers = forwarding.headers(request, vias, written.route)
        count = len(context.branches)
        if count > 1 or "Max-Breadth" in headers:
            headers["Max-Breadth"] = [str(max(1, context.breadth // count))]
        came = transaction.request
        if forwarding.records(request, context.decision):
            ours = forwarding.record(
                came, context.came_by, flow.local, branch.target.flow
            )
            headers["Record-Route"] = [*ours, *headers.get("Record-Route", ())]
        elif request.method == "REGISTER":
            ours = [forwarding.path(came, context.came_by, flow.local)]
            headers["Path"] = [*ours, *headers.get("Path", ())]
        return draft_of(request, uri=written.uri, headers=headers)

    def start_timer_c(self, branch: Branch, now: float) -> None:
        branch.timer_at = now + self._timer_c
        self._wheel.schedule(branch)


def instead_of(cause: str) -> Response:
    """Return the response for a branch that got none (§16.8, §16.9)."""
    if cause == "timeout":
        return Response(408, "Request Timeout")
    return Response(503, "Service Unavailable")
