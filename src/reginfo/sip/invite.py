"""INVITE transactions, client and server (RFC 3261 §17.1.1, §17.2.1, RFC 6026)."""

from __future__ import annotations

import enum

from .flow import Flow
from .message import CRLF, Draft, Request, Response
from .transaction import T1, T2, T4, Datagram
from .user import User

TIMER_B = 64 * T1
TIMER_D = 64 * T1
TIMER_H = 64 * T1
TIMER_I = T4
TIMER_L = 64 * T1
TIMER_M = 64 * T1
"""Seconds, on an unreliable transport; on a reliable one D and I are 0."""

CANCELLABLE = (
    "INVITE", "REGISTER", "SUBSCRIBE", "PUBLISH", "NOTIFY", "OPTIONS", "MESSAGE",
    "INFO", "UPDATE", "PRACK", "REFER", "BYE",
)  # fmt: skip
"""Methods whose transaction a CANCEL may match (§9.2): all that there are."""


class InviteState(enum.Enum):
    """The states of both transactions (RFC 6026 §7.1, §7.2, figures 3 and 5)."""

    CALLING = enum.auto()
    PROCEEDING = enum.auto()
    COMPLETED = enum.auto()
    CONFIRMED = enum.auto()
    ACCEPTED = enum.auto()
    TERMINATED = enum.auto()


CALLING, PROCEEDING, COMPLETED = (
    InviteState.CALLING,
    InviteState.PROCEEDING,
    InviteState.COMPLETED,
)
CONFIRMED, ACCEPTED, TERMINATED = (
    InviteState.CONFIRMED,
    InviteState.ACCEPTED,
    InviteState.TERMINATED,
)


