"""The source of links, on a wire."""

from __future__ import annotations

import pytest
from lxml import etree

from reginfo.ledger.memory import MemoryStorage
from reginfo.sip.message import Response
from reginfo.sip.parser import parse
from reginfo.sync import source as sourcing

from ..simulation import ALICE, LossyWire, register
from .make import GROUP, LINK, check_document, documents, linked, notifies

SINK = ("192.0.2.2", 5060)


class Asking:
    """A server that knows B's peer A, and a sink that the test plays."""

    def __init__(self, *, group: str = "", extra: str = "") -> None:
        self.wire = LossyWire()
        config = linked("a", "", group=group, extra=f"{extra}\n{PEER_B}")
        self.a = self.wire.serve(config, MemoryStorage())
        self.cseq = 0
        self.tag = ""

    def subscribe(
        self,
        since: str = "none",
        *,
        link: str = "Reginfo-Link: 1",
        uri: str = GROUP,
        expires: int = 600,
        call_id: str = "s1",
        tag: str = "",
        sender: tuple[str, int] = SINK,
    ) -> Response:
        self.cseq += 1
        lines = [
            f"SUBSCRIBE {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {sender[0]}:{sender[1]};branch=z9hG4bKs{self.cseq}",
            "From: <sip:server@192.0.2.2>;tag=sink",
            f"To: <{GROUP}>{tag and f';tag={tag}'}",
            f"Call-ID: {call_id}",
            f"CSeq: {self.cseq} SUBSCRIBE",
            f"Contact: <sip:server@{sender[0]}:{sender[1]}>",
            "Event: reg;min-rate=0.1",
            "Max-Forwards: 70",
            f"Expires: {expires}",
            *([link] if link else []),
            f"Reginfo-Since: {since}",
            "Content-Length: 0",
        ]
        self.wire.send("\r\n".join([*lines, "", ""]).encode(), sender, self.a.address)
        self.wire.pass_time(0)
        self.messages = [parse(data) for data in self.wire.received(sender)]
        response = next(m for m in self.messages if isinstance(m, Response))
        self.tag = response.to.tag if response.status == 200 else ""
        return response

    def told(self) -> list[bytes]:
        """The NOTIFYs that have come since."""
        self.wire.pass_time(0)
        return [d for d in self.wire.received(SINK) if d.startswith(b"NOTIFY ")]

    def answer(self, notify: bytes, status: int = 200) -> None:
        lines = notify.decode().partition("\r\n\r\n")[0].split("\r\n")
        kept = [
            x
            for x in lines
            if x.split(":")[0] in ("Via", "From", "To", "Call-ID", "CSeq")
        ]
        text = "\r\n".join([f"SIP/2.0 {status} X", *kept, "Content-Length: 0", "", ""])
        self.wire.send(text.encode(), SINK, self.a.address)
        self.wire.pass_time(0)


PEER_B = '[[peer]]\nname = "b"\nuri = "sip:192.0.2.2"\nwatch = []'


def cursor_of(notify: bytes) -> dict[str, str]:
    document = etree.fromstring(notify.partition(b"\r\n\r\n")[2])
    check_document(document)
    [cursor] = document.iter(f"{LINK}cursor")
    return {str(name): str(value) for name, value in cursor.attrib.items()}


def first(asking: Asking) -> bytes:
    """The NOTIFY that the last SUBSCRIBE has brought."""
    [notify] = [m for m in asking.messages if not isinstance(m, Response)]
    return bytes("NOTIFY \r\n\r\n", "ascii") + notify.body


def test_who_speaks_our_version_is_told_so_and_gets_a_cursor() -> None:
    """
    6665-134, 6446-20: the 200 repeats the version, and Subscription-State the rate.
    """
    asking = Asking()
    response = asking.subscribe()
    assert response.status == 200
    assert response.header("Reginfo-Link") == "1"
    assert response.header("Expires") == "600"
    [notify] = [m for m in asking.messages if not isinstance(m, Response)]
    assert notify.header("Subscription-State") == "active;expires=600;min-rate=0.1"
    assert notify.header("Event") == "reg;min-rate=0.1"
    assert cursor_of(first(asking))["from"] == "0"


