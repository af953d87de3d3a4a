"""The response context of a forwarded request, and its branches (§16.7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..sip.destination import Destination
from ..sip.event import AnyClient, AnyServer
from ..sip.flow import Flow
from ..sip.message import Request, Response
from ..sip.user import User
from .decision import Decision
from .target import Target, by_preference

OnReply = Callable[[Response], bool]
"""Gets a response first, and may change its headers; returns whether to forward it."""

OnFailure = Callable[[Response], bool]
"""
Receives the best response when all branches have failed; returns whether it takes over,
and later calls :meth:`Proxy.conclude` or :meth:`Proxy.again`.
"""

CHALLENGES = ("WWW-Authenticate", "Proxy-Authenticate")

PREFERRED = (401, 407, 415, 420, 484)
"""The responses of a class with information for a better attempt (§16.7 step 6)."""


class Budget:
    """The number of branches that a request may still have, in all of its contexts."""

    __slots__ = ("contexts", "key", "left")

    def __init__(self, key: tuple[str, str, int], left: int) -> None:
        self.key = key
        self.left = left
        self.contexts = 0


class Budgets:
    """
    Limits the total number of branches of each request.

    Max-Breadth limits only simultaneous branches. A request that returns with another
    Request-URI has another context here. All of its contexts share one budget;
    otherwise users that are each other's contacts would multiply the branches (RFC 5393
    §3).

    Args:
        most: the maximum number of branches of one request.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._budgets: dict[tuple[str, str, int], Budget] = {}

    def __len__(self) -> int:
        return len(self._budgets)

    def share(self, request: Request) -> Budget:
        """Return the budget of a request, for one more context of it."""
        key = (request.call_id, request.from_.tag, request.cseq.number)
        budget = self._budgets.get(key)
        if budget is None:
            budget = self._budgets[key] = Budget(key, self._most)
        budget.contexts += 1
        return budget

    def release(self, budget: Budget) -> None:
        """Note the end of a context; the last one removes the budget."""
        budget.contexts -= 1
        if not budget.contexts:
            self._budgets.pop(budget.key, None)


class Branch:
    """One copy of the request, to one target."""

    __slots__ = (
        "context", "destinations", "is_over", "response", "scheduled_at", "sent",
        "target", "timer_at", "transaction",
    )  # fmt: skip

    def __init__(self, context: Context, target: Target) -> None:
        self.context = context
        self.target = target
        self.destinations: list[Destination | Flow] = []
        "The destinations to try if the current one fails (RFC 3263 §4.3)."

        self.transaction: AnyClient | None = None
        self.sent: User | None = None
        "The user of :attr:`transaction`."

        self.response: Response | None = None
        self.is_over = False
        self.timer_at: float | None = None
        "Timer C of an INVITE (§16.8)."

        self.scheduled_at: float | None = None

    @property
    def route(self) -> tuple[str, ...]:
        """The route set: that of the target, then the remaining one of the request."""
        return (*self.target.route, *self.context.decision.route)

    def end(self, response: Response) -> None:
        """Set the final response, or a local one in its place."""
        self.is_over, self.response, self.timer_at = True, response, None

    def timer_due(self, now: float) -> None:
        # The proxy handles it.
        self.timer_at = None


class Context:
    """
    A forwarded request, its branches, and their responses.

    None of it is on disk: a call that is being set up does not survive a restart.
    """

    __slots__ = (
        "branches", "breadth", "budget", "came_by", "cancelled", "decision", "earlier",
        "groups", "is_advancing", "is_over", "on_failure", "on_reply", "request",
        "scheduled_at", "timer_at", "transaction", "withheld",
    )  # fmt: skip

    def __init__(
        self,
        transaction: AnyServer,
        request: Request,
        decision: Decision,
        *,
        came_by: Flow,
        breadth: int,
        on_reply: OnReply | None = None,
        on_failure: OnFailure | None = None,
    ) -> None:
        self.transaction = transaction
        self.request = request
        "The request to send; the transaction has it as received."

        self.decision = decision
        self.came_by = came_by
        "The flow of the request; responses may take another one, if Via requires it."

        self.breadth = breadth
        "The maximum number of simultaneous branches (RFC 5393 §5.3.3)."

        self.budget: Budget | None = None
        "The limit of the total number of branches."

        self.on_reply = on_reply
        self.on_failure = on_failure
        self.groups: list[list[Target]] = []
        "The remaining targets, in groups of equal q."

        self.branches: list[Branch] = []
        self.earlier: list[Response] = []
        "The best response of each earlier failure."

        self.withheld: list[Response] = []
        "Responses that the reply route suppressed."

        self.cancelled = False
        self.is_over = False
        "Whether a final response has been forwarded."

        self.is_advancing = False
        "Whether :meth:`Proxy._advance` is running for it."

        self.timer_at: float | None = None
        "When to answer 100 to a request other than INVITE (RFC 4320 §4.1)."

        self.scheduled_at: float | None = None

    def timer_due(self, now: float) -> None:
        self.timer_at = None

    def add(self, targets: Sequence[Target]) -> None:
        """Add ``targets``, to be tried after the current ones."""
        self.groups += by_preference(list(targets))

    @property
    def pending(self) -> list[Branch]:
        """The branches without a final response."""
        return [branch for branch in self.branches if not branch.is_over]

    @property
    def is_final(self) -> bool:
        """
        Whether no other target will be tried: it was accepted, or refused globally.
        """
        return self.cancelled or any(
            branch.response is not None
            and (branch.response.status < 300 or branch.response.status >= 600)
            for branch in self.branches
        )

    def again(self, targets: Sequence[Target]) -> None:
        """Try ``targets`` after all others have failed."""
        if self.branches:
            self.earlier.append(self.best())
        self.branches.clear()
        self.add(targets)

    def last(self, response: Response) -> Response:
        """Return ``response``, or a better one of an earlier failure."""
        return min([response, *self.earlier], key=_rank)

    def best(self) -> Response:
        """Return the response to forward when all have failed (§16.7 steps 6, 7)."""
        responses = [
            branch.response for branch in self.branches if branch.response is not None
        ]
        if not responses:
            return Response(487, "Request Terminated")  # cancelled before any was sent
        best = min(responses, key=_rank)
        if best.status == 503:
            # Upstream would apply a 503 to everything behind us (§16.7 step 6).
            return Response(500, "Server Internal Error")
        if best.status in (401, 407):
            _aggregate(best, responses)
        return best


def _rank(response: Response) -> tuple[Any, ...]:
    status = response.status
    return (
        status < 600,
        status // 100,
        status not in PREFERRED,
        status in (408, 503),  # no answer is the least informative
    )


def _aggregate(best: Response, responses: list[Response]) -> None:
    """Collect the challenges of all responses (§16.7 step 7)."""
    for name in CHALLENGES:
        values = [
            value
            for response in responses
            if response.status in (401, 407)
            for value in response.headers.get(name, ())
        ]
        if values:
            best.headers[name] = list(dict.fromkeys(values))
