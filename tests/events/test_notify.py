"""A subscription that we serve, to any event package."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.events.headers import EventHeader
from reginfo.events.notify import (
    ServedSubscription,
    SubscriptionPolicy,
    accepted,
    accepts,
    check,
    granted,
)
from reginfo.sip.dialog import Dialog
from reginfo.sip.errors import Refusal

from ..make import NOW, flow, received, request

TYPE = "application/reginfo+xml"


@pytest.mark.parametrize(
    ("lines", "accepted"),
    [
        (None, True),  # 3680-06
        (["application/reginfo+xml"], True),
        (["Application/REGINFO+xml;version=1"], True),
        (["text/plain, application/reginfo+xml"], True),
        (["text/plain", "application/reginfo+xml;q=0.1"], True),
        (["*/*"], True),
        (["application/*"], True),
        (["text/plain, */*;q=0.1"], True),
        (["application/*;q=0, */*"], False),
        (["application/reginfo+xml;q=0, */*"], False),
        (["application/reginfo+xml;q=0.0"], False),
        (["application/reginfo+xml, */*;q=0"], True),
        (["application/reginfo+xml;q=high"], True),
        (["application/reginfo+xml;q"], True),
        (["application/reginfo+xml;=;"], True),
        (["text/plain"], False),
        (["text/*"], False),
        (["application/pidf+xml"], False),
        ([""], False),
    ],
)
def test_a_type_is_accepted_as_the_most_specific_range_says(
    lines: list[str] | None, accepted: bool
) -> None:
    """
    The most specific range of Accept decides whether a type is accepted (3680-06, -08).
    """
    assert accepts(lines, TYPE) == accepted


def test_a_valid_subscribe_is_accepted() -> None:
    message = request("SUBSCRIBE", "Event: reg;id=3", f"Accept: {TYPE}")
    assert check(message, "reg", TYPE) == EventHeader("reg", "3")


@pytest.mark.parametrize(
    ("lines", "status", "says"),
    [
        (["Event: presence"], 489, ("Allow-Events", "reg")),  # 6665-02, -28
        ([], 489, ("Allow-Events", "reg")),
        (
            ["Event: reg", "Require: a, b", "Require: c"],
            420,
            ("Unsupported", "a, b, c"),
        ),
        (["Event: reg", "Accept: text/plain"], 406, ("Accept", TYPE)),  # 3680-08
    ],
)
def test_what_cannot_be_served_is_refused_with_what_could_be(
    lines: list[str], status: int, says: tuple[str, str]
) -> None:
    """A refusal lists what would have been accepted (6665-02, -28, 3680-08)."""
    with pytest.raises(Refusal) as caught:
        check(request("SUBSCRIBE", *lines), "reg", TYPE)
    assert (caught.value.status, list(caught.value.headers)) == (status, [says])


def test_two_events_are_a_bad_request() -> None:
    """A SUBSCRIBE with two Event headers is refused with 400 (6665-01)."""
    with pytest.raises(Refusal, match="400"):
        check(request("SUBSCRIBE", "Event: reg", "Event: reg"), "reg", TYPE)


@pytest.mark.parametrize(
    ("expires", "seconds"),
    [(None, 100), ("x", 100), ("0", 0), ("10", 10), ("200", 200), ("201", 200)],
)
def test_time_is_granted_as_asked_within_the_policy(
    expires: str | None, seconds: int
) -> None:
    """The time that is granted is what was asked for, within the policy (6665-04)."""
    policy = SubscriptionPolicy(min_expires=10, default_expires=100, max_expires=200)
    lines = [] if expires is None else [f"Expires: {expires}"]
    assert granted(request("SUBSCRIBE", *lines), policy) == seconds


def test_an_hour_is_never_too_short() -> None:
    """An hour is never refused as too short (6665-05)."""
    policy = SubscriptionPolicy(min_expires=7200)
    assert granted(request("SUBSCRIBE", "Expires: 3600"), policy) == 3600
    with pytest.raises(Refusal, match="423"):
        granted(request("SUBSCRIBE", "Expires: 3599"), policy)


@pytest.mark.parametrize("asked", [1, 59])
def test_too_short_a_time_is_refused_with_the_shortest(asked: int) -> None:
    """A 423 names the shortest time in Min-Expires (6665-05)."""
    with pytest.raises(Refusal) as caught:
        granted(
            request("SUBSCRIBE", f"Expires: {asked}"),
            SubscriptionPolicy(min_expires=60),
        )
    assert caught.value.status == 423
    assert list(caught.value.headers) == [("Min-Expires", "60")]


def subscription() -> ServedSubscription:
    message = request(
        "SUBSCRIBE", "Contact: <sip:w@192.0.2.50>", "Event: reg;id=7", uri="sip:a@x"
    )
    dialog = Dialog.uas(message, tag="t", contact="<sip:us>", flow=flow())
    return ServedSubscription(dialog=dialog, event="reg;id=7", expires_at=NOW + 60)


def test_a_notify_states_how_long_the_subscription_lasts() -> None:
    """A NOTIFY says how long the subscription still lasts (6665-13)."""
    notify = received(subscription().notify(TYPE, b"<x/>", NOW + 10.5))
    assert notify.headers["Subscription-State"] == ["active;expires=49"]
    assert notify.headers["Event"] == ["reg;id=7"]
    assert notify.headers["Content-Type"] == [TYPE]
    assert notify.body == b"<x/>"


@pytest.mark.parametrize("now", [12345.678, 1e6 + 0.1, 3.3])
def test_at_first_all_that_was_granted_is_left(now: float) -> None:
    one = subscription()
    one.expires_at = now + 600
    assert one.expires(now) == 600
    assert one.expires(now + 0.1) == 599
    assert one.expires(now + 700) == 0


def test_a_final_notify_says_why() -> None:
    """A final NOTIFY gives its reason (6665-14)."""
    one = subscription()
    one.reason = "timeout"
    notify = received(one.notify(TYPE, b"", NOW))
    assert notify.headers["Subscription-State"] == ["terminated;reason=timeout"]
    assert "Content-Type" not in notify.headers


@pytest.mark.parametrize("wrong", ["60", 60.0, None, True])
@pytest.mark.parametrize("field", ["min_expires", "default_expires", "max_expires"])
def test_a_policy_of_wrong_types_is_refused_where_it_is_made(
    field: str, wrong: Any
) -> None:
    with pytest.raises(TypeError, match=f"SubscriptionPolicy.{field}"):
        SubscriptionPolicy(**{field: wrong})


def test_a_policy_may_ask_for_no_least_time() -> None:
    assert SubscriptionPolicy(min_expires=0).min_expires == 0


def test_a_policy_has_no_negative_times() -> None:
    with pytest.raises(ValueError, match="min_expires: -1"):
        SubscriptionPolicy(min_expires=-1)


@pytest.mark.parametrize(("default", "given"), [(3761, 3761), (3600, 3600), (60, 60)])
def test_without_expires_the_default_of_the_policy_is_granted(
    default: int, given: int
) -> None:
    """3680-04: configurable; `pua_reginfo` has 3600."""
    policy = SubscriptionPolicy(default_expires=default)
    assert granted(request("SUBSCRIBE", "Event: reg"), policy) == given


@pytest.mark.parametrize("event", ["Event: REG", "Event: Reg;id=1", "X-Event: reg"])
def test_another_spelling_is_another_package(event: str) -> None:
    """6665-90: 489, and what we do serve."""
    with pytest.raises(Refusal) as caught:
        check(request("SUBSCRIBE", event), "reg", TYPE)
    assert caught.value.status == 489
    assert ("Allow-Events", "reg") in caught.value.headers


def served(expires_at: float, reason: str | None = None) -> ServedSubscription:
    subscribe = request("SUBSCRIBE", "Event: reg", "Contact: <sip:w@192.0.2.9>")
    dialog = Dialog.uas(
        subscribe, tag="t", contact="<sip:a@192.0.2.1>", flow=flow(("192.0.2.9", 5060))
    )
    return ServedSubscription(
        dialog=dialog, event="reg", expires_at=expires_at, reason=reason
    )


@pytest.mark.parametrize(
    ("left", "stated"),
    [
        (600.0, 600),
        (599.9999, 600),
        (599.9, 599),
        (1.5, 1),
        (0.5, 0),
        (0.0, 0),
        (-9, 0),
    ],
)
def test_a_notify_states_the_seconds_left_rounded_down(
    left: float, stated: int
) -> None:
    """Never more than was granted, and never less than nothing (6665-13)."""
    one = served(NOW + left)
    assert one.expires(NOW) == stated
    notify = received(one.notify(TYPE, b"", NOW))
    assert notify.header("Subscription-State") == f"active;expires={stated}"


def test_a_log_names_a_subscription_by_its_call_id_and_state() -> None:
    call_id = served(NOW).dialog.call_id
    assert repr(served(NOW)) == f"<ServedSubscription reg of {call_id}, active>"
    ended = repr(served(NOW, "timeout"))
    assert ended == f"<ServedSubscription reg of {call_id}, terminated (timeout)>"


@pytest.mark.parametrize("routes", [[], ["<sip:p1.example.com;lr>", "<sip:p2;lr>"]])
def test_a_200_says_how_long_and_where_and_copies_the_route(routes: list[str]) -> None:
    """RFC 3261 §12.1.1: Record-Route MUST be copied, in its order."""
    lines = [f"Record-Route: {route}" for route in routes]
    subscribe = request("SUBSCRIBE", "Event: reg", "Contact: <sip:w@192.0.2.9>", *lines)
    response = accepted(subscribe, served(NOW).dialog, "reg", 600)
    assert (response.status, response.reason) == (200, "OK")
    assert response.headers == {
        "Expires": ["600"],
        "Contact": ["<sip:a@192.0.2.1>"],
        "Allow-Events": ["reg"],
    } | ({"Record-Route": routes} if routes else {})
