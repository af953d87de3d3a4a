"""
What a link costs: REGISTERs at one server, told over a link to another, no sockets.

    .venv/bin/python benchmarks/links.py [--rounds 9] [--rate 2000]

Two servers are driven by their own turns. `plain` is a REGISTER and its 200 at a server
without links. `source` is the same at a server with one link, with the NOTIFYs that
tell it, and what their answers cost; `sink` is what taking them in costs the other
server. Each wake-up has the datagrams of a commit of 5 ms at that rate; a document has
the changes that came since the last one was answered. The least of all rounds counts,
so that other load on the machine does not.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable

import messages
import msgspec

from reginfo.config.config import Config
from reginfo.io.clock import Clock
from reginfo.ledger.journal import Entry
from reginfo.ledger.turn import Done
from reginfo.server.app import App
from reginfo.sip.destination import Destination
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.flow import Address, Flow, Local
from reginfo.sip.transaction import Datagram
from reginfo.sip.transport import Transport
from reginfo.sip.uri import Uri

PORT = 9
USERS = 1000
COMMIT = 0.005
"""Seconds that a commit takes, about: what comes meanwhile is one wake-up."""

GROUP = f"sip:all@{messages.DOMAIN}"
PHONE: Address = ("127.0.0.1", PORT)


def config(me: int, other: int | None) -> Config:
    """The configuration of a server at a port, with a link to another one."""
    text = f"""
[server]
id = "s{me}"
listen = ["udp:127.0.0.1:{me}", "tcp:127.0.0.1:{me}"]
domains = ["{messages.DOMAIN}"]
[store]
url = "memory:"
[pua_reginfo]
server_address = "sip:reginfo@127.0.0.1:{me}"
"""
    if other is not None:
        text += f"""
[[group]]
uri = "{GROUP}"
domains = ["{messages.DOMAIN}"]
[[peer]]
name = "s{other}"
uri = "sip:127.0.0.1:{other};transport=tcp"
watch = {f'"{GROUP}"' if me > other else "[]"}
"""
    return Config.parse(text)


class Numeric:
    """Finds a URI at the address that it has."""

    def find(
        self,
        uri: Uri,
        found: Callable[[list[Destination] | RemoteProtocolError], None],
    ) -> None:
        found([Destination(Transport.TCP, (uri.host, uri.port or 5060))])


class Server:
    """One server without sockets, and the CPU time that it has taken."""

    def __init__(self, port: int, other: int | None) -> None:
        self.port = port
        self.udp = Local(Transport.UDP, "127.0.0.1", port)
        self.tcp = Local(Transport.TCP, "127.0.0.1", port)
        self.clock = Clock()
        self.app = App(config(port, other), clock=self.clock)
        self.app.set_open(lambda flow: True, lambda flow: None)
        self.turns = self.app.turns
        self.outbox: list[Datagram] = []
        self.taken = 0.0
        self.turns.connect(
            self.app,
            send=self.send,
            settle_soon=lambda: None,
            set_timer=lambda: None,
            committer=self,
        )
        self.app.begin([self.udp, self.tcp], Numeric())

    def work(self, data: list[tuple[bytes, Flow]]) -> list[Datagram]:
        """One wake-up of the rim, and its timers; what it sends."""
        turns = self.turns
        self.outbox = []
        begin = time.process_time()
        for one, flow in data:
            turns.receive(one, flow)
        turns.settle()
        at = turns.timer_at
        if at is not None and at <= self.clock.now():
            turns.timer_due()
        self.taken += time.process_time() - begin
        return self.outbox

    def commit(
        self, entries: list[Entry], *, boot: float, wall: float, done: Done
    ) -> None:
        """Encode what the writer's thread would store."""
        msgspec.msgpack.encode(entries)
        done(None)

    def send(self, outbox: list[Datagram]) -> None:
        self.outbox += outbox


class Pair:
    """A source and a sink, joined by one stream."""

    def __init__(self) -> None:
        self.source, self.sink = Server(5061, 5062), Server(5062, 5061)
        self.at_source = Flow(self.source.tcp, ("127.0.0.1", 5062))
        self.at_sink = Flow(self.sink.tcp, ("127.0.0.1", 5061))
        self.carry([], self.sink.work([]))

    def round(self, wake_ups: list[list[tuple[bytes, Flow]]]) -> None:
        """
        Every user refreshes once, at the source; then the sink is told.

        One after the other, as on machines of their own: in turns, each would find the
        processor's caches full of the other's.
        """
        told: list[Datagram] = []
        answers: list[tuple[bytes, Flow]] = []
        for wake_up in [*wake_ups, [], []]:
            # The sink's commit takes as long as ours: its answer comes with the next.
            notifies = by_stream(self.source.work(answers + wake_up))
            told += notifies
            answers = [(messages.ok(one.data), self.at_source) for one in notifies]
        for one in told:
            self.sink.work([(one.data, self.at_sink)])

    def carry(self, to_sink: list[Datagram], to_source: list[Datagram]) -> None:
        """Carry what both send to each other until nothing is left."""
        while to_sink or to_source:
            if to_source:
                data = [(one.data, self.at_source) for one in to_source]
                to_sink = to_sink + by_stream(self.source.work(data))
                to_source = []
            if to_sink:
                data = [(one.data, self.at_sink) for one in to_sink]
                to_source = by_stream(self.sink.work(data))
                to_sink = []


def by_stream(outbox: list[Datagram]) -> list[Datagram]:
    return [one for one in outbox if one.flow.local.is_reliable]


def requests(cseq: int, local: Local, batch: int) -> list[list[tuple[bytes, Flow]]]:
    """A refresh of every user, in wake-ups."""
    flow = Flow(local, PHONE)
    data = [
        (messages.register(cseq * USERS + user, user, cseq, PORT, "x"), flow)
        for user in range(USERS)
    ]
    return [data[at : at + batch] for at in range(0, USERS, batch)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rate", type=int, default=2000)
    given = parser.parse_args()
    batch = max(1, round(given.rate * COMMIT))
    alone, pair = Server(5060, None), Pair()
    figures: dict[str, list[float]] = {"plain": [], "source": [], "sink": []}
    time.sleep(6)  # an empty server with links does not take REGISTERs at first
    for cseq in range(1, given.rounds + 2):
        for server in (alone, pair.source, pair.sink):
            server.taken = 0.0
        for wake_up in requests(cseq, alone.udp, batch):
            alone.work(wake_up)
        pair.round(requests(cseq, pair.source.udp, batch))
        if cseq == 1:
            # The first registration, and not a refresh: what it makes stays.
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 20, 100)
            continue
        figures["plain"].append(alone.taken)
        figures["source"].append(pair.source.taken)
        figures["sink"].append(pair.sink.taken)
    known = sum(1 for _ in pair.sink.app.aors())
    assert known == USERS, f"{known} users at the sink"
    plain = min(figures["plain"])
    say = sys.stdout.write
    say(f"{sys.executable}; {batch} REGISTERs each wake-up\n")
    for name, taken in figures.items():
        least = min(taken)
        say(f"{name:8}{least / USERS * 1e6:6.1f} µs  {least / plain:5.2f}\n")


if __name__ == "__main__":
    main()
