"""A drain ends links and the watches of groups, as it does other subscriptions."""

from __future__ import annotations

import logging

import pytest

from reginfo.ledger.memory import MemoryStorage
from reginfo.sip.message import Request
from reginfo.sip.parser import parse
from reginfo.testing.wire import WireServer

from ..simulation import ALICE, CONTACT, LossyWire, register
from .make import GROUP, linked, notifies
from .test_group_notifier import BOB, OPEN, World, uris
from .test_item import item
from .test_source import Asking

OVER = "terminated;reason=deactivated"


def state_of(notify: bytes) -> str:
    message = parse(notify)
    assert isinstance(message, Request)
    return message.headers["Subscription-State"][0]


def test_a_link_is_ended_and_comes_back_by_its_cursor_after_the_restart() -> None:
    """
    3680-160: a sink of a drained server asks again, is refused, and misses nothing.
    """
    wire = LossyWire()
    a = wire.serve(linked("a", "b"), MemoryStorage())
    b = wire.serve(linked("b", "a"), MemoryStorage())
    wire.pass_time(10)
    register(wire, a)
    wire.pass_time(60)
    before = len(notifies(wire, a, b))
    a.app.drain(100.0)
    wire.pass_time(1)
    assert [state_of(p.data) for p in notifies(wire, a, b)[before:]] == [OVER]
    health = a.app.health()
    assert health.status == "drained"
    assert health.draining is not None
    assert (health.draining.watchers, health.draining.gave_up) == (1, 0)
    lost = item(b, "sink")
    assert lost.state.startswith("lost since ")
    assert lost.problem == "SUBSCRIBE was answered 503 Service Unavailable"
    # The other direction is not concerned.
    assert item(a, "sink").state == "in sync"
    # It still accepts registrations: they are reported after the restart.
    register(wire, a, "sip:late@192.0.2.60", call_id="late", aor=BOB)
    wire.pass_time(5)
    assert b.contacts(BOB) == []
    a = wire.restart(a)
    wire.pass_time(35)
    assert b.contacts(BOB) == ["sip:late@192.0.2.60"]
    assert b.contacts(ALICE) == a.contacts(ALICE) != []
    assert item(b, "sink").state == "in sync"


def star() -> tuple[LossyWire, WireServer]:
    """A server, to which two others are linked."""
    wire = LossyWire()
    a = wire.serve(linked("a", "bc"), MemoryStorage())
    for name in "bc":
        wire.serve(linked(name, "a"), MemoryStorage())
    wire.pass_time(10)
    return wire, a


def test_links_are_ended_at_the_given_rate(caplog: pytest.LogCaptureFixture) -> None:
    """3680-160: a drain is paced, and logged."""
    wire, a = star()
    with caplog.at_level(logging.WARNING):
        a.app.drain(0.5)
    assert "= draining: 2 watchers, 0.5 per second" in caplog.text
    left = []
    for _ in range(4):
        wire.pass_time(0.9)
        health = a.app.health()
        assert health.draining is not None
        left.append(health.draining.left)
    assert left == [1, 1, 0, 0]


def test_a_sink_goes_on_at_another_address_of_its_peer() -> None:
    """3680-160: after a 503 the next address of the peer is tried (RFC 3263 §4.3)."""
    wire = LossyWire()
    a = wire.serve(linked("a", "c", group=OPEN), MemoryStorage())
    c = wire.serve(linked("c", "a", group=OPEN), MemoryStorage())
    wire.hosts["peer.example.com"] = [a.address, c.address]
    text = '[[peer]]\nname = "p"\nuri = "sip:peer.example.com;transport=tcp"\n'
    b = wire.serve(linked("b", "", group=f'{text}watch = "{GROUP}"'), MemoryStorage())
    wire.pass_time(60)
    register(wire, c)
    wire.pass_time(1)
    assert (b.contacts(ALICE), item(b, "sink").state) == ([CONTACT], "in sync")
    a.app.drain(100.0)
    wire.pass_time(1)
    assert item(b, "sink").state == "in sync"
    assert [len(one.app.source) for one in (a, c)] == [0, 2]
    register(wire, c, "sip:late@192.0.2.60", call_id="late", aor=BOB)
    wire.pass_time(1)
    assert b.contacts(BOB) == ["sip:late@192.0.2.60"]


def test_a_second_drain_changes_the_rate() -> None:
    wire, a = star()
    a.app.drain(0.01)
    wire.pass_time(3)
    assert a.app.health().status == "draining"
    a.app.drain(100.0)
    wire.pass_time(1)
    assert a.app.health().status == "drained"


def test_what_was_not_told_is_told_before_the_end() -> None:
    asking = Asking()
    asking.subscribe()
    first = last_notify(asking)
    asking.a.app.drain(100.0)
    register(asking.wire, asking.a)
    assert asking.told() == []  # one document at a time
    asking.answer(first)
    [last] = asking.told()
    assert state_of(last) == OVER
    assert b"<l:claim " in last
    assert asking.a.app.health().status == "draining"
    asking.answer(last)
    assert asking.a.app.health().status == "drained"


