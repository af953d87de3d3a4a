"""A user with very many contacts is known at the other server too."""

from __future__ import annotations

from reginfo.sip.message import Response
from reginfo.sip.parser import parse
from reginfo.testing import Wire
from reginfo.testing.wire import WireServer

from ..simulation import ALICE, PHONE, configuration, given

CONTACTS = 200
UNLIMITED = "[registrar]\nmax_contacts = 0\nmax_per_register = 0"
LONGEST = 65_507
"""Octets that fit into one datagram of UDP on IPv4."""


def register_many(wire: Wire, server: WireServer, first: int, number: int) -> None:
    instance = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-{:012d}>";reg-id=1'
    contacts = [
        f"Contact: <sip:alice{n}@192.0.2.{n}:5060;transport=udp>;{instance.format(n)}"
        for n in range(first, first + number)
    ]
    lines = [
        "REGISTER sip:example.com SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.50:5060;branch=z9hG4bK{first}",
        f"From: <{ALICE}>;tag=1",
        f"To: <{ALICE}>",
        "Call-ID: many",
        f"CSeq: {first + 1} REGISTER",
        *contacts,
        "Expires: 3600",
        "User-Agent: Phone/1.2.3 (Example; build 2026)",
    ]
    wire.send("\r\n".join([*lines, "", ""]).encode(), PHONE, server.address)
    (answer,) = (parse(data) for data in wire.received(PHONE))
    given(isinstance(answer, Response) and answer.status == 200)


def test_a_user_with_hundreds_of_contacts_is_known_at_a_peer() -> None:
    """The full document is longer than 65 535 octets (RFC 3261 §18.1.1)."""
    wire = Wire()
    wire.lose(lambda packet: len(packet.data) > LONGEST, times=1000)
    a = wire.serve(configuration("a", ["b"], watch=(), extra=UNLIMITED))
    for first in range(0, CONTACTS, 25):
        register_many(wire, a, first, 25)
    b = wire.serve(configuration("b", ["a"]))
    wire.pass_time(60)
    given(len(a.contacts(ALICE)) == CONTACTS)
    assert sorted(b.contacts(ALICE)) == sorted(a.contacts(ALICE))
