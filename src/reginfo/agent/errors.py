"""Errors of a client: the reasons why a request failed."""

from __future__ import annotations

from ..sip.errors import ReginfoError
from ..sip.message import Response

TELLING = (
    "Min-Expires", "Retry-After", "Allow-Events", "Allow", "Accept", "Unsupported",
    "Contact", "WWW-Authenticate", "Proxy-Authenticate", "Warning",
)  # fmt: skip
"""Headers in which a refusal says what would be accepted."""


class NoAnswer(ReginfoError):
    """No server was found, or it did not answer."""


class Unreachable(NoAnswer):
    """The server could not be reached; the message is what the transport said."""


def no_answer(method: str, cause: str) -> NoAnswer:
    """
    Make the error of a request that has failed.

    Args:
        cause: as for :meth:`reginfo.sip.user.User.receive_failure`.
    """
    if cause == "timeout":
        return NoAnswer(f"{method} got no answer (timeout)")
    return Unreachable(cause)


class RequestRefused(ReginfoError):
    """The server refused a request; the message is its response."""

    def __init__(self, response: Response) -> None:
        said = [
            f"{name}: {', '.join(response.headers[name])}"
            for name in TELLING
            if name in response.headers
        ]
        status = f"{response.status} {response.reason}".rstrip()
        super().__init__(f"{status} ({'; '.join(said)})" if said else status)
        self.status = response.status


class WatchEnded(ReginfoError):
    """The server has ended a subscription (RFC 6665 §4.1.3)."""

    def __init__(self, reason: str | None) -> None:
        super().__init__(
            f"the server has ended the subscription: {reason or 'it does not say why'}"
        )
        self.reason = reason
