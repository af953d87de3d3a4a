"""
What one contact costs that changes in a large table: ratios in one run.

    .venv/bin/python benchmarks/held.py [--rounds 9]

A server holds a subscription with a table of so many contacts, or serves a user whose
state many publishers publish. A NOTIFY that changes one contact, or a PUBLISH that
does, should cost the same whatever there is beside it. The server's parts are driven as
its rim does, without sockets, and the entries of each batch are encoded.

Given for each size: microseconds for each message, and octets of journal.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import inspect
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from nowhere import Nowhere

from reginfo.server.app import App
from reginfo.sip.destination import Destination
from reginfo.sip.flow import Flow, Local


def _class(name: str, *modules: str) -> Any:
    """Find a class in the first of ``modules`` that has it, for older commits."""
    for module in modules:
        try:
            return getattr(importlib.import_module(module), name)
        except ImportError:
            continue
    raise ImportError(name)


def _udp() -> Any:
    """UDP as the name of a transport, which once was a mere `str`."""
    try:
        return _class("Transport", "reginfo.sip.transport").UDP
    except ImportError:
        return "UDP"


Config = _class("Config", "reginfo.config.config", "reginfo.server.config")
Clock = _class("Clock", "reginfo.io.clock", "reginfo.server.clock")

UDP = _udp()
LOCAL = Local(UDP, "127.0.0.1", 5060)
PEER = ("127.0.0.2", 5060)
PIECE = 1_000  # contacts in a document while the table is filled
MESSAGES = 200
SIZES = (1, 10, 1_000, 20_000)
AOR = "sip:alice@example.test"
CONFIG = """
[server]
id = "bench"
listen = ["udp:127.0.0.1:5060"]
domains = ["example.test"]
[store]
url = "memory:"
[pua_reginfo]
server_address = "sip:reginfo@127.0.0.1"
[[peer]]
name = "p"
uri = "sip:127.0.0.2"
watch = ["sip:alice@example.test"]
"""


class There:
    """Names that all lead to the peer."""

    def find(self, uri: Any, found: Callable[[list[Destination]], None]) -> None:
        found([Destination(UDP, PEER)])


class Bench:
    """A server without sockets, whose clock the benchmark moves."""

    def __init__(self) -> None:
        self.app = App(Config.parse(CONFIG), clock=Clock())
        self.clock = Clock()
        self.app.load_script()
        begin: Any = self.app.begin
        if "places" in inspect.signature(begin).parameters:  # so it once was
            begin([LOCAL], {"sip:127.0.0.2": Destination(UDP, PEER)}, Nowhere())
        else:
            begin([LOCAL], There())
        self.branch = 0
        self.octets = 0
        self.app.timer_due(self.moment(1.0))
        self.subscribe = self.close()

    def moment(self, later: float = 0.0) -> Any:
        """What time it is, as the parts are told: once that was a number."""
        if not hasattr(self.clock, "moment"):
            return self.clock.now() + later
        moment = self.clock.moment()
        return type(moment)(moment.now + later, moment.wall) if later else moment

    def close(self) -> list[bytes]:
        app = self.app
        while events := app.endpoint.events():
            for event in events:
                app.handle(event, self.moment())
        outbox = app.endpoint.datagrams_to_send()
        batch = app.journal.close()
        self.octets += len(msgspec.msgpack.encode(batch.entries))
        app.endpoint.sent(outbox, self.clock.now())
        batch.announce()
        return [one.data for one in outbox]

    def receive(self, data: bytes) -> bytes:
        flow = Flow(LOCAL, PEER)
        self.app.endpoint.receive_datagram(data, flow, self.clock.now())
        answers = [one for one in self.close() if one.startswith(b"SIP/2.0 ")]
        assert answers[0].startswith(b"SIP/2.0 200 "), answers
        return answers[0]

    def message(self, method: str, uri: str, headers: str, body: str = "") -> bytes:
        self.branch += 1
        data = body.encode()
        kind = "Content-Type: application/reginfo+xml\n" if body else ""
        head = (
            f"{method} {uri} SIP/2.0\n"
            f"Via: SIP/2.0/UDP 127.0.0.2;branch=z9hG4bK-{self.branch}\n"
            f"Max-Forwards: 70\n{headers}{kind}Event: reg\n"
            f"Content-Length: {len(data)}\n\n"
        )
        return head.replace("\n", "\r\n").encode() + data


def header(data: bytes, name: str) -> str:
    for line in data.decode().split("\r\n"):
        if line.lower().startswith(f"{name.lower()}:"):
            return line.partition(":")[2].strip()
    raise LookupError(name)


def contact(number: int, cseq: int, expires: int = 3000) -> str:
    return (
        f'<contact id="c{number}" state="active" event="refreshed" '
        f'expires="{expires}" callid="call-{number}" cseq="{cseq}">'
        f"<uri>sip:u{number}@192.0.2.7:5061</uri></contact>"
    )


def document(version: int, full: bool, *registrations: tuple[str, str]) -> str:
    state = "full" if full else "partial"
    text = "".join(
        f'<registration aor="{aor}" id="{aor[4:9]}" state="active">{contacts}'
        "</registration>"
        for aor, contacts in registrations
    )
    return (
        '<?xml version="1.0"?><reginfo xmlns="urn:ietf:params:xml:ns:reginfo" '
        f'version="{version}" state="{state}">{text}</reginfo>'
    )


Work = Iterator[Callable[[], object]]


def notifies(size: int, users: bool) -> tuple[Bench, Work]:
    """
    NOTIFYs that each refresh one contact of a table of ``size`` contacts.

    Args:
        users: whether each contact is of another user, as in the answer for a group.
    """
    bench = Bench()
    subscribe = next(one for one in bench.subscribe if one.startswith(b"SUBSCRIBE "))
    to = header(subscribe, "From")
    call_id = header(subscribe, "Call-ID")
    state = "Subscription-State: active;expires=3600\n"
    cseq = 0

    def aor(number: int) -> str:
        return f"sip:user{number}@example.test" if users else AOR

    def notify(body: str) -> bytes:
        nonlocal cseq
        cseq += 1
        headers = (
            f"From: <{AOR}>;tag=peer\nTo: {to}\nCall-ID: {call_id}\n"
            f"CSeq: {cseq} NOTIFY\nContact: <sip:127.0.0.2>\n{state}"
        )
        return bench.message("NOTIFY", "sip:reginfo@127.0.0.1", headers, body)

    first = 0
    for begin in range(0, size, PIECE):
        numbers = range(begin, min(size, begin + PIECE))
        if users:
            some = [(aor(number), contact(number, 1)) for number in numbers]
        else:
            some = [(AOR, "".join(contact(number, 1) for number in numbers))]
        bench.receive(notify(document(first, not first, *some)))
        first += 1

    def work() -> Work:
        for version in range(first, 10**9):
            changed = (aor(version % size), contact(version % size, version + 1))
            data = notify(document(version, False, changed))

            def do(data: bytes = data) -> None:
                bench.receive(data)

            yield do

    return bench, work()


def publishes(size: int) -> tuple[Bench, Work]:
    """PUBLISHes that each modify one of ``size`` publications of one user."""
    bench = Bench()
    etags: list[str] = []

    def publish(number: int, cseq: int, etag: str) -> bytes:
        match = f"SIP-If-Match: {etag}\n" if etag else ""
        headers = (
            f"From: <sip:p@127.0.0.2>;tag=t{number}\nTo: <{AOR}>\n"
            f"Call-ID: pub-{number}\nCSeq: {cseq} PUBLISH\nExpires: 3600\n{match}"
        )
        body = document(0, True, (AOR, contact(number, cseq)))
        return bench.message("PUBLISH", AOR, headers, body)

    for number in range(size):
        answer = bench.receive(publish(number, 1, ""))
        etags.append(header(answer, "SIP-ETag"))

    def work() -> Work:
        for version in range(1, 10**9):
            number = version % size
            data = publish(number, version + 1, etags[number])

            def do(data: bytes = data, number: int = number) -> None:
                etags[number] = header(bench.receive(data), "SIP-ETag")

            yield do

    return bench, work()


def measure(bench: Bench, work: Work, messages: int) -> tuple[float, float]:
    """Microseconds of CPU and octets of journal for each of ``messages``."""
    taken, before = 0.0, bench.octets
    for _ in range(messages):
        do = next(work)
        begin = time.process_time_ns()
        do()
        taken += time.process_time_ns() - begin
    return taken / messages / 1e3, (bench.octets - before) / messages


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    given = parser.parse_args()
    say = sys.stdout.write
    shapes: dict[str, Callable[[int], tuple[Bench, Work]]] = {
        "NOTIFY, one user": lambda size: notifies(size, users=False),
        "NOTIFY, a group": lambda size: notifies(size, users=True),
        "PUBLISH": publishes,
    }
    for name, shape in shapes.items():
        made: dict[int, Any] = {size: shape(size) for size in given.sizes}
        gc.collect()
        gc.freeze()
        gc.disable()
        found: dict[int, list[tuple[float, float]]] = {size: [] for size in made}
        for _ in range(given.rounds):
            for size, (bench, work) in made.items():
                found[size].append(measure(bench, work, given.messages))
        gc.enable()
        first = None
        for size, results in found.items():
            cost = min(cost for cost, _ in results)
            octets = results[-1][1]
            first = first or cost
            say(
                f"{name:18} {size:6} held {cost:9.1f} us {cost / first:6.2f} x"
                f" {octets:9.0f} octets\n"
            )


if __name__ == "__main__":
    main()
