"""Limits what is sent to addresses that are not validated (as RFC 9000 §8)."""

from __future__ import annotations

from collections.abc import Callable

from .event import AnyClient
from .flow import Address, Flow, uri_host
from .invite import CALLING, InviteClientTransaction, InviteServerTransaction
from .invite import TERMINATED as ENDED
from .message import Draft
from .transaction import (
    TERMINATED,
    TRYING,
    ClientTransaction,
    Datagram,
    ServerTransaction,
)
from .user import Nobody, User
from .validation import PERIOD, VALIDATED_FOR, AddressValidation

LONGEST_PROBE = 600
"""Octets of a request that may be sent beyond the credit of its address, at most."""

WAITING = 16
"""Datagrams that wait for one address, at most; the others are only retransmitted."""

WAITING_ADDRESSES = 10_000
"""Addresses for which datagrams wait, at most."""

COOKIE = 8
"""Octets of a branch before its random part: a little more than the magic cookie."""

Send = Callable[[Draft, Flow, User], AnyClient]

_FIRST = b"\r\nCSeq: 1 NOTIFY\r\n"

_MANDATORY = frozenset(
    {
        b"via", b"from", b"to", b"call-id", b"cseq", b"contact", b"record-route",
        b"expires", b"min-expires", b"sip-etag", b"www-authenticate",
        b"proxy-authenticate", b"require", b"unsupported", b"rseq",
    }
)  # fmt: skip
_MANDATORY_IN = {b"405": b"allow", b"415": b"accept", b"489": b"allow-events"}
"""A header field that only one status requires."""


