"""
Requests of ours that are too long for a datagram: by TCP, and back to UDP.

RFC 3261 §18.1.1: beyond 1300 octets a request goes by TCP; if there is none, "the
request SHOULD be retried, using the original transport". Each of NOTIFY, PUBLISH and
SUBSCRIBE to a peer that takes TCP, refuses it, resets it, and drops its SYN. The state
that a NOTIFY reports can be divided: without TCP it comes in pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import pytest

from .document import read, whole
from .kamailio import Kamailio
from .peer import KINDS, Arrival, Kind, Peer
from .phone import DOMAIN, Message, Phone, becomes, eventually
from .server import Server

METHODS = ("NOTIFY", "PUBLISH", "SUBSCRIBE")

MANY = 10  # contacts: too many for a datagram
LONG = "x" * 700  # twice in a request, it is too long for a datagram
AT_ONCE = 0.4  # seconds that are no waiting, on a busy machine
CONNECT = 1.0  # seconds that a connection is waited for


@dataclass(frozen=True, slots=True)
class Peers:
    """Ours, and a peer of each kind for each method."""

    ours: Server
    phone: Phone
    peers: dict[tuple[str, Kind], Peer]

    def register(self) -> None:
        """Give the user who is watched and published so many contacts, or refresh."""
        self.phone.register("many", expires=600, contacts=contacts(self.phone))

    def long(self, method: str, kind: Kind, count: int = 1) -> Arrival:
        """The last of so many long requests, once it has come."""

        def check() -> Arrival | None:
            arrivals = self.peers[method, kind].arrivals(method)
            found = [a for a in arrivals if len(a.message.body) > 1300]
            if method == "SUBSCRIBE":
                found = arrivals
            return found[count - 1] if len(found) >= count else None

        found = eventually(check)
        assert found is not None
        return found

    def was_connected(self, method: str, kind: Kind) -> bool:
        """Whether a peer had a connection: once, or again if that was lost."""
        connections = self.peers[method, kind].connections
        assert connections <= 2  # §18.1.1: then by UDP, which stays so for a while
        return connections > 0

    def pieces(self, kind: Kind) -> list[Arrival]:
        """The NOTIFYs that bring all contacts, once they have come."""

        def check() -> list[Arrival] | None:
            arrivals = self.peers["NOTIFY", kind].arrivals("NOTIFY")[1:]
            found = whole(a.message.body for a in arrivals)
            return arrivals if len(found) == MANY else None

        found = eventually(check)
        assert found is not None
        return found


def contacts(phone: Phone) -> list[str]:
    """Contact lines of many devices."""
    return [f"Contact: <{phone.contact('many', device)}>" for device in range(MANY)]


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    with ExitStack() as stack:
        peers = {
            (method, kind): stack.enter_context(Peer(kind))
            for method in METHODS
            for kind in KINDS
        }
        ours = Server(
            tmp_path_factory.mktemp("long"),
            publish_to=[peers["PUBLISH", kind].uri for kind in KINDS],
            peers=[
                f'name = "{kind}"\nuri = "{peers["SUBSCRIBE", kind].uri}"\n'
                f'watch = ["sip:{LONG}@{DOMAIN}"]'
                for kind in KINDS
            ],
        )
        stack.enter_context(ours)
        phone = stack.enter_context(Phone(ours.address))
        for kind in KINDS:
            watcher = peers["NOTIFY", kind]
            watcher.subscribe(ours.address, "many")
            eventually(partial(watcher.arrivals, "NOTIFY"))
        rig = Peers(ours, phone, peers)
        rig.register()
        yield rig


@pytest.mark.parametrize("method", METHODS)
def test_a_long_request_goes_by_tcp(peers: Peers, method: str) -> None:
    arrival = peers.long(method, "takes")
    assert arrival.transport == "TCP"
    assert arrival.message["via"].startswith("SIP/2.0/TCP 127.0.0.1:")
    # One connection, and all by it: the answer has come back the same way.
    assert peers.peers[method, "takes"].connections == 1


@pytest.mark.parametrize("kind", ["refuses", "resets", "drops"])
@pytest.mark.parametrize("method", ["PUBLISH", "SUBSCRIBE"])
def test_it_goes_by_udp_to_who_takes_no_tcp(
    peers: Peers, method: str, kind: Kind
) -> None:
    """Within a second, and it is the same request."""
    arrival, by_tcp = peers.long(method, kind), peers.long(method, "takes")
    assert arrival.transport == "UDP"
    assert arrival.message["via"].startswith("SIP/2.0/UDP 127.0.0.1:")
    late = arrival.at - by_tcp.at
    if kind == "drops":
        assert CONNECT - AT_ONCE < late < CONNECT + AT_ONCE
    else:
        assert late < AT_ONCE
    assert len(peers.peers[method, kind].arrivals(method)) == 1
    if method != "SUBSCRIBE":
        assert len(read(arrival.message.body).active) == MANY
    assert peers.was_connected(method, kind) == (kind == "resets")


@pytest.mark.parametrize("kind", ["refuses", "resets", "drops"])
def test_a_long_state_comes_in_pieces_to_who_takes_no_tcp(
    peers: Peers, kind: Kind
) -> None:
    pieces = peers.pieces(kind)
    assert len(pieces) > 1
    for piece in pieces:
        assert piece.transport == "UDP"
        assert piece.message["via"].startswith("SIP/2.0/UDP 127.0.0.1:")
        assert len(piece.message.body) <= 1300
    late = pieces[0].at - peers.long("NOTIFY", "takes").at
    assert late < AT_ONCE + (CONNECT if kind == "drops" else 0.0)
    assert peers.was_connected("NOTIFY", kind) == (kind == "resets")


def test_who_takes_no_tcp_is_not_asked_for_it_again(peers: Peers) -> None:
    for kind in KINDS:
        peers.long("PUBLISH", kind)
        peers.pieces(kind)
    # Behind all answers: ours has them once it has answered this.
    assert peers.phone.options().status == 200
    peers.register()
    for method in ("NOTIFY", "PUBLISH"):
        by_tcp = peers.long(method, "takes", 2)
        assert by_tcp.transport == "TCP"
        for kind in ("refuses", "resets", "drops"):
            if method == "PUBLISH":
                arrival = peers.long(method, kind, 2)
                assert arrival.transport == "UDP"
                assert arrival.at - by_tcp.at < AT_ONCE
            assert peers.was_connected(method, kind) == (kind == "resets")
        assert peers.peers[method, "takes"].connections == 1


# -- Kamailio, with TCP and without


@dataclass(frozen=True, slots=True)
class WithKamailio:
    """Ours, and a Kamailio that is watcher, presence server and notifier to it."""

    ours: Server
    kamailio: Kamailio
    phone: Phone
    transport: str
    "By which long requests arrive there."


@pytest.fixture(scope="module", params=["TCP", "UDP"])
def kamailio(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WithKamailio]:
    transport = str(request.param)
    directory = tmp_path_factory.mktemp(f"kamailio-{transport}")
    ours = Server(directory / "a", tcp=True)
    kamailio = Kamailio(directory / "k", peer=ours.port, tcp=transport == "TCP")
    uri = f"sip:127.0.0.1:{kamailio.port}"
    ours.publish_to = (uri,)
    # To a legacy peer, documents are kept short; here they are to be long.
    ours.peers = (
        f'name = "kam"\nuri = "{uri}"\nwatch = ["sip:{LONG}@{DOMAIN}"]\n'
        f'match = {{ address = "127.0.0.1:{kamailio.port}" }}\nprofile = "standard"',
    )
    with kamailio, ours, Phone(ours.address) as phone:
        yield WithKamailio(ours, kamailio, phone, transport)


@pytest.mark.peers("kamailio")
def test_kamailio_gets_a_long_subscribe(kamailio: WithKamailio) -> None:
    server = kamailio.kamailio
    becomes(lambda: server.received("SUBSCRIBE"), [kamailio.transport])
    # And its NOTIFY is taken: the dialog has been made.
    with Phone(server.address) as publisher:
        assert publisher.ask(publish(publisher, LONG)).status == 200
    becomes(lambda: kamailio.ours.contacts(LONG), {"sip:x@127.0.0.1:9"})


@pytest.mark.peers("kamailio")
def test_kamailio_gets_a_long_notify_and_a_long_publish(kamailio: WithKamailio) -> None:
    server, phone = kamailio.kamailio, kamailio.phone
    server.subscribe("many")
    watcher = Phone(server.address)
    with watcher:
        assert watcher.subscribe("many").status == 200
        phone.register("many", expires=600, contacts=contacts(phone))
        expected = {phone.contact("many", device) for device in range(MANY)}
        becomes(lambda: server.contacts("many"), expected)
        while not (body := watcher.notify().body):
            pass
    assert read(body).active == expected
    # The first NOTIFY tells that nobody is there, in few words.
    first, *later = server.received("NOTIFY")
    assert first == "UDP"
    assert set(later) == {kamailio.transport}
    assert (len(later) == 1) == (kamailio.transport == "TCP")  # else in pieces
    assert server.received("PUBLISH")[-1] == kamailio.transport


def publish(phone: Phone, user: str) -> bytes:
    """A PUBLISH of a document with one contact."""
    aor = phone.aor(user)
    body = (
        '<?xml version="1.0"?>\n'
        '<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="0" state="full">'
        f'<registration aor="{aor}" id="r1" state="active">'
        '<contact id="c1" state="active" event="registered" expires="600"'
        ' callid="c" cseq="1"><uri>sip:x@127.0.0.1:9</uri></contact>'
        "</registration></reginfo>"
    ).encode()
    return phone.request(
        "PUBLISH",
        aor,
        to=f"<{aor}>",
        call_id="publish-1",
        cseq=1,
        headers=[
            "Event: reg",
            "Expires: 600",
            "Content-Type: application/reginfo+xml",
        ],
        body=body,
    )


def test_the_requests_here_are_long(peers: Peers) -> None:
    for method in METHODS:
        assert size(peers.long(method, "takes").message) > 1300


def size(message: Message) -> int:
    """Octets of a message, within a few."""
    head = sum(len(f"{name}: {value}\r\n") for name, value in message.headers)
    return len(message.start) + head + len(message.body)
