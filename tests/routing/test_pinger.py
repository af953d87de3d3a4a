"""Contacts behind a NAT are pinged by their owner, and what does not answer may go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from reginfo.ledger.journal import Journal
from reginfo.location import store
from reginfo.location.binding import Binding
from reginfo.location.place import Place
from reginfo.location.store import LocationStore
from reginfo.reg.document import ContactEvent
from reginfo.routing.pinger import EMPTY, Ping, Pinger, PingPolicy
from reginfo.sip.flow import Flow
from reginfo.sip.message import Draft, Response

from ..make import ALICE, LOCAL, NOW, binding, here, moment, place, response

NAT = Flow(LOCAL, ("198.51.100.7", 41000))
ELSEWHERE = Flow(LOCAL, ("192.0.2.50", 5060))
RECEIVED = "sip:198.51.100.7:41000"


class World:
    """A pinger, and what it sends."""

    def __init__(self, *, jitter: float = 0.5, **others: Any) -> None:
        fields: dict[str, Any] = {
            "options": True,
            "interval": 30.0,
            "all": False,
            "sender": "sip:pinger@example.com",
            "failures": 2,
            "removal": None,
        }
        self.policy = PingPolicy(**(fields | others))
        self.jitter = jitter
        self.journal = Journal()
        self.store = LocationStore("a", self.journal)
        self.pinger = self.new_pinger()
        self.store.listener = self.pinger.hears
        self.sent: list[tuple[Draft, Flow, Ping]] = []
        self.empty: list[tuple[bytes, Flow]] = []

    def new_pinger(self) -> Pinger:
        def send(draft: Draft, flow: Flow, ping: object) -> None:
            assert isinstance(ping, Ping)
            self.sent.append((draft, flow, ping))

        def find(bound: Binding, found: Callable[[Flow | str], None]) -> None:
            found(NAT if bound.received else ELSEWHERE)

        return Pinger(
            self.store,
            self.journal,
            policy=self.policy,
            server_id="a",
            flow=lambda bound: NAT if bound.received else None,
            find=find,
            send=send,
            send_empty=lambda data, flow: self.empty.append((data, flow)),
            new_id=lambda: "id",
            jitter=lambda: self.jitter,
        )

    def bind(self, *claims: Binding, now: float = NOW) -> None:
        self.store.apply(place(ALICE), claims, now)

    def pings(self, now: float) -> list[Ping]:
        """Those that are sent up to ``now``."""
        before = len(self.sent)
        self.pinger.timer_due(moment(now))
        return [ping for _, _, ping in self.sent[before:]]

    def events(self, now: float = NOW) -> list[str]:
        return [
            claims[0].event.value for claims in self.store.rows(place(ALICE)).values()
        ]


def natted(**others: Any) -> Binding:
    return binding(received=RECEIVED, **others)


def test_a_contact_behind_a_nat_is_asked_by_the_way_that_it_came() -> None:
    world = World()
    world.bind(natted())
    assert world.pings(NOW + 14.9) == []
    world.pinger.timer_due(moment(NOW + 15.0))
    ((draft, flow, _),) = world.sent
    assert flow == NAT
    assert draft.write("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1") == (
        b"OPTIONS sip:alice@192.0.2.50 SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
        b"Max-Forwards: 70\r\n"
        b"From: <sip:pinger@example.com>;tag=id\r\n"
        b"To: <sip:alice@192.0.2.50>\r\n"
        b"Call-ID: id\r\n"
        b"CSeq: 1 OPTIONS\r\n"
        b"Content-Length: 0\r\n\r\n"
    )


def test_it_is_asked_at_each_interval_while_it_is_bound() -> None:
    world = World()
    world.bind(natted(expires_at=NOW + 80))
    for seconds, number in ((15, 1), (44.5, 0), (45, 1), (75, 1), (105, 0)):
        assert len(world.pings(NOW + seconds)) == number, seconds
    assert len(world.pinger) == 0


def test_pings_are_spread_over_the_interval() -> None:
    early, late = World(jitter=0.0), World(jitter=1.0)
    for world in (early, late):
        world.bind(natted())
    assert early.pinger.timer_at == NOW
    assert late.pinger.timer_at == NOW + 30.0


def test_only_its_owner_pings_a_contact() -> None:
    world = World(all=True)
    world.bind(natted(owner="b", source="b/x"))
    assert len(world.pinger) == 0


def test_who_is_where_it_says_is_pinged_only_if_all_are() -> None:
    world, all_of_them = World(), World(all=True)
    for each in (world, all_of_them):
        each.bind(binding())
    assert world.pings(NOW + 30) == []
    assert len(all_of_them.pings(NOW + 30)) == 1
    assert all_of_them.sent[0][1] == ELSEWHERE


def test_who_is_behind_an_edge_proxy_is_pinged_by_that() -> None:
    world = World(all=True)
    world.bind(binding(path=("<sip:edge.example.com;lr>",)))
    assert len(world.pinger) == 0


def test_an_empty_line_will_do() -> None:
    world = World(options=False)
    world.bind(natted())
    world.pinger.timer_due(moment(NOW + 15))
    assert world.empty == [(EMPTY, NAT)]
    assert world.sent == []


def test_a_contact_that_has_gone_is_not_pinged() -> None:
    world = World()
    world.bind(natted())
    world.bind(natted(cseq=2, event="unregistered"))
    assert world.pings(NOW + 15) == []


def fail(world: World, times: int, now: float = NOW) -> None:
    (claims,) = world.store.rows(place(ALICE)).values()
    ping = world.pinger._pings[place(ALICE), claims[0].key]
    for _ in range(times):
        world.pinger.receive_failure(ping, moment(now))


@pytest.mark.parametrize("event", [ContactEvent.DEACTIVATED, ContactEvent.EXPIRED])
def test_a_contact_that_does_not_answer_is_removed_and_it_is_said_why(
    event: ContactEvent,
) -> None:
    world = World(removal=event)
    world.bind(natted())
    fail(world, 1)
    assert world.events() == ["registered"]
    fail(world, 1)
    assert world.events() == [event.value]
    assert world.pings(NOW + 30) == []


def test_or_it_is_kept() -> None:
    world = World(removal=None)
    world.bind(natted())
    fail(world, 5)
    assert world.events() == ["registered"]
    assert len(world.pings(NOW + 30)) == 1


def test_an_answer_or_a_refresh_begins_the_count_again() -> None:
    world = World(removal=ContactEvent.EXPIRED)
    world.bind(natted())
    (ping,) = world.pings(NOW + 15)
    fail(world, 1)
    ping.receive_response(Response(503, "Busy"), moment())
    fail(world, 1)
    world.bind(natted(cseq=2, event="refreshed"))
    fail(world, 1)
    assert world.events() == ["refreshed"]


def test_an_answer_to_the_ping_of_a_contact_that_has_gone_changes_nothing() -> None:
    world = World(removal=ContactEvent.EXPIRED)
    world.bind(natted())
    (ping,) = world.pings(NOW + 15)
    world.bind(natted(cseq=2, event="unregistered"))
    for _ in range(3):
        ping.receive_failure("timeout", moment(NOW + 47))
    assert world.events() == ["unregistered"]


def test_what_was_loaded_is_pinged() -> None:
    world = World()
    world.bind(natted())
    again = world.new_pinger()
    again.begin(here(), moment(NOW))
    assert len(again) == 1


def test_a_removal_that_is_taken_back_leaves_the_contact_pinged() -> None:
    world = World()
    world.bind(natted())
    mark = world.journal.mark()
    world.bind(natted(cseq=2, event="unregistered"))
    world.journal.roll_back(mark)
    assert world.events() == ["registered"]
    assert len(world.pings(NOW + 30)) == 1


def test_a_contact_that_cannot_be_pinged_keeps_no_other_from_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One bad row stops no start and no timer; it is tried at the next interval."""
    world = World(all=True)
    bad = natted(contact="sip:bad@192.0.2.50")
    world.bind(bad, natted(cseq=2))

    def fail(bound: Binding, found: Callable[[Flow | str], None]) -> None:
        if bound.contact == bad.contact:
            raise ValueError("unusable")
        found(NAT)

    world.pinger._find = fail
    assert len(world.pings(NOW + 15)) == 1
    assert len(world.pings(NOW + 45)) == 1
    assert caplog.text.count("is not pinged: unusable") == 2

    def flow(bound: Binding) -> Flow | None:
        if bound.contact == bad.contact:
            raise ValueError("unusable")
        return NAT

    after = world.new_pinger()
    after._policy = msgspec.structs.replace(world.policy, all=False)
    after._flow = flow
    after.begin(here(), moment())
    assert len(after) == 1


