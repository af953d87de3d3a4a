"""Timers, durations, retries and lost streams: with a routing script and without."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reginfo.config.config import Config
from reginfo.ledger.memory import MemoryStorage
from reginfo.reg import xml
from reginfo.reg.document import ContactEvent
from reginfo.sip.message import Request, Response
from reginfo.sip.parser import parse
from reginfo.sip.transport import Transport
from reginfo.testing import Wire
from reginfo.testing.wire import WireServer

from .scripted import BOB, BOBS_PHONE, contact, document

SCRIPT = """
from reginfo import Message, Route

route = Route()


@route.request("REGISTER")
async def register(msg: Message) -> None:
    msg.save("location")


@route.request("SUBSCRIBE")
def subscribe(msg: Message) -> None:
    msg.handle_subscribe()


@route.request("PUBLISH")
def publish(msg: Message) -> None:
    msg.handle_publish()


@route.request("NOTIFY")
async def notify(msg: Message) -> None:
    msg.reginfo_handle_notify("location")
    msg.reply_for_notify()


@route.request()
def other(msg: Message) -> None:
    msg.default()
"""

OURS = ("192.0.2.1", 5060)
PEER = ("192.0.2.2", 5060)
PHONE = ("192.0.2.50", 5060)
WATCHER = ("192.0.2.60", 5060)

CONFIG = """
[server]
id = "a"
listen = ["udp:192.0.2.1:5060", "tcp:192.0.2.1:5060"]
domains = ["example.com"]
{script}
[store]
url = "memory:"
[registrar]
connection_lost = "expire"
[notifier]
min_interval = 0.0
[pua_reginfo]
server_address = "sip:reginfo@192.0.2.1"
{publish}
{peer}
"""
WATCHES = """
[[peer]]
name = "p"
uri = "sip:192.0.2.2"
watch = ["sip:bob@example.com"]
"""


class Rig:
    """A server on a wire, and a peer, a phone and a watcher that the test plays."""

    def __init__(self, script: Path | None) -> None:
        self.script = "" if script is None else f'script = "{script}"'
        self.wire = Wire()
        self.server: WireServer
        self.cseq = 0

    def serve(self, *, peer: str = "", publish: str = "") -> None:
        text = CONFIG.format(script=self.script, peer=peer, publish=publish)
        self.server = self.wire.serve(Config.parse(text), MemoryStorage())

    def send(
        self,
        method: str,
        source: tuple[str, int],
        *headers: str,
        uri: str = BOB,
        to: str = f"<{BOB}>",
        from_: str = f"<{BOB}>;tag=1",
        call_id: str = "c",
        body: bytes = b"",
        transport: Transport = Transport.UDP,
    ) -> Response:
        self.cseq += 1
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{transport} {source[0]};branch=z9hG4bKv{self.cseq};rport",
            f"From: {from_}",
            f"To: {to}",
            f"Call-ID: {call_id}",
            f"CSeq: {self.cseq} {method}",
            "Max-Forwards: 70",
            *headers,
            f"Content-Length: {len(body)}",
        ]
        data = "\r\n".join([*lines, "", ""]).encode() + body
        before = len(self.wire.packets)
        self.wire.send(data, source, OURS, transport)
        (response,) = [
            message
            for packet in self.wire.packets[before:]
            if packet.source == OURS
            and isinstance(message := parse(packet.data), Response)
            and message.call_id == call_id
            and message.cseq.number == self.cseq
        ]
        return response

    def register(self, expires: int = 600) -> int:
        response = self.send(
            "REGISTER", PHONE, f"Contact: <{BOBS_PHONE}>", f"Expires: {expires}",
            uri="sip:example.com", call_id="phone",
        )  # fmt: skip
        return response.status

    def sent(self, method: str) -> list[Request]:
        """The requests that the server has sent since this was last asked."""
        found: dict[str, Request] = {}
        for packet in self.wire.packets:
            message = parse(packet.data)
            if (
                packet.source == OURS
                and isinstance(message, Request)
                and message.method == method
            ):
                found.setdefault(message.via.branch, message)
        self.wire.packets.clear()
        return list(found.values())

    def answer(self, request: Request, status: int, *headers: str) -> None:
        """Answer a request of the server's."""
        response = Response(status, "Answer")
        for line in headers:
            name, _, value = line.partition(": ")
            response.headers[name] = [value]
        tag = "" if request.to.tag else "theirs"
        data = request.write_response(response, to_tag=tag)
        to = PEER if request.method in ("SUBSCRIBE", "PUBLISH") else WATCHER
        self.wire.send(data, to, OURS)

    def notify(self, subscribe: Request, body: bytes, *, state: str) -> Response:
        """Notify the server in the dialog of its SUBSCRIBE."""
        lines = [
            "Event: reg",
            f"Subscription-State: {state}",
            "Contact: <sip:192.0.2.2>",
        ]
        lines += [f"Content-Type: {xml.MEDIA_TYPE}"] if body else []
        return self.send(
            "NOTIFY", PEER, *lines, uri="sip:reginfo@192.0.2.1",
            to=subscribe.headers["From"][0],
            from_=f"{subscribe.headers['To'][0]};tag=theirs",
            call_id=subscribe.call_id, body=body,
        )  # fmt: skip


