"""Datagrams in; requests and responses out (RFC 3261 §17, §18, §8.2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import blake2s
from typing import Any

from .errors import LocalProtocolError, RemoteProtocolError
from .flow import Address, Flow, Local, is_numeric
from .headers import Via, split
from .invite import TERMINATED as INVITE_TERMINATED
from .invite import InviteClientTransaction, InviteServerTransaction
from .invite import InviteState as InviteState
from .message import Draft, Malformed, Request, Response, lines, parse, request_uri
from .timer import TimerWheel
from .transaction import TERMINATED, ClientTransaction, Datagram, ServerTransaction
from .user import Nobody
from .value import Value

MAGIC_COOKIE = "z9hG4bK"
"""Begins a branch that is unique to its transaction (§8.1.1.7)."""

SIP_PORT = 5060

LONGEST_DATAGRAM = 1300
"""
Octets of a request beyond which it goes by TCP, where there is TCP: a datagram in
fragments may never arrive (§18.1.1, the path's MTU being unknown).
"""

UDP_ONLY = 600.0
"""Seconds for which a peer that takes no TCP connection is not asked for one again."""


AnyServer = ServerTransaction | InviteServerTransaction
AnyClient = ClientTransaction | InviteClientTransaction


class RequestReceived(Value, frozen=True):
    """A request that wants an answer: :meth:`Endpoint.respond`."""

    transaction: AnyServer

    source: Address
    "Where it really came from, whatever Via says."

    @property
    def request(self) -> Request:
        return self.transaction.request


class AckReceived(Value, frozen=True):
    """The ACK of a 2xx: it has no transaction, and no answer."""

    request: Request
    flow: Flow


class Cancelled(Value, frozen=True):
    """An INVITE that came in has been cancelled, and the CANCEL been answered."""

    transaction: InviteServerTransaction


class ResponseLost(Value, frozen=True):
    """A response that cannot be sent to where its request came from."""

    data: bytes
    via: Via
    "That of who wants it, who may be found by its sent-by (RFC 3263 §5)."


class ResponseReceived(Value, frozen=True):
    """
    A response to a request of ours.

    Of an INVITE each provisional one, and each 2xx.
    """

    transaction: AnyClient
    response: Response


class RequestFailed(Value, frozen=True):
    """A request of ours that got no final response."""

    transaction: AnyClient
    cause: str
    "timeout, or transport"


EndpointEvent = (
    RequestReceived
    | ResponseReceived
    | RequestFailed
    | AckReceived
    | Cancelled
    | ResponseLost
)


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
        # Answers that need no transaction carry a tag all the same, the same one for
        # each copy of a request (§8.2.7).
        self._secret = new_id().encode()
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
                self._refuse_malformed(exc, flow)
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
        self, draft: Draft, flow: Flow, user: Any, *, branch: str | None = None
    ) -> AnyClient:
        """
        Send ``draft`` by ``flow``, again and again until it is answered.

        Args:
            user: a :class:`~reginfo.sip.user.User`, who receives the response.
            branch: of our Via; a random one if left out.

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
                fallback = (flow, data)
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
            _check(request)
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
        _check(request)
        methods = self._methods
        if methods is not None and method not in methods:
            self._refuse_method(request, flow)
            return
        if method == "CANCEL":
            self._receive_cancel(request, key, flow)
            return
        back, via_line = _way_back(request, flow)
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
                self._answer_at_once(request, flow, 482, "Loop Detected")
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
                _check(request)
            except Malformed:
                return  # an ACK is never answered
            self._events.append(AckReceived(request, flow))

    def _receive_cancel(
        self, request: Request, key: tuple[str, ...], flow: Flow
    ) -> None:
        """§9.2: a CANCEL is answered by itself, whatever becomes of the INVITE."""
        invite = self._servers.get((*key[:-1], "INVITE"))
        if invite is None:
            self._answer_at_once(request, flow, 481, "Call/Transaction Does Not Exist")
            return
        back, via_line = _way_back(request, flow)
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

    def _refuse_method(self, request: Request, flow: Flow) -> None:
        if request.method == "CANCEL":
            # §9.2: there is never a transaction here that it could match.
            self._answer_at_once(request, flow, 481, "Call/Transaction Does Not Exist")
            return
        allow = [("Allow", ", ".join(self._methods or ()))]
        self._answer_at_once(request, flow, 405, "Method Not Allowed", allow)

    def _refuse_malformed(self, error: Malformed, flow: Flow) -> None:
        """Answer what could not be read, if it says where the answer goes."""
        message = error.message
        if not isinstance(message, Request) or message.method == "ACK":
            return
        headers = message.headers
        # A 400 needs something in each of these; what is missing is left empty.
        for name in ("From", "To", "Call-ID", "CSeq"):
            headers.setdefault(name, [""])
        reason = "Bad Request" if error.status == 400 else str(error)
        text = "".join(
            c if c.isprintable() and c not in '\\"' else "?" for c in str(error)
        )
        try:
            warning = ("Warning", f'399 reginfo "{text}"')
            self._answer_at_once(message, flow, error.status, reason, [warning])
        except RemoteProtocolError:
            return  # no Via that can be read: nowhere to send to

    def _answer_at_once(
        self,
        request: Request,
        flow: Flow,
        status: int,
        reason: str,
        headers: list[tuple[str, str]] | None = None,
    ) -> None:
        """Answer without a transaction (§8.2.7): a copy gets the same answer again."""
        back, via = _way_back(request, flow)
        response = Response.of(status, reason, headers or [])
        digest = blake2s(key=self._secret[:32], digest_size=8)
        digest.update(request.headers["Via"][0].encode("utf-8", "surrogateescape"))
        digest.update(request.headers["CSeq"][0].encode("utf-8", "surrogateescape"))
        try:
            tagged = request.to.tag != ""
        except RemoteProtocolError:
            tagged = True  # nothing is added to what cannot be read
        data = request.write_response(
            response,
            to_tag="" if tagged else digest.hexdigest(),
            via=via,
            common=self._common,
        )
        self._outbox.append(Datagram(data, back))


def _via(local: Local, branch: str) -> str:
    return f"SIP/2.0/{local.transport} {local.sent_by};branch={branch};rport"


def _is_ours(via: Via, flow: Flow) -> bool:
    """Whether a response that came by ``flow`` was sent to where its Via says."""
    local = flow.local
    return (via.host.strip("[]"), via.port or SIP_PORT) == (local.host, local.port)


def _check(request: Request) -> None:
    """
    Look at what a request must have before anything is made of it.

    Raises:
        Malformed: it lacks some of that, with the request to write the answer from.
    """
    try:
        request.check()
        request_uri(request)
    except RemoteProtocolError as exc:
        raise Malformed(exc, request) from exc


def _merged_key(request: Request) -> tuple[str, ...]:
    return (request.from_.tag, request.call_id, request.headers["CSeq"][0])


def _way_back(request: Request, flow: Flow) -> tuple[Flow, str]:
    """
    Where responses to ``request`` go, and the Via that they carry on top.

    §18.2.1, §18.2.2, RFC 3581 §4. The Via is empty where it is the request's own.

    Raises:
        RemoteProtocolError: there is no Via that can be read.
    """
    via = request.via
    host, port = flow.remote
    params = via.params
    if flow.local.is_reliable:
        # §18.2.2: the stream by which it came.
        if via.host.strip("[]") == host and "rport" not in params:
            return flow, ""
        return flow, _received(request, f";received={host}", rport=port)
    if "rport" not in params:
        port = via.port or SIP_PORT
        maddr = params.get("maddr")
        if maddr and _IPV4.fullmatch(maddr):
            return Flow(flow.local, (maddr, port)), ""
        if via.host.strip("[]") == host:
            return (
                flow if port == flow.remote[1] else Flow(flow.local, (host, port))
            ), ""
        return Flow(flow.local, (host, port)), _received(request, f";received={host}")
    # RFC 3581 §4: with rport, received "MUST" be there even if it says nothing new.
    return flow, _received(request, f";received={host}", rport=port)


_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}", re.ASCII)
_RPORT = re.compile(r";[ \t]*rport[ \t]*(?:=[^;]*)?(?=;|$)", re.IGNORECASE)
_RECEIVED = re.compile(r";[ \t]*received[ \t]*=[^;]*", re.IGNORECASE)


def _received(request: Request, received: str, rport: int | None = None) -> str:
    """
    The request's first Via line with what §18.2.1 adds to its topmost value.

    Args:
        rport: the value of that parameter, if the client has asked for it.
    """
    line = request.headers["Via"][0]
    top = split(line)[0]
    rest = line[len(top) :]
    # A client that writes `received` itself would name a stranger.
    own = _RECEIVED.sub("", top) if "received" in request.via.params else top
    if rport is not None:
        own = _RPORT.sub(f";rport={rport}", own)
    return own + received + rest
