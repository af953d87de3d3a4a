"""The proxy: requests on their way to someone else (RFC 3261 §16)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from hashlib import blake2s
from typing import Protocol

from ..ledger.due import work_off
from ..ledger.journal import Journal
from ..sip.destination import Destination
from ..sip.endpoint import MAGIC_COOKIE
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.event import AnyClient, AnyServer
from ..sip.flow import Address, Flow, Local
from ..sip.forward import draft_of
from ..sip.headers import Via, cached_name_addr, parse_via
from ..sip.invite import InviteClientTransaction, InviteServerTransaction
from ..sip.message import Draft, Headers, Request, Response, request_uri
from ..sip.moment import Moment
from ..sip.route import next_hop, request_uri_of
from ..sip.timer import TimerWheel
from ..sip.token import Tokens
from ..sip.transaction import T1
from ..sip.uri import Uri
from ..sip.user import User
from .context import Branch, Context, OnFailure, OnReply
from .decision import Decision, Onward
from .target import Target

logger = logging.getLogger("reginfo.proxy")

MAX_FORWARDS = 70
"""What a request is given that has no Max-Forwards (§16.6 step 3)."""

MAX_BREADTH = 60
"""The same of Max-Breadth (RFC 5393 §5.3.3)."""

TRYING_AFTER = 7 * T1
"""
Seconds after which a request that is no INVITE is answered 100, if by nothing else: its
sender then sends it but every T2, and not before (RFC 4320 §4.1).
"""

DIALOGS = frozenset({"INVITE", "NOTIFY", "REFER", "SUBSCRIBE"})
"""Methods that make dialogs, in which later requests follow their Record-Route."""

REASONS = {404: "Not Found", 416: "Unsupported URI Scheme"}
"""Of what a target is that is nowhere; if it is not known where, see §16.9."""

Found = Callable[[list[Destination] | RemoteProtocolError], None]


class Transactions(Protocol):
    """What a proxy asks of an endpoint; see :class:`reginfo.sip.endpoint.Endpoint`."""

    def send_request(
        self, draft: Draft, flow: Flow, user: User, *, branch: str | None = None
    ) -> AnyClient: ...

    def send_stateless(self, data: bytes, flow: Flow) -> None: ...
    def cancel(self, transaction: InviteClientTransaction, now: float) -> None: ...
    def respond(self, transaction: AnyServer, response: Response) -> None: ...
    def forward(self, transaction: AnyServer, response: Response) -> None: ...
    def trying(self, transaction: AnyServer) -> None: ...
    def abandon(self, transaction: AnyServer) -> None: ...


class ForwardedRequest:
    """The user of one copy of a request: a branch, and one place that it is sent to."""

    __slots__ = ("branch", "proxy")

    def __init__(self, proxy: Proxy, branch: Branch) -> None:
        self.proxy = proxy
        self.branch = branch

    def receive_response(self, response: Response, moment: Moment) -> None:
        """Receive a response of the branch."""
        self.proxy.receive_response(self.branch, response, moment.now)

    def receive_failure(self, cause: str, moment: Moment) -> None:
        """Try the next place, unless that has been done already."""
        if self.branch.sent is self:
            self.proxy.receive_failure(self.branch, cause, moment.now)

    def never_sent(self) -> None:
        """Try nothing else: what has decided to send it was taken back."""


class Proxy:
    """
    Sends requests on, and passes their responses back.

    Args:
        find: where a URI is, in the order in which it is to be tried; it calls back at
            once, or later.
        flow: returns the flow to a destination, preferably from an address of ours;
            None if there is none.
        is_ours: whether a URI leads to this server, whatever its user part is.
        is_open: whether the stream of a flow is open.
        needs_flow: whether a URI is reached only by the flow it was heard on.
        tokens: name the flows by which later requests go to who is hidden.
        record_route: whether later requests of a dialog come this way, too.
        timer_c: seconds that an INVITE may ring without another word.
        now: seconds on the clock; for what `find` tells later.
    """

    def __init__(
        self,
        transactions: Transactions,
        journal: Journal,
        *,
        find: Callable[[Uri, Found], None],
        flow: Callable[[Destination, Local | None], Flow | None],
        is_ours: Callable[[Uri], bool],
        is_open: Callable[[Flow], bool],
        needs_flow: Callable[[Uri, str], bool],
        tokens: Tokens,
        record_route: bool,
        timer_c: float,
        new_id: Callable[[], str],
        now: Callable[[], float],
    ) -> None:
        self._transactions = transactions
        self._journal = journal
        self._find = find
        self._flow = flow
        self._is_ours = is_ours
        self._is_open = is_open
        self._needs_flow = needs_flow
        self._tokens = tokens
        self._record_route = record_route
        self._timer_c = timer_c
        self._new_id = new_id
        self._now = now
        self._wheel = TimerWheel()
        self._contexts: dict[int, Context] = {}

    def __len__(self) -> int:
        return len(self._contexts)

    # Requests.

    def context_of(self, transaction: AnyServer) -> Context | None:
        """What a request has come to that was sent on, until it is answered."""
        return self._contexts.get(id(transaction))

    def relay(
        self,
        transaction: AnyServer,
        request: Request,
        targets: Sequence[Target],
        *,
        decision: Decision,
        source: Address,
        on_reply: OnReply | None = None,
        on_failure: OnFailure | None = None,
    ) -> Context:
        """
        Relay a request to ``targets``, or where ``decision`` leads if there are none.

        Args:
            request: the request to send, before the changes that a proxy makes.
            source: the address that it came from.

        Raises:
            Refusal, RemoteProtocolError: it is not sent on (§16.3).
        """
        response = transaction.response
        if response is not None and response.is_final:
            # Cancelled, or answered, while a handler waited.
            raise Refusal(487, "Request Terminated")
        breadth = self._check(transaction.request)
        if not targets:
            targets = [self._target(decision)]
        open_ = [t for t in targets if t.flow is None or self._is_open(t.flow)]
        if not open_:
            raise Refusal(430, "Flow Failed")  # RFC 5626 §5.3
        context = Context(
            transaction,
            request,
            decision.route,
            came_by=Flow(transaction.flow.local, source),
            breadth=breadth,
            on_reply=on_reply,
            on_failure=on_failure,
        )
        context.add(open_)
        if any(len(group) > breadth for group in context.groups):
            raise Refusal(440, "Max-Breadth Exceeded")
        self._contexts[id(transaction)] = context
        # §16.2: what is answered slowly, by others, is answered 100 here.
        self._transactions.trying(transaction)
        if request.method != "INVITE":
            context.timer_at = self._now() + TRYING_AFTER
            self._wheel.schedule(context)
        self._try_next(context)
        return context

    def _target(self, decision: Decision) -> Target:
        """
        Return the target that the routing decision names.

        Raises:
            Refusal: 404, the request would come back; 416, for its scheme.
        """
        uri = decision.uri
        flow = decision.flow if isinstance(decision, Onward) else None
        if not decision.route:
            if uri.scheme not in ("sip", "sips"):
                raise Refusal(416, "Unsupported URI Scheme")
            if flow is None and self._is_ours(uri):
                raise Refusal(404, "Not Found")
        return Target(uri, flow=flow)

    def again(self, context: Context, targets: Sequence[Target]) -> bool:
        """Send a request that has failed to other targets; whether it can be."""
        if context.is_over or context.cancelled:
            return False
        open_ = [t for t in targets if t.flow is None or self._is_open(t.flow)]
        if not open_:
            return False
        context.again(open_)
        self._try_next(context)
        return True

    def respond(self, context: Context, response: Response) -> None:
        """Answer a request in the place of those that it was sent to."""
        if context.is_over:
            return
        self._transactions.respond(context.transaction, response)
        if response.status >= 200:
            self._over(context)
            context.groups.clear()
            self._cancel_pending(context, self._now())  # §16.7 step 10

    def conclude(self, context: Context, response: Response) -> None:
        """Pass a final response back: nobody else is to be tried."""
        if not context.is_over:
            self._pass_back(context, response)

    def relay_ack(
        self, request: Request, targets: Sequence[Target], decision: Decision
    ) -> None:
        """
        Relay the ACK of a 2xx, without a transaction (§16.11).

        Raises:
            Refusal, RemoteProtocolError: it is not relayed.
        """
        self._check(request)
        for target in targets:
            if target.flow is None and not (target.route or decision.route):
                if self._is_ours(target.uri):
                    continue  # it would come back
            self._send_ack(request, target, decision.route)

    def _send_ack(
        self, request: Request, target: Target, route: tuple[str, ...]
    ) -> None:
        uri, left, hop = next_hop(request_uri_of(target.uri), (*target.route, *route))
        headers = self._headers(request, request.headers["Via"], left)

        def send(flow: Flow) -> None:
            via = _via(flow.local, MAGIC_COOKIE + self._new_id())
            draft = draft_of(request, uri=uri, headers=headers)
            self._transactions.send_stateless(draft.write(via), flow)

        def found(places: list[Destination] | RemoteProtocolError) -> None:
            flow = self._first(places, target.local)
            if flow is not None:
                send(flow)

        if target.flow is None:
            self._find(hop, found)
        elif self._is_open(target.flow):
            send(target.flow)

    def receive_cancel(self, transaction: InviteServerTransaction) -> bool:
        """
        The caller has cancelled its INVITE (§16.10).

        Returns:
            False if it was not sent on.
        """
        context = self._contexts.get(id(transaction))
        if context is None:
            return False
        context.cancelled = True
        context.groups.clear()
        self._cancel_pending(context, self._now())
        self._settle(context)
        return True

    # Responses.

    def receive_response(self, branch: Branch, response: Response, now: float) -> None:
        """Take in a response of one branch (§16.7)."""
        context, status = branch.context, response.status
        if status < 200:
            if status > 100:
                if branch.timer_at is not None:
                    self._start_timer_c(branch, now)
                if not context.is_over and self._passes(context, response):
                    self._transactions.forward(context.transaction, response)
            return
        if status == 503 and not context.cancelled and branch.destinations:
            self._send_next(branch)
            return
        self._end(branch, response)
        if status < 300:
            self._accept(context, response, now)
        else:
            if not self._passes(context, response):
                context.withheld.append(response)
            if status >= 600:
                context.groups.clear()
                self._cancel_pending(context, now)
            self._settle(context)

    def receive_failure(self, branch: Branch, cause: str, now: float) -> None:
        """A branch has got no answer: a timeout, or the transport (§16.8, §16.9)."""
        if branch.is_over:
            return
        if branch.destinations and not branch.context.cancelled:
            self._send_next(branch)
            return
        self._end(branch, _instead(cause))
        self._settle(branch.context)

    def receive_lost(self, data: bytes, via: Via) -> None:
        """Send a response to where the sent-by of ``via`` leads (RFC 3263 §5)."""

        def found(places: list[Destination] | RemoteProtocolError) -> None:
            way = self._first(places)
            if way is not None:
                self._transactions.send_stateless(data, way)

        try:
            uri = Uri.parse(f"sip:{via.sent_by};transport={via.transport.lower()}")
        except RemoteProtocolError:
            return
        self._find(uri, found)

    # The clock.

    @property
    def timer_at(self) -> float | None:
        return self._wheel.timer_at

    def timer_due(self, now: float) -> None:
        """Timer C: it has rung for long enough (§16.8). Others are told to wait."""

        def act(branch: Branch | Context) -> None:
            if isinstance(branch, Context):
                self._transactions.respond(branch.transaction, Response(100, "Trying"))
                return
            if branch.is_over:
                return
            transaction = branch.transaction
            if isinstance(transaction, InviteClientTransaction):
                logger.info("%% Timer C: %s", branch.target)
                branch.destinations.clear()
                self._transactions.cancel(transaction, now)

        work_off(self._wheel, self._journal, now, act)

    # How.

    def _check(self, request: Request) -> int:
        """
        Whether a request may be sent on (§16.3); how many branches there may be.

        Raises:
            Refusal, RemoteProtocolError: it may not.
        """
        if request_uri(request).scheme not in ("sip", "sips", "tel"):
            raise Refusal(416, "Unsupported URI Scheme")
        hops = request.header("Max-Forwards")
        if hops is not None and int(hops) == 0:
            raise Refusal(483, "Too Many Hops")
        for values in request.headers.values():
            if any("\r" in value for value in values):
                # To whoever ends lines there, it would be a header of ours.
                raise RemoteProtocolError("a line break in a header")
        if self._loops(request):
            raise Refusal(482, "Loop Detected")
        required = request.values("Proxy-Require")
        if required:
            unsupported = [("Unsupported", ", ".join(required))]
            raise Refusal(420, "Bad Extension", headers=unsupported)
        breadth = request.header("Max-Breadth")
        if breadth is None:
            return MAX_BREADTH
        if not (breadth.isdecimal() and len(breadth) < 10):
            raise RemoteProtocolError("malformed Max-Breadth")
        if int(breadth) == 0:
            raise Refusal(440, "Max-Breadth Exceeded")
        return min(int(breadth), MAX_BREADTH)

    def _loops(self, request: Request) -> bool:
        """
        Whether a request was here before, and nothing has changed since.

        §16.3 step 4, RFC 5393 §4.2: a branch of ours tells what led to it.
        """
        mark = _mark(request)
        for value in request.values("Via"):
            _, dot, known = value.partition(";branch=" + MAGIC_COOKIE)[2].partition(".")
            if dot and known.partition(";")[0] == mark:
                via = parse_via(value)
                if self._is_ours(Uri.parse(f"sip:{via.sent_by}")):
                    return True
        return False

    def _try_next(self, context: Context) -> None:
        """Send to the targets that are preferred among those that are left."""
        group = context.groups.pop(0)
        branches = [Branch(context, target) for target in group]
        context.branches += branches
        share = max(1, context.breadth // len(branches))
        for branch in branches:
            self._begin(branch, share)

    def _begin(self, branch: Branch, breadth: int) -> None:
        target = branch.target
        if target.flow is not None:
            branch.destinations = [target.flow]
            self._send_next(branch)
            return
        context = branch.context

        def found(places: list[Destination] | RemoteProtocolError) -> None:
            if branch.is_over:
                return  # cancelled meanwhile
            if isinstance(places, RemoteProtocolError):
                logger.info("! %s: %s", target, places)
                self._end(
                    branch, Response(places.status, REASONS.get(places.status, ""))
                )
                self._settle(context)
                return
            branch.destinations = list(places)
            self._send_next(branch)

        try:
            _, _, hop = next_hop(request_uri_of(target.uri), self._route(branch))
        except RemoteProtocolError as exc:
            found(exc)
        else:
            self._find(hop, found)

    def _route(self, branch: Branch) -> tuple[str, ...]:
        return (*branch.target.route, *branch.context.route)

    def _send_next(self, branch: Branch) -> None:
        """Send to the next place at which a target is (RFC 3263 §4.3)."""
        way: Flow | None = None
        while branch.destinations and way is None:
            place = branch.destinations.pop(0)
            way = (
                place
                if isinstance(place, Flow)
                else self._flow(place, branch.target.local)
            )
        if way is None:
            self._end(branch, _instead("transport"))
            self._settle(branch.context)
            return
        context = branch.context
        request, transaction = context.request, context.transaction
        vias = transaction.request.headers["Via"]
        if transaction.via:
            vias = [transaction.via, *vias[1:]]
        uri, route, _ = next_hop(request_uri_of(branch.target.uri), self._route(branch))
        headers = self._headers(request, vias, route)
        count = len(context.branches)
        if count > 1 or "Max-Breadth" in headers:
            headers["Max-Breadth"] = [str(max(1, context.breadth // count))]
        if self._record_route and request.method in DIALOGS and not request.to.tag:
            # One for each side, where they differ (RFC 5658 §3).
            there = self._ours(way.local, branch.target.flow)
            back = self._ours(context.came_by.local, self._hidden(context))
            ours = [there] if there == back else [there, back]
            headers["Record-Route"] = [*ours, *headers.get("Record-Route", ())]
        elif request.method == "REGISTER":
            # RFC 3327 §5.1: so that requests to that user come this way.
            ours = [self._ours(way.local, self._hidden(context))]
            headers["Path"] = [*ours, *headers.get("Path", ())]
        branch.sent = ForwardedRequest(self, branch)
        branch.transaction = self._transactions.send_request(
            draft_of(request, uri=uri, headers=headers),
            way,
            branch.sent,
            branch=f"{MAGIC_COOKIE}{self._new_id()}.{_mark(transaction.request)}",
        )
        if request.method == "INVITE":
            self._start_timer_c(branch, self._now())

    def _hidden(self, context: Context) -> Flow | None:
        """
        The flow by which alone the caller is reached; None to follow its URI.

        By a stream it is reached as long as that is open, whatever its URI is.
        """
        if len(context.transaction.request.values("Via")) > 1:
            return None  # it came by somebody else, who is where he says
        flow = context.came_by
        for value in context.request.values("Contact"):
            try:
                uri = cached_name_addr(value).parsed
            except RemoteProtocolError:
                continue  # `*`, or nothing that anybody could send to
            if flow.local.is_reliable or self._needs_flow(uri, flow.remote[0]):
                return flow
        return None

    def _ours(self, local: Local, flow: Flow | None) -> str:
        """What a request comes back by (§16.6 step 4), and goes on by ``flow``."""
        if flow is None:
            return f"<{local.uri};lr>"
        scheme, _, rest = local.uri.partition(":")
        return f"<{scheme}:{self._tokens.write(flow)}@{rest};lr>"

    def _headers(
        self, request: Request, vias: list[str], route: tuple[str, ...]
    ) -> Headers:
        """What is changed in any request that is sent on (§16.6 steps 3 to 6)."""
        headers = dict(request.headers)
        headers["Via"] = vias
        headers.pop("Route", None)
        if route:
            headers["Route"] = [", ".join(route)]
        hops = request.header("Max-Forwards")
        headers["Max-Forwards"] = [str(MAX_FORWARDS if hops is None else int(hops) - 1)]
        return headers

    def _first(
        self,
        places: list[Destination] | RemoteProtocolError,
        local: Local | None = None,
    ) -> Flow | None:
        if isinstance(places, RemoteProtocolError):
            return None
        flows = (self._flow(place, local) for place in places)
        return next((flow for flow in flows if flow is not None), None)

    def _start_timer_c(self, branch: Branch, now: float) -> None:
        branch.timer_at = now + self._timer_c
        self._wheel.schedule(branch)

    def _accept(self, context: Context, response: Response, now: float) -> None:
        """§16.7 step 5: a 2xx is passed back at once, to an INVITE each of them."""
        is_invite = context.request.method == "INVITE"
        if (is_invite or not context.is_over) and self._passes(context, response):
            self._transactions.forward(context.transaction, response)
        elif not context.is_over:
            self._transactions.abandon(context.transaction)
        context.groups.clear()
        if not context.is_over:
            self._over(context)
        self._cancel_pending(context, now)

    def _cancel_pending(self, context: Context, now: float) -> None:
        """§16.7 step 10: nobody needs to ring any more."""
        for branch in context.pending:
            branch.destinations.clear()
            transaction = branch.transaction
            if isinstance(transaction, InviteClientTransaction):
                self._transactions.cancel(transaction, now)
            elif transaction is None:
                self._end(
                    branch, Response(487, "Request Terminated")
                )  # it was never sent

    def _settle(self, context: Context) -> None:
        """Pass the best response back, if there is nothing else to wait for."""
        if context.is_over or context.pending:
            return
        if context.groups and not context.is_final:
            self._try_next(context)
            return
        best = context.best()
        hook = context.on_failure
        if hook is not None and not context.cancelled and hook(best):
            return
        self._pass_back(context, best)

    def _pass_back(self, context: Context, response: Response) -> None:
        response = context.last(response)
        # RFC 4320 §4.2: who has sent no INVITE has given up by now, too.
        late = response.status == 408 and context.request.method != "INVITE"
        withheld = any(response is one for one in context.withheld)
        if not late and not withheld:
            if "CSeq" in response.headers:
                self._transactions.forward(context.transaction, response)
            else:
                self._transactions.respond(context.transaction, response)
        else:
            self._transactions.abandon(context.transaction)
        self._over(context)

    def _passes(self, context: Context, response: Response) -> bool:
        """Whether whoever looks at responses first lets this one pass."""
        hook = context.on_reply
        return hook is None or "CSeq" not in response.headers or hook(response)

    def _end(self, branch: Branch, response: Response) -> None:
        branch.end(response)
        self._wheel.schedule(branch)

    def _over(self, context: Context) -> None:
        context.is_over, context.timer_at = True, None
        self._wheel.schedule(context)
        self._contexts.pop(id(context.transaction), None)


def _instead(cause: str) -> Response:
    """What a branch is taken to have answered that has not (§16.8, §16.9)."""
    if cause == "timeout":
        return Response(408, "Request Timeout")
    return Response(503, "Service Unavailable")


def _via(local: Local, branch: str) -> str:
    return f"SIP/2.0/{local.transport} {local.sent_by};branch={branch};rport"


def _mark(request: Request) -> str:
    """
    What tells a loop from a spiral: all that decides where a request goes.

    §16.6 step 8, without the topmost Via, by RFC 5393 §4.2.
    """
    digest = blake2s(digest_size=8)
    parts = [
        request.uri, request.from_.tag, request.to.tag, request.call_id,
        str(request.cseq.number),
    ]  # fmt: skip
    for name in ("Route", "Proxy-Require", "Proxy-Authorization"):
        parts += request.headers.get(name, ())
    for part in parts:
        digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()
