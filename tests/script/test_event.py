"""The argument of an event route."""

from __future__ import annotations

import asyncio

import pytest

from reginfo.location.place import TABLE
from reginfo.script.event import ContactChanged, SubscriptionChanged

from ..make import ALICE, binding, place
from .fake import Core

PHONE = "sip:alice@192.0.2.50"


def changed(core: Core, event: str = "registered", **others: object) -> ContactChanged:
    claim = binding(1, event, contact=str(others.pop("contact", PHONE)))
    return ContactChanged(core, place(ALICE), claim, bool(others.get("learned")))


@pytest.mark.parametrize("event", ["registered", "refreshed", "expired", "rejected"])
def test_the_name_of_an_event_is_that_of_its_route(event: str) -> None:
    assert changed(Core(), event).name == event


@pytest.mark.parametrize("learned", [True, False])
def test_an_event_shows_the_user_of_its_contact_and_the_source(learned: bool) -> None:
    shown = repr(changed(Core(), learned=learned))
    assert ALICE in shown and PHONE in shown
    assert ("learned" in shown) is learned


def test_a_dollar_in_a_contact_begins_no_variable() -> None:
    """What a phone has sent is data: `$rU` in it stands for nothing."""
    core = Core()
    core.keys[TABLE, ALICE, "sip:$rU@192.0.2.50"] = "kept"
    event = changed(core, contact="sip:$rU@192.0.2.50")
    assert event.contact == "sip:$rU@192.0.2.50"
    assert event.ul_get_key(TABLE, event.aor, event.contact) == "kept"


@pytest.mark.parametrize("body", ["Hello", b"\x00\x01"])
def test_a_request_to_the_contact_goes_to_its_binding(body: str | bytes) -> None:
    core = Core()
    event = changed(core)
    response = asyncio.run(
        _awaited(event.send_to_contact("MESSAGE", headers=[("X", "1")], body=body))
    )
    assert response == 200
    ((name, method, to, claim, headers, sent, from_),) = core.asked
    assert (name, method, to) == ("send_request", "MESSAGE", ALICE)
    assert claim is event.binding
    assert (headers, sent, from_) == ([("X", "1")], body, None)


async def _awaited(response: object) -> int:
    return (await response).status  # type: ignore[misc,no-any-return]


def test_a_change_of_a_subscription_has_its_outcome_and_reason() -> None:
    event = SubscriptionChanged(Core(), ALICE, "terminated", "noresource")
    assert (event.name, event.uri) == ("subscription", ALICE)
    assert (event.state, event.reason) == ("terminated", "noresource")
    assert repr(event) == "<SubscriptionChanged subscription>"


def test_the_functions_of_an_event_ask_the_server() -> None:
    core = Core()
    changed(core).reginfo_update(ALICE)
    assert core.asked == [("update", ALICE)]