@pytest.fixture(params=[False, True], ids=["default", "script"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    path = None
    if request.param:
        path = tmp_path / "routes.py"
        path.write_text(SCRIPT)
    yield Rig(path)


def subscribed(rig: Rig, expires: int) -> Request:
    """Have the server subscribe at the peer, which grants so many seconds."""
    rig.serve(peer=WATCHES)
    rig.wire.pass_time(0.1)
    (subscribe,) = rig.sent("SUBSCRIBE")
    rig.answer(subscribe, 200, f"Expires: {expires}", "Contact: <sip:192.0.2.2>")
    return subscribe


@pytest.mark.parametrize("interval", [0.4, 0.9])
def test_a_refresh_that_is_planned_is_not_put_off_by_notifies(
    rig: Rig, interval: float
) -> None:
    """However many NOTIFYs come before it."""
    subscribe = subscribed(rig, 8)
    rig.notify(subscribe, document(contact()), state="active;expires=8")
    number = 1
    for _ in range(int(8 / interval)):
        rig.wire.pass_time(interval)
        if rig.sent("SUBSCRIBE"):
            return
        body = document(contact(cseq=number), version=number)
        assert rig.notify(subscribe, body, state="active").status == 200
        number += 1
    raise AssertionError("it was not refreshed in time")


@pytest.mark.parametrize("values", [1, 3])
def test_the_200_to_a_subscribe_copies_record_route(rig: Rig, values: int) -> None:
    """6665-91, 6665-03: and adds a To tag."""
    rig.serve()
    routes = [
        f"Record-Route: <sip:192.0.2.{n};lr;x={n}>" for n in range(71, 71 + values)
    ]
    accepted = rig.send(
        "SUBSCRIBE", WATCHER, "Event: reg", "Contact: <sip:w@192.0.2.60>", *routes
    )
    assert accepted.status == 200
    assert accepted.to.tag  # 6665-03
    assert accepted.headers["Record-Route"] == [
        line.removeprefix("Record-Route: ") for line in routes
    ]


def test_durations_that_a_peer_states_are_bounded(rig: Rig) -> None:
    """By what was asked, and by `max_expires`."""
    subscribe = subscribed(rig, 10**9)
    forever = document(contact(expires=10**9))
    assert (
        rig.notify(subscribe, forever, state="active;expires=1000000000").status == 200
    )
    (binding,) = rig.server.bindings(BOB)
    assert binding.expires(rig.wire.now) <= 86_400
    rig.wire.pass_time(3600)
    assert rig.sent("SUBSCRIBE")


def test_a_notify_that_is_refused_for_the_moment_is_tried_again_soon(rig: Rig) -> None:
    """6665-86: after 1, 2, 4 … 30 s with jitter."""
    rig.serve()
    rig.send("SUBSCRIBE", WATCHER, "Event: reg", "Contact: <sip:w@192.0.2.60>")
    (notify,) = rig.sent("NOTIFY")
    pauses = []
    for _ in range(6):
        rig.answer(notify, 500)
        began = rig.wire.now
        rig.wire.packets.clear()
        while not (again := rig.sent("NOTIFY")) and rig.wire.now < began + 60:
            rig.wire.pass_time(0.25)
        pauses.append(rig.wire.now - began)
        (notify,) = again
    assert pauses == sorted(pauses)
    assert pauses[0] < 2.5
    assert pauses[-1] <= 31


def test_what_a_lost_publish_may_have_listed_is_taken_back(rig: Rig) -> None:
    """3903-09: the contact is published as gone, although nothing was confirmed."""
    rig.serve(publish='publish_to = "sip:192.0.2.2"')
    assert rig.register() == 200
    assert len(rig.sent("PUBLISH")) == 1  # no response will come
    rig.wire.pass_time(5)
    assert rig.register(expires=0) == 200
    rig.wire.pass_time(60)
    published = rig.sent("PUBLISH")
    assert published
    (registration,) = xml.parse(published[-1].body).registrations
    assert [c.event for c in registration.contacts] == [ContactEvent.UNREGISTERED]


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_contact_of_a_stream_that_is_closed_expires(
    rig: Rig, comes_back: bool
) -> None:
    """`[registrar] connection_lost`: 5 s for a device that comes back."""
    rig.serve()
    instance = f'Contact: <{BOBS_PHONE};transport=tcp>;+sip.instance="<urn:uuid:1>"'

    def register() -> int:
        return rig.send(
            "REGISTER", PHONE, instance, "Expires: 600", uri="sip:example.com",
            call_id="phone", transport=Transport.TCP,
        ).status  # fmt: skip

    assert register() == 200
    rig.wire.hang_up(PHONE, OURS)
    rig.wire.pass_time(4)
    assert len(rig.server.contacts(BOB)) == 1
    if comes_back:
        assert register() == 200
    rig.wire.pass_time(4)
    assert len(rig.server.contacts(BOB)) == (1 if comes_back else 0)


def test_the_script_of_these_tests_is_used(rig: Rig, tmp_path: Path) -> None:
    """A variant that did the same twice would show nothing."""
    rig.serve()
    script = rig.server.app.script
    assert (script is not None) == (rig.script != "")
    if script is not None:
        assert re.search(r"request NOTIFY", repr(script.route))