class AmplificationLimit:
    """
    Decides for each datagram whether it is sent now.

    An address that is not validated (:class:`AddressValidation`) gets at most three
    times the octets that it has sent. A request that does not fit is treated as if it
    was lost: its transaction retransmits it. It is also sent when the address has been
    validated. What validates the address is a probe: the request itself if it is the
    first NOTIFY of its dialog, and short; otherwise an OPTIONS. A response that does
    not fit loses the header fields that it can do without, or waits like a request.

    Args:
        outbox: where datagrams are put that have waited.
        send: begins a client transaction, whose datagram is the last in ``outbox``.
        started: starts the timers of a transaction that was sent.
    """

    def __init__(
        self,
        outbox: list[Datagram],
        *,
        send: Send,
        started: Callable[[list[Datagram], float], None],
        new_id: Callable[[], str],
    ) -> None:
        self.validation = AddressValidation()
        self._outbox = outbox
        self._send = send
        self._started = started
        self._new_id = new_id
        self._waiting: dict[Address, list[Datagram]] = {}
        self._waiting_before: dict[Address, list[Datagram]] = {}
        self._period_ends = 0.0
        self.withheld = 0
        "The number of datagrams that were not sent at once, so far."

    def answered(self, flow: Flow, now: float) -> None:
        """Validate an address that has answered, and send what has waited for it."""
        self.validation.prove(flow, now + VALIDATED_FOR)
        if self._waiting or self._waiting_before:
            self.release(flow.remote)

    def release(self, remote: Address) -> None:
        """Send what has waited for ``remote``."""
        for waiting in (self._waiting_before, self._waiting):
            for datagram in waiting.pop(remote, ()):
                if _is_wanted(datagram):
                    # Its timers are running: this is like a retransmission.
                    self._outbox.append(Datagram(datagram.data, datagram.flow))

    def admitted(self, datagrams: list[Datagram], now: float) -> list[Datagram]:
        """Return the datagrams to send now, and probes; the others wait."""
        for index, datagram in enumerate(datagrams):
            if not self._admits(datagram, now):
                kept = datagrams[:index]
                self._limit(datagram, kept, now)
                for later in datagrams[index + 1 :]:
                    if self._admits(later, now):
                        kept.append(later)
                    else:
                        self._limit(later, kept, now)
                return kept
        return datagrams

    def _admits(self, datagram: Datagram, now: float) -> bool:
        """Whether a datagram can be sent as it is."""
        flow, validation = datagram.flow, self.validation
        remote = flow.remote
        if flow.local.transport.is_reliable or validation.is_known(remote, now):
            return True
        data = datagram.data
        if not validation.spend(remote, len(data), now):
            return False
        if not data.startswith(b"SIP/2.0 "):
            validation.note_request(remote, now)
        return True

    def _limit(self, datagram: Datagram, kept: list[Datagram], now: float) -> None:
        """Send what may be sent in place of a datagram, and let it wait."""
        data, flow = datagram.data, datagram.flow
        validation, remote = self.validation, flow.remote
        if data.startswith(b"SIP/2.0 "):
            short = mandatory(data)
            if len(short) < len(data) and validation.admit(remote, len(short), now):
                kept.append(Datagram(short, flow, datagram.transaction))
                return
        else:
            is_first = _FIRST in data
            is_short = len(data) <= LONGEST_PROBE
            if is_short and (is_first or data.startswith(b"OPTIONS ")):
                if validation.begin_probe(remote, len(data), now, is_first=is_first):
                    kept.append(datagram)
                    return
            probe = self._draft(flow)
            size = len(probe.write(flow.local.via(self._new_id()))) + COOKIE
            if validation.begin_probe(remote, size, now, is_first=is_first):
                self._send(probe, flow, Nobody())
                kept.append(self._outbox.pop())
                self._started(kept[-1:], now)
        self.withheld += 1
        if datagram.transaction is not None:
            self._wait(datagram, now)

    def _draft(self, flow: Flow) -> Draft:
        """Write an OPTIONS to the address of ``flow``."""
        host, port = flow.remote
        uri = f"sip:{uri_host(host)}:{port}"
        head = (
            f"Max-Forwards: 70\r\nFrom: <{flow.local.uri}>;tag={self._new_id()}\r\n"
            f"To: <{uri}>\r\nCall-ID: {self._new_id()}\r\nCSeq: 1 OPTIONS\r\n"
        )
        return Draft("OPTIONS", uri, head)

    def _wait(self, datagram: Datagram, now: float) -> None:
        if now >= self._period_ends:
            is_next = now < self._period_ends + PERIOD
            self._waiting_before = self._waiting if is_next else {}
            self._waiting = {}
            self._period_ends = now + PERIOD
        remote = datagram.flow.remote
        if remote not in self._waiting and len(self._waiting) >= WAITING_ADDRESSES:
            return
        waiting = self._waiting.setdefault(remote, [])
        if len(waiting) < WAITING:
            waiting.append(datagram)


def mandatory(response: bytes) -> bytes:
    """
    Return a response without the header fields that its receiver can do without.

    The body of a 2xx is kept: it may be the answer of an offer, for which a client
    waits.
    """
    head, _, body = response.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    code = status[8:11]
    if code.startswith(b"2") and body:
        return response
    needed = _MANDATORY_IN.get(code)
    kept = [status]
    for line in lines:
        name = line.partition(b":")[0].strip().lower()
        if name in _MANDATORY or name == needed:
            kept.append(line)
    return b"\r\n".join([*kept, b"Content-Length: 0", b"", b""])


def _is_wanted(datagram: Datagram) -> bool:
    """Whether the transaction of a datagram that has waited still needs it."""
    transaction = datagram.transaction
    if isinstance(transaction, ClientTransaction):
        return transaction.state is TRYING
    if isinstance(transaction, InviteClientTransaction):
        return transaction.state is CALLING
    if isinstance(transaction, ServerTransaction):
        return transaction.state is not TERMINATED
    # An INVITE has several responses: only the latest is still of use.
    return (
        isinstance(transaction, InviteServerTransaction)
        and transaction.latest is datagram.data
        and transaction.state is not ENDED
    )
