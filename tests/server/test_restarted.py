"""Flows, targets, Record-Route and branches after a restart: as they were before."""

from __future__ import annotations

import itertools

import pytest

from reginfo.config.config import Config
from reginfo.ledger.memory import MemoryStorage
from reginfo.sip.message import Request, Response
from reginfo.sip.parser import parse
from reginfo.sip.transport import Transport
from reginfo.testing import Wire
from reginfo.testing.wire import Packet, WireServer

BOB = "sip:bob@example.com"
PHONE = ("198.51.100.50", 40_000)
WATCHER = ("192.0.2.60", 5060)
FIRST, SECOND = ("192.0.2.1", 5060), ("192.0.2.1", 5070)
FIRST_6, SECOND_6 = ("2001:db8::1", 5060), ("2001:db8::1", 5070)
PHONE_6 = ("2001:db8:1::50", 40_000)

CONFIG = """
[server]
id = "a"
listen = ["udp:192.0.2.1:5060", "udp:192.0.2.1:5070", "tcp:192.0.2.1:5060",
          "udp:[2001:db8::1]:5060", "udp:[2001:db8::1]:5070"]
domains = ["example.com"]
[store]
url = "memory:"
[notifier]
min_interval = 0.0
[registrar]
max_contacts = 20
[proxy]
max_branches = 3
"""

numbers = itertools.count(1)


