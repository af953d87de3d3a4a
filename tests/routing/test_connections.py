"""A contact whose connection was closed expires, unless it is registered again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reginfo.ledger.journal import Journal
from reginfo.location.binding import Binding, BindingChange
from reginfo.location.keyring import KeyChange
from reginfo.location.store import LocationStore
from reginfo.routing.connections import (
    GRACE,
    RESTART_GRACE,
    ClosedConnection,
    Connections,
)
from reginfo.routing.nat import Nat
from reginfo.sip.flow import Flow, Local
from reginfo.sip.transport import Transport

from ..make import ALICE, BOB, LOCAL, NOW, binding, here, moment, place

TCP = Local(Transport.TCP, "192.0.2.1", 5060)
OTHER_TCP = Local(Transport.TCP, "192.0.2.1", 5080)
TCP6 = Local(Transport.TCP, "2001:db8::1", 5060)
PHONE = ("198.51.100.7", 41000)
PHONE6 = ("2001:db8::50", 41000)


class World:
    """A part over a store, and connections that the test opens and closes."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.store = LocationStore("a", self.journal)
        self.nat = Nat(fix=True)
        self.nat.begin([LOCAL, TCP, OTHER_TCP, TCP6])
        self.open: set[Flow] = set()
        self.asked: list[Flow] = []
        self.part = self.new_part()
        self.changes: list[tuple[str, str]] = []
        self.store.listener = self.listen
        self.now = NOW

    def new_part(self) -> Connections:
        return Connections(
            self.store,
            self.journal,
            server_id="a",
            origin=self.nat.origin,
            is_open=self.is_open,
        )

    def is_open(self, flow: Flow) -> bool:
        self.asked.append(flow)
        return flow in self.open

    def listen(self, change: BindingChange | KeyChange) -> None:
        self.part.hears(change)
        assert isinstance(change, BindingChange)
        self.changes.append((change.binding.contact, change.binding.event.value))

    def bind(self, flow: Flow, *, aor: str = ALICE, **others: Any) -> Binding:
        """Register over ``flow``."""
        self.open.add(flow)
        host, port = flow.remote
        host = f"[{host}]" if ":" in host else host
        suffix = ";transport=tcp" if flow.local.is_reliable else ""
        others.setdefault("received", f"sip:{host}:{port}{suffix}")
        others.setdefault("cseq", 1)
        one = binding(
            others.pop("cseq"),
            expires_at=NOW + 3600,
            listener=str(flow.local),
            **others,
        )
        self.store.apply(place(aor), [one], self.now)
        return one

    def close(self, flow: Flow) -> None:
        self.open.discard(flow)
        self.part.lost(flow, moment(self.now))

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while (at := self.part.timer_at) is not None and at <= end:
            self.now = max(self.now, at)
            self.part.timer_due(moment(self.now))
        self.now = end

    def bound(self, aor: str = ALICE) -> list[str]:
        return [one.contact for one in self.store.bindings(place(aor), self.now)]


@pytest.mark.parametrize(
    "flow", [Flow(TCP, PHONE), Flow(OTHER_TCP, PHONE), Flow(TCP6, PHONE6)]
)
def test_a_contact_expires_when_its_connection_is_closed(flow: Flow) -> None:
    """5626-08: told as `expired` (RFC 3680 §4.7.1), five seconds later."""
    world = World()
    world.bind(flow)
    world.changes.clear()
    world.close(flow)
    world.pass_time(GRACE - 0.2)
    assert world.bound() and not world.changes
    world.pass_time(0.4)
    assert world.changes == [("sip:alice@192.0.2.50", "expired")]
    assert world.bound() == []
    assert world.part.describe().figures == {"bindings": 0, "ended_total": 1}


def test_its_source_need_not_differ_from_its_contact() -> None:
    world = World()
    flow = Flow(TCP, ("192.0.2.50", 5060))
    world.bind(flow, received="")
    world.close(flow)
    world.pass_time(GRACE + 1)
    assert world.bound() == []


def test_who_comes_back_in_time_keeps_the_binding() -> None:
    """A phone that comes back in time keeps its binding (5626-08)."""
    world = World()
    old, new = Flow(TCP, PHONE), Flow(TCP, ("198.51.100.7", 41001))
    instance = (("+sip.instance", '"<urn:uuid:1>"'),)
    world.bind(old, params=instance)
    world.close(old)
    world.pass_time(2)
    world.bind(new, params=instance, cseq=2, event="refreshed")
    world.changes.clear()
    world.pass_time(60)
    assert world.bound() and not world.changes
    world.close(old)  # once more, late
    world.pass_time(60)
    assert world.bound()
    world.close(new)
    world.pass_time(60)
    assert world.bound() == []


def test_the_same_connection_opened_again_is_as_good() -> None:
    world = World()
    flow = Flow(TCP, PHONE)
    world.bind(flow)
    world.close(flow)
    world.open.add(flow)
    world.pass_time(60)
    assert world.bound()


def test_all_contacts_of_a_connection_expire_and_no_others() -> None:
    world = World()
    flow, other = Flow(TCP, PHONE), Flow(TCP, ("198.51.100.8", 41000))
    for n in range(20):
        world.bind(flow, contact=f"sip:alice@192.0.2.{n}")
    world.bind(flow, aor=BOB, contact="sip:bob@192.0.2.60")
    world.bind(other, contact="sip:alice@192.0.2.99")
    world.close(flow)
    world.pass_time(GRACE + 1)
    assert world.bound() == ["sip:alice@192.0.2.99"]
    assert world.bound(BOB) == []


