"""Event and Subscription-State (RFC 6665 §8.2)."""

from __future__ import annotations

from typing import NamedTuple

from ..sip.errors import RemoteProtocolError
from ..sip.headers import delta_seconds, parse_params
from ..sip.message import SipMessage


class EventHeader(NamedTuple):
    """Which event package, and which subscription to it (§8.2.1)."""

    package: str
    id: str | None = None
    "Tells apart several subscriptions in one dialog."

    @classmethod
    def of(cls, message: SipMessage) -> EventHeader | None:
        """
        The Event header of ``message``; None if it has none.

        Parameters but ``id`` do not count when subscriptions are matched.

        Raises:
            RemoteProtocolError: it has several, or one that cannot be read.
        """
        lines = message.headers.get("Event")
        if not lines:
            return None
        if len(lines) > 1 or "," in lines[0]:
            raise RemoteProtocolError("more than one Event")
        return cls.parse(lines[0])

    @classmethod
    def parse(cls, value: str) -> EventHeader:
        """
        Read the value of an Event header.

        Raises:
            RemoteProtocolError: it cannot be read.
        """
        package, semicolon, rest = value.partition(";")
        params = parse_params(semicolon + rest)
        return cls(package.strip(), params.get("id"))


class SubscriptionState(NamedTuple):
    """What a notifier says of a subscription (§8.2.3)."""

    state: str
    "`active`, `pending`, `terminated`, or an extension."

    expires: int | None = None
    "Seconds left, of one that goes on."

    reason: str | None = None
    retry_after: int | None = None
    "Why it has ended, and in how many seconds to try again."

    @classmethod
    def of(cls, message: SipMessage) -> SubscriptionState:
        """
        The Subscription-State header of a NOTIFY.

        Raises:
            RemoteProtocolError: there is none, or it cannot be read.
        """
        value = message.header("Subscription-State")
        if not value:
            raise RemoteProtocolError("Missing Subscription-State Header Field")
        state, semicolon, rest = value.partition(";")
        params = parse_params(semicolon + rest)
        reason = params.get("reason")
        return cls(
            state.strip().lower(),
            delta_seconds(params.get("expires")),
            reason.lower() if reason else None,
            delta_seconds(params.get("retry-after")),
        )
