"""
What changes by a row costs a row, however many rows stand beside it.

`benchmarks/held.py` measures it in time; here the work is counted: calls of functions,
lines of Python, and octets of journal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple

import msgspec
import pytest

from reginfo.config.config import Config
from reginfo.ledger import journal
from reginfo.testing.wire import Wire, WireServer

pytestmark = pytest.mark.skipif(
    not journal.__file__.endswith(".py"),
    reason="work is counted in lines of Python, which compiled code does not run",
)

SIZES = (10, 1_000)

COUNTERS = 4
"""Octets by which counters in a row, as msgpack writes them, may be longer."""

US, PEER = ("192.0.2.1", 5060), ("192.0.2.2", 5060)
ALICE = "sip:alice@example.com"
CONFIG = """
[server]
id = "a"
listen = ["udp:192.0.2.1:5060"]
domains = ["example.com"]
[store]
url = "memory:"
[limits]
publications_per_aor = 0
[pua_reginfo]
server_address = "sip:server@192.0.2.1"
[[peer]]
name = "p"
uri = "sip:192.0.2.2"
watch = ["sip:alice@example.com"]
"""


class Work(NamedTuple):
    """What one message has cost."""

    calls: int
    lines: int
    octets: int


class Peer:
    """A peer of one server, that notifies and publishes."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.server: WireServer = self.wire.serve(Config.parse(CONFIG))
        self.wire.pass_time(1.0)
        (subscribe, *_) = self.wire.received(PEER)
        self.to = header(subscribe, "From")
        self.call_id = header(subscribe, "Call-ID")
        self.cseq = self.branch = 0

    def notify(self, version: int, full: bool, registrations: str) -> bytes:
        self.cseq += 1
        return self.message(
            "NOTIFY",
            "sip:server@192.0.2.1",
            f"From: <{ALICE}>;tag=peer\nTo: {self.to}\nCall-ID: {self.call_id}\n"
            f"CSeq: {self.cseq} NOTIFY\nContact: <sip:192.0.2.2>\n"
            "Subscription-State: active;expires=3600\n",
            document(version, full, registrations),
        )

    def publish(self, number: int, cseq: int, etag: str) -> bytes:
        match = f"SIP-If-Match: {etag}\n" if etag else ""
        return self.message(
            "PUBLISH",
            ALICE,
            f"From: <sip:p@192.0.2.2>;tag=t\nTo: <{ALICE}>\nCall-ID: pub-{number:06}\n"
            f"CSeq: {cseq} PUBLISH\nExpires: 3600\n{match}",
            document(0, True, registration(ALICE, contact(number, cseq))),
        )

    def message(self, method: str, uri: str, headers: str, body: str) -> bytes:
        self.branch += 1
        text = (
            f"{method} {uri} SIP/2.0\n"
            f"Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK-{self.branch:06}\n"
            f"Max-Forwards: 70\n{headers}Event: reg\n"
            "Content-Type: application/reginfo+xml\n"
            f"Content-Length: {len(body)}\n\n"
        )
        return (text.replace("\n", "\r\n") + body).encode()

    def send(self, data: bytes) -> bytes:
        """Send a message; the answer to it."""
        self.wire.send(data, PEER, US)
        (answer,) = self.wire.received(PEER)
        assert answer.startswith(b"SIP/2.0 200 "), answer
        return answer

    def work(self, data: bytes) -> Work:
        """What it costs to send a message, in work of our own code."""
        calls = lines = octets = 0

        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal calls, lines
            if "/reginfo/" not in frame.f_code.co_filename:
                return None
            calls += event == "call"
            lines += event == "line"
            return trace

        journal = self.server.app.journal
        close = journal.close

        def closed() -> Any:
            nonlocal octets
            batch = close()
            if batch.entries:
                octets += len(msgspec.msgpack.encode(batch.entries))
            return batch

        journal.close = closed  # type: ignore[method-assign]
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            self.wire.send(data, PEER, US)
        finally:
            sys.settrace(before)
            journal.close = close  # type: ignore[method-assign]
        (answer,) = self.wire.received(PEER)
        assert answer.startswith(b"SIP/2.0 200 "), answer
        return Work(calls, lines, octets)


