"""Requests to other domains, found by a real name server (RFC 3263)."""

from __future__ import annotations

import itertools
import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest
from typer.testing import CliRunner

from reginfo.cli.main import command

from .nameserver import ZONE, NameServer, host, naptr, srv
from .phone import (
    DOMAIN,
    PATIENCE,
    Message,
    Phone,
    eventually,
    free_port,
    response,
    take_message,
)
from .server import Server

pytestmark = pytest.mark.peers("dnsmasq")

NUMBERS = itertools.count(1)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def message(phone: Phone, uri: str) -> bytes:
    """A MESSAGE of a user of ours to somebody elsewhere."""
    number = next(NUMBERS)
    return phone.request(
        "MESSAGE",
        uri,
        to=f"<{uri}>",
        from_=f"<{phone.aor('alice')}>;tag=a",
        call_id=f"message-{number}",
        cseq=1,
    )


class Elsewhere:
    """A server of another domain, by TCP: takes one request a stream, and answers."""

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self._streams: list[socket.socket] = []
        self.taken = 0

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in [self._socket, *self._streams]:
            stream.close()

    def take(self) -> Message:
        """The next request, which is answered 200."""
        deadline = time.monotonic() + PATIENCE
        while (left := deadline - time.monotonic()) > 0:
            readable, _, _ = select.select([self._socket, *self._streams], [], [], left)
            for stream in readable:
                if stream is self._socket:
                    self._streams.append(stream.accept()[0])
                elif data := take_message(bytearray(stream.recv(65_535)), lambda: None):
                    request = Message.parse(data, ("127.0.0.1", 0))
                    stream.sendall(response(request, 200, "OK"))
                    self.taken += 1
                    return request
        raise TimeoutError("no request")


def both(phone: Phone, uri: str, take: Callable[[], Message]) -> tuple[Message, int]:
    """A MESSAGE as it arrives, and the status that comes back."""
    phone.send(message(phone, uri))
    return take(), final(phone)


def final(phone: Phone) -> int:
    """The status of the next final response."""

    def status() -> int:
        answer = phone.receive(1.0)
        return 0 if answer is None or answer.status < 200 else answer.status

    return eventually(status, within=20.0)


@pytest.mark.parametrize("by", ["naptr", "srv", "port"])
def test_another_domain_is_found_by_its_records(
    tmp_path: Path, stack: ExitStack, by: str
) -> None:
    """3263-02, 3263-03"""
    far = stack.enter_context(Phone(("127.0.0.1", free_port())))
    records = {
        "naptr": [
            naptr("SIPS+D2T", "_sips._tcp", 1),
            naptr("SIP+D2U", "_other._udp", 2),
            srv("_other._udp", "pc", far.port),
            srv("_sip._udp", "pc", free_port()),
            host("pc"),
        ],
        "srv": [srv("_sip._udp", "pc", far.port), host("pc")],
        "port": [f"host-record={ZONE},127.0.0.1"],
    }[by]
    names = stack.enter_context(NameServer(tmp_path, records))
    server = stack.enter_context(Server(tmp_path / "a", sections=[names.section]))
    alice = stack.enter_context(Phone(server.address))
    uri = f"sip:bob@{ZONE}:{far.port}" if by == "port" else f"sip:bob@{ZONE}"
    arrived, status = both(alice, uri, lambda: far.incoming("MESSAGE"))
    assert (arrived.start, status) == (f"MESSAGE {uri} SIP/2.0", 200)
    assert len(arrived.all("via")) == 2


def test_where_the_first_is_dead_the_second_is_tried_and_then_comes_first(
    tmp_path: Path, stack: ExitStack
) -> None:
    """3263-04, 3263-07, 3263-08"""
    dead = free_port()
    second = stack.enter_context(Elsewhere())
    records = [
        naptr("SIP+D2T", "_sip._tcp"),
        srv("_sip._tcp", "one", dead, 1),
        srv("_sip._tcp", "two", second.port, 2),
        host("one"),
        host("two"),
    ]
    names = stack.enter_context(NameServer(tmp_path, records))
    server = stack.enter_context(
        Server(tmp_path / "a", tcp=True, sections=[names.section])
    )
    alice = stack.enter_context(Phone(server.address))
    arrived, status = both(alice, f"sip:bob@{ZONE}", second.take)
    assert (arrived["via"].split()[0], status) == ("SIP/2.0/TCP", 200)

    # It is there again, and is left alone for a while all the same.
    first = stack.enter_context(Elsewhere(dead))
    _, status = both(alice, f"sip:bob@{ZONE}", second.take)
    assert (status, first.taken, second.taken) == (200, 0, 2)


