"""Who registers at one server is known at the other, by real datagrams."""

from __future__ import annotations

from pathlib import Path

import pytest

from reginfo.config.config import Config
from reginfo.ledger.sqlite import SqliteStorage
from reginfo.location.rows import LEARNED_GRACE
from reginfo.location.schema import SCHEMA
from reginfo.testing import Packet, Wire, WireServer

from .make import place

ALICE = "sip:alice@example.com"
PHONE = ("192.0.2.50", 5060)
CONTACT = "sip:alice@192.0.2.50"
DESK = "sip:alice@192.0.2.51;transport=udp"


def config(me: str, other: str, *, watch: bool, domains: str = "example.com") -> Config:
    ends = {"a": "192.0.2.1", "b": "192.0.2.2", "c": "192.0.2.3"}
    return Config.parse(
        f"""
        [server]
        id = "{me}"
        listen = ["udp:{ends[me]}:5060"]
        domains = ["{domains}"]
        [store]
        url = "memory:"
        [pua_reginfo]
        server_address = "sip:server@{ends[me]}"
        [[peer]]
        name = "{other}"
        uri = "sip:{ends[other]}"
        watch = [{f'"{ALICE}"' if watch else ""}]
        """
    )


A, B = config("a", "b", watch=False), config("b", "a", watch=True)


class Pair:
    """B watches alice at A; a phone of hers registers where the test says."""

    def __init__(self, a: Config = A, b: Config = B) -> None:
        self.wire = Wire()
        self.a = self.wire.serve(a)
        self.b = self.wire.serve(b)
        self.wire.pass_time(1.0)  # B's first SUBSCRIBE is due at once
        self.cseq = 0

    def register(
        self,
        *contacts: str,
        expires: int = 600,
        at: WireServer | None = None,
        call_id: str = "phone",
    ) -> bytes:
        """Send a REGISTER, and return the response."""
        self.cseq += 1
        lines = [
            "REGISTER sip:example.com SIP/2.0",
            f"Via: SIP/2.0/UDP 192.0.2.50;branch=z9hG4bK{call_id}{self.cseq}",
            f"From: <{ALICE}>;tag={call_id}",
            f"To: <{ALICE}>",
            f"Call-ID: {call_id}",
            f"CSeq: {self.cseq} REGISTER",
            *[f"Contact: {contact}" for contact in contacts],
            f"Expires: {expires}",
        ]
        data = "\r\n".join([*lines, "", ""]).encode()
        self.wire.send(data, PHONE, (at or self.a).address)
        (response,) = self.wire.received(PHONE)
        return response


def is_notify(packet: Packet) -> bool:
    return packet.data.startswith(b"NOTIFY ")


def is_subscribe(packet: Packet) -> bool:
    return packet.data.startswith(b"SUBSCRIBE ")


def is_answer(method: str) -> object:
    return lambda packet: (
        packet.data.startswith(b"SIP/2.0 ") and f" {method}\r\n".encode() in packet.data
    )


def test_a_register_at_a_is_known_at_b() -> None:
    pair = Pair()
    assert pair.register(f"<{CONTACT}>").startswith(b"SIP/2.0 200 OK\r\n")
    (at_a,), (at_b,) = pair.a.bindings(ALICE), pair.b.bindings(ALICE)
    assert (at_a.owner, at_a.source) == ("a", None)
    assert (at_b.owner, at_b.source) == ("a", f"a/{ALICE}")
    assert (at_b.contact, at_b.call_id, at_b.cseq) == (CONTACT, "phone", 1)
    assert at_b.stamp == at_a.stamp
    assert at_b.expires(pair.wire.now) == 600


def test_what_was_registered_before_b_came_is_known_there() -> None:
    pair = Pair()
    pair.register(f"<{CONTACT}>")
    pair.wire.kill(pair.b)
    pair.b = pair.wire.serve(B)
    pair.wire.pass_time(1.0)
    assert pair.b.contacts(ALICE) == [CONTACT]


def test_what_the_phone_unregisters_at_a_is_gone_at_b() -> None:
    pair = Pair()
    pair.register(f"<{CONTACT}>")
    pair.register(f"<{CONTACT}>", expires=0)
    assert pair.b.contacts(ALICE) == []
    (gone,) = pair.b.app.store.rows(place(ALICE)).values()
    assert gone[0].event == "unregistered"