def header(data: bytes, name: str) -> str:
    for line in data.decode().split("\r\n"):
        if line.lower().startswith(f"{name.lower()}:"):
            return line.partition(":")[2].strip()
    raise LookupError(name)


def contact(number: int, cseq: int, event: str = "refreshed") -> str:
    state = "terminated" if event == "unregistered" else "active"
    return (
        f'<contact id="c{number:06}" state="{state}" event="{event}" expires="3000" '
        f'callid="call-{number:06}" cseq="{cseq}">'
        f"<uri>sip:u{number:06}@192.0.2.7:5061</uri></contact>"
    )


def registration(aor: str, contacts: str) -> str:
    return (
        f'<registration aor="{aor}" id="{aor}" state="active">{contacts}</registration>'
    )


def document(version: int, full: bool, registrations: str) -> str:
    state = "full" if full else "partial"
    return (
        '<?xml version="1.0"?><reginfo xmlns="urn:ietf:params:xml:ns:reginfo" '
        f'version="{version:03}" state="{state}">{registrations}</reginfo>'
    )


def one_user(number: int) -> str:
    return ALICE


def a_group(number: int) -> str:
    return f"sip:user{number:06}@example.com"


def holding(size: int, user: Callable[[int], str]) -> Peer:
    """A peer that has told of so many contacts."""
    peer = Peer()
    for version, begin in enumerate(range(0, size, 100)):
        numbers = range(begin, min(size, begin + 100))
        if user is one_user:
            told = registration(ALICE, "".join(contact(n, 1) for n in numbers))
        else:
            told = "".join(registration(user(n), contact(n, 1)) for n in numbers)
        peer.send(peer.notify(version, not version, told))
    return peer


CHANGES = {
    "refreshed": lambda n: contact(n, 2),
    "added": lambda n: contact(900_000, 1, "registered"),
    "removed": lambda n: contact(n, 2, "unregistered"),
}


def costs(size: int, user: Callable[[int], str], change: str) -> Work:
    peer = holding(size, user)
    version = -(-size // 100)
    # Once for what is made when it is first used.
    peer.send(peer.notify(version, False, registration(user(3), contact(3, 2))))
    told = registration(user(5), CHANGES[change](5))
    return peer.work(peer.notify(version + 1, False, told))


@pytest.mark.parametrize("change", list(CHANGES))
@pytest.mark.parametrize("user", [one_user, a_group])
def test_a_notify_that_changes_one_contact_costs_one_row(
    user: Callable[[int], str], change: str
) -> None:
    small, large = (costs(size, user, change) for size in SIZES)
    assert abs(large.octets - small.octets) <= COUNTERS
    assert large.calls <= small.calls * 1.05
    assert large.lines <= small.lines * 1.05
    assert 100 < small.calls
    assert 500 < small.octets < 2_000


def publishing(size: int) -> Iterator[Work]:
    peer = Peer()
    etags = [
        header(peer.send(peer.publish(number, 1, "")), "SIP-ETag")
        for number in range(size)
    ]
    etags[3] = header(peer.send(peer.publish(3, 2, etags[3])), "SIP-ETag")
    yield peer.work(peer.publish(5, 2, etags[5]))
    yield peer.work(peer.publish(900_000, 1, ""))


def test_a_publish_costs_the_same_however_many_publish_a_user() -> None:
    for small, large in zip(*(publishing(size) for size in SIZES), strict=True):
        assert abs(large.octets - small.octets) <= COUNTERS
        assert large.calls <= small.calls * 1.05
        assert large.lines <= small.lines * 1.05
