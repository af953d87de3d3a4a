"""What a script is told of: what has happened to contacts, and to its subscriptions."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reginfo.reg.document import ContactEvent
from reginfo.roles import administrator
from reginfo.script.load import NAME
from reginfo.testing import EPOCH, Script

from ..make import place
from .scripted import (
    BOB,
    BOBS_PHONE,
    CONFIG,
    PEER,
    WATCHES_BOB,
    NewScript,
    Notifier,
    contact,
    document,
    written,
)

TELLS = "\n".join(
    f"""
    @route.event("{event.value}")
    def {event.value}(event: object) -> None:
        seen.append((event.name, event.aor, event.contact, event.learned, event.table))
        committed.append(list(batches))
    """
    for event in ContactEvent
)
HEAD = """
    seen, committed, batches = [], [], []

    @route.request("INFO")
    def info(msg: Message) -> None:
        why = msg.hdr("X-Why")
        after = 60 if why == "probation" else None
        msg.unregister("location", "$ru", event=why, retry_after=after)
        if msg.hdr("X-Fail"):
            raise ValueError("after that")
        msg.send_reply(200, "OK")
"""
SUBSCRIBES = """
    seen = []

    @route.request("MESSAGE")
    def message(msg: Message) -> None:
        msg.reginfo_subscribe("$ru", int(msg.hdr("Expires")))
        msg.send_reply(202, "Accepted")

    @route.event("subscription")
    def subscription(event: object) -> None:
        seen.append((event.uri, event.state, event.reason))
"""


@pytest.fixture
def new(tmp_path: Path) -> NewScript:
    """Makes a server with a script of this text."""

    def make(text: str, config: str = CONFIG, **others: Any) -> Script:
        return Script(written(tmp_path / "routes.py", text), config, **others)

    return make


def module() -> Any:
    """The script that was loaded last: its own variables."""
    return sys.modules[NAME]


def seen() -> list[tuple[Any, ...]]:
    """What its handlers have been told since this was last asked."""
    told = list(module().seen)
    module().seen.clear()
    return told


# The nine events of a contact.


def register(script: Script, expires: int = 600) -> None:
    assert script.register(BOB, BOBS_PHONE, expires=expires) == 200


def remove(event: ContactEvent) -> Callable[[Script], object]:
    return lambda script: script.send("INFO", BOB, f"X-Why: {event.value}")


def administered(act: administrator.Act, script: Script) -> None:
    store, now = script.server.app.store, script.wire.now
    store.apply(place(BOB), act.claims, now, records=act.records)
    script.pass_time(0)
    script.send("OPTIONS", "sip:example.com")  # a turn, in which it is committed


def create(script: Script) -> None:
    store = script.server.app.store
    now = script.wire.now
    act = administrator.create(
        store.contacts(place(BOB), now, EPOCH),
        BOBS_PHONE,
        expires=600,
        server_id="test",
        call_id="created",
    )
    administered(act, script)


def shorten(script: Script) -> None:
    store = script.server.app.store
    now = script.wire.now
    act = administrator.shorten(
        store.contacts(place(BOB), now, EPOCH + now), expires=30, server_id="test"
    )
    administered(act, script)


HAPPENS: dict[str, Callable[[Script], object]] = {
    "registered": register,
    "created": create,
    "refreshed": register,
    "shortened": shorten,
    "expired": lambda script: script.pass_time(601),
    "unregistered": lambda script: register(script, 0),
    "deactivated": remove(ContactEvent.DEACTIVATED),
    "probation": remove(ContactEvent.PROBATION),
    "rejected": remove(ContactEvent.REJECTED),
}


def test_each_event_is_looked_at() -> None:
    assert set(HAPPENS) == {event.value for event in ContactEvent}


@pytest.mark.parametrize("event", HAPPENS)
def test_what_happens_here_is_told_as_our_own(new: NewScript, event: str) -> None:
    """RFC 3680 §4.7.1: the nine events, of contacts that are registered here."""
    script = new(HEAD + TELLS)
    if event not in ("registered", "created"):
        register(script)
    seen()
    HAPPENS[event](script)
    assert seen() == [(event, BOB, BOBS_PHONE, False, "location")]


@pytest.mark.parametrize("event", HAPPENS)
def test_what_a_peer_tells_is_told_as_learned(new: NewScript, event: str) -> None:
    script = new(HEAD + TELLS, CONFIG + WATCHES_BOB)
    peer = Notifier(script)
    one = contact(event=event)
    version = 0
    if event not in ("registered", "created"):
        peer.notify(document(contact()))
        version = 1
        seen()
        if one.event.state == "active":
            one = contact(event=event, cseq=2)
    peer.notify(document(one, version=version))
    assert seen() == [(event, BOB, BOBS_PHONE, True, "location")]


def test_of_a_contact_that_moves_here_it_is_told_as_our_own(new: NewScript) -> None:
    """Whose it is goes by where it was registered last."""
    script = new(HEAD + TELLS, CONFIG + WATCHES_BOB)
    Notifier(script).notify(document(contact()))
    register(script)
    assert [(name, learned) for name, _, _, learned, _ in seen()] == [
        ("registered", True),
        ("refreshed", False),
    ]


def test_what_has_not_changed_is_not_told(new: NewScript) -> None:
    script = new(HEAD + TELLS, CONFIG + WATCHES_BOB)
    peer = Notifier(script)
    peer.notify(document(contact()))
    seen()
    peer.notify(document(contact(), version=1))
    assert seen() == []


class Disk:
    """Notes what has been committed in the script's own variable."""

    def append(self, entries: list[Any], **clocks: float) -> None:
        module().batches.append(len(entries))