def test_both_contacts_that_a_star_removes_are_unregistered_at_b() -> None:
    pair = Pair()
    pair.register(f"<{CONTACT}>", f"<{DESK}>")
    assert pair.b.contacts(ALICE) == [CONTACT, DESK]
    notified = len([p for p in pair.wire.packets if is_notify(p)])
    pair.register("*", expires=0)
    assert pair.b.contacts(ALICE) == []
    rows = pair.b.app.store.rows(place(ALICE)).values()
    assert [row[0].event for row in rows] == ["unregistered", "unregistered"]
    # The claims, and what `*` says of contacts that are known elsewhere.
    assert len([p for p in pair.wire.packets if is_notify(p)]) <= notified + 2


def test_what_expires_at_a_expires_at_b() -> None:
    pair = Pair()
    pair.register(f"<{CONTACT}>")
    pair.wire.pass_time(599.0)
    assert pair.b.contacts(ALICE) == [CONTACT]
    pair.wire.pass_time(2.0)
    assert pair.a.contacts(ALICE) == pair.b.contacts(ALICE) == []
    pair.wire.pass_time(LEARNED_GRACE)
    (gone,) = pair.b.app.store.rows(place(ALICE)).values()
    assert (gone[0].event, gone[0].owner, gone[0].gone) == ("expired", "a", False)


def test_a_binding_whose_owner_is_gone_expires_all_the_same() -> None:
    pair = Pair()
    pair.register(f"<{CONTACT}>")
    pair.wire.kill(pair.a)
    pair.wire.pass_time(600.1)
    assert pair.b.contacts(ALICE) == []
    pair.wire.pass_time(10.0)
    (gone,) = pair.b.app.store.rows(place(ALICE)).values()
    assert gone[0].event == "expired"


def test_a_refresh_reaches_b() -> None:
    pair = Pair()
    pair.register(f"<{CONTACT}>")
    pair.wire.pass_time(300.0)
    pair.register(f"<{CONTACT}>")
    pair.wire.pass_time(400.0)
    assert pair.b.contacts(ALICE) == [CONTACT]


@pytest.mark.parametrize("times", [1, 3])
def test_a_notify_that_is_lost_is_sent_again(times: int) -> None:
    pair = Pair()
    pair.wire.lose(is_notify, times)
    pair.register(f"<{CONTACT}>")
    assert pair.b.contacts(ALICE) == []
    pair.wire.pass_time(10.0)
    assert pair.b.contacts(ALICE) == [CONTACT]


def test_an_answer_to_notify_that_is_lost_changes_nothing_twice() -> None:
    pair = Pair()
    pair.wire.lose(
        lambda p: p.data.startswith(b"SIP/2.0 200") and b" NOTIFY\r\n" in p.data
    )
    pair.register(f"<{CONTACT}>")
    sequence = pair.b.app.store.sequence
    pair.wire.pass_time(2.0)
    assert pair.b.contacts(ALICE) == [CONTACT]
    assert pair.b.app.store.sequence == sequence


def test_a_subscribe_that_is_lost_is_sent_again() -> None:
    wire = Wire()
    wire.serve(A)
    wire.lose(is_subscribe, 2)
    b = wire.serve(B)
    wire.pass_time(5.0)
    assert len(list(b.app.subscriber.mirrors())) == 1
    assert [p.first_line for p in wire.packets][-1] == "SIP/2.0 200 OK"


def test_a_register_that_is_sent_again_is_answered_and_not_told_again() -> None:
    pair = Pair()
    pair.wire.lose(lambda p: p.destination == PHONE)
    with pytest.raises(ValueError, match="not enough values"):
        pair.register(f"<{CONTACT}>")
    told = len([p for p in pair.wire.packets if is_notify(p)])
    pair.cseq -= 1
    assert pair.register(f"<{CONTACT}>").startswith(b"SIP/2.0 200 OK\r\n")
    assert len([p for p in pair.wire.packets if is_notify(p)]) == told


