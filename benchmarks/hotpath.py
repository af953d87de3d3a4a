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
with a handler for REGISTER, a coroutine that saves it. "password" is "plain" with
digest authentication, a nonce of each user being in use; "asked" is the same, each
REGISTER being challenged first.
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
from collections.abc import Callable
from pathlib import Path

import messages
import msgspec
from nowhere import Nowhere

from reginfo.auth.account import new_account
from reginfo.auth.credentials import Credentials
from reginfo.auth.digest import ha1
from reginfo.auth.users_file import save_users
from reginfo.config.config import Config
from reginfo.io.clock import Clock
from reginfo.ledger.journal import Entry
from reginfo.ledger.turn import Done
from reginfo.server.app import App
from reginfo.sip import parser as sip_parser
from reginfo.sip.flow import Flow, Local
from reginfo.sip.message import Request
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

    def __init__(
        self,
        *,
        watched: bool,
        script: Path | None = None,
        users: Path | None = None,
        asks: bool = False,
    ) -> None:
        self.clock = Clock()
        config = Config.parse(
            CONFIG + (f'[auth]\nusers = "{users}"\n' if users else "")
        )
        server = msgspec.structs.replace(config.server, script=script)
        config = msgspec.structs.replace(config, server=server)
        self.app = App(config, clock=self.clock)
        self.turns = self.app.turns
        self.outbox: list[Datagram] = []
        self.received = self.decided = self.closed = 0.0
        self.app.load_users()
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
        self.asks = asks
        self.cseq = 0
        nonces = self.app._assembly.guarding.authenticator.nonces
        now = self.clock.now()
        self.nonces = [nonces.make(now) for _ in range(USERS)] if users else []
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
            messages.register(
                self.cseq * USERS + user, user, 2 * self.cseq + 1, PORT, "x"
            )
            for user in range(USERS)
        ]
        if self.nonces:
            given = [signed(one, user, self.nonces[user], self.cseq)
                     for user, one in enumerate(data)]  # fmt: skip
            if self.asks:
                first = [
                    messages.register(
                        (self.cseq + 1000) * USERS + user,
                        user,
                        2 * self.cseq,
                        PORT,
                        "x",
                    )
                    for user in range(USERS)
                ]
                data = [one for pair in zip(first, given, strict=True) for one in pair]
            else:
                data = given
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


def signed(data: bytes, user: int, nonce: str, count: int) -> bytes:
    """A REGISTER with credentials of its user."""
    start, _, rest = data.partition(b"\r\n")
    method, uri, _ = start.decode().split(" ")
    secret = ha1("SHA-256", f"u{user}", messages.DOMAIN, "secret")
    given = Credentials(
        f"u{user}", messages.DOMAIN, nonce, uri, "", "SHA-256", "auth",
        "0a4f113b", f"{count:08x}",
    )  # fmt: skip
    proof = given.expected(secret, Request(method, uri), "SHA-256")
    line = msgspec.structs.replace(given, response=proof).write().encode()
    return b"\r\n".join([start, b"Authorization: " + line, rest])


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
    users = Path(directory.name, "users")
    accounts = [
        new_account(f"u{user}@{messages.DOMAIN}", "secret", algorithms=["SHA-256"])
        for user in range(USERS)
    ]
    save_users(users, {account.name: account for account in accounts})
    variants: dict[str, Callable[[], Bench]] = {
        "plain": lambda: Bench(watched=False),
        "password": lambda: Bench(watched=False, users=users),
        "asked": lambda: Bench(watched=False, users=users, asks=True),
        "watched": lambda: Bench(watched=True),
        "script": lambda: Bench(watched=True, script=script),
    }
    for name, make in variants.items():
        bench = make()
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
