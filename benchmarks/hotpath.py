"""
What the parts of the hot path cost: a REGISTER, its 200, its NOTIFY, without sockets.

    .venv/bin/python benchmarks/hotpath.py [--rounds 9] [--profile]

The server's own turns are driven, in batches as there are under load, and the entries
of each are encoded as for the disk. What the kernel, the disk and the other thread cost
is not in it: that is what bench.py measures.

receive   parse datagrams, find or make their transactions
decide    registrar, location, notifier: the response and the NOTIFY; close the batch
close     encode what is to be stored
sent      start timers

"plain" has nobody who watches, "watched" one watcher for each user, "script" the same
with a handler for REGISTER, a coroutine that saves it.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import statistics
import sys
import tempfile
import time
from pathlib import Path

import messages
import msgspec
from nowhere import Nowhere

from reginfo.config.config import Config
from reginfo.io.clock import Clock
from reginfo.ledger.journal import Entry
from reginfo.ledger.turn import Done
from reginfo.server.app import App
from reginfo.sip import parser as sip_parser
from reginfo.sip.flow import Flow, Local
from reginfo.sip.transaction import Datagram
from reginfo.sip.transport import Transport

PORT = 9
USERS = 1000
BATCH = 20  # datagrams of one wake-up
LOCAL = Local(Transport.UDP, "127.0.0.1", 5060)
FLOW = Flow(LOCAL, ("127.0.0.1", PORT))
CONFIG = f"""
[server]
id = "bench"
listen = ["udp:127.0.0.1:5060"]
domains = ["{messages.DOMAIN}"]
[store]
url = "memory:"
[notifier]
min_interval = 0.0
[pua_reginfo]
server_address = "sip:reginfo@127.0.0.1"
"""

SCRIPT = """
from reginfo import Message, Route

route = Route()


@route.request("REGISTER")
async def register(msg: Message) -> None:
    await msg.save("location")
"""

STAGES = ["receive", "decide", "close", "sent"]


class Bench:
    """A server without sockets, and how long each stage of its work took."""

    def __init__(self, *, watched: bool, script: Path | None = None) -> None:
        self.clock = Clock()
        config = Config.parse(CONFIG)
        server = msgspec.structs.replace(config.server, script=script)
        config = msgspec.structs.replace(config, server=server)
        self.app = App(config, clock=self.clock)
        self.turns = self.app.turns
        self.outbox: list[Datagram] = []
        self.received = self.decided = self.closed = 0.0
        self.app.load_script()
        self.turns.connect(
            self.app,
            send=self.send,
            settle_soon=nothing,
            set_timer=nothing,
            committer=self,
        )
        self.app.begin([LOCAL], Nowhere())
        self.watched = watched
        self.cseq = 0
        self.taken = dict.fromkeys(STAGES, 0.0)
        if watched:
            self.run([messages.subscribe(user, PORT, "x") for user in range(USERS)])
        self.round()
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)

    def round(self) -> float:
        """Every user refreshes once; microseconds for each."""
        self.cseq += 1
        data = [
            messages.register(self.cseq * USERS + user, user, self.cseq, PORT, "x")
            for user in range(USERS)
        ]
        self.taken = dict.fromkeys(STAGES, 0.0)
        self.run(data)
        return sum(self.taken.values()) / USERS * 1e6

    def run(self, data: list[bytes]) -> None:
        for at in range(0, len(data), BATCH):
            waiting = data[at : at + BATCH]
            while waiting:
                notifies = self.work(waiting)
                waiting = [messages.ok(notify) for notify in notifies]

    def work(self, data: list[bytes]) -> list[bytes]:
        """One wake-up of the rim; the NOTIFYs that it sends."""
        turns, taken = self.turns, self.taken
        self.outbox = []
        self.decided = self.closed = 0.0
        begin = time.perf_counter()
        for one in data:
            turns.receive(one, Flow(LOCAL, FLOW.remote))
        self.received = time.perf_counter()
        turns.settle()
        end = time.perf_counter()
        self.decided, self.closed = self.decided or end, self.closed or end
        taken["receive"] += self.received - begin
        taken["decide"] += self.decided - self.received
        taken["close"] += self.closed - self.decided
        taken["sent"] += end - self.closed
        return [one.data for one in self.outbox if one.data.startswith(b"NOTIFY ")]

    # What the turns ask for, as of a rim and a writer.

    def commit(
        self, entries: list[Entry], *, boot: float, wall: float, done: Done
    ) -> None:
        """Encode what the writer's thread would store."""
        self.decided = time.perf_counter()
        msgspec.msgpack.encode(entries)
        self.closed = time.perf_counter()
        done(None)

    def send(self, outbox: list[Datagram]) -> None:
        """Keep what a socket would send."""
        if not self.decided:  # nobody waits for a commit
            self.decided = self.closed = time.perf_counter()
        self.outbox += outbox


def nothing() -> None:
    """No timer is set, for nobody waits that long."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    say = sys.stdout.write
    say(f"{sys.executable}, {sys.version}\n")
    say(f"{sip_parser.__file__}\n")
    one = messages.register(1, 1, 1, PORT, "x")
    begin = time.perf_counter()
    for _ in range(20_000):
        sip_parser.parse(one)
    say(f"parse  {(time.perf_counter() - begin) / 20_000 * 1e6:6.2f} µs\n")
    directory = tempfile.TemporaryDirectory()
    script = Path(directory.name, "routes.py")
    script.write_text(SCRIPT)
    for name, watched, routes in (
        ("plain", False, None),
        ("watched", True, None),
        ("script", True, script),
    ):
        bench = Bench(watched=watched, script=routes)
        if given.profile:
            with cProfile.Profile() as profile:
                for _ in range(given.rounds):
                    bench.round()
            pstats.Stats(profile).sort_stats("tottime").print_stats(35)
            continue
        rounds = []
        for _ in range(given.rounds):
            total = bench.round()
            rounds.append((total, dict(bench.taken)))
        _, taken = sorted(rounds, key=lambda r: r[0])[len(rounds) // 2]
        total = statistics.median(total for total, _ in rounds)
        stages = "  ".join(f"{s} {t / USERS * 1e6:5.1f}" for s, t in taken.items())
        say(f"{name:8}{total:6.1f} µs   {stages}\n")


if __name__ == "__main__":
    main()