def test_b_subscribes_again_when_a_has_lost_everything() -> None:
    pair = Pair()
    pair.register(f"<{CONTACT}>")
    pair.wire.kill(pair.a)
    pair.a = pair.wire.serve(A)  # with an empty store: it knows no dialog
    pair.wire.pass_time(3600.0)
    pair.register(f"<{DESK}>", call_id="desk")
    assert pair.b.contacts(ALICE) == [DESK]


def test_two_servers_that_watch_each_other_do_not_echo() -> None:
    a, b = config("a", "b", watch=True), config("b", "a", watch=True)
    pair = Pair(a, b)
    pair.register(f"<{CONTACT}>")
    pair.register(f"<{DESK}>", at=pair.b, call_id="desk")
    assert sorted(pair.a.contacts(ALICE)) == sorted(pair.b.contacts(ALICE))
    assert len(pair.a.contacts(ALICE)) == 2
    quiet = len(pair.wire.packets)
    pair.wire.pass_time(60.0)
    assert len(pair.wire.packets) == quiet


def test_a_phone_that_moves_from_a_to_b_belongs_to_b_everywhere() -> None:
    pair = Pair(config("a", "b", watch=True), config("b", "a", watch=True))
    pair.register(f"<{CONTACT}>", expires=60)
    pair.wire.pass_time(1.0)
    pair.register(f"<{CONTACT}>", at=pair.b, expires=3600)
    for server in (pair.a, pair.b):
        (binding,) = server.bindings(ALICE)
        assert binding.owner == "b"
    pair.wire.pass_time(120.0)
    assert pair.a.contacts(ALICE) == pair.b.contacts(ALICE) == [CONTACT]


def test_registrations_cross_and_both_servers_come_to_the_same() -> None:
    pair = Pair(config("a", "b", watch=True), config("b", "a", watch=True))
    pair.wire.lose(is_notify, 2)
    pair.register(f"<{CONTACT}>", call_id="one")
    pair.register(f"<{CONTACT}>", at=pair.b, call_id="two")
    pair.wire.pass_time(10.0)
    (at_a,), (at_b,) = pair.a.bindings(ALICE), pair.b.bindings(ALICE)
    assert (at_a.call_id, at_a.owner, at_a.stamp) == ("two", "b", at_b.stamp)


def test_a_contact_learned_anew_after_its_short_lived_double_does_not_return() -> None:
    # Two Call-IDs for one contact: the later one is for a minute, the first for long.
    pair = Pair()
    pair.register(f"<{CONTACT}>", expires=3600, call_id="long")
    pair.wire.pass_time(1.0)
    pair.register(f"<{CONTACT}>", expires=60, call_id="short")
    pair.wire.pass_time(1000.0)
    assert pair.a.contacts(ALICE) == pair.b.contacts(ALICE) == []


def test_after_a_restart_both_continue_where_they_were(tmp_path: Path) -> None:
    """After a restart both servers continue where they were (6665-36)."""
    wire = Wire()
    files = {name: tmp_path / f"{name}.db" for name in "ab"}
    disk = {name: SqliteStorage(path, SCHEMA) for name, path in files.items()}
    a, b = wire.serve(A, disk["a"]), wire.serve(B, disk["b"])
    wire.pass_time(1.0)
    pair = Pair.__new__(Pair)
    pair.wire, pair.a, pair.b, pair.cseq = wire, a, b, 0
    pair.register(f"<{CONTACT}>")
    for server in (a, b):
        wire.kill(server)
    for journal in disk.values():
        journal.close()
    wire.pass_time(30.0)
    sent = len(wire.packets)
    disk = {name: SqliteStorage(path, SCHEMA) for name, path in files.items()}
    pair.a = wire.serve(A, disk["a"])
    assert len(wire.packets) == sent  # nothing has changed for the watcher
    pair.b = wire.serve(B, disk["b"])
    assert pair.b.contacts(ALICE) == [CONTACT]
    wire.pass_time(1.0)
    subscribe = next(p for p in wire.packets[sent:] if is_subscribe(p))
    assert b";tag=" in subscribe.data.split(b"\r\nTo: ")[1].split(b"\r\n")[0]
    pair.register(f"<{CONTACT}>", expires=0)
    assert pair.a.contacts(ALICE) == pair.b.contacts(ALICE) == []
    for journal in disk.values():
        journal.close()


