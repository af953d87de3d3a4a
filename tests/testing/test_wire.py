"""Servers joined by a wire: killed, restarted, emptied, restored; UDP and TCP."""

from __future__ import annotations

import pytest

from reginfo.config.config import Config
from reginfo.ledger.memory import MemoryStorage
from reginfo.sip.message import Response
from reginfo.sip.parser import parse
from reginfo.sip.transport import Transport
from reginfo.testing import Wire, WireServer

from ..make import ALICE, PHONE

HOSTS = {"a": "192.0.2.1", "b": "192.0.2.2"}
CONTACT = "sip:alice@192.0.2.50"


def config(me: str, *peers: str, transport: str = "udp") -> Config:
    text = f"""
[server]
id = "{me}"
listen = ["{transport}:{HOSTS[me]}:5060"]
domains = ["example.com"]
[store]
url = "memory:"
[pua_reginfo]
server_address = "sip:server@{HOSTS[me]}"
"""
    for peer in peers:
        uri = f"sip:{HOSTS[peer]};transport={transport}"
        watch = f'"{ALICE}"' if me == "b" else ""
        text += f'[[peer]]\nname = "{peer}"\nuri = "{uri}"\nwatch = [{watch}]\n'
    return Config.parse(text)


class Pair:
    """A server, and another one that watches it."""

    def __init__(self, transport: str = "udp") -> None:
        self.wire = Wire()
        self.transport = Transport[transport.upper()]
        self.a = self.wire.serve(config("a", "b", transport=transport), MemoryStorage())
        self.b = self.wire.serve(config("b", "a", transport=transport), MemoryStorage())
        self.wire.pass_time(1)
        self.cseq = 0

    def register(self, server: WireServer | None = None, expires: int = 600) -> int:
        self.cseq += 1
        via = f"SIP/2.0/{self.transport} {PHONE[0]}"
        lines = [
            "REGISTER sip:example.com SIP/2.0",
            f"Via: {via};branch=z9hG4bKr{self.cseq}",
            f"From: <{ALICE}>;tag=1",
            f"To: <{ALICE}>",
            "Call-ID: phone",
            f"CSeq: {self.cseq} REGISTER",
            f"Contact: <{CONTACT}>",
            f"Expires: {expires}",
            "Content-Length: 0",
        ]
        data = "\r\n".join([*lines, "", ""]).encode()
        self.wire.send(data, PHONE, (server or self.a).address, self.transport)
        answers = [parse(one) for one in self.wire.received(PHONE)]
        statuses = [one.status for one in answers if isinstance(one, Response)]
        return statuses[-1] if statuses else 0


@pytest.fixture(params=["udp", "tcp"])
def pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(request.param)


def test_who_registers_at_one_is_known_at_the_other(pair: Pair) -> None:
    assert pair.register() == 200
    pair.wire.pass_time(6)  # over TCP, a peer is not known by its port
    assert pair.b.contacts(ALICE) == [CONTACT]
    assert {one.transport for one in pair.wire.packets} == {pair.transport}


def test_what_was_committed_is_there_after_a_restart(pair: Pair) -> None:
    pair.register()
    pair.wire.pass_time(6)
    pair.a = pair.wire.restart(pair.a)
    pair.b = pair.wire.restart(pair.b)
    assert pair.a.contacts(ALICE) == [CONTACT]
    assert pair.b.contacts(ALICE) == [CONTACT]


def test_a_killed_server_answers_nothing_and_is_started_again(pair: Pair) -> None:
    pair.wire.kill(pair.a)
    assert pair.register() == 0
    pair.a = pair.wire.restart(pair.a)
    pair.cseq += 1
    assert pair.register() == 200


def test_an_empty_server_knows_nothing(pair: Pair) -> None:
    pair.register()
    pair.a = pair.wire.empty(pair.a)
    assert pair.a.contacts(ALICE) == []


def test_a_restart_may_have_another_configuration(pair: Pair) -> None:
    pair.register()
    other = config("b", transport=pair.transport.lower())
    pair.b = pair.wire.restart(pair.b, config=other)
    assert pair.b.app.peers() == []


def test_a_cut_link_is_made_good_once_it_is_healed(pair: Pair) -> None:
    pair.wire.cut(pair.a, pair.b)
    assert pair.register() == 200
    pair.wire.pass_time(10)
    assert pair.b.contacts(ALICE) == []
    pair.wire.heal(pair.a, pair.b)
    pair.wire.pass_time(3600)
    pair.register()
    pair.wire.pass_time(40)
    assert pair.b.contacts(ALICE) == [CONTACT]


@pytest.mark.parametrize("fault", ["lose", "double", "delay"])
def test_a_datagram_that_goes_astray_changes_nothing_in_the_end(fault: str) -> None:
    pair = Pair()
    notifies = pair.wire.packets
    arguments = (0.7,) if fault == "delay" else ()
    getattr(pair.wire, fault)(
        lambda packet: packet.first_line.startswith("NOTIFY"), *arguments
    )
    pair.register()
    pair.wire.pass_time(1.0)
    assert pair.b.contacts(ALICE) == [CONTACT]
    assert [one for one in notifies if one.first_line.startswith("NOTIFY")]


def test_fate_decides_of_each_datagram() -> None:
    pair = Pair()
    pair.wire.disturb(lambda packet: [])
    assert pair.register() == 0
    pair.wire.disturb(None)
    assert pair.register() == 200


def test_who_hangs_up_is_gone() -> None:
    pair = Pair("tcp")
    pair.register()
    local, remote = pair.a.address, PHONE
    assert pair.wire.links.is_open(local, remote)
    pair.wire.hang_up(PHONE, pair.a.address)
    assert not pair.wire.links.is_open(local, remote)


def test_no_server_is_reached_by_a_stream_that_was_killed_with_it() -> None:
    pair = Pair("tcp")
    pair.register()
    pair.wire.kill(pair.b)
    pair.cseq += 1
    assert pair.register(expires=0) == 200
    pair.wire.pass_time(60)  # the NOTIFY cannot be delivered, nor tried any longer
    assert len(pair.a.app.notifier) == 0
