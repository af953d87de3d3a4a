"""Phones and watchers by TCP, and headers as others write them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .document import read
from .kamailio import Kamailio
from .phone import DOMAIN, Phone, TcpPhone, becomes, eventually
from .server import Server

MANY = 20  # contacts: a document of some kilobytes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests: each test has a user of its own."""
    with Server(tmp_path_factory.mktemp("tcp"), tcp=True) as running:
        yield running


@pytest.fixture
def phone(server: Server) -> Iterator[TcpPhone]:
    with TcpPhone(server.address) as phone:
        yield phone


def test_a_phone_registers_by_tcp(server: Server, phone: TcpPhone) -> None:
    reply = phone.register("ann", expires=600)
    assert reply["via"].startswith(f"SIP/2.0/TCP 127.0.0.1:{phone.port};")
    assert server.contacts("ann") == {phone.contact("ann")}
    phone.register("ann", expires=0)
    assert server.contacts("ann") == set()


def test_a_request_may_come_in_pieces(server: Server, phone: TcpPhone) -> None:
    request = phone.build_register("ben", expires=600)
    for at in range(len(request)):
        phone.send(request[at : at + 1])
    answer = phone.receive(10.0)
    assert answer is not None
    assert answer.status == 200
    assert server.contacts("ben") == {phone.contact("ben")}


def test_several_requests_may_come_in_one_piece(
    server: Server, phone: TcpPhone
) -> None:
    requests = [phone.build_register("cid", expires=600, device=n) for n in range(5)]
    half = len(requests[-1]) // 2
    phone.send(b"\r\n".join(requests)[:-half])
    phone.send(requests[-1][-half:])
    statuses = []
    for _ in requests:
        answer = phone.receive(10.0)
        assert answer is not None
        statuses.append(answer.status)
    assert statuses == [200] * 5
    assert server.contacts("cid") == {phone.contact("cid", n) for n in range(5)}


def test_keep_alives_are_answered_and_are_no_messages(
    server: Server, phone: TcpPhone
) -> None:
    """5626-06"""
    for _ in range(3):
        phone.send(b"\r\n\r\n")
    request = phone.build_register("dot", expires=600)
    phone.send(request[:100])
    phone.send(request[100:] + b"\r\n\r\n")
    answer = phone.receive(10.0)
    assert answer is not None
    assert answer.status == 200
    # The answer to the last comes behind it.
    assert phone.options().status == 200
    assert phone.pongs == 4


def test_a_phone_reconnects(server: Server, phone: TcpPhone) -> None:
    contact = [f"Contact: <{phone.contact('eve')}>"]
    phone.register("eve", expires=600, contacts=contact)
    phone.reconnect()
    phone.register("eve", expires=900, contacts=contact)
    (binding,) = server.bindings("eve")
    assert binding["cseq"] == 2


def test_a_watcher_is_told_by_the_stream_of_its_subscribe(
    server: Server, phone: TcpPhone
) -> None:
    with Phone(server.address) as other:
        assert phone.subscribe("fay").status == 200
        assert read(phone.notify().body).state == "init"
        contacts = [f"Contact: <{other.contact('fay', n)}>" for n in range(MANY)]
        other.register("fay", expires=600, contacts=contacts)
        notify = phone.notify()
        assert notify["via"].startswith("SIP/2.0/TCP ")
        assert len(read(notify.body).active) == MANY


def test_a_watcher_reconnects_and_is_told_by_its_new_stream(
    server: Server, phone: TcpPhone
) -> None:
    with Phone(server.address) as other:
        accepted = phone.subscribe("gil")
        assert accepted.status == 200
        phone.notify()
        phone.reconnect()
        assert phone.resubscribe("gil", accepted).status == 200
        phone.notify()
        other.register("gil", expires=600)
        assert read(phone.notify().body).active == {other.contact("gil")}
        assert phone.resubscribe("gil", accepted, expires=0).status == 200
        assert phone.notify()["subscription-state"].startswith("terminated")


