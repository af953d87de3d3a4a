"""
Peers and presence servers by name: found late, lost, moved, and with several addresses.
"""

from __future__ import annotations

import logging

import pytest

from reginfo.config.config import Config
from reginfo.ledger.memory import MemoryStorage
from reginfo.sip.message import Request, Response
from reginfo.sip.parser import parse
from reginfo.testing import Wire, WireServer

from ..make import ALICE, PHONE

A, B, OTHER = ("192.0.2.1", 5060), ("192.0.2.2", 5060), ("192.0.2.3", 5060)


def config(me: str, host: str, more: str = "", transport: str = "udp") -> Config:
    return Config.parse(
        f"""
[server]
id = "{me}"
listen = ["udp:{host}:5060", "tcp:{host}:5060"]
domains = ["example.com"]
[store]
url = "memory:"
[pua_reginfo]
server_address = "sip:server@{host}"
{more}
"""
    )


WATCHES = f"""
[[peer]]
name = "b"
uri = "sip:b.example"
watch = ["{ALICE}"]
"""
PUBLISHES = 'publish_to = ["sip:ps.example"]\n'
KNOWS_A = '[[peer]]\nname = "a"\nuri = "sip:192.0.2.1"\n'


def register(wire: Wire, server: WireServer, cseq: int = 1) -> None:
    lines = [
        "REGISTER sip:example.com SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.50;branch=z9hG4bKr{cseq}{server.address[0]}",
        f"From: <{ALICE}>;tag=1",
        f"To: <{ALICE}>",
        "Call-ID: phone",
        f"CSeq: {cseq} REGISTER",
        "Contact: <sip:alice@192.0.2.50>",
        "Expires: 3600",
        "Content-Length: 0",
    ]
    data = "\r\n".join([*lines, "", ""]).encode()
    wire.send(data, PHONE, server.address)
    answer = parse(wire.received(PHONE)[-1])
    assert isinstance(answer, Response) and answer.status == 200


def sent(wire: Wire, method: str, to: tuple[str, int]) -> list[Request]:
    """The requests of a method to an address, each once."""
    found = {}
    for packet in wire.packets:
        if packet.destination == to and packet.data.startswith(method.encode()):
            message = parse(packet.data)
            assert isinstance(message, Request)
            found[message.via.branch] = message
    return list(found.values())


def problems(server: WireServer) -> list[str]:
    return server.app.health().problems


def test_a_peer_that_is_not_found_is_a_problem_and_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """3263-20: no reason not to start; logged once, shown, and tried again."""
    wire = Wire()
    a = wire.serve(config("a", A[0], WATCHES), MemoryStorage())
    b = wire.serve(config("b", B[0], KNOWS_A), MemoryStorage())
    register(wire, b)
    wire.pass_time(60)
    assert problems(a) == ["peer b: b.example: no such host"]
    assert a.app.health().status == "degraded"
    assert a.app.peer_problems() == {"b": "b.example: no such host"}
    (part,) = [p for p in a.app.health().parts if p.name == "destinations"]
    assert part.line == "servers: 1, not found: 1"
    assert caplog.text.count("peer b: b.example: no such host") == 1
    assert a.contacts(ALICE) == []
    wire.hosts["b.example"] = B
    wire.pass_time(3)
    assert a.contacts(ALICE) == ["sip:alice@192.0.2.50"]
    assert problems(a) == [] and a.app.peer_problems() == {}
    assert caplog.text.count("peer b: b.example is found") == 1


