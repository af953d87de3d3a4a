"""A phone behind a NAT is called by way of the server that it registered at."""

from __future__ import annotations

import pytest

from reginfo.testing import Wire

from ..simulation import ALICE, configuration, given, is_registered, register

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


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="step 6: a learned contact does not lead by way of its owner",
)
def test_a_phone_behind_a_nat_is_called_through_its_own_server() -> None:
    """
    A phone behind a NAT registers at B, and A learns of it. The NAT lets only B's
    datagrams in (RFC 3581 §1), so a call at A must go to B.
    """
    wire = Wire()
    a = wire.serve(configuration("a", ["b"]))
    b = wire.serve(configuration("b", ["a"]))
    wire.pass_time(5)
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
