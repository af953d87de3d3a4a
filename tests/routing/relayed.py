"""A proxy between callers and phones that a test plays; no sockets, and a clock."""

from __future__ import annotations

from collections.abc import Sequence

from reginfo.ledger.journal import Journal
from reginfo.ledger.part import Found
from reginfo.routing.context import Context, OnFailure, OnReply
from reginfo.routing.decision import Decider, Onward
from reginfo.routing.domains import Domains
from reginfo.routing.forwarding import Forwarding
from reginfo.routing.nat import Nat
from reginfo.routing.proxy import Proxy
from reginfo.routing.stateless import StatelessProxy
from reginfo.routing.target import Target
from reginfo.sip.destination import Destination
from reginfo.sip.endpoint import Endpoint
from reginfo.sip.errors import Refusal, RemoteProtocolError
from reginfo.sip.event import (
    AckReceived,
    Cancelled,
    RequestFailed,
    RequestReceived,
    ResponseLost,
    ResponseReceived,
)
from reginfo.sip.flow import Address, Flow, Local
from reginfo.sip.message import Request, Response, SipMessage
from reginfo.sip.parser import parse
from reginfo.sip.token import Tokens
from reginfo.sip.transport import Transport
from reginfo.sip.uri import Uri

from ..make import moment, numbers

UDP = Local(Transport.UDP, "192.0.2.1", 5060)
TCP = Local(Transport.TCP, "192.0.2.1", 5060)
CALLER: Address = ("192.0.2.50", 5060)
BOB: Address = ("192.0.2.60", 5060)
BOB2: Address = ("192.0.2.61", 5060)
BOB3: Address = ("192.0.2.62", 5060)


def target(address: Address, q: float = 1.0, **others: object) -> Target:
    uri = Uri.parse(f"sip:bob@{address[0]}:{address[1]}")
    return Target(uri, q, **others)  # type: ignore[arg-type]


class Sent:
    """A message that the proxy has sent, and where to."""

    def __init__(self, data: bytes, flow: Flow) -> None:
        self.data = data
        self.to = flow.remote
        self.transport = flow.local.transport
        self.message: SipMessage = parse(data)

    @property
    def request(self) -> Request:
        assert isinstance(self.message, Request)
        return self.message

    @property
    def response(self) -> Response:
        assert isinstance(self.message, Response)
        return self.message

    @property
    def what(self) -> str:
        """`INVITE` of a request; `180` of a response."""
        message = self.message
        if isinstance(message, Request):
            return message.method
        assert isinstance(message, Response)
        return str(message.status)


