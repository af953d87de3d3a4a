"""
What this package raises on purpose.

* ReginfoError
    * LocalProtocolError    we were about to break the protocol: a bug of ours
    * RemoteProtocolError   the peer broke it
    * Refusal               a well-formed request that we decline
"""

from __future__ import annotations

from collections.abc import Sequence


class ReginfoError(Exception):
    """Base class of the exceptions that this package raises on purpose."""


class LocalProtocolError(ReginfoError):
    """We were about to break the protocol; nothing was sent."""


class RemoteProtocolError(ReginfoError):
    """
    The peer broke the protocol.

    ``status`` is the response that it has earned, should it be owed one.
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Refusal(ReginfoError):
    """
    A well-formed request that we decline.

    Raised wherever the reason is found, and turned into a response in one
    place, :func:`reginfo.sip.responding.refused`.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason
        self.headers = tuple(headers)
