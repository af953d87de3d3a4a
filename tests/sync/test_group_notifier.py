"""A watcher that knows RFC 3680 alone watches a group, and is told right."""

from __future__ import annotations

import logging

import pytest

from reginfo.ledger.memory import MemoryStorage

from ..simulation import LossyWire, register
from .make import GROUP, linked
from .rfc3680 import Rfc3680Watcher

BOB, CAROL = "sip:bob@example.com", "sip:carol@example.com"
ALICE, OTHER = "sip:alice@example.com", "sip:dave@example.org"

OPEN = 'allow = ["all"]'
PEER = (
    '[[peer]]\nname = "kamailio"\nuri = "sip:192.0.2.9"\n'
    'match = {address = "192.0.2.9"}\nprofile = "legacy"\n'
)


class World:
    def __init__(self, *, group: str = OPEN, extra: str = "") -> None:
        self.wire = LossyWire()
        self.config = linked("a", "", group=group, extra=extra)
        self.storage = MemoryStorage()
        self.server = self.wire.serve(self.config, self.storage)
        self.cseqs = 0

    def watcher(self, *, user_agent: str = "watcher/1.0") -> Rfc3680Watcher:
        return Rfc3680Watcher(self.wire, self.server, GROUP, user_agent=user_agent)

    def register(
        self, aor: str, contact: str, expires: int = 600, *, is_ok: bool = True
    ) -> None:
        self.cseqs += 1
        response = register(
            self.wire, self.server, aor=aor, contact=contact, expires=expires,
            cseq=self.cseqs, call_id=f"{aor}{contact}",
        )  # fmt: skip
        assert (response is not None and response.status == 200) is is_ok

    def table(self) -> dict[str, list[str]]:
        return {
            aor: sorted(self.server.contacts(aor))
            for aor in self.server.app.aors()
            if aor.endswith("@example.com") and self.server.contacts(aor)
        }


def uris(watcher: Rfc3680Watcher) -> dict[str, list[str]]:
    return {aor: sorted(contacts) for aor, contacts in watcher.table.items()}


def test_the_first_document_is_the_whole_group_and_no_one_else() -> None:
    """3680-150: one full document, valid against the schema, version 0."""
    world = World()
    world.register(ALICE, "sip:a@192.0.2.21")
    world.register(ALICE, "sip:a@192.0.2.22")
    world.register(BOB, "sip:b@192.0.2.23")
    world.register(OTHER, "sip:d@192.0.2.24")
    watcher = world.watcher()
    assert watcher.subscribe() == 200
    [document] = watcher.documents
    assert (document.get("state"), document.get("version")) == ("full", "0")
    assert uris(watcher) == {
        ALICE: ["sip:a@192.0.2.21", "sip:a@192.0.2.22"],
        BOB: ["sip:b@192.0.2.23"],
    }
    assert watcher.state.startswith("active;expires=")


def test_an_empty_group_has_a_document_too() -> None:
    world = World()
    watcher = world.watcher()
    assert watcher.subscribe() == 200
    [document] = watcher.documents
    assert document.get("state") == "full"
    assert uris(watcher) == {}


def test_what_happens_then_is_told_once_and_nothing_else() -> None:
    """3680-151: partial documents with what has changed, each one version later."""
    world = World(extra="[notifier]\nmin_interval = 0.0\n")
    watcher = world.watcher()
    watcher.subscribe()
    world.register(ALICE, "sip:a@192.0.2.21")
    watcher.receive(1)
    assert watcher.table == {ALICE: {"sip:a@192.0.2.21": "registered"}}
    world.register(BOB, "sip:b@192.0.2.23")
    world.register(OTHER, "sip:d@192.0.2.24")
    watcher.receive(1)
    world.register(ALICE, "sip:a@192.0.2.21")
    watcher.receive(1)
    assert watcher.table[ALICE] == {"sip:a@192.0.2.21": "refreshed"}
    world.register(ALICE, "sip:a@192.0.2.21", 0)
    watcher.receive(1)
    assert uris(watcher) == {BOB: ["sip:b@192.0.2.23"]} == world.table()
    assert [document.get("state") for document in watcher.documents] == [
        "full", "partial", "partial", "partial", "partial",
    ]  # fmt: skip
    assert watcher.missed == 0
    assert watcher.receive(100) == 0


