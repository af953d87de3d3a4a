"""Event and Subscription-State (RFC 6665 §8.2)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ..sip.errors import RemoteProtocolError
from ..sip.headers import delta_seconds, parse_params
from ..sip.message import SipMessage

CACHE, LONGEST_CACHED = 1024, 100
"""How many values are remembered, and how many characters of each."""


class EventHeader(NamedTuple):
    """Event: the event package, and which subscription to it (§8.2.1)."""

    package: str
    id: str | None = None
    "Distinguishes subscriptions that share a dialog."

    @classmethod
    def of(cls, message: SipMessage) -> EventHeader | None:
        """
        Read the Event header of ``message``; None if there is none.

        Parameters other than ``id`` play no role in matching.

        Raises:
            RemoteProtocolError: there are several, or it is malformed.
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
            RemoteProtocolError: it is malformed.
        """
        return _event(value) if len(value) <= LONGEST_CACHED else _read_event(value)


class SubscriptionState(NamedTuple):
    """Subscription-State: the state of a subscription at its notifier (§8.2.3)."""

    state: str
    "`active`, `pending`, `terminated`, or an extension."

    expires: int | None = None
    "Seconds left; None for one that has ended, or if not stated."

    reason: str | None = None
    retry_after: int | None = None
    "Why it has ended, and after how many seconds to try again."

    @classmethod
    def of(cls, message: SipMessage) -> SubscriptionState:
        """
        Read the Subscription-State header of a NOTIFY.

        Raises:
            RemoteProtocolError: it is missing or malformed.
        """
        value = message.header("Subscription-State")
        if not value:
            raise RemoteProtocolError("Missing Subscription-State Header Field")
        return _state(value) if len(value) <= LONGEST_CACHED else _read_state(value)


def _read_event(value: str) -> EventHeader:
    package, semicolon, rest = value.partition(";")
    params = parse_params(semicolon + rest)
    return EventHeader(package.strip(), params.get("id"))


def _read_state(value: str) -> SubscriptionState:
    state, semicolon, rest = value.partition(";")
    params = parse_params(semicolon + rest)
    reason = params.get("reason")
    return SubscriptionState(
        state.strip().lower(),
        delta_seconds(params.get("expires")),
        reason.lower() if reason else None,
        delta_seconds(params.get("retry-after")),
    )


# Peers write the same few values again and again.
_event = lru_cache(CACHE)(_read_event)
_state = lru_cache(CACHE)(_read_state)