def test_what_expired_while_a_was_down_is_told_as_expired(tmp_path: Path) -> None:
    wire = Wire()
    disk = SqliteStorage(tmp_path / "a.db", SCHEMA)
    pair = Pair.__new__(Pair)
    pair.wire, pair.cseq = wire, 0
    pair.a, pair.b = wire.serve(A, disk), wire.serve(B)
    wire.pass_time(1.0)
    pair.register(f"<{CONTACT}>", expires=600)
    wire.kill(pair.a)
    disk.close()
    wire.pass_time(601.0)
    disk = SqliteStorage(tmp_path / "a.db", SCHEMA)
    pair.a = wire.serve(A, disk)
    wire.pass_time(0.1)
    # Time passing makes no claim: b has seen for itself that it is over.
    wire.pass_time(LEARNED_GRACE)
    for server in (pair.a, pair.b):
        (row,) = server.app.store.rows(place(ALICE)).values()
        assert row[0].event == "expired"
        assert server.contacts(ALICE) == []
    disk.close()


def test_a_register_for_another_domain_is_refused() -> None:
    """A REGISTER for another domain is refused (3261-01, -05)."""
    wire = Wire()
    wire.serve(config("a", "b", watch=False, domains="example.net"))
    pair = Pair.__new__(Pair)
    pair.wire, pair.cseq = wire, 0
    pair.a = next(iter(wire.servers.values()))
    assert pair.register(f"<{CONTACT}>").startswith(b"SIP/2.0 404 Not Found\r\n")


def test_a_publish_without_an_answer_is_sent_until_timer_f_and_then_again() -> None:
    """3903-09, 3261-22"""
    presence = ("192.0.2.8", 5060)
    pair = Pair(
        Config.parse(
            """
            [server]
            id = "a"
            listen = ["udp:192.0.2.1:5060"]
            domains = ["example.com"]
            [store]
            url = "memory:"
            [pua_reginfo]
            publish_to = "sip:192.0.2.8"
            """
        )
    )
    wire = pair.wire

    def answer(publish: bytes, tag: str) -> None:
        head = publish.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        kept = [
            line for line in head if line.startswith(("Via", "From", "Call", "CSe"))
        ]
        lines = [*kept, f"To: <{ALICE}>;tag=p", f"SIP-ETag: {tag}", "Expires: 600"]
        data = "\r\n".join(["SIP/2.0 200 OK", *lines, "", ""]).encode()
        wire.send(data, presence, pair.a.address)

    pair.register(f"<{CONTACT}>")
    (first,) = wire.received(presence)
    assert b"SIP-If-Match" not in first
    answer(first, "one")

    pair.register(f"<{CONTACT}>")
    begin = wire.now
    lost = wire.received(presence)
    sent_at = [0.0]
    while len(set(lost)) == 1:
        wire.pass_time(0.25)
        assert wire.now < begin + 40.0
        if came := wire.received(presence):
            sent_at.append(wire.now - begin)
            lost += came
    *copies, again = lost
    # §17.1.2: T1 doubled up to T2; Timer F, 64 T1; then a pause, and the next.
    doubled = [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert sent_at[:-1] == pytest.approx([0.0, *doubled], abs=0.3)
    assert 32.0 <= sent_at[-1] <= 35.0
    assert set(copies) == {copies[0]}
    # What became of it nobody knows: the tag is the one that was known before it.
    for publish in (copies[0], again):
        assert b"SIP-If-Match: one\r\n" in publish
        assert b' cseq="2"' in publish
    answer(again, "two")
    pair.register(f"<{CONTACT}>")
    (next_,) = wire.received(presence)
    assert b"SIP-If-Match: two\r\n" in next_


def test_a_wire_refuses_to_run_in_a_circle(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire()
    server = wire.serve(A)
    monkeypatch.setattr(WireServer, "timer_at", property(lambda self: wire.now))
    with pytest.raises(AssertionError, match="again and again"):
        wire.pass_time(1.0)
    assert server.address == ("192.0.2.1", 5060)
