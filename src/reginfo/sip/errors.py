"""
The exceptions of this package.

* ReginfoError
    * LocalProtocolError    we were about to break the protocol, which is a bug
    * RemoteProtocolError   the peer broke the protocol
    * Refusal               a well-formed request is declined
"""

from __future__ import annotations

from collections.abc import Sequence


class ReginfoError(Exception):
    """Base class of the exceptions of this package."""


class LocalProtocolError(ReginfoError):
    """We were about to break the protocol; nothing was sent."""


class RemoteProtocolError(ReginfoError):
    """
    The peer broke the protocol.

    ``status`` is that of the response, if there is one.
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Refusal(ReginfoError):
    """
    A well-formed request is declined.

    Raised where the reason is found; :func:`reginfo.sip.responding.refused` turns it
    into a response.
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
