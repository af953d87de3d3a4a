"""The torture messages of RFC 4475 and RFC 5118 at a whole server."""

from __future__ import annotations

from pathlib import Path

import pytest

from reginfo.config.config import Config
from reginfo.sip.flow import Address
from reginfo.sip.message import Request, Response
from reginfo.sip.parser import parse
from reginfo.testing import Wire, WireServer

TORTURE = Path(__file__).parents[1] / "torture"
PATHS = {path.stem: path for path in sorted(TORTURE.rglob("*.sip"))}

PHONE = ("192.0.2.60", 5060)
CONFIG = """
[server]
id = "a"
listen = ["udp:192.0.2.1:5060", "udp:[2001:db8::10]:5060", "udp:[2001:db8::10]:5070"]
domains = ["example.com"]
[store]
url = "memory:"
"""

# What the server sends by itself if the user of the Request-URI is registered: at
# first, and PASSED for a request that goes to the user's phone.
PASSED, DROPPED = 0, -1
FATES = {
    "badbranch": PASSED, "bcast": DROPPED, "bext01": 420, "cparam01": 200,
    "cparam02": 200, "insuf": 400, "inv2543": PASSED, "invut": PASSED, "mcl01": 400,
    "multi01": 400, "novelsc": 416, "regaut01": 200, "regescrt": 200, "sdp01": PASSED,
    "unkscm": 416, "unksm2": 416, "zeromf": 483,
    "badaspec": 400, "baddate": PASSED, "baddn": 400, "badinv01": 400, "badvers": 505,
    "bigcode": DROPPED, "clerr": 400, "escruri": 400, "ltgtruri": 400, "lwsruri": 400,
    "lwsstart": 400, "mismatch01": 400, "mismatch02": 400, "ncl": 400, "quotbal": 400,
    "regbadct": 400, "scalar02": 400, "scalarlg": DROPPED, "trws": PASSED,
    "dblreq": 200, "escnull": 200, "intmeth": PASSED, "lwsdisp": PASSED,
    "semiuri": PASSED, "transports": PASSED, "unreason": DROPPED, "noreason": DROPPED,
    # To and through other domains.
    "esc01": 403, "esc02": 404,
    # RFC 5118.
    "ipv6-good": 200, "ipv6-bad": 400, "port-unambiguous": 200, "ipv6-in-sdp": 400,
    "via-received-param-no-delim": 200, "via-received-param-with-delim": 405,
    "ipv4-mapped-ipv6": PASSED,
}  # fmt: skip
# Each of these follows a Route or a name to somewhere else.
ELSEWHERE = {
    "longreq", "wsinv", "mpart01", "mult-ip-in-header", "mult-ip-in-sdp",
    "ipv6-bug-abnf-3-colons", "ipv6-correct-abnf-2-colons", "port-ambiguous",
}  # fmt: skip