def test_a_peer_that_has_moved_is_subscribed_at_its_new_address() -> None:
    """3263-21: and requests from there are recognised as its own."""
    wire = Wire()
    wire.hosts["b.example"] = B
    a = wire.serve(config("a", A[0], WATCHES), MemoryStorage())
    b = wire.serve(config("b", B[0], KNOWS_A), MemoryStorage())
    register(wire, b)
    wire.pass_time(1)
    assert a.contacts(ALICE) == ["sip:alice@192.0.2.50"]
    peers = a.app._assembly.peers
    assert peers.at(B) is not None and peers.at(OTHER) is None
    wire.kill(b)
    moved = wire.serve(config("b", OTHER[0], KNOWS_A), b.storage)
    register(wire, moved, cseq=2)
    wire.hosts["b.example"] = OTHER
    wire.pass_time(3)
    assert [s.cseq.number for s in sent(wire, "SUBSCRIBE", OTHER)] == [1]
    assert [one.cseq for one in a.bindings(ALICE)] == [2]
    assert peers.at(B) is None and peers.at(OTHER) is not None


def test_a_name_that_is_lost_leaves_the_addresses_that_were_known() -> None:
    """3263-21: what runs goes on; the problem is shown."""
    wire = Wire()
    wire.hosts["b.example"] = B
    a = wire.serve(config("a", A[0], WATCHES), MemoryStorage())
    b = wire.serve(config("b", B[0], KNOWS_A), MemoryStorage())
    wire.pass_time(1)
    del wire.hosts["b.example"]
    wire.pass_time(5)
    assert problems(a) == ["peer b: b.example: no such host"]
    flow = a.app._assembly.destinations.flow("sip:b.example")
    assert flow is not None and flow.remote == B
    register(wire, b)
    wire.pass_time(1)
    assert a.contacts(ALICE) == ["sip:alice@192.0.2.50"]
    assert len(sent(wire, "SUBSCRIBE", B)) == 1
    wire.hosts["b.example"] = B
    wire.pass_time(5)
    assert problems(a) == []
    assert len(sent(wire, "SUBSCRIBE", B)) == 1


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_all_addresses_of_a_peer_are_tried(transport: str) -> None:
    """3263-22: one that does not answer is followed by the next, at once."""
    wire = Wire()
    wire.hosts["b.example"] = [OTHER, B]  # nobody is at the first one
    watches = WATCHES.replace("b.example", f"b.example;transport={transport}")
    a = wire.serve(config("a", A[0], watches), MemoryStorage())
    down = wire.serve(config("x", OTHER[0]), MemoryStorage())
    wire.kill(down)
    b = wire.serve(config("b", B[0], KNOWS_A), MemoryStorage())
    register(wire, b)
    wire.pass_time(40)
    assert a.contacts(ALICE) == ["sip:alice@192.0.2.50"]
    assert {p.destination for p in wire.packets if p.data[:3] == b"SUB"} <= {OTHER, B}
    assert len(sent(wire, "SUBSCRIBE", B)) == 1


def test_an_address_that_answers_stays_in_use() -> None:
    """3263-22: servers of equal weight come in another order each time."""
    wire = Wire()
    wire.hosts["b.example"] = [B, OTHER]
    wire.serve(config("a", A[0], WATCHES), MemoryStorage())
    wire.serve(config("b", B[0], KNOWS_A), MemoryStorage())
    wire.pass_time(5)
    wire.hosts["b.example"] = [OTHER, B]
    wire.pass_time(60)
    assert len(sent(wire, "SUBSCRIBE", B)) == 1
    assert sent(wire, "SUBSCRIBE", OTHER) == []


def test_what_happens_before_a_presence_server_is_found_is_published_then() -> None:
    """3263-20: for `publish_to`."""
    wire = Wire()
    a = wire.serve(config("a", A[0], PUBLISHES), MemoryStorage())
    b = wire.serve(config("b", B[0], KNOWS_A), MemoryStorage())
    register(wire, a)
    wire.pass_time(30)
    assert problems(a) == ["publish_to: ps.example: no such host"]
    a = wire.restart(a)
    assert b.contacts(ALICE) == []
    wire.hosts["ps.example"] = B
    wire.pass_time(3)
    assert b.contacts(ALICE) == ["sip:alice@192.0.2.50"]
    assert problems(a) == []


