"""A request as it is passed on (RFC 3261 §16.6)."""

from __future__ import annotations

from reginfo.sip.destination import Destination
from reginfo.sip.forward import FIRST, draft_of
from reginfo.sip.transport import Transport

from .messages import parsed, request


def test_what_proxies_look_at_stands_in_front_and_the_rest_in_its_order() -> None:
    """3261-43"""
    asked = parsed(
        request(
            "INVITE",
            more=(
                "X-Unknown: a, b",
                "Route: <sip:192.0.2.7;lr>",
                "X-Unknown: c",
                "Record-Route: <sip:192.0.2.8;lr>",
                "Content-Type: text/plain",
            ),
            body="schön".encode(),
        )
    )
    headers = {**asked.headers, "Max-Forwards": ["69"], "Path": ["<sip:us;lr>"]}
    draft = draft_of(asked, uri="sip:bob@192.0.2.60", headers=headers)
    data = draft.write("SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKours")
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.decode().split("\r\n") == [
        "INVITE sip:bob@192.0.2.60 SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKours",
        "Via: SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK1",
        "Route: <sip:192.0.2.7;lr>",
        "Record-Route: <sip:192.0.2.8;lr>",
        "Max-Forwards: 69",
        "Path: <sip:us;lr>",
        "From: <sip:alice@example.com>;tag=a",
        "To: <sip:alice@example.com>",
        "Call-ID: c@192.0.2.1",
        "CSeq: 1 INVITE",
        "Contact: <sip:alice@192.0.2.1:9988>",
        # What we do not know is passed on as it was written.
        "X-Unknown: a, b",
        "X-Unknown: c",
        "Content-Type: text/plain",
        "Content-Length: 6",
    ]
    assert body == asked.body
    assert FIRST[0] == "Via"


def test_the_request_itself_stays_as_it_came() -> None:
    """3261-43: other copies are made of it, for other targets."""
    asked = parsed(request("INVITE"))
    before = {name: list(values) for name, values in asked.headers.items()}
    draft_of(asked, uri="sip:x@y", headers={**asked.headers, "Max-Forwards": ["1"]})
    assert (asked.headers, asked.uri) == (before, "sip:example.com")


def test_a_destination_is_equal_to_another_of_the_same_transport_and_address() -> None:
    one = Destination(Transport.UDP, ("192.0.2.1", 5060))
    assert one == Destination(Transport.UDP, ("192.0.2.1", 5060))
    assert len({one, Destination(Transport.TCP, one.address), Destination(*one)}) == 2
