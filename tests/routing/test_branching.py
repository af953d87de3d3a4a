"""Branches: one destination after the other (RFC 3263 §4.3, RFC 3261 §16.8)."""

from __future__ import annotations

import pytest

from reginfo.sip.destination import Destination
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.flow import Flow
from reginfo.sip.invite import InviteClientTransaction
from reginfo.sip.transport import Transport

from ..make import moment
from .relayed import (
    BOB,
    BOB2,
    CALLER,
    UDP,
    Relay,
    Sent,
    message,
    target,
    whats,
)


@pytest.mark.parametrize("failure", ["503", "timeout", "transport"])
def test_the_next_place_is_tried_with_a_new_branch(failure: str) -> None:
    """3263-04, 3263-08"""
    relay = Relay()
    relay.places["pc.example.com"] = [
        Destination(Transport.UDP, BOB),
        Destination(Transport.UDP, BOB2),
    ]
    relay.targets = []
    request = message("MESSAGE", uri="sip:bob@pc.example.com")
    relay.endpoint.receive_datagram(request.encode(), Flow(UDP, CALLER), relay.now)
    for event in relay.endpoint.events():
        relay._handle(event)
    (datagram,) = relay.endpoint.datagrams_to_send()
    if failure == "transport":
        relay.endpoint.transport_failed(datagram, 0.0)
        sent = relay.settle()
    else:
        relay.endpoint.sent([datagram], 0.0)
        first = Sent(datagram.data, datagram.flow)
        sent = (
            relay.reply(first, 503) if failure == "503" else relay.pass_time(32.5)[-1:]
        )
    (second,) = sent
    assert (second.what, second.to) == ("MESSAGE", BOB2)
    assert second.request.via.branch.encode() not in datagram.data
    assert whats(relay.reply(second, 200)) == ["200"]


@pytest.mark.parametrize("how", ["503", "timeout", "transport"])
def test_what_is_cancelled_is_sent_to_no_other_destination(how: str) -> None:
    """3261-46, 3261-48: §16.10, nobody wants it any more"""
    relay = Relay()
    relay.places["pc.example.com"] = [
        Destination(Transport.UDP, BOB),
        Destination(Transport.UDP, BOB2),
    ]
    relay.targets = []
    _, invite = relay.receive(message(uri="sip:bob@pc.example.com"), CALLER)
    relay.reply(invite, 180)
    assert "CANCEL" in whats(relay.receive(message("CANCEL"), CALLER))
    if how == "503":
        sent = relay.reply(invite, 503)
    elif how == "timeout":
        sent = relay.pass_time(64.1)
    else:
        (client,) = [
            one for one in relay.endpoint._clients._transactions.values()
            if isinstance(one, InviteClientTransaction)
        ]  # fmt: skip
        client.user.receive_failure("transport", moment(0.0))
        sent = relay.settle()
    assert not [one for one in sent if one.what == "INVITE"]
    assert len(relay.proxy) == 0


def test_a_transport_error_is_as_a_503_which_the_caller_hears_as_500() -> None:
    """3261-57: §16.9, §16.7 step 6"""
    relay = Relay()
    relay.endpoint.receive_datagram(
        message("MESSAGE").encode(), Flow(UDP, CALLER), relay.now
    )
    for event in relay.endpoint.events():
        relay._handle(event)
    (datagram,) = relay.endpoint.datagrams_to_send()
    relay.endpoint.transport_failed(datagram, 0.0)
    assert whats(relay.settle()) == ["500"]
    # Any other response is better.
    relay.targets = [target(BOB), target(BOB2)]
    one, two = relay.receive(message("MESSAGE", branch="z9hG4bK2"), CALLER)
    relay.reply(two, 486)
    client = next(
        client
        for client in relay.endpoint._clients._transactions.values()
        if client.flow.remote == BOB and not client.answered
    )
    client.user.receive_failure("transport", moment(0.0))
    assert whats(relay.settle()) == ["486"]
    assert one.to == BOB


def test_a_destination_that_we_have_no_address_for_is_as_a_transport_error() -> None:
    """3261-57: with no place to send to, the next target is tried, or it is 500"""
    relay = Relay()
    relay.unreachable.add(BOB)
    assert whats(relay.receive(message("MESSAGE"), CALLER)) == ["500"]
    assert len(relay.proxy) == 0
    relay.targets = [target(BOB, 1.0), target(BOB2, 0.5)]
    (sent,) = relay.receive(message("MESSAGE", branch="z9hG4bK2"), CALLER)
    assert sent.to == BOB2
    # Of several destinations of one target, the next is tried.
    relay.places["pc.example.com"] = [
        Destination(Transport.UDP, BOB),
        Destination(Transport.UDP, BOB2),
    ]
    relay.targets = []
    request = message("MESSAGE", uri="sip:bob@pc.example.com", branch="z9hG4bK3")
    (sent,) = relay.receive(request, CALLER)
    assert sent.to == BOB2


def test_a_host_that_nobody_knows_is_404_and_what_is_not_answered_500() -> None:
    relay = Relay()
    relay.targets = []
    request = message("MESSAGE", uri="sip:bob@nowhere.example")
    relay.places["nowhere.example"] = RemoteProtocolError("no such host", status=404)
    assert whats(relay.receive(request, CALLER)) == ["404"]
    relay.places["nowhere.example"] = RemoteProtocolError("nobody knows", status=503)
    again = request.replace("z9hG4bKcall", "z9hG4bK2")
    assert whats(relay.receive(again, CALLER)) == ["500"]
    assert len(relay.proxy) == 0
