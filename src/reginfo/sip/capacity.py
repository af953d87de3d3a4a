"""How much a request may take of an endpoint."""

from __future__ import annotations

import sys
from collections.abc import Collection

from .errors import RemoteProtocolError
from .message import Request, request_uri
from .parser import Malformed


class Capacity:
    """
    The limits of requests; 0 for no limit.

    Args:
        header_field: octets of the value of one header field.
        head: octets of a request without its body.
        transactions: requests that wait for their response.
        answered_octets: octets of responses that are kept for retransmissions.
        emergency: numbers and URIs; a request for one of them always finds room.
    """

    __slots__ = (
        "answered_octets", "emergency", "head", "header_field", "smallest",
        "transactions",
    )  # fmt: skip

    def __init__(
        self,
        *,
        header_field: int = 0,
        head: int = 0,
        transactions: int = 0,
        answered_octets: int = 0,
        emergency: Collection[str] = (),
    ) -> None:
        self.header_field = header_field
        self.head = head
        self.transactions = transactions
        self.answered_octets = answered_octets
        self.emergency = frozenset(text.lower() for text in emergency)
        limits = [limit for limit in (header_field, head) if limit]
        self.smallest = min(limits) if limits else sys.maxsize
        "Requests up to this size need not be measured."

    def check(self, request: Request, data: bytes) -> None:
        """
        Check the size of a request.

        Raises:
            Malformed: 513 (§21.5.7).
        """
        if self.head and len(data) > self.head:
            end = data.find(b"\r\n\r\n")
            if (end if end >= 0 else len(data)) > self.head:
                raise self._refused(f"head of more than {self.head} octets", request)
        most = self.header_field
        if most:
            for name, values in request.headers.items():
                for value in values:
                    if len(value) * 4 > most and _octets(value) > most:
                        raise self._refused(
                            f"{name} of more than {most} octets", request
                        )

    def is_emergency(self, request: Request) -> bool:
        """Whether a request is for an emergency number (RFC 5031, RFC 3966)."""
        if not self.emergency:
            return False
        if request.uri.lower() in self.emergency:
            return True
        try:
            user = request_uri(request).user
        except RemoteProtocolError:
            return False
        return user.lower() in self.emergency

    def _refused(self, why: str, request: Request) -> Malformed:
        return Malformed(RemoteProtocolError(why, status=513), request)


def _octets(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))