def test_a_watcher_whose_stream_is_gone_is_given_up(server: Server) -> None:
    """
    A watcher whose connection is gone is given up when its NOTIFY has failed for 32 s
    (6665-22).
    """
    with TcpPhone(server.address) as watcher, Phone(server.address) as phone:
        accepted = watcher.subscribe("hal")
        watcher.notify()
        watching = server.health()["watchers"]
        watcher.reconnect()  # and its old port is nobody's
        phone.register("hal", expires=600)
        # Once the NOTIFY has failed for 32 s, there is no subscription (6665-22).
        eventually(lambda: server.health()["watchers"] < watching, within=60.0)
        again = watcher.build_subscribe(
            "hal", call_id=accepted["call-id"], cseq=2, to=accepted["to"]
        )
        watcher.reconnect()  # one that is silent from the beginning is closed
        assert watcher.ask(again).status == 481


@pytest.mark.parametrize(
    "garbage",
    [
        b"REGISTER sip:example.test SIP/2.0\r\nContent-Length: many\r\n\r\n",
        b"REGISTER sip:example.test SIP/2.0\r\nContent-Length: 99999999\r\n\r\n",
        b"X" * ((1 << 20) + 1),  # [server] max_message, and one more
    ],
    ids=["no length", "a length beyond all", "no end"],
)
def test_an_invalid_stream_is_closed_and_the_others_continue(
    server: Server, phone: TcpPhone, garbage: bytes
) -> None:
    with TcpPhone(server.address) as other:
        phone.send(garbage)
        assert phone.is_closed()
        assert other.options().status == 200


def test_a_broken_request_in_a_stream_gets_400_and_the_stream_continues(
    phone: TcpPhone,
) -> None:
    broken = phone.build_register("ida", expires=600).replace(b"CSeq: 1", b"CSeq: one")
    assert phone.ask(broken).status == 400
    assert phone.options().status == 200


# -- Kamailio


@pytest.mark.peers("kamailio")
def test_kamailio_is_asked_and_published_to_by_tcp(tmp_path: Path) -> None:
    kamailio = Kamailio(tmp_path / "k", publish=True, tcp=True)
    uri = f"sip:127.0.0.1:{kamailio.port};transport=tcp"
    peer = f'name = "kam"\nuri = "{uri}"\nwatch = ["sip:bea@{DOMAIN}"]'
    ours = Server(tmp_path / "a", publish_to=[uri], peers=[peer])
    ours.transports = ("tcp",)  # it could not be told by UDP
    with ExitStack() as stack:
        for server in (kamailio, ours):
            stack.enter_context(server)
        theirs = stack.enter_context(TcpPhone(kamailio.address))
        phone = stack.enter_context(TcpPhone(ours.address))
        becomes(kamailio.subscribers, 1)
        # Its NOTIFY comes by TCP, as our Contact says.
        theirs.register("bea", expires=600)
        becomes(lambda: ours.contacts("bea"), {theirs.contact("bea")})
        assert theirs.subscribe("ann").status == 200
        theirs.notify()
        ann = phone.contact("ann")
        phone.register("ann", expires=600)
        assert read(theirs.notify().body).active == {ann}
        # After a restart nothing is left of the streams, and new ones are made.
        ours.kill()
        ours.start()
        phone.reconnect()
        # Ours, the phone's, and ours again in its dialog.
        becomes(lambda: kamailio.received("SUBSCRIBE"), ["TCP"] * 3)
        assert kamailio.subscribers() == 2
        expected = {ann, phone.contact("ann", 1)}
        phone.register("ann", expires=600, device=1)
        while read(theirs.notify().body).active != expected:
            pass
        theirs.register("bea", expires=600, device=1)
        expected = {theirs.contact("bea"), theirs.contact("bea", 1)}
        becomes(lambda: ours.contacts("bea"), expected)
        # Kamailio publishes to itself by UDP; ours has published three times or more.
        assert kamailio.received("PUBLISH").count("TCP") >= 3


# -- headers as others write them


