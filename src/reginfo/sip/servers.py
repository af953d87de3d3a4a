"""The server transactions of the requests that we receive (RFC 3261 §17.2)."""

from __future__ import annotations

from collections import deque

from .capacity import Capacity
from .errors import RemoteProtocolError
from .event import AnyServer
from .headers import MAGIC_COOKIE
from .invite import CANCELLABLE
from .message import Request
from .parser import Malformed
from .responding import check
from .transaction import COMPLETED, ServerTransaction

Key = tuple[str, ...]
"""What a request shares with its retransmissions; the last element is the method."""


def key_of(request: Request) -> Key:
    """
    Return the key by which ``request`` matches a transaction (§17.2.3).

    Raises:
        Malformed: the topmost Via, or with RFC 2543 another field of the key, is
            missing or cannot be parsed.
    """
    try:
        via = request.via
    except RemoteProtocolError as exc:
        raise Malformed(exc, request) from exc
    branch = via.branch
    # With an empty branch after the cookie, all requests of a host would be equal.
    if branch.startswith(MAGIC_COOKIE) and branch != MAGIC_COOKIE:
        return (branch, via.sent_by, request.method)
    # RFC 2543: the fields that a retransmission shares with its request (ibid.).
    check(request)
    return (
        request.uri, request.to.tag, request.from_.tag, request.call_id,
        str(request.cseq.number), request.headers["Via"][0], request.method,
    )  # fmt: skip


class Servers:
    """
    All server transactions of an endpoint, by their key.

    Args:
        capacity: how many may wait for their response, and how much may be kept of
            those that have one; by default any number.
    """

    def __init__(self, capacity: Capacity | None = None) -> None:
        self._capacity = Capacity() if capacity is None else capacity
        self._transactions: dict[Key, AnyServer] = {}
        self._merged: dict[Key, AnyServer] = {}
        # Answered ones, in the order in which their Timer J ends.
        self._answered: deque[ServerTransaction] = deque()

        self.kept = 0
        "The octets of responses that are kept for retransmissions."

        self.forgotten_early = 0
        "The number of answered requests that were forgotten, to keep others."

        self.refused = 0
        "The number of requests that were refused, because too many were waiting."

    def __len__(self) -> int:
        """Count the transactions."""
        return len(self._transactions)

    def get(self, key: Key) -> AnyServer | None:
        """Return the transaction that a request with ``key`` matches."""
        return self._transactions.get(key)

    def of_ack(self, key: Key) -> AnyServer | None:
        """Return the INVITE transaction that the ACK with ``key`` matches."""
        found = self._transactions.get((*key[:-1], "INVITE"))
        if found is None and len(key) > 3:
            # RFC 2543: the INVITE lacked the To tag that its response added.
            found = self._transactions.get((key[0], "", *key[2:-1], "INVITE"))
        return found

    def of_cancel(self, key: Key) -> AnyServer | None:
        """Return the transaction that the CANCEL with ``key`` matches (§9.2)."""
        for method in CANCELLABLE:
            found = self._transactions.get((*key[:-1], method))
            if found is not None:
                return found
        return None

    @property
    def waiting(self) -> int:
        """The number of requests without a response."""
        return len(self._transactions) - len(self._answered)

    def add(self, transaction: AnyServer) -> bool:
        """
        Add a transaction.

        Returns:
            False if too many requests wait for their response; never for an emergency
            call.
        """
        most = self._capacity.transactions
        if 0 < most <= len(self._transactions) - len(self._answered):
            if not self._capacity.is_emergency(transaction.request):
                self.refused += 1
                self.forget(transaction)
                return False
        self._transactions[transaction.key] = transaction
        return True

    def sent(self, transaction: ServerTransaction) -> None:
        """
        Note that a response was sent, and forget the oldest if too much is kept.

        On a reliable transport no request is repeated, and nothing is kept.
        """
        if transaction.is_kept or transaction.state is not COMPLETED:
            return
        if transaction.flow.local.transport.is_reliable:
            return
        transaction.is_kept = True
        self.kept += len(transaction.latest)
        self._answered.append(transaction)
        most = self._capacity.answered_octets
        while self.kept > most > 0 and len(self._answered) > 1:
            oldest = self._answered.popleft()
            if oldest.is_kept:
                self.forgotten_early += 1
                self.forget(oldest)

    def claim(self, transaction: AnyServer) -> bool:
        """
        Note the identity of a request without a To tag, which it may have once.

        Returns:
            False if the same request is being processed that arrived on another path
            (§8.2.2.2).
        """
        merged = _merged_key(transaction.request)
        if merged in self._merged:
            return False
        self._merged[merged] = transaction
        transaction.merged = merged
        return True

    def is_merged(self, transaction: AnyServer) -> bool:
        """
        Whether the same request is being processed that arrived on another path
        (§8.2.2.2).
        """
        if transaction.merged is not None or not transaction.to_tag:
            return False
        return _merged_key(transaction.request) in self._merged

    def forget(self, transaction: AnyServer) -> None:
        """Forget a transaction; one that was forgotten before is ignored."""
        # After it was abandoned, a retransmission made another one with its keys.
        if self._transactions.get(transaction.key) is transaction:
            del self._transactions[transaction.key]
        if type(transaction) is ServerTransaction and transaction.is_kept:
            transaction.is_kept = False
            self.kept -= len(transaction.latest)
            while self._answered and not self._answered[0].is_kept:
                self._answered.popleft()
        merged = transaction.merged
        if merged is not None and self._merged.get(merged) is transaction:
            del self._merged[merged]


def _merged_key(request: Request) -> Key:
    return (request.from_.tag, request.call_id, request.headers["CSeq"][0])
