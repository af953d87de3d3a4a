"""Datagrams in; requests and responses out (RFC 3261 §17, §18, §8.2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import blake2s

from .errors import RemoteProtocolError
from .flow import Address, Flow, Local
from .headers import split
from .message import Draft, Malformed, Request, Response, lines, parse, request_uri
from .timer import TimerWheel
from .transaction import TERMINATED, ClientTransaction, Datagram, ServerTransaction
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


class RequestReceived(Value, frozen=True):
    """A request that wants an answer: :meth:`Endpoint.respond`."""

    transaction: ServerTransaction

    source: Address
    "Where it really came from, whatever Via says."

    @property
    def request(self) -> Request:
        return self.transaction.request


class ResponseReceived(Value, frozen=True):
    """A response to a request of ours."""

    transaction: ClientTransaction
    response: Response


class RequestFailed(Value, frozen=True):
    """A request of ours that got no final response."""

    transaction: ClientTransaction
    cause: str
    "timeout, or transport"


Event = RequestReceived | ResponseReceived | RequestFailed


class Endpoint:
    """
    All transactions of a server, between datagrams and events.

    Drive it by :meth:`receive_datagram` and :meth:`timer_due`; take :meth:`events`
    and answer them; then take :meth:`datagrams_to_send`, send them once all that they
    tell is on disk, and say so by :meth:`sent`. What could not be put on disk is given
    to :meth:`discard` instead.

    Args:
        new_id: makes a random token for branches and tags, 64 bits or more.
        methods: those that somebody here answers, as Allow lists them.
        headers: header lines put into every response made here, such as Server.
    """

    def __init__(
        self,
        *,
        new_id: Callable[[], str],
        methods: tuple[str, ...],
        headers: dict[str, str],
    ) -> None:
        self._new_id = new_id
        self._methods = methods
        self._common = lines(headers)
        self._servers: dict[tuple[str, ...], ServerTransaction] = {}
        self._merged: dict[tuple[str, ...], ServerTransaction] = {}
        self._clients: dict[str, ClientTransaction] = {}
        self._outbox: list[Datagram] = []
        self._events: list[Event] = []
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
                self._receive_request(message, flow)
            else:
                assert isinstance(message, Response)
                self._receive_response(message, now)
        except RemoteProtocolError as exc:
            if not data.strip(b"\r\n\0"):
                return  # a keep-alive: it holds a NAT open, and wants no answer
            self.malformed += 1
            if isinstance(exc, Malformed):
                self._refuse_malformed(exc, flow)
            # A response that cannot be read is dropped (§18.1.2).

    def events(self) -> list[Event]:
        """What has come in since; to be handled in this order."""
        events = self._events
        self._events = []
        return events

    def respond(self, transaction: ServerTransaction, response: Response) -> None:
        """Answer a request."""
        transaction.respond(response)

    def send_request(self, draft: Draft, flow: Flow, user: object) -> ClientTransaction:
        """Send ``draft`` by ``flow``, again and again until it is answered."""
        branch = MAGIC_COOKIE + self._new_id()
        data = draft.write(_via(flow.local, branch))
        fallback = None
        if len(data) > LONGEST_DATAGRAM:
            stream = self._streams.get(flow.local)
            if stream is not None and flow.remote not in self._udp_only:
                fallback = (flow, data)
                flow = Flow(stream, flow.remote)
                data = draft.write(_via(stream, branch))
        transaction = ClientTransaction(
            draft.method, branch, data, flow, self._outbox, user
        )
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
            if type(datagram.transaction) is ClientTransaction:
                self._clients.pop(datagram.transaction.branch, None)
                datagram.transaction.state = TERMINATED
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
            ordered = [
                d for d in outbox if type(d.transaction) is not ClientTransaction
            ]
            ordered += [d for d in outbox if type(d.transaction) is ClientTransaction]
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
            if type(transaction) is ClientTransaction:
                self._clients.pop(transaction.branch, None)
                transaction.state = TERMINATED
            elif type(transaction) is ServerTransaction:
                assert transaction.response is not None
                if transaction.response.status < 300:
                    transaction.replace(response)
                elif datagram.data is transaction.latest:
                    self._outbox.append(datagram)

    def transport_failed(self, datagram: Datagram, now: float) -> None:
        """The network did not take ``datagram`` (§18.4)."""
        transaction = datagram.transaction
        if isinstance(transaction, ClientTransaction):
            # It may have taken the other way already, with its stream.
            if transaction.flow == datagram.flow:
                self._client_failed(transaction, now)
        elif isinstance(transaction, ServerTransaction):
            self._server_failed(transaction, datagram)

    def flow_lost(self, flow: Flow, now: float) -> None:
        """A stream is gone; requests that nobody has answered on it never will be."""
        for transaction in list(self._clients.values()):
            if transaction.flow == flow and not transaction.answered:
                self._client_failed(transaction, now)

    def _client_failed(self, transaction: ClientTransaction, now: float) -> None:
        remote = transaction.flow.remote
        if transaction.fall_back():
            self._udp_only[remote] = now + UDP_ONLY
        elif transaction.transport_failed():
            self._clients.pop(transaction.branch, None)
            self._events.append(RequestFailed(transaction, "transport"))

    def _server_failed(
        self, transaction: ServerTransaction, datagram: Datagram
    ) -> None:
        """§18.2.2: the stream is closed; open one to the `received` of Via, once."""
        port = transaction.request.via.port or SIP_PORT
        address = (datagram.flow.remote[0], port)
        if datagram.flow.local.is_reliable and datagram.flow.remote != address:
            flow = Flow(datagram.flow.local, address)
            self._outbox.append(Datagram(datagram.data, flow, transaction))
            transaction.flow = flow

    def timer_due(self, now: float) -> None:
        """Let time pass: send again, give up, forget."""
        if self._udp_only:
            self._udp_only = {a: t for a, t in self._udp_only.items() if t > now}
        for machine in self._wheel.timer_due(now):
            if type(machine) is ServerTransaction:
                self._forget(machine)
            elif type(machine) is ClientTransaction and machine.state is TERMINATED:
                del self._clients[machine.branch]
                if not machine.answered:
                    self._events.append(RequestFailed(machine, "timeout"))

    def _forget(self, transaction: ServerTransaction) -> None:
        self._servers.pop(transaction.key, None)
        if transaction.merged is not None:
            del self._merged[transaction.merged]

    def _receive_request(self, request: Request, flow: Flow) -> None:
        via = request.via
        branch = via.branch
        method = request.method
        # A cookie and nothing more would make all requests of a host the same one.
        if branch.startswith(MAGIC_COOKIE) and branch != MAGIC_COOKIE:
            # §17.2.3. An ACK has no transaction here: nobody answers INVITE with 2xx.
            key: tuple[str, ...] = (branch, via.sent_by, method)
        else:
            # RFC 2543: what a retransmission has in common with its request (ibid.).
            _check(request)
            key = (
                request.uri, request.to.tag, request.from_.tag, request.call_id,
                request.headers["CSeq"][0], request.headers["Via"][0], method,
            )  # fmt: skip
        known = self._servers.get(key)
        if known is not None:
            known.receive_request()
            return
        if method == "ACK":
            return
        _check(request)
        if method not in self._methods:
            self._refuse_method(request, flow)
            return
        back, via_line = _way_back(request, flow)
        to_tag = "" if request.to.tag else self._new_id()
        transaction = ServerTransaction(
            request,
            back,
            self._outbox,
            key=key,
            via=via_line,
            to_tag=to_tag,
            common=self._common,
        )
        if to_tag:
            # §8.2.2.2: the same request by two ways is served once.
            merged = _merged_key(request)
            if merged in self._merged:
                self._answer_at_once(request, flow, 482, "Loop Detected")
                return
            self._merged[merged] = transaction
            transaction.merged = merged
        self._servers[key] = transaction
        self._events.append(RequestReceived(transaction, flow.remote))

    def _receive_response(self, response: Response, now: float) -> None:
        transaction = self._clients.get(response.via.branch)
        # §17.1.3: branch and method; anything else answers nothing of ours. Sent-by is
        # not compared (§18.1.2): gateways of NATs put the public address there, and a
        # random branch is of one host alone.
        if transaction is None or response.cseq.method != transaction.method:
            return
        vias = response.headers["Via"]
        if len(vias) > 1 or "," in vias[0]:
            return  # of a request that went through us, which none does (§8.1.3.3)
        if transaction.receive_response(response, now):
            self._events.append(ResponseReceived(transaction, response))

    def _refuse_method(self, request: Request, flow: Flow) -> None:
        if request.method == "CANCEL":
            # §9.2: there is never a transaction here that it could match.
            self._answer_at_once(request, flow, 481, "Call/Transaction Does Not Exist")
            return
        allow = [("Allow", ", ".join(self._methods))]
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