def test_a_contact_that_expires_is_told_as_expired() -> None:
    """Time passing is no REGISTER, and no claim; a watcher hears of it all the same."""
    world = World(extra="[notifier]\nmin_interval = 0.0\n")
    watcher = world.watcher()
    world.register(ALICE, "sip:a@192.0.2.21", 90)
    watcher.subscribe()
    watcher.receive(100)
    assert watcher.table == {}
    events = [one.get("event") for one in watcher.documents[-1].iter("{*}contact")]
    assert events == ["expired"]


def test_changes_within_the_interval_go_together() -> None:
    """RFC 3680 §4.10: five seconds between two NOTIFYs, to whom is no peer."""
    world = World()
    watcher = world.watcher()
    watcher.subscribe()
    for n in range(20):
        world.register(f"sip:u{n}@example.com", f"sip:u{n}@192.0.2.30")
    world.register(ALICE, "sip:a@192.0.2.21")
    world.register(ALICE, "sip:a@192.0.2.21")
    assert watcher.receive(4.9) == 0
    count = watcher.receive(60)
    assert uris(watcher) == world.table()
    assert watcher.table[ALICE] == {"sip:a@192.0.2.21": "registered"}
    # By UDP: of at most 1300 octets each.
    assert 3 <= count <= 7
    assert watcher.missed == 0


def test_the_state_of_a_large_group_is_one_document() -> None:
    """It is collected a few contacts at a time; what changes meanwhile follows."""
    world = World(extra="[notifier]\nmin_interval = 0.0\n")
    for n in range(300):
        world.register(f"sip:u{n}@example.com", f"sip:u{n}@192.0.2.30")
    for n in range(100, 200):
        world.register(f"sip:u{n}@example.com", f"sip:u{n}@192.0.2.30", 0)
    watcher = world.watcher()
    watcher.subscribe()
    world.register("sip:u5@example.com", "sip:u5@192.0.2.30", 0)
    watcher.receive(10)
    assert uris(watcher) == world.table()
    assert watcher.documents[0].get("state") == "full"
    assert len(watcher.documents[0]) == 200
    assert watcher.missed == 0


def test_a_refresh_brings_the_full_state() -> None:
    world = World()
    watcher = world.watcher()
    watcher.subscribe()
    world.register(ALICE, "sip:a@192.0.2.21")
    assert watcher.subscribe() == 200
    assert watcher.documents[-1].get("state") == "full"
    assert uris(watcher) == world.table()
    assert watcher.receive(60) == 0


@pytest.mark.parametrize("first", [True, False])
def test_a_fetch_or_an_unsubscribe_ends_with_the_full_state(first: bool) -> None:
    """RFC 6665 §4.4.3, §4.1.2.3: the last NOTIFY says so."""
    world = World()
    world.register(ALICE, "sip:a@192.0.2.21")
    watcher = world.watcher()
    if not first:
        watcher.subscribe()
    assert watcher.subscribe(0) == 200
    assert watcher.state == "terminated;reason=timeout"
    assert uris(watcher) == world.table()
    world.register(BOB, "sip:b@192.0.2.23")
    assert watcher.receive(60) == 0
    assert watcher.subscribe() == 481


def test_who_does_not_refresh_is_told_the_end() -> None:
    world = World()
    watcher = world.watcher()
    watcher.subscribe(60)
    assert watcher.receive(61) == 1
    assert watcher.state == "terminated;reason=timeout"
    world.register(BOB, "sip:b@192.0.2.23")
    assert watcher.receive(60) == 0


