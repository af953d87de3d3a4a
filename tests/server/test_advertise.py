"""What others are told of our addresses: `[server] advertise`."""

from __future__ import annotations

import pytest

from reginfo.config.config import Config, ConfigError
from reginfo.sip.message import Request, Response, SipMessage
from reginfo.sip.parser import parse
from reginfo.testing import Wire

CALLER = ("203.0.113.50", 5060)
PHONE = ("203.0.113.60", 5060)
BOB = "sip:bob@example.com"
CONFIG = """
[server]
id = "a"
listen = ["udp:10.0.0.1:5060", "tcp:10.0.0.1:5060"]
domains = ["example.com"]
ADVERTISE
[store]
url = "memory:"
"""


def serve(advertise: str) -> Wire:
    wire = Wire()
    line = f"advertise = {advertise}" if advertise else ""
    wire.serve(Config.parse(CONFIG.replace("ADVERTISE", line)))
    return wire


def ask(wire: Wire, method: str, uri: str, *headers: str) -> list[SipMessage]:
    """Send a request as the caller; return all that the server sends then."""
    address = SERVER
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP 203.0.113.50;branch=z9hG4bK{method}{len(wire.packets)}",
        "Max-Forwards: 70",
        "From: <sip:alice@example.com>;tag=a",
        f"To: <{BOB}>",
        f"Call-ID: {method}-{len(wire.packets)}",
        f"CSeq: 1 {method}",
        *headers,
        "Content-Length: 0",
    ]
    before = len(wire.packets) + 1
    wire.send("\r\n".join([*lines, "", ""]).encode(), CALLER, address)
    return [parse(packet.data) for packet in wire.packets[before:]]


SERVER = ("10.0.0.1", 5060)


def register(wire: Wire) -> None:
    (answer,) = ask(
        wire, "REGISTER", "sip:example.com", f"Contact: <sip:bob@{PHONE[0]}>"
    )
    assert isinstance(answer, Response) and answer.status == 200


@pytest.mark.parametrize(
    ("advertise", "told"),
    [
        ("", "10.0.0.1:5060"),
        ('"198.51.100.1"', "198.51.100.1:5060"),
        ('"198.51.100.1:5070"', "198.51.100.1:5070"),
        ('"sip.example.org"', "sip.example.org:5060"),
        ('"[2001:DB8::1]:5070"', "[2001:db8::1]:5070"),
        ('["198.51.100.1:5070", "198.51.100.2:5080"]', "198.51.100.1:5070"),
        ('["", "198.51.100.2:5080"]', "10.0.0.1:5060"),
    ],
)
def test_others_are_told_where_they_reach_us(advertise: str, told: str) -> None:
    """3261-61: Via, Record-Route, Path and Contact"""
    wire = serve(advertise)
    register(wire)
    invite = ask(wire, "INVITE", BOB, "Contact: <sip:alice@203.0.113.50>")[-1]
    assert isinstance(invite, Request)
    assert invite.headers["Via"][0].startswith(f"SIP/2.0/UDP {told};")
    assert invite.headers["Record-Route"] == [f"<sip:{told};lr>"]
    passed = ask(wire, "REGISTER", "sip:203.0.113.9", "Contact: <sip:x@203.0.113.50>")
    assert passed[-1].headers["Path"] == [f"<sip:{told};lr>"]
    accepted, notify = ask(
        wire, "SUBSCRIBE", BOB, "Event: reg", "Contact: <sip:w@203.0.113.50>"
    )
    for one in (accepted, notify):
        assert one.headers["Contact"] == [f"<sip:{told}>"]
    sent = b"".join(packet.data for packet in wire.packets)
    assert (b"10.0.0.1" in sent) == (told == "10.0.0.1:5060")


@pytest.mark.parametrize("host", ["198.51.100.1:5070", "sip.example.org:5070"])
def test_what_is_advertised_leads_here(host: str) -> None:
    """3261-55, 3261-61: a Route, a Request-URI, and a Via that comes back"""
    wire = serve(f'"{host}"')
    register(wire)
    invite = ask(wire, "INVITE", BOB, f"Route: <sip:{host};lr>")[-1]
    assert isinstance(invite, Request) and "Route" not in invite.headers
    (answer,) = ask(wire, "OPTIONS", f"sip:{host}")
    assert isinstance(answer, Response) and answer.status == 200
    ringing = invite.write_response(Response(180, "Ringing"), to_tag="bob")
    before = len(wire.packets) + 1
    wire.send(ringing, PHONE, SERVER)
    (passed,) = wire.packets[before:]
    assert passed.destination == CALLER and passed.first_line == "SIP/2.0 180 Ringing"


@pytest.mark.parametrize(
    ("advertise", "wrong"),
    [
        ('"0.0.0.0"', "no address that others can reach"),
        ('"[::]:5060"', "no address that others can reach"),
        ('"a b"', "neither HOST nor HOST:PORT"),
        ('"sip:example.com"', "neither HOST nor HOST:PORT"),
        ('"example.com:99999"', "neither HOST nor HOST:PORT"),
        ('["a.example", "b.example", "c.example"]', "needs one value, or one for each"),
    ],
)
def test_a_wrong_value_is_an_error_of_the_configuration(
    advertise: str, wrong: str
) -> None:
    with pytest.raises(ConfigError, match=wrong):
        serve(advertise)


@pytest.mark.parametrize(
    ("listen", "host"),
    [
        ("udp:0.0.0.0:5060", "0.0.0.0"),
        ("udp:[::]:5060", "::"),
        ("tcp:eth0:5060", "eth0"),
        ("udp:eth0.100:0", "eth0.100"),
    ],
)
def test_a_listener_may_be_all_addresses_or_an_interface(
    listen: str, host: str
) -> None:
    text = CONFIG.replace("ADVERTISE", "").replace("udp:10.0.0.1:5060", listen)
    config = Config.parse(text.replace(', "tcp:10.0.0.1:5060"', ""))
    (address,) = config.server.listen
    assert address.host == host and str(address).endswith(listen.rpartition(":")[2])