@pytest.mark.parametrize("link", ["", "Reginfo-Link: 2", "Reginfo-Link: x"])
def test_another_version_is_served_as_rfc_3680_has_it(link: str) -> None:
    """6665-134: neither side takes the other for one of its kind."""
    response = Asking().subscribe(link=link)
    assert response.header("Reginfo-Link") is None


def test_who_is_no_peer_may_not_have_a_group() -> None:
    """6665-135."""
    asking = Asking()
    assert asking.subscribe(sender=("192.0.2.99", 5060)).status == 403
    assert not list(asking.a.app.source.links())


def test_a_group_may_be_had_by_whom_its_allow_names() -> None:
    """6665-135."""
    asking = Asking(group='allow = ["192.0.2.2"]')
    assert asking.subscribe(sender=("192.0.2.99", 5060)).status == 200


def test_a_change_is_told_at_once_and_the_next_ones_together() -> None:
    """3680-137, over UDP with one NOTIFY under way."""
    asking = Asking()
    asking.subscribe()
    asking.wire.received(SINK)
    register(asking.wire, asking.a)
    assert asking.told() == [], "the first NOTIFY is not answered yet"
    register(asking.wire, asking.a, cseq=2)
    register(asking.wire, asking.a, "sip:alice@192.0.2.77", call_id="x")
    [packet] = [p for p in asking.wire.packets if p.data.startswith(b"NOTIFY ")]
    asking.answer(packet.data)
    [notify] = asking.told()
    assert notify.count(b"<l:claim ") == 2
    assert b'cseq="2"' in notify


def test_a_refused_notify_is_sent_again_with_what_follows() -> None:
    """6665-131; the version goes on (3680-132)."""
    asking = Asking()
    register(asking.wire, asking.a)
    asking.subscribe()
    [packet] = [p for p in asking.wire.packets if p.data.startswith(b"NOTIFY ")]
    asking.answer(packet.data, 500)
    assert asking.told() == []
    register(asking.wire, asking.a, cseq=2)
    asking.wire.pass_time(1)
    [notify] = [d for d in asking.wire.received(SINK) if d.startswith(b"NOTIFY ")]
    assert cursor_of(notify)["from"] == "0"
    assert cursor_of(notify)["to"] == "2"
    assert b' version="1" ' in notify


@pytest.mark.parametrize("status", [481, 404, 489])
def test_a_status_that_ends_a_subscription_ends_the_link(status: int) -> None:
    """6665-132."""
    asking = Asking()
    asking.subscribe()
    [packet] = [p for p in asking.wire.packets if p.data.startswith(b"NOTIFY ")]
    asking.answer(packet.data, status)
    assert not list(asking.a.app.source.links())


def test_a_link_without_answers_is_suspect_until_it_asks_anew() -> None:
    """
    6665-130: it is held until its time is up, and its next SUBSCRIBE replaces it.
    """
    asking = Asking()
    asking.subscribe()
    asking.wire.pass_time(40)
    [link] = asking.a.app.source.links()
    assert link.feed.suspect_since is not None
    asking.wire.received(SINK)
    register(asking.wire, asking.a)
    assert asking.told() == []
    assert asking.subscribe(call_id="s2").status == 200
    [link] = asking.a.app.source.links()
    assert link.feed.suspect_since is None
    assert cursor_of(first(asking))["to"] == "1"


def test_a_suspect_link_ends_when_its_time_is_up() -> None:
    asking = Asking()
    asking.subscribe()
    asking.wire.pass_time(601)
    assert not list(asking.a.app.source.links())


def test_a_refresh_is_answered_by_a_notify_and_moves_no_cursor() -> None:
    """6665-133."""
    asking = Asking()
    register(asking.wire, asking.a)
    asking.subscribe()
    [packet] = [p for p in asking.wire.packets if p.data.startswith(b"NOTIFY ")]
    asking.answer(packet.data)
    refreshed = asking.subscribe("none", tag=asking.tag)
    assert refreshed.status == 200
    assert refreshed.header("Reginfo-Link") == "1"
    assert (cursor_of(first(asking))["from"], cursor_of(first(asking))["to"]) == (
        "1",
        "1",
    )


def test_a_refresh_of_another_dialog_is_refused() -> None:
    asking = Asking()
    asking.subscribe()
    assert asking.subscribe(tag="other").status == 481


