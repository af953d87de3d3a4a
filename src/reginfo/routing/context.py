"""The response context: what has become of a request that was sent on (§16.7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..sip.destination import Destination
from ..sip.event import AnyClient, AnyServer
from ..sip.flow import Flow
from ..sip.message import Request, Response
from ..sip.user import User
from .target import Target, by_preference

OnReply = Callable[[Response], bool]
"""Sees a response first, and may change its headers; whether it is passed on."""

OnFailure = Callable[[Response], bool]
"""
Is told the best response when all branches have failed; whether it takes over, and
says by :meth:`Proxy.conclude` or :meth:`Proxy.relay` what is to be done.
"""

CHALLENGES = ("WWW-Authenticate", "Proxy-Authenticate")

PREFERRED = (401, 407, 415, 420, 484)
"""Of its class, what tells the caller how to do better (§16.7 step 6)."""


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
        "Where else it can be sent, if where it was sent last fails (RFC 3263 §4.3)."

        self.transaction: AnyClient | None = None
        self.sent: User | None = None
        "The user of :attr:`transaction`."

        self.response: Response | None = None
        self.is_over = False
        self.timer_at: float | None = None
        "Timer C of an INVITE (§16.8)."

        self.scheduled_at: float | None = None

    def end(self, response: Response) -> None:
        """It has its final response, or what stands for it."""
        self.is_over, self.response, self.timer_at = True, response, None

    def timer_due(self, now: float) -> None:
        # What is done about it, the proxy decides.
        self.timer_at = None


class Context:
    """
    A request that was sent on, its branches, and what they came to.

    Nothing of it is on disk: a call that is being set up does not outlive the process.
    """

    __slots__ = (
        "branches", "breadth", "came_by", "cancelled", "earlier", "groups", "is_over",
        "on_failure", "on_reply", "request", "route", "scheduled_at", "timer_at",
        "transaction", "withheld",
    )  # fmt: skip

    def __init__(
        self,
        transaction: AnyServer,
        request: Request,
        route: tuple[str, ...],
        *,
        came_by: Flow,
        breadth: int,
        on_reply: OnReply | None = None,
        on_failure: OnFailure | None = None,
    ) -> None:
        self.transaction = transaction
        self.request = request
        "As it is to be sent on; the transaction has it as it came."

        self.route = route
        "The Route that is left of the request's own."

        self.came_by = came_by
        "Responses may go elsewhere, where Via says so."

        self.breadth = breadth
        "How many branches there may be at a time (RFC 5393 §5.3.3)."

        self.on_reply = on_reply
        self.on_failure = on_failure
        self.groups: list[list[Target]] = []
        self.branches: list[Branch] = []
        self.earlier: list[Response] = []
        "The best of each time that it failed, and was sent elsewhere."

        self.withheld: list[Response] = []
        "What is not to be passed back, by whoever looks at responses first."

        self.cancelled = False
        self.is_over = False
        "Whether a final response has been passed back."

        self.timer_at: float | None = None
        "When 100 is said of what is no INVITE (RFC 4320 §4.1)."

        self.scheduled_at: float | None = None

    def timer_due(self, now: float) -> None:
        self.timer_at = None

    def add(self, targets: Sequence[Target]) -> None:
        """Try ``targets`` after those that are tried now."""
        self.groups += by_preference(list(targets))

    @property
    def pending(self) -> list[Branch]:
        """Branches without a final response."""
        return [branch for branch in self.branches if not branch.is_over]

    @property
    def is_final(self) -> bool:
        """Whether no other target is to be tried: it was taken, or refused for good."""
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
        """``response``, or a better one from before it was sent elsewhere."""
        return min([response, *self.earlier], key=_rank)

    def best(self) -> Response:
        """The response to pass back when no branch is left (§16.7 steps 6 and 7)."""
        responses = [
            branch.response for branch in self.branches if branch.response is not None
        ]
        best = min(responses, key=_rank)
        if best.status == 503:
            # A 503 would keep its sender from all that is behind us.
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
        status in (408, 503),  # that nobody is there says the least
    )


def _aggregate(best: Response, responses: list[Response]) -> None:
    """§16.7 step 7: the challenges of all who want credentials."""
    for name in CHALLENGES:
        values = [
            value
            for response in responses
            if response.status in (401, 407)
            for value in response.headers.get(name, ())
        ]
        if values:
            best.headers[name] = list(dict.fromkeys(values))