class Server:
    """A server, and what it sends to anybody."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.server: WireServer = self.wire.serve(Config.parse(CONFIG))

    def send(self, name: str) -> list[tuple[Address, Request | Response]]:
        """Send a message; return all that the server sends then, and where to."""
        source, server = ("192.0.2.50", 5060), ("192.0.2.1", 5060)
        if PATHS[name].parent.name == "ipv6":
            source, server = ("2001:db8::9:1", 5060), ("2001:db8::10", 5060)
        already = len(self.wire.packets)
        self.wire.send(PATHS[name].read_bytes(), source, server)
        return [
            (packet.destination, parse(packet.data))
            for packet in self.wire.packets[already:]
            if packet.source != source
        ]

    def register(self, uri: str) -> None:
        """Register a phone for the user of a URI; nothing if it is no user of ours."""
        lines = [
            "REGISTER sip:example.com SIP/2.0",
            "Via: SIP/2.0/UDP 192.0.2.60;branch=z9hG4bKr",
            f"From: <{uri}>;tag=1",
            f"To: <{uri}>",
            "Call-ID: r",
            "CSeq: 1 REGISTER",
            "Contact: <sip:phone@192.0.2.60>",
        ]
        data = "\r\n".join([*lines, "", ""]).encode()
        self.wire.send(data, PHONE, self.server.address)


def served(name: str) -> list[tuple[Address, Request | Response]]:
    """What a server sends that gets a message for a user who is registered."""
    server = Server()
    server.register(PATHS[name].read_bytes().split(b" ")[1].decode("utf-8", "replace"))
    return server.send(name)


def test_each_message_has_its_fate() -> None:
    assert FATES.keys() | ELSEWHERE == PATHS.keys()
    assert len(PATHS) == 49 + 12


@pytest.mark.parametrize("name", FATES)
def test_a_server_answers_or_forwards_each_as_the_rfc_asks(name: str) -> None:
    """4475-02, -03, -05"""
    statuses, forwarded = [], []
    for address, one in served(name):
        if isinstance(one, Request):
            assert address == PHONE
            forwarded.append(one)
        elif one.status != 100:
            statuses.append(one.status)
    fate = FATES[name]
    assert statuses == ([fate] if fate > 0 else [])
    assert len(forwarded) == (fate == PASSED)


CHANGED = {"Via", "Max-Forwards", "Record-Route", "Content-Length"}
"""What a proxy changes (RFC 3261 §16.6)."""


@pytest.mark.parametrize("name", [n for n, fate in FATES.items() if fate == PASSED])
def test_what_is_forwarded_is_as_it_came(name: str) -> None:
    """4475-01, 3261-90: each header field and the body, octet by octet."""
    (forwarded,) = [m for _, m in served(name) if isinstance(m, Request)]
    came = parse(PATHS[name].read_bytes())
    assert isinstance(came, Request)
    assert (forwarded.method, forwarded.body) == (came.method, came.body)
    assert forwarded.uri == "sip:phone@192.0.2.60"
    for header, values in came.headers.items():
        if header not in CHANGED:
            assert forwarded.headers[header] == values
    # Ours is on top; the next has what §18.2.1 adds.
    assert forwarded.headers["Via"][2:] == came.headers["Via"][1:]


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_what_goes_elsewhere_is_answered_or_forwarded(name: str) -> None:
    """4475-01, -05: and never with an error of ours."""
    for _, one in served(name):
        if isinstance(one, Response):
            assert one.status in (100, 404, 500)
            assert one.reason != "Server Internal Error"


@pytest.mark.parametrize(
    ("name", "contacts"),
    [
        ("cparam01", ["sip:+19725552222@gw1.example.net"]),
        ("cparam02", ["sip:+19725552222@gw1.example.net;unknownparam"]),
        ("regescrt", ["sip:user@example.com?Route=%3Csip:sip.example.com%3E"]),
        ("dblreq", ["sip:j.user@host.example.com"]),
        ("escnull", ["sip:%00@host5.example.com", "sip:%00%00@host5.example.com"]),
        ("regaut01", []),
        ("regbadct", []),
        ("unksm2", []),
        ("scalar02", []),
    ],
)
def test_a_register_binds_what_it_says_and_nothing_else(
    name: str, contacts: list[str]
) -> None:
    """4475-01, -03, -04"""
    server = Server()
    server.send(name)
    store, bound = server.server.app.store, []
    for aor in store.aors("location"):
        bound += [binding.contact for binding in server.server.bindings(aor)]
    assert bound == contacts


def test_bext01_lists_what_is_not_supported() -> None:
    """4475-03: also for a user who is not registered: that is looked up later."""
    server = Server()
    for times in range(2):
        ((_, response),) = server.send("bext01")
        assert isinstance(response, Response)
        assert response.status == 420
        assert response.header("Unsupported") == (
            "noProxiesSupportThis, norDoAnyProxiesSupportThis"
        )
        if not times:
            server = Server()
            server.register("sip:user@example.com")