class Rig:
    """A server that can be restarted, and whoever the test plays."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.server: WireServer = self.wire.serve(Config.parse(CONFIG), MemoryStorage())

    def restart(self) -> None:
        self.server = self.wire.restart(self.server)
        self.wire.packets.clear()

    def send(
        self,
        method: str,
        *headers: str,
        source: tuple[str, int] = WATCHER,
        to: tuple[str, int] = FIRST,
        uri: str = BOB,
        dialog: str = "",
        transport: Transport = Transport.UDP,
    ) -> list[Packet]:
        """Send a request; return what the server sends then."""
        number = next(numbers)
        host = f"[{source[0]}]" if ":" in source[0] else source[0]
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{transport} {host}:{source[1]};branch=z9hG4bKr{number}",
            f"From: <{BOB}>;tag=1",
            f"To: <{BOB}>{dialog}",
            f"Call-ID: {method}-{number}",
            f"CSeq: {number} {method}",
            "Max-Forwards: 70",
            *headers,
            "Content-Length: 0",
        ]
        before = len(self.wire.packets)
        data = "\r\n".join([*lines, "", ""]).encode()
        self.wire.send(data, source, to, transport)
        ours = {FIRST[0], FIRST_6[0]}
        return [one for one in self.wire.packets[before:] if one.source[0] in ours]


def requests(packets: list[Packet], method: str) -> list[tuple[Packet, Request]]:
    found = [(one, parse(one.data)) for one in packets]
    return [
        (packet, message)
        for packet, message in found
        if isinstance(message, Request) and message.method == method
    ]


def statuses(packets: list[Packet]) -> list[int]:
    messages = [parse(one.data) for one in packets]
    return [one.status for one in messages if isinstance(one, Response)]


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.mark.parametrize(
    ("listener", "phone", "contact"),
    [
        (FIRST, PHONE, "sip:bob@10.1.2.3"),
        (SECOND, PHONE, "sip:bob@10.1.2.3"),
        (FIRST_6, PHONE_6, "sip:bob@[fd00::7]"),
        (SECOND_6, PHONE_6, "sip:bob@[fd00::7]"),
    ],
)
def test_a_request_leaves_by_the_flow_of_its_binding(
    rig: Rig, listener: tuple[str, int], phone: tuple[str, int], contact: str
) -> None:
    """3261-59: a NAT lets in nothing that comes from elsewhere."""
    sent = rig.send(
        "REGISTER", f"Contact: <{contact}>", "Expires: 600",
        source=phone, to=listener, uri="sip:example.com",
    )  # fmt: skip
    assert statuses(sent) == [200]
    for _ in range(2):
        ((packet, _),) = requests(rig.send("MESSAGE"), "MESSAGE")
        assert (packet.source, packet.destination) == (listener, phone)
        rig.restart()


@pytest.mark.parametrize(
    ("headers", "destination", "transport"),
    [
        (["Contact: <sip:w@192.0.2.61:5080>"], ("192.0.2.61", 5080), Transport.UDP),
        (
            ["Contact: <sip:w@192.0.2.61:5080;transport=tcp>"],
            ("192.0.2.61", 5080),
            Transport.TCP,
        ),
        (
            ["Contact: <sip:w@192.0.2.61>", "Record-Route: <sip:192.0.2.71:5071;lr>"],
            ("192.0.2.71", 5071),
            Transport.UDP,
        ),
        (
            [
                "Contact: <sip:w@192.0.2.61>",
                "Record-Route: <sip:192.0.2.71:5071;lr;transport=tcp>",
            ],
            ("192.0.2.71", 5071),
            Transport.TCP,
        ),
        (["Contact: <sip:w@192.0.2.61;ob>"], WATCHER, Transport.UDP),
    ],
)
def test_a_notify_goes_where_its_dialog_leads(
    rig: Rig,
    headers: list[str],
    destination: tuple[str, int],
    transport: Transport,
) -> None:
    """6665-22: to the first Route or the target, by the transport it names."""
    first = rig.send("SUBSCRIBE", "Event: reg", *headers)
    for cseq in (1, 2):
        ((packet, notify),) = requests(first, "NOTIFY")
        assert packet.destination == destination
        assert packet.transport == transport
        response = notify.write_response(Response(200, "OK"), to_tag="")
        rig.wire.send(response, destination, packet.source, transport)
        rig.restart()
        first = rig.send(
            "REGISTER", f"Contact: <sip:bob@192.0.2.5{cseq}>", "Expires: 600",
            source=PHONE, uri="sip:example.com",
        )  # fmt: skip


@pytest.mark.parametrize("restarts", [False, True])
def test_a_notify_is_record_routed_if_its_subscribe_was(
    rig: Rig, restarts: bool
) -> None:
    """6665-95: what says so is in the Route, and not in the memory of a proxy."""
    notifier = ("192.0.2.99", 5060)
    sent = rig.send(
        "SUBSCRIBE", "Event: presence", "Contact: <sip:w@192.0.2.60>",
        uri="sip:carol@192.0.2.99",
    )  # fmt: skip
    ((_, subscribe),) = requests(sent, "SUBSCRIBE")
    (ours,) = subscribe.headers["Record-Route"]
    if restarts:
        rig.restart()
    for route, recorded in ((ours, True), ("<sip:192.0.2.1:5060;lr>", False)):
        sent = rig.send(
            "NOTIFY", f"Route: {route}", "Event: presence",
            "Subscription-State: active;expires=60", "Contact: <sip:c@192.0.2.99>",
            source=notifier, uri="sip:w@192.0.2.60", dialog=";tag=watcher",
        )  # fmt: skip
        ((packet, notify),) = requests(sent, "NOTIFY")
        assert packet.destination == WATCHER
        assert ("Record-Route" in notify.headers) == recorded


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_the_branches_of_a_request_are_bounded(rig: Rig, method: str) -> None:
    """5393-02: in all, whatever was registered before the restart."""
    contacts = [f"Contact: <sip:bob@192.0.2.{100 + n}>" for n in range(8)]
    rig.send("REGISTER", *contacts, "Expires: 600", source=PHONE, uri="sip:example.com")
    counts = []
    for _ in range(2):
        sent = rig.send(method, "Contact: <sip:w@192.0.2.60>")
        branches = {message.via.branch for _, message in requests(sent, method)}
        counts.append((len(branches), [s for s in statuses(sent) if s >= 200]))
        rig.restart()
    assert counts[0] == counts[1]
    assert counts[0][0] <= 3


@pytest.mark.parametrize("is_open", [True, False])
def test_a_request_goes_by_the_stream_of_its_binding_while_that_is_open(
    rig: Rig, is_open: bool
) -> None:
    """3261-59: a phone behind a NAT takes no other connection."""
    rig.send(
        "REGISTER", "Contact: <sip:bob@10.1.2.3;transport=tcp>", "Expires: 600",
        source=PHONE, uri="sip:example.com", transport=Transport.TCP,
    )  # fmt: skip
    if not is_open:
        rig.wire.hang_up(PHONE, FIRST)
    sent = requests(rig.send("MESSAGE"), "MESSAGE")
    streams = [one for one, _ in sent if one.transport == Transport.TCP]
    assert [one.destination == PHONE for one in streams] == [True] * is_open