class Relay:
    """A proxy, its endpoint, and what an application would do with them."""

    def __init__(
        self,
        *,
        record_route: bool = True,
        fix: bool = True,
        secret: bytes = b"secret",
        max_branches: int = 64,
    ) -> None:
        self.now = 0.0
        self.endpoint = Endpoint(new_id=numbers(""), methods=None, headers={})
        self.targets: list[Target] = [target(BOB)]
        "Where the next request goes."

        self.places: dict[str, list[Destination] | RemoteProtocolError] = {}
        "Hosts that are known."

        self.waiting: list[tuple[Uri, Found]] = []
        self.slow = False
        "Whether names are found only when the test says so."

        self.closed: set[Flow] = set()
        self.unreachable: set[Address] = set()
        "Addresses that none of ours can send to."

        self.on_reply: OnReply | None = None
        self.on_failure: OnFailure | None = None
        self.contexts: list[Context] = []
        domains = Domains([], use_domain=True, default_domain=None)
        domains.begin([UDP, TCP])
        nat, tokens = Nat(fix=fix), Tokens(secret)
        self.decide = Decider(
            domains,
            tokens,
            served=lambda uri: None,
            is_open=lambda flow: flow not in self.closed,
            needs_flow=nat.needs_flow,
        ).decide

        def is_open(flow: Flow) -> bool:
            return flow not in self.closed

        def flow(destination: Destination, local: Local | None) -> Flow | None:
            if destination.address in self.unreachable:
                return None
            transport = TCP if destination.transport == "TCP" else UDP
            return Flow(transport, destination.address)

        tokens.begin([UDP, TCP])
        forwarding = Forwarding(
            is_ours=domains.is_ours,
            needs_flow=nat.needs_flow,
            tokens=tokens,
            record_route=record_route,
        )
        self.proxy = Proxy(
            self.endpoint,
            Journal(self.endpoint),
            forwarding,
            find=self._find,
            flow=flow,
            is_ours=domains.is_ours,
            is_open=is_open,
            timer_c=181.0,
            max_branches=max_branches,
            new_id=numbers(""),
            now=lambda: self.now,
        )
        self.stateless = StatelessProxy(
            self.endpoint,
            forwarding,
            find=self._find,
            flow=flow,
            is_ours=domains.is_ours,
            is_open=is_open,
            new_id=numbers("s"),
        )

    def _find(self, uri: Uri, found: Found) -> None:
        if self.slow:
            self.waiting.append((uri, found))
            return
        if uri.scheme != "sip":
            found(RemoteProtocolError("no SIP", status=416))
            return
        places = self.places.get(uri.host)
        if places is None:
            transport = Transport.of(uri) or Transport.UDP
            places = [Destination(transport, (uri.host, uri.port or 5060))]
        found(places)

    def receive(
        self, data: bytes | str, source: Address, local: Local = UDP
    ) -> list[Sent]:
        """Take in a datagram; what is sent because of it."""
        raw = data.encode() if isinstance(data, str) else data
        self.endpoint.receive_datagram(raw, Flow(local, source), self.now)
        return self.settle()

    def settle(self) -> list[Sent]:
        while events := self.endpoint.events():
            for event in events:
                self._handle(event)
        outbox = self.endpoint.datagrams_to_send()
        self.endpoint.sent(outbox, self.now)
        return [Sent(datagram.data, datagram.flow) for datagram in outbox]

    def pass_time(self, seconds: float) -> list[Sent]:
        """Let time pass, timer after timer; what is sent meanwhile."""
        end, sent = self.now + seconds, []
        while True:
            times = (self.endpoint.timer_at, self.proxy.timer_at)
            at = min((at for at in times if at is not None), default=None)
            if at is None or at > end:
                break
            self.now = max(at, self.now)
            self.endpoint.timer_due(self.now)
            self.proxy.timer_due(self.now)
            sent += self.settle()
        self.now = end
        return sent

    def reply(
        self, sent: Sent, status: int, *headers: str, tag: str = "bob", body: str = ""
    ) -> list[Sent]:
        """Answer a request as who it went to does."""
        response = Response(status, "Some Reason", body=body.encode())
        for line in headers:
            name, _, value = line.partition(": ")
            response.headers.setdefault(name, []).append(value)
        to_tag = tag if status > 100 and not sent.request.to.tag else ""
        data = sent.request.write_response(response, to_tag=to_tag)
        return self.receive(data, sent.to, TCP if sent.transport == "TCP" else UDP)

    def _handle(self, event: object) -> None:
        if isinstance(event, RequestReceived):
            try:
                context = self.proxy.relay(
                    event.transaction,
                    event.request,
                    self.targets,
                    decision=self.decide(event.request),
                    came_by=event.flow,
                    on_reply=self.on_reply,
                    on_failure=self.on_failure,
                )
                self.contexts.append(context)
            except Refusal as exc:
                refused = Response.of(exc.status, exc.reason, exc.headers)
                self.endpoint.respond(event.transaction, refused)
            except RemoteProtocolError as exc:
                bad = Response(exc.status, "Bad Request")
                self.endpoint.respond(event.transaction, bad)
        elif isinstance(event, ResponseReceived):
            event.transaction.user.receive_response(event.response, moment(self.now))
        elif isinstance(event, RequestFailed):
            event.transaction.user.receive_failure(event.cause, moment(self.now))
        elif isinstance(event, AckReceived):
            self._ack(event.request)
        elif isinstance(event, ResponseLost):
            self.stateless.receive_lost(event.data, event.via)
        else:
            assert isinstance(event, Cancelled)
            assert self.proxy.receive_cancel(event.transaction)

    def _ack(self, request: Request) -> None:
        try:
            decision = self.decide(request)
            flow = decision.flow if isinstance(decision, Onward) else None
            targets = [Target(decision.uri, flow=flow)]
            self.stateless.relay_ack(request, targets, decision.route)
        except (Refusal, RemoteProtocolError):
            pass


def message(
    method: str = "INVITE",
    *headers: str,
    uri: str = "sip:bob@example.com",
    branch: str = "z9hG4bKcall",
    to: str = "<sip:bob@example.com>",
    cseq: int = 1,
    hops: str | None = "70",
    body: str = "",
) -> str:
    """A request of the caller."""
    lines: Sequence[str] = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.50;branch={branch}",
        *([] if hops is None else [f"Max-Forwards: {hops}"]),
        "From: <sip:alice@example.com>;tag=alice",
        f"To: {to}",
        "Call-ID: call",
        f"CSeq: {cseq} {method}",
        *(["Contact: <sip:alice@192.0.2.50>"] if method == "INVITE" else []),
        *headers,
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", body])


def whats(sent: list[Sent]) -> list[str]:
    return [one.what for one in sent]