@pytest.mark.parametrize("status", [500, 481])
def test_a_sink_that_does_not_confirm_the_end_is_counted(status: int) -> None:
    asking = drained()
    [last] = asking.told()
    asking.answer(last, status)
    health = asking.a.app.health().draining
    assert health is not None
    assert (health.left, health.gave_up) == (0, 1)


def test_a_sink_that_is_silent_is_counted() -> None:
    asking = drained()
    asking.wire.pass_time(33)
    health = asking.a.app.health().draining
    assert health is not None
    assert (health.left, health.gave_up) == (0, 1)


def test_a_suspect_link_is_ended_without_a_word() -> None:
    asking = Asking()
    asking.subscribe()
    asking.wire.pass_time(40)  # nobody answers the NOTIFY
    assert item(asking.a, "source").state.startswith("suspect")
    asking.wire.received(("192.0.2.2", 5060))
    asking.a.app.drain(100.0)
    asking.wire.pass_time(1)
    assert asking.told() == []
    health = asking.a.app.health().draining
    assert health is not None
    assert (health.watchers, health.left, health.gave_up) == (1, 0, 1)


def test_no_new_link_is_served_meanwhile_and_one_that_is_may_be_refreshed() -> None:
    asking = Asking()
    asking.subscribe()
    tag = asking.tag
    asking.a.app.drain(0.01)
    refused = asking.subscribe(call_id="s2")
    assert (refused.status, refused.header("Retry-After")) == (503, "20")
    assert asking.subscribe(tag=tag).status in (200, 481)


def test_an_end_whose_commit_fails_is_sent_after_all() -> None:
    wire = LossyWire()
    a = wire.serve(linked("a", "b"), MemoryStorage())
    wire.serve(linked("b", "a"), MemoryStorage())
    wire.pass_time(10)
    assert isinstance(a.storage, MemoryStorage)
    a.storage.failures = 1
    register(wire, a)
    a.app.drain(100.0)
    wire.pass_time(60)
    assert a.app.health().status == "drained"


def test_a_watcher_of_a_group_is_sent_its_changes_and_the_end() -> None:
    """3680-161: a watch of a group ends with a drain, and not with a full document."""
    world = World()
    world.register(ALICE, "sip:a@192.0.2.21")
    watcher = world.watcher()
    watcher.subscribe()
    world.register(BOB, "sip:b@192.0.2.23")
    world.server.app.drain(100.0)
    watcher.receive(1.0)
    assert watcher.state == OVER
    assert [one.get("state") for one in watcher.documents] == ["full", "partial"]
    assert uris(watcher) == world.table()
    assert world.server.app.health().status == "drained"
    assert watcher.subscribe() in (481, 503)


def test_a_legacy_watcher_of_a_group_is_sent_what_is_pending_and_then_the_end() -> None:
    """3680-161: one registration per NOTIFY, and the last says that it is over."""
    world = World(extra=PEER)
    watcher = world.watcher(user_agent="kamailio (5.6.3)")
    watcher.is_lenient = True
    watcher.subscribe()
    watcher.receive(3.0)
    for name in ("a", "b", "c"):
        world.register(f"sip:{name}@example.com", f"sip:{name}@192.0.2.21")
    world.server.app.drain(100.0)
    watcher.receive(3.0)
    assert watcher.state == OVER
    assert uris(watcher) == world.table()
    assert world.server.app.health().status == "drained"


def test_the_end_of_a_group_watch_is_on_disk_before_it_is_sent() -> None:
    """3680-161: after a crash it is not resumed."""
    world = World()
    watcher = world.watcher()
    watcher.subscribe()
    watcher.answer = 0  # it takes the NOTIFY, but its answer is lost
    world.wire.lose(lambda packet: packet.data.startswith(b"NOTIFY "), times=1)
    world.server.app.drain(100.0)
    world.wire.pass_time(0.1)
    world.wire.received(watcher.address)
    world.server = watcher.server = world.wire.restart(world.server)
    watcher.answer = 200
    watcher.receive(5.0)
    assert watcher.state == OVER
    assert watcher.subscribe() == 481


def test_a_group_watcher_that_refuses_an_earlier_notify_is_told_the_end() -> None:
    world = World()
    watcher = world.watcher()
    watcher.subscribe()
    watcher.receive(6.0)
    watcher.answer = 500
    world.register(ALICE, "sip:a@192.0.2.21")
    world.wire.pass_time(0)  # its NOTIFY is under way
    world.server.app.drain(100.0)
    world.wire.pass_time(0)
    watcher.receive(0.25)
    assert watcher.state.startswith("active")
    watcher.answer = 200
    watcher.receive(5.0)
    assert watcher.state == OVER
    assert uris(watcher) == world.table()


def drained() -> Asking:
    """A server that has sent its only sink the end."""
    asking = Asking()
    asking.subscribe()
    asking.answer(last_notify(asking))
    asking.told()
    asking.a.app.drain(100.0)
    return asking


def last_notify(asking: Asking) -> bytes:
    packets = asking.wire.packets
    return [p.data for p in packets if p.data.startswith(b"NOTIFY ")][-1]


PEER = (
    '[[peer]]\nname = "kamailio"\nuri = "sip:192.0.2.9"\n'
    'match = {address = "192.0.2.9"}\nprofile = "legacy"\n'
)
