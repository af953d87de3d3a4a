"""Who handles what: each route once, with a handler that can be called."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.script.route import EVENTS, Route


def handler(msg: Any) -> None:
    """Handles nothing."""


def another(msg: Any) -> None:
    """Nor does this."""


def test_a_method_has_its_route_and_all_others_share_one() -> None:
    route = Route()
    assert route.handler_of("INVITE") is None
    assert route.request()(handler) is handler
    route.request("REGISTER", "INVITE | BYE")(another)
    assert route.handler_of("BYE") is another
    assert route.handler_of("REGISTER") is another
    assert route.handler_of("MESSAGE") is handler


def test_named_routes_are_kept_by_name() -> None:
    route = Route()
    route.reply("1")(handler)
    route.failure("1")(another)
    route.event("registered")(handler)
    assert (route.replies, route.failures) == ({"1": handler}, {"1": another})
    assert route.events == {"registered": handler}


def test_there_are_nine_events_of_a_contact_and_one_of_a_subscription() -> None:
    assert sorted(EVENTS) == [
        "created", "deactivated", "expired", "probation", "refreshed", "registered",
        "rejected", "shortened", "subscription", "unregistered",
    ]  # fmt: skip


def test_a_route_has_one_handler() -> None:
    route = Route()
    for add, kind in [
        (route.request(), "for all methods"),
        (route.request("BYE"), "for BYE"),
        (route.reply("1"), "reply route '1'"),
        (route.failure("1"), "failure route '1'"),
        (route.event("expired"), "for the event 'expired'"),
    ]:
        add(handler)
        with pytest.raises(ValueError, match=f"there is already a .*{kind}"):
            add(another)


def test_a_handler_takes_one_argument() -> None:
    def none() -> None: ...
    def two(a: int, b: int) -> None: ...
    def optional(a: int, b: int = 0) -> None: ...

    for wrong in (none, two):
        with pytest.raises(ValueError, match="does not take one argument"):
            Route().request()(wrong)
    assert Route().reply("1")(optional) is optional


@pytest.mark.parametrize("methods", ["", "A B", "INVITE|", "INVITE,BYE"])
def test_a_method_is_a_token(methods: str) -> None:
    with pytest.raises(ValueError, match="is not a method"):
        Route().request(methods)


def test_an_unknown_event_is_reported_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown event 'register'; there are: "):
        Route().event("register")


def test_a_named_route_needs_a_name() -> None:
    for name in ("", 1, None):
        with pytest.raises(ValueError, match="a name is needed"):
            Route().reply(name)  # type: ignore[arg-type]


def test_one_plain_function_knows_users() -> None:
    """8760-18"""
    route = Route()

    async def later(user: str) -> str | None:
        return None

    with pytest.raises(ValueError, match="cannot be a coroutine"):
        route.credentials(later)  # type: ignore[type-var]

    def at_once(user: str) -> str | None:
        return None

    assert route.credentials(at_once) is at_once is route.accounts
    with pytest.raises(ValueError, match="already"):
        route.credentials(at_once)
