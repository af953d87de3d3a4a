"""The stateful proxy: requests to their targets, responses back (RFC 3261 §16)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ..ledger.due import work_off
from ..ledger.journal import Journal
from ..ledger.part import Found
from ..sip.destination import Destination
from ..sip.errors import Refusal
from ..sip.event import AnyServer
from ..sip.flow import Flow, Local
from ..sip.invite import InviteClientTransaction, InviteServerTransaction
from ..sip.message import Request, Response
from ..sip.timer import TimerWheel
from ..sip.transaction import T1
from ..sip.uri import Uri
from .branching import Branching, Transactions, instead_of
from .context import Branch, Budgets, Context, OnFailure, OnReply
from .decision import Decision, Onward
from .forwarding import Forwarding
from .target import Target

logger = logging.getLogger("reginfo.proxy")

TRYING_AFTER = 7 * T1
"""
Seconds after which an unanswered request other than INVITE is answered 100, so that its
sender retransmits it only every T2; this is not allowed earlier (RFC 4320 §4.1).
"""


class Proxy:
    """
    Forwards requests, and forwards their responses back.

    Args:
        forwarding: checks requests, and writes their headers.
        find: resolves a URI to destinations, best first; it calls back at once or
            later.
        flow: returns the flow to a destination, preferably from a given local address;
            None if there is none.
        is_ours: whether a URI leads to this server, whatever its user part.
        is_open: whether the connection of a flow is open.
        timer_c: seconds that an INVITE may ring without another response.
        max_branches: the maximum total number of branches of one request.
        now: returns the seconds on the clock, for later callbacks of `find`.
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
        self._is_ours = is_ours
        self._is_open = is_open
        self._now = now
        self._wheel = TimerWheel()
        self._contexts: dict[int, Context] = {}
        self._budgets = Budgets(max_branches)
        self._branching = Branching(
            transactions,
            forwarding,
            receiver=self,
            failed=self._failed,
            wheel=self._wheel,
            find=find,
            flow=flow,
            timer_c=timer_c,
            new_id=new_id,
            now=now,
        )

    def __len__(self) -> int:
        return len(self._contexts)

    # Requests.

    def context_of(self, transaction: AnyServer) -> Context | None:
        """Return the response context of a request, until it is answered."""
        return self._contexts.get(id(transaction))

    def relay(
        self,
        transaction: AnyServer,
        request: Request,
        targets: Sequence[Target],
        *,
        decision: Decision,
        came_by: Flow,
        on_reply: OnReply | None = None,
        on_failure: OnFailure | None = None,
    ) -> Context:
        """
        Forward a request to ``targets``, or where ``decision`` leads if there are none.

        Args:
            request: the request to send, before the changes that a proxy makes.
            came_by: the flow that it came by.

        Raises:
            Refusal, RemoteProtocolError: it is not forwarded (§16.3).
        """
        response = transaction.response
        if response is not None and response.is_final:
            # It was cancelled or answered while a handler waited.
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
            came_by=came_by,
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
        # §16.2: the targets may be slow to answer.
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
        """Answer a request locally, instead of its targets."""
        if context.is_over:
            return
        self._transactions.respond(context.transaction, response)
        if response.status >= 200:
            self._over(context)
            context.groups.clear()
            self._cancel_pending(context, self._now())  # §16.7 step 10

    def conclude(self, context: Context, response: Response) -> None:
        """Forward a final response, and try no other target."""
        if not context.is_over:
            self._pass_back(context, response)

    def receive_cancel(self, transaction: InviteServerTransaction) -> bool:
        """
        Cancel the branches of an INVITE that its caller cancelled (§16.10).

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
                    self._branching.start_timer_c(branch, now)
                if not context.is_over and self._passes(context, response):
                    self._transactions.forward(context.transaction, response)
            return
        if status == 503 and branch.destinations:
            self._branching.send_next(branch)
            return
        self._end(branch, response)
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
            self._branching.send_next(branch)
            return
        self._end(branch, instead_of(cause))
        self._advance(branch.context)

    # The clock.

    @property
    def timer_at(self) -> float | None:
        return self._wheel.timer_at

    def timer_due(self, now: float) -> None:
        """Cancel INVITEs that ring too long (§16.8, Timer C); send 100 (RFC 4320)."""

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
        Return the target of the routing decision.

        Raises:
            Refusal: 404, because the request would return here; 416, for its scheme.
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
        """Leave out targets whose only flow is closed, or is not secure enough."""
        return [
            one
            for one in targets
            if one.is_secure_enough and (one.flow is None or self._is_open(one.flow))
        ]

    def _advance(self, context: Context) -> None:
        """
        Try the next targets, while there are any and nothing is pending; then conclude.

        It is called recursively, by branches that fail at once and by the failure
        route; the outermost call does the work, in a loop.
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
        """Forward to the remaining targets with the greatest q (§16.6)."""
        group = context.groups.pop(0)
        branches = [Branch(context, target) for target in group]
        context.branches += branches
        assert context.budget is not None
        if len(group) > context.budget.left:
            context.groups.clear()
            for branch in branches:
                self._end(branch, Response(440, "Max-Breadth Exceeded"))
            return
        context.budget.left -= len(group)
        for branch in branches:
            self._branching.begin(branch)

    def _fail(self, context: Context) -> bool:
        """
        Conclude a request whose branches have all ended.

        Returns:
            Whether the failure route set other targets at once.
        """
        best = context.best()
        hook = context.on_failure
        if hook is not None and not context.cancelled and hook(best):
            return bool(context.groups)
        self._pass_back(context, best)
        return False

    # Endings.

    def _accept(self, context: Context, response: Response, now: float) -> None:
        """Forward a 2xx at once; for an INVITE each of them (§16.7 step 5)."""
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
                self._end(
                    branch, Response(487, "Request Terminated")
                )  # it was never sent

    def _pass_back(self, context: Context, response: Response) -> None:
        response = context.last(response)
        # RFC 4320 §4.2: the sender of a request other than INVITE has given up as well.
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
        """Run the reply route; return whether to forward the response."""
        hook = context.on_reply
        return hook is None or "CSeq" not in response.headers or hook(response)

    def _failed(self, branch: Branch, response: Response) -> None:
        """Set a local response for a branch that cannot be sent."""
        self._end(branch, response)
        self._advance(branch.context)

    def _end(self, branch: Branch, response: Response) -> None:
        """Give a branch its final response, and stop its timer."""
        branch.end(response)
        self._wheel.schedule(branch)

    def _over(self, context: Context) -> None:
        context.is_over, context.timer_at = True, None
        self._wheel.schedule(context)
        self._contexts.pop(id(context.transaction), None)
        if context.budget is not None:
            self._budgets.release(context.budget)
            context.budget = None
