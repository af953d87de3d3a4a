"""The client transactions of the requests that we send (RFC 3261 §17.1)."""

from __future__ import annotations

import re
from collections.abc import Callable

from .errors import LocalProtocolError
from .event import AnyClient, EndpointEvent, RequestFailed, ResponseReceived
from .flow import Address, Flow, Local, place_of
from .headers import MAGIC_COOKIE, Via
from .invite import TERMINATED as INVITE_TERMINATED
from .invite import InviteClientTransaction, InviteState
from .message import Draft, Response
from .timer import TimerWheel
from .transaction import TERMINATED, ClientTransaction, Datagram
from .user import Nobody, User

LONGEST_DATAGRAM = 1300
"""
Requests longer than this, in octets, are sent by TCP if possible, because a fragmented
datagram may never arrive (§18.1.1; the MTU of the path is unknown).
"""

UDP_ONLY = 600.0
"""Seconds until TCP is tried again with a peer that refused a connection."""

CANCELLING = Nobody()
"""The user of a CANCEL, whose response is ignored."""

# The topmost Via of a request that we wrote.
_BRANCH = re.compile(rb"\r\nVia: [^\r\n;]*;branch=([^;,\r\n]+)")


class Clients:
    """
    All client transactions of an endpoint, by their branch.

    Args:
        new_id: makes a random token for branches, 64 bits or more.
        outbox, events, wheel: shared with the endpoint.
        answered: called with the flow of each response to a request of ours.
    """

    def __init__(
        self,
        *,
        new_id: Callable[[], str],
        outbox: list[Datagram],
        events: list[EndpointEvent],
        wheel: TimerWheel,
        answered: Callable[[Flow, float], None],
    ) -> None:
        self._new_id = new_id
        self._answered = answered
        self._outbox = outbox
        self._events = events
        self._wheel = wheel
        self._transactions: dict[str, AnyClient] = {}
        self._on_streams: dict[Flow, dict[AnyClient, None]] = {}
        "The transactions that use a stream, by its flow: it may be lost."

        self._streams: dict[Local, Local] = {}
        self._udp_only: dict[Address, float] = {}
        self._vias: dict[Local, str] = {}
        "The part of our Via before the branch, by local address."

        self._sent_by: set[str] = set()
        "Every sent-by that we have used in a Via."

    def __len__(self) -> int:
        return len(self._transactions)

    def send(
        self,
        draft: Draft,
        flow: Flow,
        user: User,
        branch: str | None = None,
        *,
        is_divisible: bool = False,
    ) -> AnyClient:
        """
        Begin a transaction; see :meth:`Endpoint.send_request`.

        Raises:
            LocalProtocolError: the branch is in use or invalid.
        """
        if branch is None:
            branch = MAGIC_COOKIE + self._new_id()
        elif not branch.startswith(MAGIC_COOKIE) or branch in self._transactions:
            raise LocalProtocolError(f"branch in use or invalid: {branch}")
        via = self._via(flow.local, branch)
        data = draft.write(via)
        fallback = None
        if len(data) > LONGEST_DATAGRAM:
            stream = self._streams.get(flow.local)
            if stream is not None and flow.remote not in self._udp_only:
                fallback = (flow, b"" if is_divisible else data)
                flow = Flow(stream, flow.remote)
                via = self._via(stream, branch)
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
        transaction.is_independent = transaction.forwarded
        transaction.fallback = fallback
        self._add(transaction)
        return transaction

    def is_datagram_only(self, flow: Flow) -> bool:
        """Whether even long requests on ``flow`` are sent in datagrams."""
        return not flow.local.is_reliable and (
            flow.local not in self._streams or flow.remote in self._udp_only
        )

    def use_streams(self, datagram: Local, stream: Local) -> None:
        """Send requests that are too long for ``datagram`` on ``stream`` instead."""
        self._streams[datagram] = stream

    def receive_response(self, response: Response, flow: Flow, now: float) -> None:
        """
        Pass a response to its transaction, or discard it.

        Args:
            flow: the flow that it came by. A response counts only from where its
                request went: the same address, or with a stream the same host.

        Raises:
            RemoteProtocolError: its Via or CSeq cannot be parsed.
        """
        via = response.via
        method = response.cseq.method
        branch = f"{via.branch} CANCEL" if method == "CANCEL" else via.branch
        transaction = self._transactions.get(branch)
        vias = response.headers["Via"]
        several = len(vias) > 1 or "," in vias[0]
        if transaction is None:
            return  # RFC 6026 §6: not forwarded either, unlike in RFC 3261
        # §17.1.3: the branch and the method must match.
        if method != transaction.method:
            return
        # §18.1.2: if sent-by is not ours, the response "MUST be discarded".
        if via.sent_by not in self._sent_by and not self._is_ours(via):
            return
        # §8.1.3.3: our own requests have one Via, forwarded requests have more.
        if several != transaction.forwarded:
            return
        went = transaction.flow
        if flow.remote != went.remote and not (
            flow.remote[0] == went.remote[0] and went.local.transport.is_reliable
        ):
            return
        self._answered(flow, now)
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

    def cancel(self, transaction: InviteClientTransaction, now: float) -> None:
        """Cancel an INVITE; see :meth:`Endpoint.cancel`."""
        if transaction.cancel(now):
            self._send_cancel(transaction)
            self._wheel.schedule(transaction)

    def forget(self, transaction: AnyClient) -> None:
        """Remove a request that was undone before it was sent."""
        self._remove(transaction)
        if type(transaction) is ClientTransaction:
            transaction.state = TERMINATED
            # The journal restores most users; others must be notified.
            transaction.user.never_sent()
        elif type(transaction) is InviteClientTransaction:
            transaction.state = INVITE_TERMINATED

    def not_sent(self, datagram: Datagram, cause: str, now: float) -> None:
        """Receive the news that ``datagram`` could not be sent (§18.4)."""
        transaction = datagram.transaction
        if type(transaction) is ClientTransaction or (
            type(transaction) is InviteClientTransaction
        ):
            # The transaction may have fallen back already, when its stream was lost.
            if transaction.flow == datagram.flow:
                if transaction.fallback is not None:
                    self._udp_only[transaction.flow.remote] = now + UDP_ONLY
                self._fail(transaction, cause)

    def flow_lost(self, flow: Flow) -> None:
        """
        Receive the news that a connection is closed: it brings no more responses.

        A request that was sent by TCP because of its length is sent once more on a new
        connection: the peer supports TCP (§18.1.1 falls back to UDP if it refuses a
        connection).
        """
        for transaction in list(self._on_streams.get(flow, ())):
            if not transaction.answered:
                if transaction.fallback is None or not transaction.send_again():
                    self._fail(transaction, "connection lost")

    def unreachable(self, quoted: bytes, flow: Flow, cause: str) -> None:
        """
        Receive an ICMP error for a datagram that we sent (§18.4).

        Args:
            quoted: the datagram, or its beginning, as quoted by the error. Without our
                branch in it the error is ignored, because anybody could forge it.
        """
        found = _BRANCH.search(quoted)
        if found is None or quoted.startswith((b"ACK ", b"SIP/2.0 ")):
            return
        branch = found[1].decode("ascii", "replace")
        if quoted.startswith(b"CANCEL "):
            branch = f"{branch} CANCEL"
        transaction = self._transactions.get(branch)
        if transaction is not None and transaction.flow == flow:
            self._fail(transaction, cause)

    def timer_due(self, now: float) -> None:
        """Forget which peers have no TCP, when it is time to try again."""
        if self._udp_only:
            self._udp_only = {a: t for a, t in self._udp_only.items() if t > now}

    def ended(self, transaction: AnyClient) -> None:
        """Remove a transaction whose last timer has fired."""
        self._remove(transaction)
        if not transaction.answered and transaction.user is not CANCELLING:
            self._events.append(RequestFailed(transaction, "timeout"))

    def _fail(self, transaction: AnyClient, cause: str) -> None:
        if transaction.answered:
            return
        if transaction.fallback is not None and not transaction.fallback[1]:
            transaction.fallback = None  # its user will send shorter requests
        stream = transaction.flow
        if transaction.fall_back():
            self._leave(stream, transaction)
            return
        if transaction.transport_failed():
            self._remove(transaction)
            if transaction.user is not CANCELLING:
                self._events.append(RequestFailed(transaction, cause))

    def _send_cancel(self, invite: InviteClientTransaction) -> None:
        self._add(
            ClientTransaction(
                "CANCEL",
                f"{invite.branch} CANCEL",
                invite.write_cancel(),
                invite.flow,
                self._outbox,
                CANCELLING,
            )
        )

    def _add(self, transaction: AnyClient) -> None:
        self._transactions[transaction.branch] = transaction
        flow = transaction.flow
        if flow.local.transport.is_reliable:
            others = self._on_streams.get(flow)
            if others is None:
                others = self._on_streams[flow] = {}
            others[transaction] = None

    def _remove(self, transaction: AnyClient) -> None:
        self._transactions.pop(transaction.branch, None)
        self._leave(transaction.flow, transaction)

    def _leave(self, flow: Flow, transaction: AnyClient) -> None:
        """Take a transaction from the list of a stream, if it is one."""
        if flow.local.transport.is_reliable:
            others = self._on_streams.get(flow)
            if others is not None:
                others.pop(transaction, None)
                if not others:
                    del self._on_streams[flow]

    def _via(self, local: Local, branch: str) -> str:
        start = self._vias.get(local)
        if start is None:
            start = self._vias[local] = local.via_start
            self._sent_by.add(local.sent_by)
        return f"{start}{branch};rport"

    def _is_ours(self, via: Via) -> bool:
        """Whether a sent-by is ours, in another spelling."""
        place = place_of(via.sent_by)
        return any(place == place_of(ours) for ours in self._sent_by)