def test_it_is_told_once_it_is_on_disk(new: NewScript) -> None:
    script = new(HEAD + TELLS)
    disk: Any = Disk()
    script.server.storage = disk
    script.server.turns._committer = script.server
    register(script)
    assert module().committed == [[1]]


def test_what_was_taken_back_is_not_told(new: NewScript) -> None:
    script = new(HEAD + TELLS)
    register(script)
    seen()
    response = script.send("INFO", BOB, "X-Why: rejected", "X-Fail: 1")
    assert response is not None and response.status == 500
    assert seen() == []
    assert [one.contact for one in script.bindings(BOB)] == [BOBS_PHONE]


def test_of_another_table_it_says_which(new: NewScript) -> None:
    saves = """
    @route.request("REGISTER")
    def register(msg: Message) -> None:
        msg.save("location2")
    """
    script = new(HEAD + TELLS + saves)
    register(script)
    assert seen() == [("registered", BOB, BOBS_PHONE, False, "location2")]


# What a handler of an event can do.


def test_it_has_the_functions_that_need_no_request(new: NewScript) -> None:
    script = new(
        """
        seen = []

        @route.event("registered")
        def registered(event: object) -> None:
            event.var["x"] = "kept"
            seen.append((
                event.ul_add_key(event.table, event.aor, "k", "$var(x)"),
                event.ul_get_key("location", event.aor, "k"),
                event.reginfo_update(event.aor),
                event.reginfo_subscribe("sip:carol@192.0.2.2"),
                [one.contact for one in event.bindings(event.aor)],
                event.binding.call_id,
            ))
            event.unregister(event.table, event.aor, event.contact, "rejected")
        """
    )
    register(script)
    assert seen() == [(1, "kept", 1, 1, [BOBS_PHONE], "call-1")]
    assert script.bindings(BOB) == []
    script.pass_time(0)
    asked = [one.uri for one in script.sent() if one.method == "SUBSCRIBE"]
    assert asked == ["sip:carol@192.0.2.2"]


def test_it_has_no_message(new: NewScript, caplog: pytest.LogCaptureFixture) -> None:
    script = new(
        """
        @route.event("registered")
        def registered(event: object) -> None:
            event.reginfo_update("$ru")
        """
    )
    register(script)
    told = "routes.py:8: event registered: ValueError: $ru needs a message, and an"
    assert told in caplog.text
    assert len(script.bindings(BOB)) == 1


def test_it_may_wait_while_others_continue(new: NewScript) -> None:
    text = """
    import asyncio
    seen, gate = [], asyncio.Event()

    @route.event("registered")
    async def registered(event: object) -> None:
        await gate.wait()
        seen.append(event.name)
        exit()
        seen.append("never")
    """

    async def main() -> None:
        script = new(text)
        register(script)
        register(script)
        assert seen() == []
        module().gate.set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert module().seen == ["registered"]

    asyncio.run(main())


# A subscription.


def subscribe(script: Script, uri: str, expires: int = 3600) -> None:
    response = script.send("MESSAGE", uri, f"Expires: {expires}")
    assert response is not None and response.status == 202
    script.pass_time(0)


CAROL = "sip:carol@192.0.2.2"


def test_what_becomes_of_a_subscription_is_told(new: NewScript) -> None:
    """The contract: `@route.event("subscription")` reports what became of it."""
    script = new(SUBSCRIBES)
    subscribe(script, CAROL)
    peer = Notifier(script)
    assert seen() == []
    peer.notify()
    peer.notify()
    assert seen() == [(CAROL, "active", "")]
    peer.notify(state="terminated;reason=timeout")
    assert seen() == [(CAROL, "terminated", "timeout")]
    script.pass_time(20)
    again = [one for one in script.sent() if one.method == "SUBSCRIBE"][-1]
    assert again.to == PEER
    script.answer(again, 403, "Forbidden")
    assert seen() == [(CAROL, "refused", "403 Forbidden")]
    subscribe(script, CAROL, 0)
    assert seen() == [(CAROL, "ended", "")]


@pytest.mark.parametrize(
    ("uri", "why"),
    [("sip:x@nowhere.example", "nowhere.example: no such host"), (CAROL, "timeout")],
)
def test_one_that_cannot_be_reached_has_failed(
    new: NewScript, uri: str, why: str
) -> None:
    script = new(SUBSCRIBES)
    subscribe(script, uri)
    script.pass_time(33)
    assert seen()[0] == (uri, "failed", why)


def test_one_of_the_configuration_is_not_told(new: NewScript) -> None:
    script = new(SUBSCRIBES, CONFIG + WATCHES_BOB)
    Notifier(script).notify(document(contact()))
    assert seen() == []
    assert len(script.bindings(BOB)) == 1
