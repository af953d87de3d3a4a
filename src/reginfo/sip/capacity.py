"""How much a request may take of an endpoint."""

from __future__ import annotations

import sys

from .errors import RemoteProtocolError
from .message import Request
from .parser import Malformed


class Capacity:
    """
    The limits of requests; 0 for no limit.

    Args:
        header_field: octets of the value of one header field.
        head: octets of a request without its body.
    """

    __slots__ = ("head", "header_field", "smallest")

    def __init__(self, *, header_field: int = 0, head: int = 0) -> None:
        self.header_field = header_field
        self.head = head
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

    def _refused(self, why: str, request: Request) -> Malformed:
        return Malformed(RemoteProtocolError(why, status=513), request)


def _octets(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))
