"""What is forwarded without a transaction (RFC 3261 §16.11)."""

from __future__ import annotations

import msgspec

from reginfo.sip.destination import Destination
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.headers import parse_via
from reginfo.sip.transport import Transport

from .relayed import (
    BOB,
    BOB2,
    CALLER,
    Relay,
    message,
)


def test_the_ack_of_a_2xx_is_sent_on_without_a_transaction() -> None:
    """3261-49, §16.11"""
    relay = Relay()
    _, invite = relay.receive(message(), CALLER)
    relay.reply(invite, 200, "Contact: <sip:bob@192.0.2.60>")
    ack = message(
        "ACK",
        "Route: <sip:192.0.2.1;lr>",
        uri="sip:bob@192.0.2.60",
        branch="z9hG4bKack",
        to="<sip:bob@example.com>;tag=bob",
    )
    (sent,) = relay.receive(ack, CALLER)
    assert (sent.what, sent.to) == ("ACK", BOB)
    assert len(sent.request.values("Via")) == 2
    assert relay.pass_time(5.0) == []  # and never again


def test_a_name_in_via_is_looked_up_without_waiting_for_it() -> None:
    """3263-06, 3263-07: by SRV of that transport (RFC 3263 §5)"""
    relay = Relay()
    relay.slow = True
    data = b"SIP/2.0 200 OK\r\n\r\n"
    via = parse_via("SIP/2.0/TCP pc.example.com;branch=z9hG4bKcall")
    relay.stateless.receive_lost(data, via)
    ((uri, found),) = relay.waiting
    assert uri.text == "sip:pc.example.com;transport=tcp"
    found([Destination(Transport.TCP, BOB2)])
    (sent,) = relay.settle()
    assert (sent.what, sent.to, sent.transport) == ("200", BOB2, Transport.TCP)
    relay.stateless.receive_lost(data, parse_via("SIP/2.0/UDP nowhere.example.com"))
    relay.waiting[-1][1](RemoteProtocolError("none", status=404))
    assert relay.settle() == []


def test_an_ack_that_leads_nowhere_is_dropped() -> None:
    relay = Relay()
    assert relay.receive(message("ACK", uri="sip:192.0.2.1"), CALLER) == []
    assert relay.receive(message("ACK", "Route: <"), CALLER) == []
    assert relay.receive(message("ACK", hops="0"), CALLER) == []


def test_a_response_with_a_via_that_leads_nowhere_is_dropped() -> None:
    relay = Relay()
    via = parse_via("SIP/2.0/UDP pc.example.com;branch=z9hG4bKcall")
    odd = msgspec.structs.replace(via, host="[::g]")
    relay.stateless.receive_lost(b"SIP/2.0 200 OK\r\n\r\n", odd)
    assert relay.settle() == []
