"""The documents of a group: who is in them, identities included."""

from __future__ import annotations

import random
from contextlib import nullcontext

import pytest

from reginfo.ledger.journal import Journal
from reginfo.location.place import Aor
from reginfo.sip.errors import Refusal
from reginfo.sync.group import Group
from reginfo.sync.roster import Roster
from reginfo.testing.links import EPOCH

from ..make import place
from .make import GROUP
from .rfc3680 import Rfc3680Watcher
from .test_group_notifier import ALICE, BOB, World, uris
from .test_group_watch import idle

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


@pytest.mark.parametrize(("users", "fits"), [(0, True), (100, True), (700, False)])
def test_a_state_that_no_datagram_carries_needs_a_stream(
    users: int, fits: bool
) -> None:
    """A watcher that no stream reaches is told how to get it."""
    world = World(extra=PLAIN)
    for n in range(users):
        world.register(f"sip:u{n}@example.com", f"sip:u{n}@192.0.2.30")
    group = Group(world.config.groups[0], Aor(GROUP), "location")
    roster = Roster(world.server.app.store, Journal(), group)
    row = idle().row
    with nullcontext() if fits else pytest.raises(Refusal, match="By TCP"):
        roster.check_fits(row, world.server.app.now())


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