class InviteServerTransaction:
    """
    One received INVITE, and its responses.

    It is driven like :class:`reginfo.sip.transaction.ServerTransaction`, and by
    :meth:`receive_ack`.

    RFC 3261 §17.2.1, with the state "Accepted" of RFC 6026 §7.1.
    """

    __slots__ = (
        "_common", "_deadline", "_interval", "flow", "key", "latest", "merged",
        "outbox", "is_independent", "request", "response", "scheduled_at", "state",
        "timer_at", "to_tag", "via",
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
        self.via = via
        self.to_tag = to_tag
        self.response: Response | None = None
        self.is_independent = False
        "Whether the latest response depends on no change of ours: it need not wait."

        self.state = PROCEEDING
        self.timer_at: float | None = None
        self.scheduled_at: float | None = None
        self.latest = b""
        self._common = common
        self._interval = T1
        self._deadline = 0.0

    @property
    def is_answered(self) -> bool:
        """Whether there is a final response, which may have been sent."""
        return self.state is not PROCEEDING

    def receive_request(self) -> None:
        """Receive a retransmission of the INVITE."""
        # A response that was not sent yet waits for its commit, as it must.
        if self.latest and (
            self.state is PROCEEDING
            or (
                self.state is COMPLETED
                and (self.is_independent or self.timer_at is not None)
            )
        ):
            self.outbox.append(Datagram(self.latest, self.flow))

    def receive_ack(self, now: float) -> bool:
        """
        Receive an ACK.

        Returns:
            Whether it was for a response other than 2xx; the ACK of a 2xx is for the
            UAS.
        """
        if self.state is COMPLETED:
            self.state = CONFIRMED
            self.timer_at = now if self.flow.local.is_reliable else now + TIMER_I
            return True
        return self.state is CONFIRMED

    def respond(self, response: Response) -> None:
        """Send a local response; one that is too late is discarded."""
        data = self.request.write_response(
            response,
            # §8.2.6.2: a tag in a 100 would indicate a dialog.
            to_tag="" if response.status == 100 else self.to_tag,
            via=self.via,
            common=self._common,
        )
        self._send(response, data, is_independent=False)

    def forward(self, response: Response) -> None:
        """Forward a response from downstream unchanged."""
        data = self.request.write_forwarded(response, via=self.via)
        self._send(response, data, is_independent=True)

    def replace(self, response: Response) -> None:
        """Send ``response`` instead of the previous one, which was never sent."""
        self.state, self.timer_at = PROCEEDING, None
        self.respond(response)

    def sent(self, now: float) -> None:
        """Receive the news that a response was sent: Timers G and H start, or L."""
        if self.timer_at is not None:
            return
        if self.state is COMPLETED:
            self._deadline = now + TIMER_H
            # On a reliable transport there is no Timer G.
            reliable = self.flow.local.is_reliable
            self.timer_at = self._deadline if reliable else now + self._interval
        elif self.state is ACCEPTED:
            self.timer_at = now + TIMER_L

    def timer_due(self, now: float) -> None:
        """Handle Timer G (retransmit), Timer H (time out), Timers I and L (end)."""
        if self.state is COMPLETED and now < self._deadline:
            self.outbox.append(Datagram(self.latest, self.flow))
            self._interval = min(2 * self._interval, T2)
            self.timer_at = min(now + self._interval, self._deadline)
            return
        self.state, self.timer_at = TERMINATED, None

    def _send(self, response: Response, data: bytes, *, is_independent: bool) -> None:
        status = response.status
        if self.state is ACCEPTED:
            if not 200 <= status < 300:
                return
        elif self.state is not PROCEEDING:
            return
        self.response = response
        self.is_independent = is_independent
        self.latest = data
        if status >= 300:
            self.state = COMPLETED
        elif status >= 200:
            self.state = ACCEPTED
        self.outbox.append(Datagram(data, self.flow, self))


class InviteClientTransaction:
    """
    One INVITE that we send or forward, and its responses.

    RFC 3261 §17.1.1, with the state "Accepted" of RFC 6026 §7.2.
    """

    __slots__ = (
        "_data", "_deadline", "_interval", "_is_resent", "_to", "answered", "branch",
        "cancels", "draft", "fallback", "flow", "forwarded", "is_independent", "method",
        "outbox", "scheduled_at", "state", "timer_at", "user", "via",
    )  # fmt: skip

    def __init__(
        self,
        branch: str,
        draft: Draft,
        via: str,
        data: bytes,
        flow: Flow,
        outbox: list[Datagram],
        user: User,
    ) -> None:
        self.method = "INVITE"
        self.branch = branch
        self.draft = draft
        self.via = via
        self.flow = flow
        self.outbox = outbox
        self.user = user
        "Receives the responses, or the failure."

        self.answered = False
        "Whether a final response has arrived."

        self.cancels = False
        "Whether a CANCEL was requested or sent."

        self.forwarded = False
        "Whether it was forwarded, and so has other Vias below ours."

        self.is_independent = False
        "Whether it depends on no change of ours: it need not wait for a commit."

        self.fallback: tuple[Flow, bytes] | None = None
        self.state = CALLING
        self.timer_at: float | None = None
        self.scheduled_at: float | None = None
        self._data = data
        self._is_resent = False
        self._to = ""
        self._interval = T1
        self._deadline = 0.0
        outbox.append(Datagram(data, flow, self))

    def sent(self, now: float) -> None:
        """Receive the news that the INVITE was first sent: Timers A and B start."""
        if self.state is CALLING and self.timer_at is None:
            self._deadline = now + TIMER_B
            self.timer_at = self._deadline if self.flow.local.is_reliable else now + T1

    def receive_response(self, response: Response, now: float) -> bool:
        """Receive a response; return whether to report it to the user."""
        status = response.status
        if self.state is COMPLETED:
            if status >= 300:
                self._acknowledge()  # the ACK was lost
            return False
        if self.state is TERMINATED:
            return False
        if self.state is ACCEPTED:
            return 200 <= status < 300
        if status < 200:
            if self.state is CALLING:
                # From here on, the user limits how long it may ring (Timer C).
                self.state, self.timer_at = PROCEEDING, None
                if self.cancels:
                    self.timer_at = now + TIMER_B
            return True
        self.answered = True
        if status < 300:
            self.state, self.timer_at = ACCEPTED, now + TIMER_M
            return True
        self.state = COMPLETED
        self._to = (response.headers.get("To") or [""])[0]
        self._acknowledge()
        self.timer_at = now if self.flow.local.is_reliable else now + TIMER_D
        return True

    def cancel(self, now: float) -> bool:
        """
        Request a CANCEL; return whether to send it now.

        §9.1: it is sent after the first provisional response, but not after a final
        one. If no final response arrives in time, the transaction ends nevertheless.
        """
        if self.cancels or self.state not in (CALLING, PROCEEDING):
            return False
        self.cancels = True
        if self.state is CALLING:
            return False
        self.timer_at = now + TIMER_B
        return True

    def write_cancel(self) -> bytes:
        """Write the CANCEL of this INVITE (§9.1)."""
        return self._in_its_wake("CANCEL", self._line("To"))

    def send_again(self) -> bool:
        """
        Send the request once more on the same flow, whose connection was lost.

        Returns:
            False if a response has arrived, or if this was done before.
        """
        if self._is_resent or self.state is not CALLING:
            return False
        self._is_resent = True
        self.timer_at = None
        self.outbox.append(Datagram(self._data, self.flow, self))
        return True

    def fall_back(self) -> bool:
        """Send the same INVITE on the fallback flow, if there is one (§18.1.1)."""
        if self.fallback is None or self.state is not CALLING:
            return False
        self.flow, self._data = self.fallback
        self.fallback = self.timer_at = None
        self.via = _via_of(self._data)
        self.outbox.append(Datagram(self._data, self.flow, self))
        return True

    def transport_failed(self) -> bool:
        """
        Note that the INVITE cannot be sent (§17.1.4); return whether to report it.
        """
        if self.state is not CALLING and self.state is not PROCEEDING:
            return False
        self.state, self.timer_at = TERMINATED, None
        return True

    def timer_due(self, now: float) -> None:
        """Handle Timer A (retransmit), Timer B (time out), Timers D and M (end)."""
        if self.state is CALLING and now < self._deadline:
            self.outbox.append(Datagram(self._data, self.flow))
            self._interval *= 2
            self.timer_at = min(now + self._interval, self._deadline)
            return
        self.state, self.timer_at = TERMINATED, None

    def _acknowledge(self) -> None:
        """Send the ACK of a response other than 2xx (§17.1.1.3)."""
        ack = self._in_its_wake("ACK", self._to or self._line("To"))
        self.outbox.append(Datagram(ack, self.flow))

    def _in_its_wake(self, method: str, to: str) -> bytes:
        """
        Write a request with the branch of the INVITE, and what it must copy from it.
        """
        number = self._line("CSeq").split()[0]
        route = [f"Route: {value}{CRLF}" for value in _values(self.draft.head, "Route")]
        head = (
            f"{''.join(route)}Max-Forwards: 70\r\n"
            f"From: {self._line('From')}\r\nTo: {to}\r\n"
            f"Call-ID: {self._line('Call-ID')}\r\nCSeq: {number} {method}\r\n"
        )
        return Draft(method, self.draft.uri, head).write(self.via)

    def _line(self, name: str) -> str:
        return _values(self.draft.head, name)[0]


def _values(head: str, name: str) -> list[str]:
    """Return the values of a header field in a message that we wrote."""
    start = f"{name}: "
    return [line[len(start) :] for line in head.split(CRLF) if line.startswith(start)]


def _via_of(data: bytes) -> str:
    line = data.split(b"\r\n", 2)[1]
    return line.decode("utf-8", "surrogateescape").removeprefix("Via: ")
