"""The stateful proxy: requests to their targets, responses back (RFC 3261 §16)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from ..ledger.due import work_off
from ..ledger.journal import Journal
from ..ledger.part import Found
from ..sip.destination import Destination
from ..sip.endpoint import MAGIC_COOKIE, AnyClient, AnyServer
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.flow import Address, Flow, Local
from ..sip.forward import draft_of
from ..sip.invite import InviteClientTransaction, InviteServerTransaction
from ..sip.message import Draft, Request, Response
from ..sip.moment import Moment
from ..sip.route import outgoing, request_uri_of
from ..sip.timer import TimerWheel
from ..sip.transaction import T1
from ..sip.uri import Uri
from ..sip.user import User
from .context import Branch, Budgets, Context, OnFailure, OnReply
from .decision import Decision, Onward
from .forwarding import Forwarding, loop_mark
from .target import Target

logger = logging.getLogger("reginfo.proxy")

TRYING_AFTER = 7 * T1
"""
Seconds after which a request other than INVITE is answered 100, if by nothing else: its
sender then sends it every T2 only, which it must not do earlier (RFC 4320 §4.1).
"""

REASONS = {404: "Not Found", 416: "Unsupported URI Scheme"}
"""Reason phrases for a target that cannot be resolved; 503 is for §16.9."""


class Transactions(Protocol):
    """What a proxy asks of an endpoint; see :class:`reginfo.sip.endpoint.Endpoint`."""

    def send_request(
        self, draft: Draft, flow: Flow, user: User, *, branch: str | None = None
    ) -> AnyClient: ...

    def cancel(self, transaction: InviteClientTransaction, now: float) -> None: ...
    def respond(self, transaction: AnyServer, response: Response) -> None: ...
    def forward(self, transaction: AnyServer, response: Response) -> None: ...
    def trying(self, transaction: AnyServer) -> None: ...
    def abandon(self, transaction: AnyServer) -> None: ...


class ForwardedRequest:
    """The user of one copy of a request: a branch at one of its destinations."""

    __slots__ = ("branch", "proxy")

    def __init__(self, proxy: Proxy, branch: Branch) -> None:
        self.proxy = proxy
        self.branch = branch

    def receive_response(self, response: Response, moment: Moment) -> None:
        """Receive a response of the branch."""
        self.proxy.receive_response(self.branch, response, moment.now)

    def receive_failure(self, cause: str, moment: Moment) -> None:
        """Try the next destination, unless that has been done already."""
        if self.branch.sent is self:
            self.proxy.receive_failure(self.branch, cause, moment.now)

    def never_sent(self) -> None:
        """Do nothing: what has decided to send it was taken back."""


class Proxy:
    """
    Forwards requests, and passes their responses back.

    Args:
        forwarding: checks requests, and writes their headers.
        find: resolves a URI to destinations, best first; it calls back at once, or
            later.
        flow: returns the flow to a destination, preferably from an address of ours;
            None if there is none.
        is_ours: whether a URI leads to this server, whatever its user part is.
        is_open: whether the stream of a flow is open.
        timer_c: seconds that an INVITE may ring without another response.
        max_branches: how many branches one request may have in all.
        now: seconds on the clock; for what `find` tells later.
    """

    def __init__(
        self,
        transactions: Transactions,
        journal: Journal,
        forwarding: Forwarding,
        *,
        find: Callable[[Uri, Found], None],
        flow: Callable[[Destination, Local | None], Flow | None],
        is_ours: Callable[[Uri], bool],
        is_open: Callable[[Flow], bool],
        timer_c: float,
        max_branches: int,
        new_id: Callable[[], str],
        now: Callable[[], float],
    ) -> None:
        self._transactions = transactions
        self._journal = journal
        self._forwarding = forwarding
        self._find = find
        self._flow = flow
        self._is_ours = is_ours
        self._is_open = is_open
        self._timer_c = timer_c
        self._new_id = new_id
        self._now = now
        self._wheel = TimerWheel()
        self._contexts: dict[int, Context] = {}
        self._budgets = Budgets(max_branches)

    def __len__(self) -> int:
        return len(self._contexts)

    # Requests.

    def context_of(self, transaction: AnyServer) -> Context | None:
        """Return the response context of a request, until that is answered."""
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
        Forward a request to ``targets``, or where ``decision`` leads if there are none.

        Args:
            request: the request to send, before the changes that a proxy makes.
            source: the address that it came from.

        Raises:
            Refusal, RemoteProtocolError: it is not forwarded (§16.3).
        """
        response = transaction.response
        if response is not None and response.is_final:
            # Cancelled, or answered, while a handler waited.
            raise Refusal(487, "Request Terminated")
        breadth = self._forwarding.check(transaction.request)
        if not targets:
            targets = [self._target(decision)]
        usable = self._usable(targets)
        if not usable:
            raise Refusal(430, "Flow Failed")  # RFC 5626 §5.3
        context = Context(
            transaction,
            request,
            decision,
            came_by=Flow(transaction.flow.local, source),
            breadth=breadth,
            on_reply=on_reply,
            on_failure=on_failure,
        )
        context.add(usable)
        if any(len(group) > breadth for group in context.groups):
            raise Refusal(440, "Max-Breadth Exceeded")
        context.budget = self._budgets.share(transaction.request)
        if len(context.groups[0]) > context.budget.left:
            self._budgets.release(context.budget)
            raise Refusal(440, "Max-Breadth Exceeded")
        self._contexts[id(transaction)] = context
        # §16.2: others may be slow to answer.
        self._transactions.trying(transaction)
        if request.method != "INVITE":
            context.timer_at = self._now() + TRYING_AFTER
            self._wheel.schedule(context)
        self._advance(context)
        return context

    def again(self, context: Context, targets: Sequence[Target]) -> None:
        """
        Forward a request whose branches have all failed to other targets.

        Raises:
            Refusal: 430, no flow is open; 440, it has had too many branches; 487, it
                was answered or cancelled meanwhile.
        """
        if context.is_over or context.cancelled:
            raise Refusal(487, "Request Terminated")
        usable = self._usable(targets)
        if not usable:
            raise Refusal(430, "Flow Failed")
        assert context.budget is not None
        if len(usable) > context.budget.left:
            raise Refusal(440, "Max-Breadth Exceeded")
        context.again(usable)
        self._advance(context)

    def respond(self, context: Context, response: Response) -> None:
        """Answer a request in the place of its targets."""
        if context.is_over:
            return
        self._transactions.respond(context.transaction, response)
        if response.status >= 200:
            self._over(context)
            context.groups.clear()
            self._cancel_pending(context, self._now())  # §16.7 step 10

    def conclude(self, context: Context, response: Response) -> None:
        """Pass a final response back, and try no other target."""
        if not context.is_over:
            self._pass_back(context, response)

    def receive_cancel(self, transaction: InviteServerTransaction) -> bool:
        """
        Cancel the branches of an INVITE that its caller has cancelled (§16.10).

        Returns:
            False if the INVITE was not forwarded.
        """
        context = self._contexts.get(id(transaction))
        if context is None:
            return False
        context.cancelled = True
        context.groups.clear()
        self._cancel_pending(context, self._now())
        self._advance(context)
        return True

    # Responses.

    def receive_response(self, branch: Branch, response: Response, now: float) -> None:
        """Receive a response of a branch (§16.7)."""
        context, status = branch.context, response.status
        if status < 200:
            if status > 100:
                if branch.timer_at is not None:
                    self._start_timer_c(branch, now)
                if not context.is_over and self._passes(context, response):
                    self._transactions.forward(context.transaction, response)
            return
        if status == 503 and branch.destinations:
            self._send_next(branch)
            return
        branch.end(response)
        if status < 300:
            self._accept(context, response, now)
            return
        if not self._passes(context, response):
            context.withheld.append(response)
        if status >= 600:
            context.groups.clear()
            self._cancel_pending(context, now)
        self._advance(context)

    def receive_failure(self, branch: Branch, cause: str, now: float) -> None:
        """Note that a branch has no response: a timeout (§16.8), or §16.9."""
        if branch.is_over:
            return
        if branch.destinations:
            self._send_next(branch)
            return
        branch.end(_instead(cause))
        self._advance(branch.context)

    # The clock.

    @property
    def timer_at(self) -> float | None:
        return self._wheel.timer_at

    def timer_due(self, now: float) -> None:
        """Cancel what has rung for too long (§16.8, Timer C); send 100 (RFC 4320)."""

        def act(machine: Branch | Context) -> None:
            if isinstance(machine, Context):
                trying = Response(100, "Trying")
                self._transactions.respond(machine.transaction, trying)
                return
            if machine.is_over:
                return
            transaction = machine.transaction
            if isinstance(transaction, InviteClientTransaction):
                logger.info("%% Timer C: %s", machine.target)
                machine.destinations.clear()
                self._transactions.cancel(transaction, now)

        work_off(self._wheel, self._journal, now, act)

    # Branches.

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

    def _usable(self, targets: Sequence[Target]) -> list[Target]:
        """Leave out targets whose only flow is closed."""
        return [one for one in targets if one.flow is None or self._is_open(one.flow)]

    def _advance(self, context: Context) -> None:
        """
        Try the next targets, while there are any and nothing is pending; then conclude.

        It is called again from within itself, by branches that fail at once and by the
        failure route; the outermost call does the work, in a loop.
        """
        if context.is_advancing:
            return
        context.is_advancing = True
        try:
            while not (context.is_over or context.pending):
                if context.groups and not context.is_final:
                    self._try_group(context)
                elif not self._fail(context):
                    return
        finally:
            context.is_advancing = False

    def _try_group(self, context: Context) -> None:
        """Forward to the targets of the greatest q that is left (§16.6)."""
        group = context.groups.pop(0)
        branches = [Branch(context, target) for target in group]
        context.branches += branches
        assert context.budget is not None
        if len(group) > context.budget.left:
            context.groups.clear()
            for branch in branches:
                branch.end(Response(440, "Max-Breadth Exceeded"))
            return
        context.budget.left -= len(group)
        for branch in branches:
            self._begin(branch)

    def _fail(self, context: Context) -> bool:
        """
        Conclude a request whose branches have all ended.

        Returns:
            Whether the failure route has set other targets at once.
        """
        best = context.best()
        hook = context.on_failure
        if hook is not None and not context.cancelled and hook(best):
            return bool(context.groups)
        self._pass_back(context, best)
        return False

    def _begin(self, branch: Branch) -> None:
        target = branch.target
        if target.flow is not None:
            branch.destinations = [target.flow]
            self._send_next(branch)
            return
        context = branch.context

        def found(destinations: list[Destination] | RemoteProtocolError) -> None:
            if branch.is_over:
                return  # cancelled meanwhile
            if isinstance(destinations, RemoteProtocolError):
                logger.info("! %s: %s", target, destinations)
                status = destinations.status
                branch.end(Response(status, REASONS.get(status, "")))
                self._advance(context)
                return
            branch.destinations = list(destinations)
            self._send_next(branch)

        try:
            written = outgoing(request_uri_of(target.uri), branch.route)
        except RemoteProtocolError as exc:
            found(exc)
        else:
            self._find(written.first, found)

    def _send_next(self, branch: Branch) -> None:
        """Send to the next destination of a target (RFC 3263 §4.3)."""
        flow: Flow | None = None
        while branch.destinations and flow is None:
            destination = branch.destinations.pop(0)
            if isinstance(destination, Flow):
                flow = destination
            else:
                flow = self._flow(destination, branch.target.local)
        if flow is None:
            branch.end(_instead("transport"))
            self._advance(branch.context)
            return
        branch.sent = ForwardedRequest(self, branch)
        transaction = branch.context.transaction
        branch.transaction = self._transactions.send_request(
            self._draft(branch, flow),
            flow,
            branch.sent,
            branch=f"{MAGIC_COOKIE}{self._new_id()}.{loop_mark(transaction.request)}",
        )
        if branch.context.request.method == "INVITE":
            self._start_timer_c(branch, self._now())

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

    def _start_timer_c(self, branch: Branch, now: float) -> None:
        branch.timer_at = now + self._timer_c
        self._wheel.schedule(branch)

    # Endings.

    def _accept(self, context: Context, response: Response, now: float) -> None:
        """Pass a 2xx back at once; to an INVITE each of them (§16.7 step 5)."""
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
        """
        Cancel the branches without a final response (§16.7 step 10).

        They are not tried at other destinations either.
        """
        for branch in context.pending:
            branch.destinations.clear()
            transaction = branch.transaction
            if isinstance(transaction, InviteClientTransaction):
                self._transactions.cancel(transaction, now)
            elif transaction is None:
                branch.end(Response(487, "Request Terminated"))  # it was never sent

    def _pass_back(self, context: Context, response: Response) -> None:
        response = context.last(response)
        # RFC 4320 §4.2: the sender of anything but INVITE has given up by now, too.
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
        """Whether the reply route lets a response pass."""
        hook = context.on_reply
        return hook is None or "CSeq" not in response.headers or hook(response)

    def _over(self, context: Context) -> None:
        context.is_over, context.timer_at = True, None
        self._contexts.pop(id(context.transaction), None)
        if context.budget is not None:
            self._budgets.release(context.budget)
            context.budget = None


def _instead(cause: str) -> Response:
    """Return the response that stands for one that has not come (§16.8, §16.9)."""
    if cause == "timeout":
        return Response(408, "Request Timeout")
    return Response(503, "Service Unavailable")
