"""Requests of ours in dialogs go where the target says (RFC 3261 §12.2.1.1)."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.ledger.journal import Journal
from reginfo.ledger.part import Found
from reginfo.location.store import LocationStore
from reginfo.routing.domains import Domains
from reginfo.routing.in_dialog import InDialog
from reginfo.routing.nat import Nat
from reginfo.routing.targets import Targets
from reginfo.sip.address import numeric
from reginfo.sip.destination import Destination
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.flow import Address, Flow, Local
from reginfo.sip.message import Draft, Response
from reginfo.sip.moment import Moment
from reginfo.sip.transport import Transport
from reginfo.sip.uri import Uri

from ..make import NOW, moment

UDP = Local(Transport.UDP, "192.0.2.1", 5060)
UDP2 = Local(Transport.UDP, "192.0.2.1", 5070)
TCP = Local(Transport.TCP, "192.0.2.1", 5060)
UDP6 = Local(Transport.UDP, "2001:db8::1", 5060)
TCP6 = Local(Transport.TCP, "2001:db8::1", 5060)
PEER: Address = ("198.51.100.7", 5060)
OTHER: Address = ("198.51.100.8", 5060)
DRAFT = Draft("NOTIFY", "sip:w@198.51.100.7", "")


class Watcher:
    """The user of a request, who notes what becomes of it."""

    def __init__(self) -> None:
        self.heard: list[int | str] = []

    def receive_response(self, response: Response, moment: Moment) -> None:
        self.heard.append(response.status)

    def receive_failure(self, cause: str, moment: Moment) -> None:
        self.heard.append(cause)

    def never_sent(self) -> None:
        self.heard.append("never")


class World:
    """A sender in dialogs, names that the test knows, and open streams."""

    def __init__(self, *locals: Local, fix: bool = True) -> None:
        self.journal = Journal()
        self.open: set[Flow] = set()
        self.names: dict[str, list[Destination] | RemoteProtocolError] = {}
        self.waiting: list[Found] = []
        self.slow = False
        self.sent: list[tuple[Flow, Any, dict[str, Any]]] = []
        nat = Nat(fix=fix)
        targets = Targets(
            LocationStore("a", self.journal),
            domains=Domains([], use_domain=True, default_domain=None),
            nat=nat,
            is_open=self.is_open,
            now=lambda: NOW,
            table="location",
        )
        targets.begin(locals or (UDP, UDP2, TCP, UDP6, TCP6), self)
        self.in_dialog = InDialog(
            targets,
            self.journal,
            nat=nat,
            is_open=self.is_open,
            send_request=lambda draft, flow, user, **options: self.sent.append(
                (flow, user, options)
            ),
            moment=moment,
        )

    def is_open(self, flow: Flow) -> bool:
        return not flow.local.is_reliable or flow in self.open

    def find(self, uri: Uri, found: Found) -> None:
        if self.slow:
            self.waiting.append(found)
            return
        known = self.names.get(uri.host)
        if known is None:
            transport = Transport.of(uri) or Transport.UDP
            host = numeric(uri.host).address
            known = [Destination(transport, (host, uri.port or 5060))]
        found(known)

    def send(self, uri: str, flow: Flow, user: Watcher | None = None) -> Flow:
        self.in_dialog.send(
            DRAFT, Uri.parse(uri), flow, user or Watcher(), is_divisible=True
        )
        *_, (by, _, options) = self.sent
        assert options == {"is_divisible": True}
        return by


@pytest.mark.parametrize(
    ("uri", "flow", "by"),
    [
        # Where the peer was heard.
        ("sip:w@198.51.100.7", Flow(UDP, PEER), Flow(UDP, PEER)),
        ("sip:w@198.51.100.7", Flow(UDP2, PEER), Flow(UDP2, PEER)),
        # Another port, another host, from the same address of ours.
        ("sip:w@198.51.100.7:5080", Flow(UDP2, PEER),
         Flow(UDP2, ("198.51.100.7", 5080))),
        ("sip:w@198.51.100.8", Flow(UDP2, PEER), Flow(UDP2, OTHER)),
        # By the transport that the URI names.
        ("sip:w@198.51.100.7;transport=tcp", Flow(UDP, PEER), Flow(TCP, PEER)),
        ("sip:w@198.51.100.8;transport=TCP", Flow(UDP, PEER), Flow(TCP, OTHER)),
        ("sip:w@198.51.100.7;transport=udp", Flow(TCP, ("198.51.100.7", 41000)),
         Flow(UDP, PEER)),
        # By a name.
        ("sip:w@pc.example.com", Flow(UDP, PEER), Flow(UDP, OTHER)),
        ("sip:w@tcp.example.com", Flow(UDP, PEER), Flow(TCP, OTHER)),
        ("sip:w@both.example.com", Flow(UDP, PEER), Flow(UDP, PEER)),
        # A name that leads nowhere: the peer was heard, after all.
        ("sip:w@nowhere.example.com", Flow(UDP2, PEER), Flow(UDP2, PEER)),
        # RFC 5626, NAT.
        ("sip:w@198.51.100.8;ob", Flow(UDP2, PEER), Flow(UDP2, PEER)),
        ("sip:w@10.0.0.1", Flow(UDP2, PEER), Flow(UDP2, PEER)),
        ("sip:w@10.0.0.1;transport=tcp", Flow(UDP2, PEER), Flow(UDP2, PEER)),
        # IPv6, and from one family to the other.
        ("sip:w@[2001:db8::7]", Flow(UDP6, ("2001:db8::7", 5060)),
         Flow(UDP6, ("2001:db8::7", 5060))),
        ("sip:w@[2001:db8::8];transport=tcp", Flow(UDP6, ("2001:db8::7", 5060)),
         Flow(TCP6, ("2001:db8::8", 5060))),
        ("sip:w@[fd00::1]", Flow(UDP6, ("2001:db8::7", 5060)),
         Flow(UDP6, ("2001:db8::7", 5060))),
        # A user agent that is heard by one family is reached by that.
        ("sip:w@[2001:db8::7]", Flow(UDP, PEER), Flow(UDP, PEER)),
        ("sip:w@198.51.100.7", Flow(UDP6, ("2001:db8::7", 5060)),
         Flow(UDP6, ("2001:db8::7", 5060))),
    ],
)  # fmt: skip
def test_a_request_goes_where_its_target_says(uri: str, flow: Flow, by: Flow) -> None:
    """3261-60: RFC 3261 §12.2.1.1, RFC 3263"""
    world = World()
    world.names = {
        "pc.example.com": [Destination(Transport.UDP, OTHER)],
        "tcp.example.com": [Destination(Transport.TCP, OTHER)],
        "both.example.com": [
            Destination(Transport.UDP, OTHER),
            Destination(Transport.UDP, PEER),
        ],
        "nowhere.example.com": RemoteProtocolError("no such host", status=404),
    }
    assert world.send(uri, flow) == by


def test_a_stream_serves_while_it_is_open() -> None:
    """3261-60, 5626-04"""
    world = World()
    stream = Flow(TCP, ("198.51.100.7", 41000))
    world.open.add(stream)
    for uri in (
        "sip:w@198.51.100.7",
        "sip:w@198.51.100.7:41000;transport=tcp",
        "sip:w@198.51.100.9;ob",
        "sip:w@10.0.0.1;transport=tcp",
    ):
        assert world.send(uri, stream) == stream, uri
    # Somebody else listens there.
    elsewhere = world.send("sip:w@198.51.100.7:5080;transport=tcp", stream)
    assert elsewhere == Flow(TCP, ("198.51.100.7", 5080))
    world.open.clear()
    assert world.send("sip:w@198.51.100.7;transport=tcp", stream) == Flow(TCP, PEER)
    assert world.send("sip:w@198.51.100.7", stream) == Flow(UDP, PEER)
    assert world.send("sip:w@198.51.100.9;ob", stream).remote == ("198.51.100.9", 5060)


def test_without_fix_a_private_address_is_believed() -> None:
    world = World(fix=False)
    assert world.send("sip:w@10.0.0.1", Flow(UDP, PEER)) == Flow(
        UDP, ("10.0.0.1", 5060)
    )


def test_we_may_have_no_address_of_its_kind() -> None:
    world = World(UDP)
    flow = Flow(UDP, PEER)
    assert world.send("sip:w@198.51.100.8;transport=tcp", flow) == flow
    assert world.send("sip:w@[2001:db8::7]", flow) == flow


def test_a_connection_that_is_gone_is_replaced() -> None:
    """3261-60: the next destination is tried with the same request"""
    world = World()
    user = Watcher()
    world.names["pc.example.com"] = [
        Destination(Transport.TCP, PEER),
        Destination(Transport.TCP, OTHER),
        Destination(Transport.UDP, OTHER),
    ]
    stream = Flow(TCP, PEER)
    world.open.add(stream)
    assert world.send("sip:w@pc.example.com", stream, user) == stream
    for expected in (Flow(TCP, OTHER), Flow(UDP, OTHER)):
        request = world.sent[-1][1]
        request.receive_failure("transport", moment())
        assert world.sent[-1][0] == expected
    request.receive_failure("transport", moment())
    assert user.heard == ["transport"] and len(world.sent) == 3


def test_a_stream_that_closes_under_a_request_is_opened_again_to_the_target() -> None:
    """3261-60"""
    world = World()
    user = Watcher()
    stream = Flow(TCP, ("198.51.100.7", 41000))
    world.open.add(stream)
    uri = "sip:w@198.51.100.7:41000;transport=tcp"
    assert world.send(uri, stream, user) == stream
    world.open.clear()
    request = world.sent[-1][1]
    request.receive_failure("transport", moment())
    assert world.sent[-1][0] == stream and len(world.sent) == 2
    request.receive_failure("transport", moment())
    assert user.heard == ["transport"] and len(world.sent) == 2
    # Of one that is behind a NAT, the target is tried.
    world.open.add(stream)
    assert world.send("sip:w@198.51.100.9;ob", stream, user) == stream
    world.open.clear()
    world.sent[-1][1].receive_failure("transport", moment())
    assert world.sent[-1][0].remote == ("198.51.100.9", 5060)


def test_a_datagram_that_cannot_be_sent_is_not_sent_there_again() -> None:
    world = World()
    user = Watcher()
    assert world.send("sip:w@198.51.100.7", Flow(UDP, PEER), user) == Flow(UDP, PEER)
    world.sent[-1][1].receive_failure("transport", moment())
    assert user.heard == ["transport"] and len(world.sent) == 1


@pytest.mark.parametrize("cause", ["timeout", "response", "never"])
def test_what_becomes_of_it_is_for_its_user(cause: str) -> None:
    world = World()
    user = Watcher()
    world.send("sip:w@198.51.100.8;transport=tcp", Flow(UDP, PEER), user)
    request = world.sent[-1][1]
    if cause == "response":
        request.receive_response(Response(200, "OK"), moment())
    elif cause == "never":
        request.never_sent()
    else:
        request.receive_failure(cause, moment())
    assert user.heard == [200 if cause == "response" else cause]
    assert len(world.sent) == 1


@pytest.mark.parametrize("failed", [False, True])
def test_a_name_may_be_found_later_unless_it_was_taken_back(failed: bool) -> None:
    world = World()
    world.slow = True
    uri = Uri.parse("sip:w@pc.example.com")
    world.in_dialog.send(DRAFT, uri, Flow(UDP, PEER), Watcher())
    assert world.sent == []
    batch = world.journal.close()
    if failed:
        batch.take_back()
    (found,) = world.waiting
    found([Destination(Transport.UDP, OTHER)])
    assert [flow for flow, _, _ in world.sent] == ([] if failed else [Flow(UDP, OTHER)])


@pytest.mark.parametrize(
    "uri", ["sips:w@198.51.100.7", "sips:w@nowhere.example.com", "sips:w@10.0.0.1;ob"]
)
def test_without_tls_a_secure_target_gets_nothing(uri: str) -> None:
    """5630-01: not even by the flow of the dialog."""
    world, watcher = World(), Watcher()
    world.in_dialog.send(DRAFT, Uri.parse(uri), Flow(UDP, PEER), watcher)
    assert world.sent == []
    assert watcher.heard == ["transport"]


def test_a_secure_target_is_reached_by_tls() -> None:
    """5630-01, 5922-04: or by the connection that its request came by."""
    tls = Local(Transport.TLS, "192.0.2.1", 5061)
    world = World(UDP, tls)
    there = Destination(Transport.TLS, OTHER, "pc.example.com")
    world.names["pc.example.com"] = [there]
    uri = Uri.parse("sips:w@pc.example.com")
    world.in_dialog.send(DRAFT, uri, Flow(UDP, PEER), Watcher())
    named = Flow(tls, OTHER, "pc.example.com")
    assert [flow for flow, _, _ in world.sent] == [named]
    came = Flow(tls, ("198.51.100.7", 41000))
    world.open.add(came)
    world.in_dialog.send(DRAFT, uri, came, Watcher())
    assert [flow for flow, _, _ in world.sent] == [named, came]
