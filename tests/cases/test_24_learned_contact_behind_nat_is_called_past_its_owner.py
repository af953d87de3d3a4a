"""A phone behind a NAT is called by way of the server that it registered at."""

from __future__ import annotations

import pytest

from reginfo.ledger.memory import MemoryStorage
from reginfo.sip.transport import Transport
from reginfo.testing import Wire

from ..simulation import ALICE, given, is_registered, register
from ..sync.make import linked

NAT = ("203.0.113.5", 40_000)
CALLER = ("192.0.2.90", 5060)
INVITE = "\r\n".join(
    [
        f"INVITE {ALICE} SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.90;branch=z9hG4bKx",
        "From: <sip:q@example.com>;tag=q",
        f"To: <{ALICE}>",
        "Call-ID: x",
        "CSeq: 1 INVITE",
        "Max-Forwards: 70",
        "Contact: <sip:q@192.0.2.90>",
        "Content-Length: 0",
        "",
        "",
    ]
).encode()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_phone_behind_a_nat_is_called_through_its_own_server(transport: str) -> None:
    """
    A phone behind a NAT registers at B, and A learns of it. The NAT lets only B's
    datagrams in (RFC 3581 §1), so a call at A must go to B.
    """
    wire = Wire()
    a = wire.serve(linked("a", "b", transport=transport), MemoryStorage())
    b = wire.serve(linked("b", "a", transport=transport), MemoryStorage())
    wire.pass_time(6)
    given(is_registered(register(wire, b, "sip:alice@10.0.0.5", phone=NAT)))
    wire.pass_time(5)
    given(a.contacts(ALICE))
    wire.packets.clear()
    wire.send(INVITE, CALLER, a.address)
    called = [
        packet.destination
        for packet in wire.packets
        if packet.source == a.address and packet.data.startswith(b"INVITE ")
    ]
    given(called)
    assert called == [b.address]
    phone = [data for data in wire.received(NAT) if data.startswith(b"INVITE ")]
    assert phone and b"\r\nRoute: " not in phone[0], (
        "B goes by the flow of its REGISTER"
    )


@pytest.mark.parametrize("is_known", [True, False])
def test_a_phone_whose_stream_is_closed_is_not_called_past_its_server(
    is_known: bool,
) -> None:
    """
    RFC 5626 §5.3: a token of a flow that is gone is answered 430. After a restart of
    its server the token names nothing, and there is nobody at the private address.
    """
    wire = Wire()
    a = wire.serve(linked("a", "b"), MemoryStorage())
    b = wire.serve(linked("b", "a"), MemoryStorage())
    wire.pass_time(6)
    contact = "sip:alice@10.0.0.5;transport=tcp"
    lines = [
        "REGISTER sip:example.com SIP/2.0",
        "Via: SIP/2.0/TCP 10.0.0.5;branch=z9hG4bKr",
        f"From: <{ALICE}>;tag=r",
        f"To: <{ALICE}>",
        "Call-ID: r",
        "CSeq: 1 REGISTER",
        f"Contact: <{contact}>",
        "Expires: 600",
        "Content-Length: 0",
    ]
    wire.send("\r\n".join([*lines, "", ""]).encode(), NAT, b.address, Transport.TCP)
    wire.pass_time(5)
    given(a.contacts(ALICE) == [contact])
    given(b.bindings(ALICE)[0].path == (), "it is never stored at its owner")
    given(len(a.bindings(ALICE)[0].path) == 1)
    if is_known:
        wire.hang_up(NAT, b.address)
    wire.received(CALLER)
    wire.send(INVITE, CALLER, a.address)
    wire.pass_time(1)
    answers = [data.partition(b"\r\n")[0] for data in wire.received(CALLER)]
    if is_known:
        assert b"SIP/2.0 430 Flow Failed" in answers
    else:
        called = [data for data in wire.received(NAT) if data.startswith(b"INVITE ")]
        assert called, "by its stream, while that is open"