@pytest.mark.skipif(
    not store.__file__.endswith(".py"),
    reason="compiled code has methods that cannot be replaced",
)
def test_a_ping_that_fails_is_tried_again_at_the_next_interval() -> None:
    """It fails at whatever moment; one that is due already stays due."""
    world = World(all=True)
    bad = natted(contact="sip:bad@192.0.2.50")
    world.bind(bad)
    known = world.store.binding

    def fail(place: Place, key: str, now: float) -> Binding | None:
        raise ValueError("unusable")

    world.store.binding = fail  # type: ignore[method-assign]
    assert world.pings(NOW + 15) == []
    assert world.pinger.timer_at == NOW + 45
    world.store.binding = known  # type: ignore[method-assign]
    assert len(world.pings(NOW + 45)) == 1
    assert world.pinger.timer_at == NOW + 75


def test_a_removal_that_is_taken_back_waits_for_the_next_interval() -> None:
    world = World()
    world.bind(natted())
    (first,) = world.pings(NOW + 15)
    mark = world.journal.mark()
    world.bind(natted(cseq=2, event="unregistered"), now=NOW + 20)
    assert len(world.pinger) == 0 and world.pinger.timer_at is None
    world.journal.roll_back(mark)
    assert len(world.pinger) == 1 and world.pinger.timer_at == NOW + 50
    assert world.pings(NOW + 50) == [first]


def test_the_number_of_contacts_that_are_pinged_is_told() -> None:
    world = World()
    world.bind(natted())
    told = world.pinger.describe()
    assert (told.name, told.line) == ("pinger", "contacts pinged: 1")
    assert told.figures == {"pinged": 1}


def test_an_answer_begins_the_count_from_nothing() -> None:
    world = World(failures=2, removal=ContactEvent.EXPIRED)
    world.bind(natted())
    (ping,) = world.pings(NOW + 15)
    for _ in range(3):
        ping.receive_failure("timeout", moment(NOW + 16))
        assert world.events() == ["registered"]
        ping.receive_response(response(200), moment(NOW + 17))
    ping.receive_failure("timeout", moment(NOW + 18))
    ping.receive_failure("timeout", moment(NOW + 19))
    assert world.events() == ["expired"]
    ((claim,),) = world.store.rows(place(ALICE)).values()
    assert claim.edition == int((moment(NOW + 19).wall) * 1e6)
    assert claim.cseq == 1 and claim.gone
