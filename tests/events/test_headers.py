"""Event and Subscription-State (RFC 6665 §8.2)."""

from __future__ import annotations

import pytest

from reginfo.events import headers
from reginfo.events.headers import (
    LONGEST_CACHED,
    EventHeader,
    SubscriptionState,
)
from reginfo.sip.errors import RemoteProtocolError

from ..make import request


@pytest.mark.parametrize(
    ("value", "event"),
    [
        ("reg", EventHeader("reg")),
        ("REG", EventHeader("REG")),  # 6665-90: another package
        ("reg;id=7", EventHeader("reg", "7")),
        ("reg ; max-rate=0.1 ; id=A", EventHeader("reg", "A")),
        ("reg;foo=bar", EventHeader("reg")),
        ("presence.winfo", EventHeader("presence.winfo")),
        ("", EventHeader("")),
    ],
)
def test_an_event_is_its_package_and_its_id(value: str, event: EventHeader) -> None:
    """An Event header is read as its package and its id (6665-90, 3680-02, 6665-31)."""
    assert EventHeader.parse(value) == event
    assert EventHeader.of(request("SUBSCRIBE", f"o: {value}")) == event


def test_a_message_may_have_no_event() -> None:
    assert EventHeader.of(request("SUBSCRIBE")) is None


@pytest.mark.parametrize(
    "lines",
    [["Event: reg", "Event: reg"], ["Event: reg, presence"], ["Event: reg;id=1;id=2"]],
)
def test_an_event_header_appears_once(lines: list[str]) -> None:
    """Two Event headers are refused (6665-01)."""
    with pytest.raises(RemoteProtocolError):
        EventHeader.of(request("SUBSCRIBE", *lines))


@pytest.mark.parametrize(
    ("value", "state"),
    [
        ("active", SubscriptionState("active")),
        ("Active;Expires=60", SubscriptionState("active", 60)),
        ("pending ; expires = 5 ; x", SubscriptionState("pending", 5)),
        ("active;expires=soon", SubscriptionState("active")),
        (
            "terminated;reason=Probation;retry-after=9",
            SubscriptionState("terminated", None, "probation", 9),
        ),
        ("terminated;reason", SubscriptionState("terminated")),
        ("else", SubscriptionState("else")),
    ],
)
def test_a_subscription_state_is_read(value: str, state: SubscriptionState) -> None:
    """A Subscription-State header is read with its parameters (6665-60, -65)."""
    message = request("NOTIFY", f"Subscription-State: {value}")
    assert SubscriptionState.of(message) == state


@pytest.mark.parametrize(
    "lines", [[], ["Subscription-State:"], ["Subscription-State: active;=1"]]
)
def test_a_notify_without_a_subscription_state_is_refused(lines: list[str]) -> None:
    """A NOTIFY without a Subscription-State is refused (6665-59)."""
    with pytest.raises(RemoteProtocolError) as caught:
        SubscriptionState.of(request("NOTIFY", *lines))
    assert caught.value.status == 400


def test_a_long_value_is_read_like_a_short_one_and_is_not_remembered() -> None:
    """Long values cost memory only while they are read (they come from anybody)."""
    for length in (LONGEST_CACHED, LONGEST_CACHED + 1):
        id = "x" * (length - len("reg;id="))
        headers._event.cache_clear()
        assert EventHeader.parse(f"reg;id={id}") == EventHeader("reg", id)
        kept = headers._event.cache_info().currsize
        assert kept == (1 if length == LONGEST_CACHED else 0)

        reason = "y" * (length - len("terminated;reason="))
        headers._state.cache_clear()
        notify = request("NOTIFY", f"Subscription-State: terminated;reason={reason}")
        assert SubscriptionState.of(notify).reason == reason
        kept = headers._state.cache_info().currsize
        assert kept == (1 if length == LONGEST_CACHED else 0)