def test_all_addresses_of_a_presence_server_are_tried() -> None:
    """3263-22: for `publish_to`; and one that has moved is followed."""
    wire = Wire()
    wire.hosts["ps.example"] = [OTHER, B]
    a = wire.serve(config("a", A[0], PUBLISHES), MemoryStorage())
    b = wire.serve(config("b", B[0], KNOWS_A), MemoryStorage())
    register(wire, a)
    wire.pass_time(40)
    assert b.contacts(ALICE) == ["sip:alice@192.0.2.50"]
    assert len(sent(wire, "PUBLISH", OTHER)) == 1
    wire.hosts["ps.example"] = OTHER
    other = wire.serve(config("b", OTHER[0], KNOWS_A), MemoryStorage())
    wire.pass_time(3)
    register(wire, a, cseq=2)
    wire.pass_time(3)
    assert [one.cseq for one in other.bindings(ALICE)] == [2]


def test_an_outbound_proxy_may_be_a_name_too() -> None:
    """3263-20"""
    wire = Wire()
    a = wire.serve(
        config("a", A[0], 'outbound_proxy = "sip:proxy.example"\n'), MemoryStorage()
    )
    assert problems(a) == ["outbound_proxy: proxy.example: no such host"]
    b = wire.serve(config("b", B[0], KNOWS_A), MemoryStorage())
    register(wire, a)
    wire.hosts["proxy.example"] = B
    wire.pass_time(3)
    assert b.contacts(ALICE) == ["sip:alice@192.0.2.50"]


def test_a_peer_that_is_this_server_is_not_subscribed_to() -> None:
    """3263-23: a name may lead to ourselves."""
    wire = Wire()
    wire.hosts["b.example"] = wire.hosts["ps.example"] = A
    both = PUBLISHES + WATCHES
    a = wire.serve(config("a", A[0], both), MemoryStorage())
    register(wire, a)
    wire.pass_time(60)
    assert problems(a) == ["peer b: sip:b.example leads to this server"]
    assert sent(wire, "SUBSCRIBE", A) == sent(wire, "PUBLISH", A) == []
    # It is found out later, too; what was to be published needs not be.
    late = wire.restart(a, config=config("a", A[0], both.replace(".example", ".test")))
    register(wire, late, cseq=2)
    wire.hosts["b.test"] = wire.hosts["ps.test"] = A
    wire.pass_time(60)
    assert sent(wire, "SUBSCRIBE", A) == sent(wire, "PUBLISH", A) == []
    assert len(late.app.publisher) == 0


def test_an_address_that_no_listener_can_send_to_is_a_problem(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """3263-20"""
    caplog.set_level(logging.WARNING)
    wire = Wire()
    v6 = WATCHES.replace("b.example", "[2001:db8::1]")
    a = wire.serve(config("a", A[0], v6), MemoryStorage())
    problem = "peer b: [2001:db8::1]: no listener can send to an address of its kind"
    assert problems(a) == [problem]
    assert caplog.text.count("no listener") == 1
    assert a.timer_at is None or a.timer_at > wire.now + 3  # a number is not asked for


def test_after_a_restart_a_subscription_goes_on_once_its_peer_is_found() -> None:
    """3263-20: in the dialog that it had, if the peer is where it was."""
    wire = Wire()
    wire.hosts["b.example"] = B
    a = wire.serve(config("a", A[0], WATCHES), MemoryStorage())
    b = wire.serve(config("b", B[0], KNOWS_A), MemoryStorage())
    register(wire, b)
    wire.pass_time(1)
    del wire.hosts["b.example"]
    a = wire.restart(a)
    wire.pass_time(10)
    assert a.contacts(ALICE) == ["sip:alice@192.0.2.50"]
    wire.hosts["b.example"] = B
    wire.pass_time(5)
    one, other = sent(wire, "SUBSCRIBE", B)
    assert one.call_id == other.call_id and other.cseq.number == 2
