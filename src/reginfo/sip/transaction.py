"""Non-INVITE transactions, client and server (RFC 3261 §17.1.2, §17.2.2)."""

from __future__ import annotations

import enum
from typing import Protocol

from .flow import Flow
from .message import Request, Response
from .user import User
from .value import Value

T1 = 0.5
T2 = 4.0
T4 = 5.0
"""Seconds (§17.1.1.1, table 4)."""

TIMER_F = 64 * T1
TIMER_J = 64 * T1
TIMER_K = T4
"""Seconds, on an unreliable transport; on a reliable one J and K are 0."""


class TransactionState(enum.Enum):
    """The states of both transactions (§17, figures 6 and 8)."""

    TRYING = enum.auto()
    PROCEEDING = enum.auto()
    COMPLETED = enum.auto()
    TERMINATED = enum.auto()


# The members are read for every message, and attribute access on an enum is slow.
TRYING, PROCEEDING = TransactionState.TRYING, TransactionState.PROCEEDING
COMPLETED, TERMINATED = TransactionState.COMPLETED, TransactionState.TERMINATED


class Transaction(Protocol):
    """What the sender of datagrams needs from any of the four kinds."""

    timer_at: float | None
    scheduled_at: float | None
    is_independent: bool

    def sent(self, now: float) -> None:
        """Receive the news that its datagram was sent."""

    def timer_due(self, now: float) -> None: ...


class Datagram(Value, frozen=True):
    """A datagram to send."""

    data: bytes
    flow: Flow

    transaction: Transaction | None = None
    "The transaction whose timers start when this is sent, not when it is written."


_ANSWERED = Request("", "")
"""Replaces a request that is no longer needed."""


class ServerTransaction:
    """
    One received non-INVITE request, and its responses.

    Three sources drive it, each by one method: the network
    (:meth:`receive_request`), the transaction user (:meth:`respond`) and the
    clock (:meth:`timer_due`). It puts datagrams into the outbox that it shares with its
    endpoint; when a response has been sent, :meth:`sent` starts Timer J.

    RFC 3261 §17.2.2, figure 8.
    """

    __slots__ = (
        "_common", "flow", "is_independent", "is_kept", "key", "latest", "merged",
        "outbox", "request", "response", "scheduled_at", "state", "timer_at", "to_tag",
        "via",
    )  # fmt: skip

    def __init__(
        self,
        request: Request,
        flow: Flow,
        outbox: list[Datagram],
        *,
        key: tuple[str, ...] = (),
        via: str = "",
        to_tag: str = "",
        common: str = "",
    ) -> None:
        self.request = request
        self.flow = flow
        "The flow of responses: to the source, or as Via requires (§18.2.2)."

        self.outbox = outbox
        self.key = key
        self.merged: tuple[str, ...] | None = None
        "A key that is equal for the same request on another path (§8.2.2.2)."

        self.via = via
        self.to_tag = to_tag
        self.response: Response | None = None
        self.is_independent = False
        "Whether the latest response depends on no change of ours: it need not wait."

        self.state = TRYING
        self.timer_at: float | None = None
        self.scheduled_at: float | None = None
        self.latest = b""
        "The latest response, for retransmission."

        self.is_kept = False
        "Whether the octets of the response are counted; see `Servers`."

        self._common = common

    @property
    def is_answered(self) -> bool:
        """Whether there is a final response, which may have been sent."""
        return self.state is COMPLETED or self.state is TERMINATED

    def receive_request(self) -> None:
        """Receive a retransmission of the request."""
        # In TRYING there is nothing to repeat yet, and the user already has
        # the request: the retransmission is discarded.
        # A response that was not sent yet waits for its commit, as it must.
        if self.state is PROCEEDING or self.is_independent or self.timer_at is not None:
            self.outbox.append(Datagram(self.latest, self.flow))

    def respond(self, response: Response) -> None:
        """Send ``response``; a second final one is discarded."""
        # §17.2.2: in COMPLETED, "any other final responses passed by the TU
        # [...] MUST be discarded". A slow handler may well produce one.
        if self.state is COMPLETED or self.state is TERMINATED:
            return
        # First, because what cannot be written has not answered the request.
        self.latest = self.request.write_response(
            response, to_tag=self.to_tag, via=self.via, common=self._common
        )
        self.response = response
        self.state = COMPLETED if response.status >= 200 else PROCEEDING
        self.outbox.append(Datagram(self.latest, self.flow, self))

    def forward(self, response: Response) -> None:
        """Forward a response from downstream unchanged."""
        # RFC 4320 §4.1: provisional responses are of no use to the client.
        if response.status < 200 or self.state is COMPLETED or self.state is TERMINATED:
            return
        self.latest = self.request.write_forwarded(response, via=self.via)
        self.response, self.is_independent = response, True
        self.state = COMPLETED
        self.outbox.append(Datagram(self.latest, self.flow, self))

    def replace(self, response: Response) -> None:
        """Send ``response`` instead of the previous one, which was never sent."""
        self.state = PROCEEDING
        self.respond(response)

    def sent(self, now: float) -> None:
        """Receive the news that the response was sent: Timer J starts."""
        if self.state is not COMPLETED or self.timer_at is not None:
            return
        if self.flow.local.transport.is_reliable:
            self.timer_at = now
        else:
            self.timer_at = now + TIMER_J
            # The transaction lives for half a minute; only the response is still
            # needed.
            self.request, self.response, self.via = _ANSWERED, None, ""

    def timer_due(self, now: float) -> None:
        """Handle Timer J: no more retransmissions can arrive."""
        self.state, self.timer_at = TERMINATED, None