@pytest.mark.parametrize("kind", [Phone, TcpPhone], ids=["UDP", "TCP"])
def test_headers_may_be_short_folded_and_several_in_a_line(
    server: Server, kind: type[Phone]
) -> None:
    user = f"short-{kind.transport.lower()}"
    with kind(server.address) as phone:
        here = f"127.0.0.1:{phone.port}"
        register = _lines(
            "REGISTER sip:example.test SIP/2.0",
            f"v:SIP/2.0/{kind.transport} {here};branch=z9hG4bKa{user};rport,",
            "\tSIP / 2.0 / UDP 192.0.2.9:5070;branch=z9hG4bKb,",
            f' SIP/2.0/UDP 192.0.2.8;branch="z,{user}"',
            "Max-Forwards:  70",
            f'f: "A, \\"B\\" <c>" <sip:{user}@example.test>;tag=a',
            f"t  :\t<sip:{user}@example.test>",
            f"i: short-{user}",
            "cseq:",
            " 7",
            " REGISTER",
            f'm: "x, y" <sip:1@{here}>;q=0.5 , <sip:2@{here}>;expires=300,',
            f"   <sip:3@{here};a=b,c>",
            "EXPIRES: 600",
            "k: path, gruu",
            "l: 0",
        )
        reply = phone.ask(register)
        assert reply.status == 200, reply.start
        vias = ", ".join(reply.all("via"))
        assert "192.0.2.9:5070;branch=z9hG4bKb" in vias
        assert f'SIP/2.0/UDP 192.0.2.8;branch="z,{user}"' in vias
        assert f"rport={phone.port}" in vias.split(",")[0]
        expected = {f"sip:1@{here}", f"sip:2@{here}", f"sip:3@{here};a=b,c"}
        assert server.contacts(user) == expected
        times = {b["uri"]: b["expires"] for b in server.bindings(user)}
        assert 290 <= times[f"sip:2@{here}"] <= 300
        assert 590 <= times[f"sip:1@{here}"] <= 600

        subscribe = _lines(
            f"SUBSCRIBE sip:{user}@example.test SIP/2.0",
            f"v: SIP/2.0/{kind.transport} {here};branch=z9hG4bKs{user};rport",
            "Max-Forwards: 70",
            "f: sip:w@example.test;tag=w",  # no brackets: the tag is the header's
            f"t: <sip:{user}@example.test>",
            f"i: watch-{user}",
            "CSeq: 1 SUBSCRIBE",
            f"m: <sip:w@{phone.place}>",
            "o: reg",
            "Accept: text/plain;q=0.1,",
            " application/reginfo+xml",
            "l: 0",
        )
        reply = phone.ask(subscribe)
        assert reply.status == 200, reply.start
        assert read(phone.notify().body).active == expected


def _lines(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode()


def test_a_stream_and_a_datagram_reach_one_server(server: Server) -> None:
    with Phone(server.address) as udp, TcpPhone(server.address) as tcp:
        udp.register("mia", expires=600)
        tcp.register("mia", expires=600, device=1)
        expected = {udp.contact("mia"), tcp.contact("mia", 1)}
        assert server.contacts("mia") == expected


def test_a_phone_whose_connection_breaks_expires_unless_it_comes_back(
    tmp_path: Path,
) -> None:
    """5626-08: the watcher is told within the grace of 5 s, and of nobody else."""
    expire = ['connection_lost = "expire"']
    with (
        Server(tmp_path, tcp=True, registrar=expire) as server,
        Phone(server.address) as watcher,
        TcpPhone(server.address) as gone,
    ):
        gone.register("nat", expires=600)
        contact = gone.contact("nat")
        back = TcpPhone(server.address)
        back.register("olf", expires=600)
        olfs = back.contact("olf")
        watcher.subscribe("nat", expires=600)
        assert read(watcher.notify().body).active == {contact}
        gone.close()
        back.close()
        with TcpPhone(server.address) as again:
            again.register("olf", expires=600, contacts=[f"Contact: <{olfs}>"])
            document = watcher.notify(within=8.0)
            assert b'event="expired"' in document.body
            assert server.contacts("nat") == set()
            assert server.contacts("olf") == {olfs}