def test_a_record_that_changes_is_followed_when_its_time_is_over(
    tmp_path: Path, stack: ExitStack
) -> None:
    """3263-07"""
    old = stack.enter_context(Phone(("127.0.0.1", free_port())))
    new = stack.enter_context(Phone(("127.0.0.1", free_port())))
    ttl = 3

    def records(phone: Phone) -> list[str]:
        return [srv("_sip._udp", "pc", phone.port), host("pc")]

    names = stack.enter_context(NameServer(tmp_path, records(old), ttl=ttl))
    server = stack.enter_context(Server(tmp_path / "a", sections=[names.section]))
    alice = stack.enter_context(Phone(server.address))
    uri = f"sip:bob@{ZONE}"
    assert both(alice, uri, lambda: old.incoming("MESSAGE"))[1] == 200
    asked = time.monotonic()
    names.change(records(new))

    def arrives_at_new() -> float:
        sent = time.monotonic()
        alice.send(message(alice, uri))
        readable, _, _ = select.select([old._socket, new._socket], [], [], PATIENCE)
        at = new if new._socket in readable else old
        at.incoming("MESSAGE")
        return sent if at is new else 0.0

    # Not before its time: what is known is not asked for again.
    assert eventually(arrives_at_new, within=ttl + PATIENCE) > asked + ttl - 0.5


def test_an_answer_that_is_too_long_for_a_datagram_is_asked_for_by_tcp(
    tmp_path: Path, stack: ExitStack
) -> None:
    """3263-03"""
    far = stack.enter_context(Phone(("127.0.0.1", free_port())))
    names = [f"a-host-of-which-there-are-many-{number}" for number in range(40)]
    records = [
        *(srv("_sip._udp", n, free_port(), 2 + at) for at, n in enumerate(names)),
        *map(host, names),
        srv("_sip._udp", "pc", far.port, 1),
        host("pc"),
    ]
    server_of_names = stack.enter_context(NameServer(tmp_path, records))
    server = stack.enter_context(
        Server(tmp_path / "a", sections=[server_of_names.section])
    )
    alice = stack.enter_context(Phone(server.address))
    uri = f"sip:bob@{ZONE}"
    assert both(alice, uri, lambda: far.incoming("MESSAGE"))[1] == 200


def test_a_domain_that_is_nowhere_is_404(tmp_path: Path, stack: ExitStack) -> None:
    names = stack.enter_context(NameServer(tmp_path, [host("pc")]))
    server = stack.enter_context(Server(tmp_path / "a", sections=[names.section]))
    alice = stack.enter_context(Phone(server.address))
    assert alice.ask(message(alice, f"sip:bob@nowhere.{ZONE}")).status == 404


def test_while_no_name_server_answers_the_others_are_served(
    tmp_path: Path, stack: ExitStack
) -> None:
    """3263-07: no blocking of the event loop"""
    silent = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    silent.bind(("127.0.0.1", 0))
    section = f'[dns]\nservers = ["127.0.0.1:{silent.getsockname()[1]}"]\ntimeout = 2.0'
    server = stack.enter_context(Server(tmp_path / "a", sections=[section]))
    alice = stack.enter_context(Phone(server.address))
    other = stack.enter_context(Phone(server.address))
    alice.send(message(alice, f"sip:bob@{ZONE}"))
    assert select.select([silent], [], [], PATIENCE)[0], "nobody was asked"
    begun = time.monotonic()
    assert other.options().status == 200
    assert time.monotonic() - begun < 1.0
    assert final(alice) == 500


def test_a_peer_that_is_named_may_come_late_and_move(
    stack: ExitStack, tmp_path: Path
) -> None:
    """
    3263-20, 3263-21: the server starts without the name, is in sync once it appears,
    and follows another address within its TTL and a few seconds.
    """
    ttl = 2
    names = stack.enter_context(NameServer(tmp_path, [], ttl=ttl))
    b = stack.enter_context(Server(tmp_path / "b", name="b"))
    watch = f'watch = ["sip:alice@{DOMAIN}"]'
    peer = f'name = "b"\nuri = "sip:b.{ZONE}:{b.port}"\n{watch}'
    a = stack.enter_context(
        Server(tmp_path / "a", peers=[peer], sections=[names.section])
    )
    with Phone(b.address) as phone:
        phone.register("alice", expires=600)
    problem = f"b.{ZONE}: no such host"
    eventually(lambda: a.health()["problems"] == [f"peer b: {problem}"])
    assert a.health()["status"] == "degraded"
    show = ["show", "--peers", "--json", "--admin", a.admin]
    shown = CliRunner().invoke(command, show)
    assert json.loads(shown.stdout)["peers"][0]["problem"] == problem
    time.sleep(3)
    assert a.log.count(problem) == 1

    names.change([host("b")])
    found = waited(lambda: bool(a.contacts("alice")), 30)
    assert a.health()["problems"] == []

    b.kill()
    moved = Server(tmp_path / "moved", name="b", hosts=["127.0.0.2"])
    moved.port = b.port
    stack.enter_context(moved)
    with Phone(moved.address) as phone:
        phone.register("alice", expires=600, device=1)
        expected = moved.contacts("alice")
    names.change([host("b", "127.0.0.2")])
    followed = waited(lambda: expected <= a.contacts("alice"), 30)
    # 15 s is how long a host without an address counts as such.
    assert found < 15 + 2 + 5, found
    assert followed < ttl + 2 + 5, followed


def waited(condition: Callable[[], bool], most: float) -> float:
    """Seconds until a condition holds."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < most
        time.sleep(0.05)
    return time.monotonic() - start