class ClientTransaction:
    """
    One non-INVITE request that we send, and retransmit until it is answered.

    RFC 3261 §17.1.2, figure 6.
    """

    __slots__ = (
        "_data", "_deadline", "_interval", "_is_resent", "answered", "branch",
        "fallback", "flow", "forwarded", "is_independent", "method", "outbox",
        "scheduled_at", "state", "timer_at", "user",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        branch: str,
        data: bytes,
        flow: Flow,
        outbox: list[Datagram],
        user: User,
    ) -> None:
        self.method = method
        self.branch = branch
        self.flow = flow
        self.outbox = outbox
        self.user = user
        "Receives the response, or the failure."

        self.answered = False
        "Whether a final response has arrived."

        self.forwarded = False
        "Whether it was forwarded, and so has other Vias below ours."

        self.is_independent = False
        "Whether it depends on no change of ours: it need not wait for a commit."

        self.fallback: tuple[Flow, bytes] | None = None
        "The flow and the data to send if :attr:`flow` cannot be used."

        self.state = TRYING
        self.timer_at: float | None = None
        self.scheduled_at: float | None = None
        self._data = data
        self._is_resent = False
        self._interval = T1
        self._deadline = 0.0
        outbox.append(Datagram(data, flow, self))

    def sent(self, now: float) -> None:
        """Receive the news that the request was first sent: Timers E and F start."""
        if self.state is TRYING and self.timer_at is None:
            self._deadline = now + TIMER_F
            # On a reliable transport there is no Timer E.
            self.timer_at = self._deadline if self.flow.local.is_reliable else now + T1

    def receive_response(self, response: Response, now: float) -> bool:
        """Receive a response; return whether to report it to the user."""
        if self.state is COMPLETED or self.state is TERMINATED:
            return False
        if response.status < 200:
            self.state = PROCEEDING
            return True
        self.answered = True
        self._data = b""
        self.state = COMPLETED
        self.timer_at = now if self.flow.local.is_reliable else now + TIMER_K
        return True

    def send_again(self) -> bool:
        """
        Send the request once more on the same flow, whose connection was lost.

        Returns:
            False if a response has arrived, or if this was done before.
        """
        if self._is_resent or self.state is not TRYING:
            return False
        self._is_resent = True
        self.timer_at = None
        self.outbox.append(Datagram(self._data, self.flow, self))
        return True

    def fall_back(self) -> bool:
        """
        Send the same request on the fallback flow, if there is one (§18.1.1).

        This is not done after a response: then the request has arrived.
        """
        if self.fallback is None or self.state is not TRYING:
            return False
        self.flow, self._data = self.fallback
        self.fallback = self.timer_at = None
        self.outbox.append(Datagram(self._data, self.flow, self))
        return True

    def transport_failed(self) -> bool:
        """
        Note that the request cannot be sent (§17.1.4); return whether to report it.
        """
        if self.state is COMPLETED or self.state is TERMINATED:
            return False
        self.state, self.timer_at = TERMINATED, None
        return True

    def timer_due(self, now: float) -> None:
        """Handle Timer E (retransmit), Timer F (time out) or Timer K (end)."""
        if self.state is COMPLETED or now >= self._deadline:
            self.state, self.timer_at = TERMINATED, None
            return
        self.outbox.append(Datagram(self._data, self.flow))
        # §17.1.2.2: doubled up to T2 while TRYING, T2 itself while PROCEEDING.
        self._interval = T2 if self.state is PROCEEDING else min(2 * self._interval, T2)
        self.timer_at = min(now + self._interval, self._deadline)
