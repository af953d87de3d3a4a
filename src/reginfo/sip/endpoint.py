"""
The endpoint: turns datagrams into requests and responses (RFC 3261 §17, §18, §8.2).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .amplification import AmplificationLimit
from .capacity import Capacity
from .clients import CANCELLING, Clients
from .errors import RemoteProtocolError
from .event import (
    AckReceived,
    AnyClient,
    AnyServer,
    Cancelled,
    EndpointEvent,
    RequestReceived,
    ResponseLost,
)
from .flow import Flow, Local, is_numeric
from .invite import TERMINATED as INVITE_TERMINATED
from .invite import InviteClientTransaction, InviteServerTransaction, InviteState
from .message import Draft, Request, Response, lines
from .parser import Malformed, parse
from .responding import Responder, check, way_back
from .servers import Key, Servers, key_of
from .timer import TimerWheel
from .transaction import TERMINATED, ClientTransaction, Datagram, ServerTransaction
from .user import User

CLIENTS = (ClientTransaction, InviteClientTransaction)
SERVERS = (ServerTransaction, InviteServerTransaction)


class Endpoint:
    """
    All transactions of a server, between datagrams and events.

    Drive it with :meth:`receive_datagram` and :meth:`timer_due`; handle its
    :meth:`events`; send its :meth:`datagrams_to_send` when the changes that they report
    are on disk, and call :meth:`sent`, or :meth:`discard` if the commit fails.

    Args:
        new_id: makes a random token for branches and tags, 64 bits or more.
        methods: the supported methods, for Allow; None to report any, as for a proxy.
        headers: header lines for every local response, such as Server.
        capacity: limits of requests; by default there are none.
    """

    def __init__(
        self,
        *,
        new_id: Callable[[], str],
        methods: tuple[str, ...] | None,
        headers: dict[str, str],
        capacity: Capacity | None = None,
    ) -> None:
        self._new_id = new_id
        self._methods = methods
        self._common = lines(headers)
        self._capacity = Capacity() if capacity is None else capacity
        self.servers = Servers(self._capacity)
        self._outbox: list[Datagram] = []
        self._events: list[EndpointEvent] = []
        self._wheel = TimerWheel()
        self._clients = Clients(
            new_id=new_id,
            outbox=self._outbox,
            events=self._events,
            wheel=self._wheel,
            answered=lambda flow, now: self._limit.answered(flow, now),
        )
        self._limit = AmplificationLimit(
            self._outbox, send=self._clients.send, started=self.sent, new_id=new_id
        )
        self.validation = self._limit.validation
        "Knows which addresses are validated."

        self._responder = Responder(
            self._outbox,
            secret=new_id().encode(),
            methods=methods,
            common=self._common,
        )
        self.malformed = 0
        "The number of datagrams that could not be parsed, so far."

    @property
    def timer_at(self) -> float | None:
        return self._wheel.timer_at

    def receive_datagram(self, data: bytes, flow: Flow, now: float) -> None:
        """Process a received datagram; invalid input does not raise."""
        if not flow.local.transport.is_reliable:
            self.validation.receive(flow.remote, len(data), now)
        try:
            message = parse(data)
            if type(message) is Request:
                if len(data) > self._capacity.smallest:
                    self._capacity.check(message, data)
                self._receive_request(message, flow, now, len(data))
            else:
                assert isinstance(message, Response)
                self._clients.receive_response(message, flow, now)
        except RemoteProtocolError as exc:
            if not data.strip(b"\r\n\0"):
                return  # a keep-alive for a NAT, which needs no answer
            self.malformed += 1
            if isinstance(exc, Malformed):
                self._responder.refuse_malformed(exc, flow)
                self._pay(flow, len(data))
            # A response that cannot be parsed is discarded (§18.1.2).

    def events(self) -> list[EndpointEvent]:
        """Return the events since the last call, in order."""
        events = self._events
        if not events:
            return events
        # The clients share this list, so it is emptied and not replaced.
        result = events[:]
        events.clear()
        return result

    def respond(self, transaction: AnyServer, response: Response) -> None:
        """Answer a request."""
        transaction.respond(response)

    def forward(self, transaction: AnyServer, response: Response) -> None:
        """Answer a request with a response from downstream, unchanged."""
        transaction.forward(response)

    def abandon(self, transaction: AnyServer) -> None:
        """Do not answer a request: RFC 4320 §4.2 forbids 408, and late responses."""
        if not transaction.is_answered:
            self.servers.forget(transaction)

    def trying(self, transaction: AnyServer) -> None:
        """
        Send 100 to stop the retransmissions of an INVITE, unless answered (§16.2).
        """
        if type(transaction) is InviteServerTransaction and not transaction.latest:
            transaction.respond(Response(100, "Trying"))

    def is_merged(self, transaction: AnyServer) -> bool:
        """
        Whether the same request is being processed that arrived on another path
        (§8.2.2.2).

        This matters to a UAS only; a request may legally return to a proxy.
        """
        return self.servers.is_merged(transaction)

    def cancel(self, transaction: InviteClientTransaction, now: float) -> None:
        """
        Cancel an INVITE that we sent (§9.1).

        The CANCEL is sent after a provisional response. The final response, or its
        absence, is reported as usual.
        """
        self._clients.cancel(transaction, now)

    def send_stateless(self, data: bytes, flow: Flow) -> None:
        """Send one datagram without a transaction, such as the ACK of a 2xx."""
        self._outbox.append(Datagram(data, flow))

    def send_request(
        self,
        draft: Draft,
        flow: Flow,
        user: User,
        *,
        branch: str | None = None,
        is_divisible: bool = False,
    ) -> AnyClient:
        """
        Send ``draft`` on ``flow``, and retransmit it until it is answered.

        Args:
            user: receives the response.
            branch: of our Via; a random one if left out.
            is_divisible: whether ``user`` sends shorter requests instead, if the
                request is too long for a datagram and there is no stream. It receives
                a failure then; any other request goes by a datagram all the same.

        Raises:
            LocalProtocolError: the branch is invalid.
        """
        return self._clients.send(draft, flow, user, branch, is_divisible=is_divisible)

    def is_datagram_only(self, flow: Flow) -> bool:
        """Whether even long requests on ``flow`` are sent in datagrams."""
        return self._clients.is_datagram_only(flow)

    def use_streams(self, datagram: Local, stream: Local) -> None:
        """Send requests that are too long for ``datagram`` on ``stream`` instead."""
        self._clients.use_streams(datagram, stream)

    def mark(self) -> int:
        """Return a point for :meth:`roll_back`."""
        return len(self._outbox)

    def roll_back(self, mark: int) -> None:
        """Undo the requests made since ``mark``, none of which has been sent."""
        kept = []
        for datagram in self._outbox[mark:]:
            transaction = datagram.transaction
            if isinstance(transaction, CLIENTS):
                self._clients.forget(transaction)
            else:
                kept.append(datagram)
        self._outbox[mark:] = kept

    def datagrams_to_send(self) -> list[Datagram]:
        """
        Return the datagrams to send, responses before requests.

        A watcher may not know its subscription before the 200 arrives (6665-08).
        """
        outbox = self._outbox
        if not outbox:
            return outbox
        ordered = outbox
        if len(outbox) > 1:
            ordered = [d for d in outbox if type(d.transaction) not in CLIENTS]
            ordered += [d for d in outbox if type(d.transaction) in CLIENTS]
        # Transactions share this list, so it is emptied and not replaced.
        result = ordered if ordered is not outbox else list(outbox)
        outbox.clear()
        return result

    def admitted(self, datagrams: list[Datagram], now: float) -> list[Datagram]:
        """
        Return which of these may be sent now, and probes; see `AmplificationLimit`.

        The others are treated as if they were sent and lost.
        """
        return self._limit.admitted(datagrams, now)

    def prove(self, flow: Flow, until: float) -> None:
        """
        Validate an address, as by an authenticated request, until its dialog ends.
        """
        self.validation.prove(flow, until)
        self._limit.release(flow.remote)

    def sent(self, datagrams: list[Datagram], now: float) -> None:
        """Receive the news that these were sent: their timers start."""
        wheel = self._wheel
        for datagram in datagrams:
            transaction = datagram.transaction
            if transaction is not None:
                transaction.sent(now)
                wheel.schedule(transaction)
                if type(transaction) is ServerTransaction:
                    self.servers.sent(transaction)

    def discard(self, datagrams: list[Datagram], response: Response) -> None:
        """
        Discard datagrams, because the commit of the changes that they report failed.

        A 2xx among them is replaced by ``response``; a request among them is undone.
        """
        for datagram in datagrams:
            transaction = datagram.transaction
            if isinstance(transaction, CLIENTS):
                if transaction.forwarded or transaction.user is CANCELLING:
                    self._outbox.append(datagram)  # it depends on no change
                elif type(transaction) is ClientTransaction:
                    self._clients.forget(transaction)
            elif isinstance(transaction, SERVERS):
                assert transaction.response is not None
                status = transaction.response.status
                if 200 <= status < 300 and not transaction.is_independent:
                    transaction.replace(response)
                elif datagram.data is transaction.latest:
                    self._outbox.append(datagram)
            elif datagram.data.startswith(b"ACK "):
                self._outbox.append(datagram)

    def transport_failed(
        self, datagram: Datagram, now: float, cause: str = "transport"
    ) -> None:
        """
        Receive the news that ``datagram`` could not be sent (§18.4).

        Args:
            cause: the reason, such as `connection refused`.
        """
        transaction = datagram.transaction
        if isinstance(transaction, SERVERS):
            self._server_failed(transaction, datagram)
        else:
            self._clients.not_sent(datagram, cause, now)

    def flow_lost(self, flow: Flow, now: float) -> None:
        """Receive the news that a connection is closed: it brings no more responses."""
        self._clients.flow_lost(flow)

    def unreachable(self, quoted: bytes, flow: Flow, cause: str) -> None:
        """
        Receive an ICMP error for a datagram sent on ``flow`` (§18.4).

        The request in that datagram fails at once, whatever its timers.

        Args:
            quoted: the datagram, or its beginning, as quoted by the error.
            cause: the error, such as `connection refused`.
        """
        self._clients.unreachable(quoted, flow, cause)

    def _server_failed(self, transaction: AnyServer, datagram: Datagram) -> None:
        """
        Send a response whose connection is closed to the `received` of Via, once.

        If that fails as well, it is sent to the sent-by of Via (§18.2.2).
        """
        local = datagram.flow.local
        if not local.is_reliable:
            return
        via = transaction.request.via
        address = (datagram.flow.remote[0], via.port or local.default_port)
        if datagram.flow.remote != address:
            name = via.host.strip("[]") if local.transport.is_secure else ""
            flow = Flow(local, address, name)
            self._outbox.append(Datagram(datagram.data, flow, transaction))
            transaction.flow = flow
        elif self._methods is None and not is_numeric(via.host.strip("[]")):
            self._events.append(ResponseLost(datagram.data, via))

    def timer_due(self, now: float, at_most: int = sys.maxsize) -> None:
        """
        Handle the transaction timers that are due.

        Args:
            at_most: transactions to look at; if more are due, :attr:`timer_at` is still
                in the past.
        """
        self._clients.timer_due(now)
        self._wheel.work_off(now, at_most, self._after_timer)

    def _after_timer(self, machine: Any) -> None:
        """Forget a transaction if its last timer has fired."""
        if type(machine) is ServerTransaction:
            self.servers.forget(machine)
        elif machine.state is TERMINATED or machine.state is INVITE_TERMINATED:
            if isinstance(machine, CLIENTS):
                self._clients.ended(machine)
            else:
                self.servers.forget(machine)

    def _receive_request(
        self, request: Request, flow: Flow, now: float, size: int
    ) -> None:
        key, method = key_of(request), request.method
        known = self.servers.get(key)
        if known is not None:
            # A response is repeated only to the host that asks for it.
            if known.flow.remote[0] == flow.remote[0]:
                known.receive_request()
                self._pay(flow, size)
            return
        if method == "ACK":
            self._receive_ack(request, key, flow, now)
            return
        check(request)
        if method == "CANCEL":
            self._receive_cancel(request, key, flow)
            self._pay(flow, size)
            return
        methods = self._methods
        if methods is not None and method not in methods:
            self._responder.refuse_method(request, flow)
            self._pay(flow, size)
            return
        back, via_line = way_back(request, flow)
        if back.remote != flow.remote:
            self.validation.redirect(flow.remote, back.remote, size)
        to_tag = "" if request.to.tag else self._new_id()
        kind = InviteServerTransaction if method == "INVITE" else ServerTransaction
        transaction = kind(
            request,
            back,
            self._outbox,
            key=key,
            via=via_line,
            to_tag=to_tag,
            common=self._common,
        )
        if to_tag and not self.servers.claim(transaction) and methods is not None:
            # §8.2.2.2: a request that arrives by two paths is processed once.
            self._responder.answer(request, flow, 482, "Loop Detected")
            return
        if not self.servers.add(transaction):
            self._responder.refuse_busy(request, flow)
            return
        self._events.append(RequestReceived(transaction, flow))

    def _pay(self, flow: Flow, size: int) -> None:
        """Count a request for the address that the latest response goes to."""
        if self._outbox:
            remote, source = self._outbox[-1].flow.remote, flow.remote
            if remote != source and remote[0] == source[0]:
                self.validation.redirect(source, remote, size)

    def _receive_ack(self, request: Request, key: Key, flow: Flow, now: float) -> None:
        """Process an ACK: that of a response other than 2xx ends here (§17.2.1)."""
        invite = self.servers.of_ack(key)
        if type(invite) is InviteServerTransaction and invite.receive_ack(now):
            self._wheel.schedule(invite)
        elif self._methods is None:
            try:
                check(request)
            except Malformed:
                return  # an ACK is never answered
            self._events.append(AckReceived(request, flow))

    def _receive_cancel(self, request: Request, key: Key, flow: Flow) -> None:
        """
        Answer a CANCEL (§9.2), and report it if its INVITE has no final response yet.

        A request with another method can no longer be cancelled once it is processed;
        its CANCEL is answered 200 nevertheless.
        """
        matching = self.servers.of_cancel(key)
        if matching is None:
            self._responder.refuse_cancel(request, flow)
            return
        back, via_line = way_back(request, flow)
        transaction = ServerTransaction(
            request,
            back,
            self._outbox,
            key=key,
            via=via_line,
            # "The To tag of the response to the CANCEL and the To tag in the response
            # to the original request SHOULD be the same" (ibid.).
            to_tag="" if request.to.tag else matching.to_tag,
            common=self._common,
        )
        self.servers.add(transaction)
        transaction.respond(Response(200, "OK"))
        if (
            type(matching) is InviteServerTransaction
            and matching.state is InviteState.PROCEEDING
        ):
            self._events.append(Cancelled(matching))