def test_who_unsubscribes_gets_a_last_notify() -> None:
    asking = Asking()
    asking.subscribe()
    [packet] = [p for p in asking.wire.packets if p.data.startswith(b"NOTIFY ")]
    asking.answer(packet.data)
    asking.subscribe(tag=asking.tag, expires=0)
    [notify] = [m for m in asking.messages if not isinstance(m, Response)]
    assert notify.header("Subscription-State") == "terminated;reason=timeout"
    assert not list(asking.a.app.source.links())


@pytest.mark.parametrize(
    "since", ["none", "other/5", "-1", "x/-1", f"x/{2**64}", "x", "e/1/2", ""]
)
def test_a_cursor_that_is_not_known_brings_everything(since: str) -> None:
    """3680-133, 3680-136: nothing is refused for its cursor."""
    asking = Asking()
    register(asking.wire, asking.a)
    assert asking.subscribe(since).status == 200
    assert cursor_of(first(asking))["from"] == "0"
    assert b"<l:claim " in first(asking)


def test_a_cursor_that_is_known_brings_what_follows() -> None:
    asking = Asking()
    register(asking.wire, asking.a)
    asking.subscribe()
    said = cursor_of(first(asking))
    register(asking.wire, asking.a, "sip:alice@192.0.2.77", call_id="x")
    asking.subscribe(f"{said['epoch']}/{said['to']}", call_id="s2")
    assert cursor_of(first(asking))["from"] == said["to"]
    assert first(asking).count(b"<l:claim ") == 1
    beyond = f"{said['epoch']}/99"
    asking.subscribe(beyond, call_id="s3")
    assert cursor_of(first(asking))["from"] == "0"


def test_a_cursor_outlives_a_restart_of_the_source() -> None:
    """3680-136."""
    asking = Asking()
    register(asking.wire, asking.a)
    asking.subscribe()
    said = cursor_of(first(asking))
    asking.a = asking.wire.restart(asking.a)
    register(asking.wire, asking.a, "sip:alice@192.0.2.77", call_id="x")
    asking.subscribe(f"{said['epoch']}/{said['to']}", call_id="s2")
    again = cursor_of(first(asking))
    assert again["epoch"] != said["epoch"]
    assert (again["from"], first(asking).count(b"<l:claim ")) == (said["to"], 1)


def test_a_notify_comes_at_least_every_ten_seconds() -> None:
    """6446-20."""
    asking = Asking()
    asking.subscribe()
    [packet] = [p for p in asking.wire.packets if p.data.startswith(b"NOTIFY ")]
    asking.answer(packet.data)
    asking.wire.pass_time(9.9)
    assert asking.told() == []
    asking.wire.pass_time(0.2)
    [notify] = asking.told()
    assert b"<registration" not in notify
    assert b' version="1" ' in notify


def test_a_dialog_is_ended_before_its_versions_are_spent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """3680-132: another one begins."""
    monkeypatch.setattr(sourcing, "RENEWED", 3)
    wire = LossyWire()
    a = wire.serve(linked("a", "b"), MemoryStorage())
    b = wire.serve(linked("b", "a"), MemoryStorage())
    wire.pass_time(1)
    for cseq in range(1, 12):
        register(wire, a, cseq=cseq)
        wire.pass_time(3)
    assert max(int(d.get("version") or 0) for d in documents(notifies(wire, a, b))) == 3
    assert b.bindings(ALICE)[0].cseq == 11
    assert [d for d in notifies(wire, a, b) if b"reason=deactivated" in d.data]


def test_a_source_that_restarts_is_asked_anew_with_the_cursor() -> None:
    wire = LossyWire()
    a = wire.serve(linked("a", "b"), MemoryStorage())
    b = wire.serve(linked("b", "a"), MemoryStorage())
    wire.pass_time(1)
    register(wire, a, expires=7200)
    wire.pass_time(1)
    a = wire.restart(a)
    before = len(wire.packets)
    register(wire, a, "sip:alice@192.0.2.77", call_id="x", expires=7200)
    wire.pass_time(5)
    assert sorted(b.contacts(ALICE)) == sorted(a.contacts(ALICE))
    told = [d for d in notifies(wire, a, b) if d in wire.packets[before:]]
    assert sum(d.data.count(b"<l:claim ") for d in told) == 1, "only what is new"