@pytest.mark.parametrize(
    "others",
    [
        {"owner": "b", "source": "b/x"},
        {"path": ("<sip:edge.example.com;lr>",)},
        {"received": "", "contact": "sip:alice@pc.example.com"},
        {"received": "sip:::"},
    ],
)
def test_what_is_not_known_to_depend_on_a_connection_stays(
    others: dict[str, Any],
) -> None:
    """A peer's contacts, those with a Path, and those whose flow is not known."""
    world = World()
    flow = Flow(TCP, PHONE)
    world.bind(flow, **others)
    world.close(flow)
    world.pass_time(60)
    assert len(world.bound()) == 1


def test_a_contact_by_udp_depends_on_no_connection() -> None:
    world = World()
    flow = Flow(LOCAL, PHONE)
    world.bind(flow)
    world.close(flow)
    assert world.part.timer_at is None


def test_what_was_removed_meanwhile_is_not_told_again() -> None:
    world = World()
    flow = Flow(TCP, PHONE)
    world.bind(flow)
    world.close(flow)
    world.bind(flow, cseq=2, event="unregistered")
    world.open.clear()
    world.changes.clear()
    world.pass_time(60)
    assert not world.changes


def test_after_a_restart_there_is_a_minute_to_come_back() -> None:
    """5626-08: the restart has closed all connections."""
    world = World()
    gone, back = Flow(TCP, PHONE), Flow(TCP, ("198.51.100.8", 41000))
    world.bind(gone, contact="sip:alice@192.0.2.1")
    world.bind(back, contact="sip:alice@192.0.2.2")
    world.part = world.new_part()
    world.open.clear()
    world.part.begin(here(LOCAL, TCP), moment(world.now))
    world.pass_time(RESTART_GRACE - 1)
    assert len(world.bound()) == 2
    again = Flow(TCP, ("198.51.100.8", 41001))
    world.bind(again, contact="sip:alice@192.0.2.2", cseq=2, event="refreshed")
    world.pass_time(2)
    assert world.bound() == ["sip:alice@192.0.2.2"]


def test_a_commit_that_fails_takes_back_the_flow() -> None:
    world = World()
    old, new = Flow(TCP, PHONE), Flow(TCP, ("198.51.100.7", 41001))
    world.bind(old)
    world.journal.close()
    world.bind(new, cseq=2, event="refreshed")
    world.journal.close().take_back()
    world.close(old)
    world.pass_time(GRACE + 1)
    assert world.bound() == []


def test_an_end_that_was_not_committed_comes_again() -> None:
    world = World()
    flow = Flow(TCP, PHONE)
    world.bind(flow)
    world.journal.close()
    world.close(flow)
    world.pass_time(GRACE + 1)
    world.journal.close().take_back()
    assert world.bound()
    world.part.undone(moment(world.now))
    world.pass_time(GRACE + 1)
    assert world.bound() == []


def test_a_connection_that_is_closed_before_a_commit_fails_ends_its_bindings() -> None:
    """The binding is on the old connection again, whose end nobody has noted."""
    world = World()
    old, new = Flow(TCP, PHONE), Flow(TCP, ("198.51.100.7", 41001))
    world.bind(old)
    world.journal.close()
    world.bind(new, cseq=2, event="refreshed")
    world.close(old)
    world.journal.close().take_back()
    world.part.undone(moment(world.now))
    assert len(world.bound()) == 1
    world.pass_time(GRACE + 1)
    assert world.bound() == []


def test_after_a_failed_commit_only_its_own_connections_are_looked_at() -> None:
    world = World()
    flows = [Flow(TCP, ("198.51.100.8", 41000 + n)) for n in range(20)]
    for number, flow in enumerate(flows):
        world.bind(flow, contact=f"sip:alice@192.0.2.{number}", call_id=str(number))
    world.journal.close()
    world.asked.clear()
    world.bind(flows[3], contact="sip:alice@192.0.2.3", call_id="3", cseq=2)
    world.journal.close().take_back()
    world.part.undone(moment(world.now))
    assert set(world.asked) <= {flows[3]}


def test_a_binding_keeps_its_owner_and_call_id() -> None:
    world = World()
    flow = Flow(TCP, PHONE)
    one = world.bind(flow)
    world.close(flow)
    world.pass_time(GRACE + 1)
    (holds,) = world.store.claims(place(ALICE), one.key)
    assert msgspec.structs.asdict(holds) == msgspec.structs.asdict(one) | {
        "event": holds.event,
        "gone": True,
        "edition": holds.edition,
        "number": holds.number,
    }
    # Nobody has wished it: a registration made since, elsewhere, is later.
    assert holds.edition > one.edition


def test_a_contact_whose_source_cannot_be_found_out_depends_on_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One bad row is told of, and keeps no other from being followed."""
    world = World()

    def fail(binding: Binding) -> Flow | None:
        raise ValueError("unreadable")

    world.part = Connections(
        world.store, world.journal, server_id="a", origin=fail, is_open=world.is_open
    )
    flow = Flow(TCP, PHONE)
    one = world.bind(flow)
    assert f"contact '{one.contact}': unreadable" in caplog.text
    world.close(flow)
    assert world.part.timer_at is None


def test_a_log_names_a_closed_connection_by_its_other_end() -> None:
    assert repr(ClosedConnection(Flow(TCP, PHONE), 5.0)) == f"ClosedConnection({PHONE})"
