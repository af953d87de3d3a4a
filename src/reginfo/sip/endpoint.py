"""Datagrams in; requests and responses out (RFC 3261 §17, §18, §8.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import LocalProtocolError, RemoteProtocolError
from .event import (
    AckReceived,
    AnyClient,
    AnyServer,
    Cancelled,
    EndpointEvent,
    RequestFailed,
    RequestReceived,
    ResponseLost,
    ResponseReceived,
)
from .flow import SIP_PORT, Address, Flow, Local, is_numeric
from .invite import TERMINATED as INVITE_TERMINATED
from .invite import InviteClientTransaction, InviteServerTransaction, InviteState
from .message import Draft, Request, Response, lines
from .parser import Malformed, parse
from .responding import Responder, check, way_back
from .timer import TimerWheel
from .transaction import TERMINATED, ClientTransaction, Datagram, ServerTransaction
from .user import Nobody

MAGIC_COOKIE = "z9hG4bK"
"""Begins a branch that is unique to its transaction (§8.1.1.7)."""

LONGEST_DATAGRAM = 1300
"""
Octets of a request beyond which it goes by TCP, where there is TCP: a datagram in
fragments may never arrive (§18.1.1, the path's MTU being unknown).
"""

UDP_ONLY = 600.0
"""Seconds for which a peer that takes no TCP connection is not asked for one again."""


CLIENTS = (ClientTransaction, InviteClientTransaction)
SERVERS = (ServerTransaction, InviteServerTransaction)

CANCELLING = Nobody()
"""The user of a CANCEL: nobody waits for its response."""


class Endpoint:
    """
    All transactions of a server, between datagrams and events.

    Drive it by :meth:`receive_datagram` and :meth:`timer_due`; take :meth:`events`
    and answer them; then take :meth:`datagrams_to_send`, send them once all that they
    tell is on disk, and say so by :meth:`sent`. What could not be put on disk is given
    to :meth:`discard` instead.

    Args:
        new_id: makes a random token for branches and tags, 64 bits or more.
        methods: those that somebody here answers, as Allow lists them; None to hand
            up whatever comes, as a proxy wants it.
        headers: header lines put into every response made here, such as Server.
    """

    def __init__(
        self,
        *,
        new_id: Callable[[], str],
        methods: tuple[str, ...] | None,
        headers: dict[str, str],
    ) -> None:
        self._new_id = new_id
        self._methods = methods
        self._common = lines(headers)
        self._servers: dict[tuple[str, ...], AnyServer] = {}
        self._merged: dict[tuple[str, ...], AnyServer] = {}
        self._clients: dict[str, AnyClient] = {}
        self._outbox: list[Datagram] = []
        self._events: list[EndpointEvent] = []
        self._wheel = TimerWheel()
        self._streams: dict[Local, Local] = {}
        self._udp_only: dict[Address, float] = {}
        self._responder = Responder(
            self._outbox,
            secret=new_id().encode(),
            methods=methods,
            common=self._common,
        )
        self.malformed = 0
        "How many datagrams were no message, so far."

    @property
    def timer_at(self) -> float | None:
        return self._wheel.timer_at

    def receive_datagram(self, data: bytes, flow: Flow, now: float) -> None:
        """Take in what a socket received; nothing that it holds raises."""
        try:
            message = parse(data)
            if type(message) is Request:
                self._receive_request(message, flow, now)
            else:
                assert isinstance(message, Response)
                self._receive_response(message, flow, now)
        except RemoteProtocolError as exc:
            if not data.strip(b"\r\n\0"):
                return  # a keep-alive: it holds a NAT open, and wants no answer
            self.malformed += 1
            if isinstance(exc, Malformed):
                self._responder.refuse_malformed(exc, flow)
            # A response that cannot be read is dropped (§18.1.2).

    def events(self) -> list[EndpointEvent]:
        """What has come in since; to be handled in this order."""
        events = self._events
        self._events = []
        return events

    def respond(self, transaction: AnyServer, response: Response) -> None:
        """Answer a request."""
        transaction.respond(response)

    def forward(self, transaction: AnyServer, response: Response) -> None:
        """Answer a request with a response that came from further on, as it is."""
        transaction.forward(response)

    def abandon(self, transaction: AnyServer) -> None:
        """Never answer a request: RFC 4320 §4.2 wants no 408, and no late response."""
        if transaction.response is None or not transaction.response.is_final:
            self._forget(transaction)

    def trying(self, transaction: AnyServer) -> None:
        """Have the caller send its INVITE no more, unless it was answered (§16.2)."""
        if type(transaction) is InviteServerTransaction and not transaction.latest:
            transaction.respond(Response(100, "Trying"))

    def is_merged(self, transaction: AnyServer) -> bool:
        """
        Whether the same request is being served that came by another way (§8.2.2.2).

        For who answers it; to a proxy it may come back in good order.
        """
        if transaction.merged is not None or not transaction.to_tag:
            return False
        return _merged_key(transaction.request) in self._merged

    def cancel(self, transaction: InviteClientTransaction, now: float) -> None:
        """
        Have an INVITE of ours cancelled (§9.1).

        The CANCEL is sent once there is a provisional response. The final response, or
        that there is none, is reported as ever.
        """
        if transaction.cancel(now):
            self._send_cancel(transaction)
            self._wheel.schedule(transaction)

    def send_stateless(self, data: bytes, flow: Flow) -> None:
        """Send one datagram that has no transaction: the ACK of a 2xx."""
        self._outbox.append(Datagram(data, flow))

    def send_request(
        self,
        draft: Draft,
        flow: Flow,
        user: Any,
        *,
        branch: str | None = None,
        is_divisible: bool = False,
    ) -> AnyClient:
        """
        Send ``draft`` by ``flow``, again and again until it is answered.

        Args:
            user: a :class:`~reginfo.sip.user.User`, who receives the response.
            branch: of our Via; a random one if left out.
            is_divisible: whether ``user`` sends shorter requests instead, if the
                request is too long for a datagram and there is no stream. It receives
                a failure then; any other request goes by a datagram all the same.

        Raises:
            LocalProtocolError: the branch does not begin as it must.
        """
        if branch is None:
            branch = MAGIC_COOKIE + self._new_id()
        elif not branch.startswith(MAGIC_COOKIE) or branch in self._clients:
            raise LocalProtocolError(f"no branch for a new transaction: {branch}")
        via = _via(flow.local, branch)
        data = draft.write(via)
        fallback = None
        if len(data) > LONGEST_DATAGRAM:
            stream = self._streams.get(flow.local)
            if stream is not None and flow.remote not in self._udp_only:
                fallback = (flow, b"" if is_divisible else data)
                flow = Flow(stream, flow.remote)
                via = _via(stream, branch)
                data = draft.write(via)
        transaction: AnyClient
        if draft.method == "INVITE":
            transaction = InviteClientTransaction(
                branch, draft, via, data, flow, self._outbox, user
            )
        else:
            transaction = ClientTransaction(
                draft.method, branch, data, flow, self._outbox, user
            )
        transaction.forwarded = draft.head.startswith("Via: ")
        transaction.fallback = fallback
        self._clients[branch] = transaction
        return transaction

    def is_datagram_only(self, flow: Flow) -> bool:
        """Whether requests by ``flow`` go by datagrams, however long they are."""
        return not flow.local.is_reliable and (
            flow.local not in self._streams or flow.remote in self._udp_only
        )

    def use_streams(self, datagram: Local, stream: Local) -> None:
        """Send what is too long for ``datagram`` by ``stream`` instead."""
        self._streams[datagram] = stream

    def mark(self) -> int:
        """A point to :meth:`roll_back` to."""
        return len(self._outbox)

    def roll_back(self, mark: int) -> None:
        """Forget the requests of ours that were made since ``mark``, all unsent."""
        kept = []
        for datagram in self._outbox[mark:]:
            transaction = datagram.transaction
            if type(transaction) is ClientTransaction:
                self._never_sent(transaction)
            elif type(transaction) is InviteClientTransaction:
                self._clients.pop(transaction.branch, None)
                transaction.state = INVITE_TERMINATED
            else:
                kept.append(datagram)
        self._outbox[mark:] = kept

    def datagrams_to_send(self) -> list[Datagram]:
        """
        What is to go out, responses before requests.

        A watcher may not know its subscription before the 200 has come (6665-08).
        """
        outbox = self._outbox
        if not outbox:
            return outbox
        ordered = outbox
        if len(outbox) > 1:
            ordered = [d for d in outbox if type(d.transaction) not in CLIENTS]
            ordered += [d for d in outbox if type(d.transaction) in CLIENTS]
        # Transactions hold this very list: it is emptied, not exchanged.
        result = ordered if ordered is not outbox else list(outbox)
        outbox.clear()
        return result

    def sent(self, datagrams: list[Datagram], now: float) -> None:
        """These have gone out: their timers start."""
        schedule = self._wheel.schedule
        for datagram in datagrams:
            transaction = datagram.transaction
            if transaction is not None:
                transaction.sent(now)
                schedule(transaction)

    def discard(self, datagrams: list[Datagram], response: Response) -> None:
        """
        These must never go out: what they tell could not be put on disk.

        Requests that they answer with success are answered with ``response``; requests
        of ours that they are, were never made.
        """
        for datagram in datagrams:
            transaction = datagram.transaction
            if isinstance(transaction, CLIENTS):
                if transaction.forwarded or transaction.user is CANCELLING:
                    self._outbox.append(datagram)  # of which nothing is on disk
                elif type(transaction) is ClientTransaction:
                    self._never_sent(transaction)
            elif isinstance(transaction, SERVERS):
                assert transaction.response is not None
                status = transaction.response.status
                if 200 <= status < 300 and not transaction.passed_on:
                    transaction.replace(response)
                elif datagram.data is transaction.latest:
                    self._outbox.append(datagram)
            elif datagram.data.startswith(b"ACK "):
                self._outbox.append(datagram)

    def _never_sent(self, transaction: ClientTransaction) -> None:
        self._clients.pop(transaction.branch, None)
        transaction.state = TERMINATED
        # Most users are put back with the journal; who waits outside it is told.
        told = getattr(transaction.user, "never_sent", None)
        if told is not None:
            told()

    def transport_failed(self, datagram: Datagram, now: float) -> None:
        """The network did not take ``datagram`` (§18.4)."""
        transaction = datagram.transaction
        if isinstance(transaction, CLIENTS):
            # It may have taken the other way already, with its stream.
            if transaction.flow == datagram.flow:
                self._client_failed(transaction, now)
        elif isinstance(transaction, SERVERS):
            self._server_failed(transaction, datagram)

    def flow_lost(self, flow: Flow, now: float) -> None:
        """A stream is gone; requests that nobody has answered on it never will be."""
        for transaction in list(self._clients.values()):
            if transaction.flow == flow and not transaction.answered:
                self._client_failed(transaction, now)

    def _client_failed(self, transaction: AnyClient, now: float) -> None:
        remote = transaction.flow.remote
        if transaction.fallback is not None and not transaction.fallback[1]:
            transaction.fallback = None
            self._udp_only[remote] = now + UDP_ONLY
        if transaction.fall_back():
            self._udp_only[remote] = now + UDP_ONLY
        elif transaction.transport_failed():
            self._clients.pop(transaction.branch, None)
            if transaction.user is not CANCELLING:
                self._events.append(RequestFailed(transaction, "transport"))

    def _server_failed(self, transaction: AnyServer, datagram: Datagram) -> None:
        """
        §18.2.2: the stream is closed; open one to the `received` of Via, once.

        If that fails, too, there is where its sent-by leads.
        """
        local = datagram.flow.local
        if not local.is_reliable:
            return
        via = transaction.request.via
        address = (datagram.flow.remote[0], via.port or SIP_PORT)
        if datagram.flow.remote != address:
            flow = Flow(local, address)
            self._outbox.append(Datagram(datagram.data, flow, transaction))
            transaction.flow = flow
        elif self._methods is None and not is_numeric(via.host.strip("[]")):
            self._events.append(ResponseLost(datagram.data, via))

    def timer_due(self, now: float) -> None:
        """Let time pass: send again, give up, forget."""
        if self._udp_only:
            self._udp_only = {a: t for a, t in self._udp_only.items() if t > now}
        for machine in self._wheel.timer_due(now):
            if type(machine) is ServerTransaction:
                self._forget(machine)
            elif type(machine) is ClientTransaction:
                if machine.state is TERMINATED:
                    self._gone(machine)
            elif type(machine) is InviteServerTransaction:
                if machine.state is INVITE_TERMINATED:
                    self._forget(machine)
            elif type(machine) is InviteClientTransaction:
                if machine.state is INVITE_TERMINATED:
                    self._gone(machine)

    def _gone(self, transaction: AnyClient) -> None:
        del self._clients[transaction.branch]
        if not transaction.answered and transaction.user is not CANCELLING:
            self._events.append(RequestFailed(transaction, "timeout"))

    def _forget(self, transaction: AnyServer) -> None:
        self._servers.pop(transaction.key, None)
        if transaction.merged is not None:
            del self._merged[transaction.merged]

    def _receive_request(self, request: Request, flow: Flow, now: float) -> None:
        via = request.via
        branch = via.branch
        method = request.method
        # A cookie and nothing more would make all requests of a host the same one.
        if branch.startswith(MAGIC_COOKIE) and branch != MAGIC_COOKIE:
            # §17.2.3.
            key: tuple[str, ...] = (branch, via.sent_by, method)
        else:
            # RFC 2543: what a retransmission has in common with its request (ibid.).
            check(request)
            key = (
                request.uri, request.to.tag, request.from_.tag, request.call_id,
                str(request.cseq.number), request.headers["Via"][0], method,
            )  # fmt: skip
        known = self._servers.get(key)
        if known is not None:
            known.receive_request()
            return
        if method == "ACK":
            self._receive_ack(request, key, flow, now)
            return
        check(request)
        methods = self._methods
        if methods is not None and method not in methods:
            self._responder.refuse_method(request, flow)
            return
        if method == "CANCEL":
            self._receive_cancel(request, key, flow)
            return
        back, via_line = way_back(request, flow)
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
        if to_tag:
            merged = _merged_key(request)
            if merged not in self._merged:
                self._merged[merged] = transaction
                transaction.merged = merged
            elif methods is not None:
                # §8.2.2.2: the same request by two ways is served once.
                self._responder.answer(request, flow, 482, "Loop Detected")
                return
        self._servers[key] = transaction
        self._events.append(RequestReceived(transaction, flow.remote))

    def _receive_ack(
        self, request: Request, key: tuple[str, ...], flow: Flow, now: float
    ) -> None:
        """§17.2.1: the ACK of a response other than 2xx ends here."""
        invite = self._servers.get((*key[:-1], "INVITE"))
        if invite is None and len(key) > 3:
            # RFC 2543: the INVITE did not have the tag that its response has given.
            invite = self._servers.get((key[0], "", *key[2:-1], "INVITE"))
        if type(invite) is InviteServerTransaction and invite.receive_ack(now):
            self._wheel.schedule(invite)
        elif self._methods is None:
            try:
                check(request)
            except Malformed:
                return  # an ACK is never answered
            self._events.append(AckReceived(request, flow))

    def _receive_cancel(
        self, request: Request, key: tuple[str, ...], flow: Flow
    ) -> None:
        """§9.2: a CANCEL is answered by itself, whatever becomes of the INVITE."""
        invite = self._servers.get((*key[:-1], "INVITE"))
        if invite is None:
            self._responder.answer(
                request, flow, 481, "Call/Transaction Does Not Exist"
            )
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
            to_tag="" if request.to.tag else invite.to_tag,
            common=self._common,
        )
        self._servers[key] = transaction
        transaction.respond(Response(200, "OK"))
        if (
            type(invite) is InviteServerTransaction
            and invite.state is InviteState.PROCEEDING
        ):
            self._events.append(Cancelled(invite))

    def _receive_response(self, response: Response, flow: Flow, now: float) -> None:
        via = response.via
        method = response.cseq.method
        branch = f"{via.branch} CANCEL" if method == "CANCEL" else via.branch
        transaction = self._clients.get(branch)
        vias = response.headers["Via"]
        several = len(vias) > 1 or "," in vias[0]
        if transaction is None:
            return  # RFC 6026 §6: nor is it forwarded, as RFC 3261 wanted
        # §17.1.3: branch and method; anything else answers nothing of ours. Sent-by is
        # not compared (§18.1.2): gateways of NATs put the public address there, and a
        # random branch is of one host alone.
        if method != transaction.method:
            return
        # §8.1.3.3: what was not passed on has one Via, and what was has more.
        if several != transaction.forwarded:
            return
        if type(transaction) is InviteClientTransaction:
            ringing = transaction.state is InviteState.CALLING
            news = transaction.receive_response(response, now)
            self._wheel.schedule(transaction)
            if ringing and transaction.cancels and response.status < 200:
                self._send_cancel(transaction)
        else:
            news = transaction.receive_response(response, now)
        if news and transaction.user is not CANCELLING:
            self._events.append(ResponseReceived(transaction, response))

    def _send_cancel(self, invite: InviteClientTransaction) -> None:
        branch = f"{invite.branch} CANCEL"
        self._clients[branch] = ClientTransaction(
            "CANCEL",
            branch,
            invite.write_cancel(),
            invite.flow,
            self._outbox,
            CANCELLING,
        )


def _via(local: Local, branch: str) -> str:
    return f"SIP/2.0/{local.transport} {local.sent_by};branch={branch};rport"


def _merged_key(request: Request) -> tuple[str, ...]:
    return (request.from_.tag, request.call_id, request.headers["CSeq"][0])