def test_after_a_restart_it_is_sent_the_full_state() -> None:
    world = World()
    watcher = world.watcher()
    world.register(ALICE, "sip:a@192.0.2.21")
    watcher.subscribe()
    watcher.server = world.server = world.wire.restart(world.server)
    assert watcher.receive(1) == 1
    document = watcher.documents[-1]
    assert (document.get("state"), document.get("version")) == ("full", "1")
    world.register(BOB, "sip:b@192.0.2.23")
    watcher.receive(10)
    assert uris(watcher) == world.table()
    assert watcher.missed == 0


def test_a_notify_refused_for_the_moment_is_made_good_by_the_full_state() -> None:
    world = World()
    watcher = world.watcher()
    watcher.subscribe()
    watcher.answer = 503
    world.register(ALICE, "sip:a@192.0.2.21")
    watcher.receive(6)
    watcher.answer = 200
    world.register(BOB, "sip:b@192.0.2.23")
    watcher.receive(40)
    assert uris(watcher) == world.table()


@pytest.mark.parametrize("status", [481, 489])
def test_a_watcher_that_knows_no_such_subscription_is_left_alone(status: int) -> None:
    """RFC 6665 §4.2.2."""
    world = World()
    watcher = world.watcher()
    watcher.subscribe()
    watcher.answer = status
    world.register(ALICE, "sip:a@192.0.2.21")
    watcher.receive(10)
    world.register(BOB, "sip:b@192.0.2.23")
    assert watcher.receive(60) == 0


def test_only_peers_may_watch_a_group_by_default() -> None:
    world = World(group="")
    assert world.watcher().subscribe() == 403


@pytest.mark.parametrize("profile", ["peer", "user agent"])
def test_kamailio_is_sent_one_registration_at_a_time(profile: str) -> None:
    """It understands one registration of a document, and `init` is an error to it."""
    world = World(extra=PEER if profile == "peer" else "")
    world.register(ALICE, "sip:a@192.0.2.21")
    world.register(ALICE, "sip:a@192.0.2.22")
    world.register(BOB, "sip:b@192.0.2.23")
    world.register(OTHER, "sip:d@192.0.2.24")
    watcher = world.watcher(user_agent="kamailio (5.6.3 (x86_64/linux))")
    watcher.is_lenient = profile == "peer"  # it is sent Kamailio's attributes
    assert watcher.subscribe() == 200
    watcher.receive(10)
    assert uris(watcher) == world.table()
    world.register(BOB, "sip:b@192.0.2.23", 0)
    world.register(CAROL, "sip:c@192.0.2.25")
    watcher.receive(10)
    assert uris(watcher) == world.table()
    for document in watcher.documents:
        [registration] = document
        assert registration.get("state") in ("active", "terminated")
        assert document.get("state") == "partial"
    assert watcher.receive(60) == 0


def test_an_empty_group_is_no_document_to_kamailio() -> None:
    world = World(extra=PEER)
    watcher = world.watcher()
    watcher.is_lenient = True
    assert watcher.subscribe() == 200
    assert watcher.documents == []
    assert watcher.state.startswith("active")
    world.register(ALICE, "sip:a@192.0.2.21")
    watcher.receive(1)
    assert uris(watcher) == world.table()


def test_a_registration_that_was_not_committed_is_not_told() -> None:
    world = World(extra="[notifier]\nmin_interval = 0.0\n")
    watcher = world.watcher()
    watcher.subscribe()
    logging.disable(logging.CRITICAL)
    try:
        world.storage.failures = 1
        world.register(ALICE, "sip:a@192.0.2.21", is_ok=False)
    finally:
        logging.disable(logging.NOTSET)
    assert watcher.receive(60) == 0
    world.register(BOB, "sip:b@192.0.2.23")
    watcher.receive(60)
    assert uris(watcher) == world.table() == {BOB: ["sip:b@192.0.2.23"]}


def test_the_log_says_who_watches_a_group(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "reginfo")
    world = World()
    world.watcher().subscribe()
    assert any(f"watches {GROUP} for 600 s" in r.getMessage() for r in caplog.records)
