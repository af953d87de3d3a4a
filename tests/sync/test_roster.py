"""The documents of a group: who is in them, identities included."""

from __future__ import annotations

import random

import pytest

from reginfo.testing.links import EPOCH

from ..make import place
from .rfc3680 import Rfc3680Watcher
from .test_group_notifier import ALICE, BOB, World, uris

PLAIN = "[notifier]\nmin_interval = 0.0\n"
IDENTITIES = f'ul_identities_key = "ims"\n{PLAIN}'
WORK, TEL, ELSEWHERE = "sip:work@example.com", "tel:+15551", "sip:a@example.org"


def set_identities(world: World, *aors: str) -> None:
    named = ",".join(f"<{aor}>" for aor in aors)
    store, now = world.server.app.store, world.server.app.now()
    store.set_key(place(ALICE), "ims", named, now, now + EPOCH)
    world.server.settle()


def test_a_user_is_listed_under_all_its_identities_in_the_group() -> None:
    """As a subscription to the user itself has it (RFC 3680 §4.7)."""
    world = World(extra=IDENTITIES)
    world.register(ALICE, "sip:a@192.0.2.21")
    set_identities(world, ALICE, WORK, TEL, ELSEWHERE)
    watcher = world.watcher()
    watcher.subscribe()
    assert set(watcher.table) == {ALICE, WORK, TEL}
    assert watcher.table[WORK] == {"sip:a@192.0.2.21": "created"}


def test_an_identity_that_comes_and_goes_is_told() -> None:
    world = World(extra=IDENTITIES)
    world.register(ALICE, "sip:a@192.0.2.21")
    watcher = world.watcher()
    watcher.subscribe()
    set_identities(world, ALICE, WORK)
    watcher.receive(1)
    assert set(watcher.table) == {ALICE, WORK}
    set_identities(world, ALICE)
    watcher.receive(1)
    assert set(watcher.table) == {ALICE}
    [contact] = watcher.documents[-1].iter("{*}contact")
    assert contact.get("event") == "deactivated"


def test_an_identity_that_registers_itself_hides_what_it_had_of_another() -> None:
    world = World(extra=IDENTITIES)
    world.register(ALICE, "sip:a@192.0.2.21")
    set_identities(world, ALICE, BOB)
    watcher = world.watcher()
    watcher.subscribe()
    assert watcher.table[BOB] == {"sip:a@192.0.2.21": "created"}
    world.register(BOB, "sip:b@192.0.2.23")
    watcher.receive(1)
    assert list(watcher.table[BOB]) == ["sip:b@192.0.2.23"]
    world.register(BOB, "sip:b@192.0.2.23", 0)
    watcher.receive(1)
    assert list(watcher.table[BOB]) == ["sip:a@192.0.2.21"]


def test_a_watcher_that_no_stream_reaches_is_refused_what_is_too_long() -> None:
    """It is told how to get it."""
    world = World(extra=PLAIN, is_udp_only=True)
    for n in range(400):
        world.register(f"sip:u{n}@example.com", f"sip:u{n}@192.0.2.30")
    watcher = world.watcher()
    assert watcher.subscribe() == 403
    for n in range(300):
        world.register(f"sip:u{n}@example.com", f"sip:u{n}@192.0.2.30", 0)
    watcher.to_tag = ""
    assert watcher.subscribe() == 200


@pytest.mark.parametrize("seed", range(12))
def test_a_watcher_ends_with_what_is_bound_whatever_happens(seed: int) -> None:
    """3680-151: it registers, expires, restarts, is refused and fetched anew."""
    chance = random.Random(seed)
    legacy = seed % 3 == 0
    world = World(extra=PLAIN if seed % 2 else "")
    agent = "kamailio (5.6.3)" if legacy else "watcher/1.0"
    watcher: Rfc3680Watcher = world.watcher(user_agent=agent)
    watcher.subscribe(3000)
    for _ in range(120):
        aor = f"sip:u{chance.randrange(12)}@example.com"
        match chance.randrange(20):
            case 0:
                world.server = watcher.server = world.wire.restart(world.server)
            case 1:
                watcher.answer = 503
            case 2:
                watcher.answer = 200
            case 3:
                watcher.subscribe(3000)
            case n:
                contact = f"{aor.replace('example.com', f'192.0.2.{30 + n % 2}')}"
                # Kamailio ends by itself what has expired.
                expires = chance.choice([0, 600] if legacy else [0, 0, 60, 300, 600])
                world.register(aor, contact, expires)
        watcher.receive(chance.choice([0.0, 0.0, 0.5, 3.0]))
    watcher.answer = 200
    watcher.receive(60)
    assert uris(watcher) == world.table()
    assert legacy or not watcher.missed
    parts = {part.name: part for part in world.server.app.health().parts}
    assert parts["groups"].figures["changes_waiting"] == 0
