"""
A domain that several servers keep in sync by links: real processes on loopback.

    domain.py [--python PYTHON] [--users 100000] [--away 60] [FIGURE ...]

``sync``: the first transfer of a whole domain to an empty server, with its CPU time on
both sides together and the memory that it takes there; and how long REGISTERs take at
the source meanwhile. ``away``: a server that was away, while 1000 contacts changed.
``change``: how long a change takes from one server to a watcher at the other one.
``cost``: the CPU time of one change, in domains of different sizes, in this process.
``load``: three servers under load, one of which is killed and restarted twice.

The databases are in /var/tmp (``--directory``): on a disk, and not in memory.
"""

from __future__ import annotations

import argparse
import json
import re
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import links
import messages
from servers import _await, _end, _free_port, cpu_seconds

from reginfo.sip.flow import Flow

GROUP = f"sip:all@{messages.DOMAIN}"
CHANGED = 1000
"""Contacts that change while a server is away."""

say = sys.stdout.write
now = time.perf_counter


_TO = re.compile(rb"\r\nTo:[^\r]*sip:u(\d+)@", re.I)
_USER = re.compile(r"^sip:u(\d+)@")
_CHANGED = re.compile(rb'aor="sip:u(\d+)@.*? cseq="(\d+)"', re.S)


class Linked:
    """One of several ``reginfo serve``, each of which is linked to all others."""

    def __init__(self, name: str, python: str, directory: Path) -> None:
        self.name = name
        self.port = _free_port()
        self.directory = directory / name
        self.directory.mkdir()
        self.admin = ""
        self._python = python
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0

    def configure(self, others: Sequence[Linked], *, asks: bool = True) -> None:
        """
        Write its configuration; it knows ``others``.

        Args:
            asks: whether it is linked to them, or only they to it.
        """
        watch = f'"{GROUP}"' if asks else "[]"
        text = f"""
[server]
id = "{self.name}"
listen = ["udp:127.0.0.1:{self.port}", "tcp:127.0.0.1:{self.port}"]
domains = ["{messages.DOMAIN}"]
admin = "127.0.0.1:0"
[store]
url = "sqlite:{self.directory / "reginfo.db"}"
[notifier]
min_interval = 0.0
[pua_reginfo]
server_address = "sip:reginfo@127.0.0.1:{self.port}"
[[group]]
uri = "{GROUP}"
domains = ["{messages.DOMAIN}"]
"""
        for one in others:
            text += f"""
[[peer]]
name = "{one.name}"
uri = "sip:127.0.0.1:{one.port};transport=tcp"
watch = {watch}
"""
        (self.directory / "reginfo.toml").write_text(text)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, with what is in its database; it is up when this returns."""
        self._starts += 1
        log = self.directory / f"log-{self._starts}"
        file = self.directory / "reginfo.toml"
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                [self._python, "-m", "reginfo", "serve", "-c", str(file)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=self.directory,
            )

        def is_up() -> bool:
            ready = re.search(r"\bready .*\badmin=(http://\S+)", log.read_text())
            if ready:
                self.admin = ready[1]
            return ready is not None

        _await(is_up, self._process, log)

    def kill(self) -> None:
        """End it at once, like a power failure of its host."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        _end(self._process)

    def empty(self) -> None:
        """Remove its database."""
        for file in self.directory.glob("reginfo.db*"):
            file.unlink()

    def ask(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.admin}{path}", timeout=30.0) as reply:
            found: dict[str, Any] = json.load(reply)
        return found

    def sinks(self) -> list[dict[str, Any]]:
        """The links that it holds."""
        found = self.ask("/v1/links")["links"]
        return [link for link in found if link["role"] == "sink"]

    def elements(self) -> int:
        """How many elements it has sent by links since its start."""
        try:
            parts = self.ask("/v1/health")["parts"]
        except urllib.error.HTTPError as exc:  # degraded
            parts = json.load(exc)["parts"]
        [source] = [part for part in parts if part["name"] == "source"]
        return int(source["figures"]["elements_total"])

    def table(self) -> dict[str, tuple[str, int]]:
        """Call-ID and CSeq of each contact, by address-of-record and contact."""
        table, after = {}, ""
        while True:
            page = self.ask(f"/v1/aors?limit=10000&after={after}")
            for one in page["bindings"]:
                table[f"{one['aor']} {one['uri']}"] = (one["callid"], one["cseq"])
            after = urllib.parse.quote(page.get("next") or "")
            if not after:
                return table

    def memory(self) -> int:
        """Octets of memory that it has, without what is shared."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        [line] = [line for line in text.splitlines() if line.startswith("Pss:")]
        return int(line.split()[1]) * 1024


class Phones:
    """
    Users behind one socket, each with one contact, and a watcher for each that asks.

    A REGISTER that is not answered is lost: the user's next one has a greater CSeq.
    """

    def __init__(self, users: int) -> None:
        self.cseq = [0] * users
        self.told = [0] * users
        "The CSeq of the last REGISTER that was answered 200, by user."

        self.times: list[float] = []
        "Seconds from each REGISTER to its 200."

        self.notified: list[float] = []
        "Seconds from each REGISTER to the NOTIFY about it."

        self.lost = self.refused = 0
        self.is_watched = False
        self._sent: dict[int, tuple[int, float]] = {}
        self._changed: dict[tuple[int, int], float] = {}
        self._run = f"{int(time.time() * 1000) & 0xFFFFFFF:x}"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self._socket.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._port = self._socket.getsockname()[1]
        self._poll = select.epoll()
        self._poll.register(self._socket, select.EPOLLIN)

    def __len__(self) -> int:
        return len(self.cseq)

    @property
    def waiting(self) -> int:
        """How many REGISTERs are not answered."""
        return len(self._sent)

    def send(self, user: int, server: Linked) -> None:
        """Send the next REGISTER of a user."""
        if user in self._sent:
            self.lost += 1
        self.cseq[user] += 1
        cseq, operation = self.cseq[user], user << 24 | self.cseq[user]
        data = messages.register(operation, user, cseq, self._port, self._run)
        self._sent[user] = self.cseq[user], now()
        if self.is_watched:
            self._changed[user, self.cseq[user]] = now()
        self._send(data, server)

    def watch(self, user: int, server: Linked) -> None:
        """Subscribe to a user."""
        self._send(messages.subscribe(user, self._port, self._run), server)

    def receive(self, wait: float) -> None:
        """Take what has come, or comes within ``wait`` seconds."""
        if not self._poll.poll(max(0.0, wait)):
            return
        while True:
            try:
                data, source = self._socket.recvfrom(65535)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                continue
            self._take(data, source)

    def _take(self, data: bytes, source: tuple[str, int]) -> None:
        if data.startswith(b"NOTIFY "):
            self._socket.sendto(messages.ok(data), source)
            found = _CHANGED.search(data)
            if found is not None:
                sent = self._changed.pop((int(found[1]), int(found[2])), None)
                if sent is not None:
                    self.notified.append(now() - sent)
            return
        of, cseq = _TO.search(data), messages.CSEQ.search(data)
        if of is None or cseq is None or b" REGISTER\r" not in data:
            return
        user = int(of[1])
        waiting = self._sent.get(user)
        if waiting is None or waiting[0] != int(cseq[1]):
            return
        del self._sent[user]
        if data.startswith(b"SIP/2.0 200 "):
            self.told[user] = waiting[0]
            self.times.append(now() - waiting[1])
        else:
            self.refused += 1

    def _send(self, data: bytes, server: Linked) -> None:
        try:
            self._socket.sendto(data, ("127.0.0.1", server.port))
        except (BlockingIOError, ConnectionRefusedError):
            pass  # it counts as lost

    def register_all(self, server: Linked, *, window: int = 64) -> None:
        """Have every user register, and wait for all answers."""
        todo = list(range(len(self)))
        given_up = now() + 600
        while todo or self._sent:
            while todo and len(self._sent) < window:
                self.send(todo.pop(), server)
            self.receive(0.02)
            late = [u for u, (_, at) in self._sent.items() if now() - at > 3.0]
            for user in late:
                self.send(user, server)
            if now() > given_up:
                raise TimeoutError("the users are not all registered")

    def run(
        self,
        seconds: float,
        rate: float,
        server_of: Callable[[int], Linked],
        meanwhile: Callable[[], bool] = lambda: True,
    ) -> None:
        """
        Refresh one user after the other, ``rate`` of them a second.

        Args:
            server_of: where a user registers.
            meanwhile: is called now and then; False ends it early.
        """
        begin, sent, looked_at = now(), 0, 0.0
        while (passed := now() - begin) < seconds:
            while sent < passed * rate:
                user = sent % len(self)
                self.send(user, server_of(user))
                sent += 1
            self.receive(min(0.02, sent / rate - passed))
            if now() - looked_at > 0.25:
                looked_at = now()
                if not meanwhile():
                    break
        self.settle()

    def settle(self) -> None:
        """Wait for the last answers."""
        end = now() + 2.0
        while self._sent and now() < end:
            self.receive(0.05)


class Bench:
    """The figures; each leaves nothing behind."""

    def __init__(self, given: argparse.Namespace, directory: Path) -> None:
        self.given = given
        self.python: str = given.python
        self.directory = directory
        directory.mkdir()
        self._number = 0

    def servers(self, count: int, *, one_way: bool = False) -> list[Linked]:
        """
        New servers, all of which are linked to each other.

        Args:
            one_way: the first one only tells the others.
        """
        self._number += 1
        directory = self.directory / str(self._number)
        directory.mkdir()
        found = [Linked(name, self.python, directory) for name in "abc"[:count]]
        for one in found:
            others = [other for other in found if other is not one]
            one.configure(others, asks=not one_way or one is not found[0])
        return found

    def loaded(self, users: int, count: int) -> tuple[list[Linked], Phones]:
        """Servers of which the first has all users, and runs alone."""
        servers = self.servers(count, one_way=True)
        servers[0].start()
        time.sleep(6)  # an empty server with links does not take REGISTERs at first
        phones = Phones(users)
        phones.register_all(servers[0])
        time.sleep(15)  # the journal is folded
        return servers, phones

    def sync(self) -> None:
        users = self.given.users
        (a, b), phones = self.loaded(users, 2)
        try:
            b.start()
            memory = b.memory()  # the transfer has not begun, or only just
            cpu, begin = a_and_b(a, b), now()
            wait_for(lambda: is_synced(b), 300.0)
            wall, cpu = now() - begin, a_and_b(a, b) - cpu
            time.sleep(15)  # the journal is folded
            kept = (b.memory() - memory) / users
            wait_for(lambda: len(b.table()) >= users, 60.0)
            say(f"{users} users: first transfer {wall:.1f} s,")
            say(f" {cpu / users * 1e6:.0f} µs of CPU time each on both sides,")
            say(f" {kept:.0f} octets of memory each at the sink\n")
            phones.times.clear()
            phones.run(10, 200, lambda user: a)
            before = percentile(phones.times)
            b.kill()
            b.empty()
            phones.times.clear()
            b.start()
            phones.run(120, 200, lambda user: a, lambda: not is_synced(b))
            say(f"p99 of REGISTER at 200/s: {before * 1e3:.1f} ms before,")
            say(f" {percentile(phones.times) * 1e3:.1f} ms during a transfer\n")
            begin = now()
            wait_for(lambda: a.table() == b.table(), 60.0)
        finally:
            stop(a, b)

    def away(self) -> None:
        (a, b), phones = self.loaded(self.given.users, 2)
        try:
            b.start()
            wait_for(lambda: is_synced(b), 300.0)
            wait_for(lambda: len(b.table()) >= self.given.users, 60.0)
            b.kill()
            begin = now()
            phones.run(CHANGED / 200, 200, lambda user: a)
            time.sleep(max(0.0, self.given.away - (now() - begin)))
            elements = a.elements()
            b.start()
            begin = now()
            wait_for(lambda: is_synced(b), 60.0, 0.01)
            wall = now() - begin
            wait_for(lambda: a.table() == b.table(), 60.0)
            say(
                f"away for {self.given.away:g} s, {CHANGED} changes: {wall:.2f} s after"
            )
            say(f" the start, {a.elements() - elements} elements\n")
        finally:
            stop(a, b)

    def change(self) -> None:
        a, b = servers = self.servers(2)
        try:
            for one in servers:
                one.start()
            time.sleep(12)
            phones = Phones(250)
            phones.register_all(a)
            for user in range(len(phones)):
                phones.watch(user, b)
                phones.receive(0.01)
            phones.run(2, 50, lambda user: a)
            phones.is_watched = True
            phones.run(20, 50, lambda user: a)
            phones.receive(1.0)
            median = statistics.median(phones.notified)
            say("REGISTER at one server to the NOTIFY of a watcher at the other, 50/s:")
            say(f" median {median * 1e3:.1f} ms, p99")
            say(f" {percentile(phones.notified) * 1e3:.1f} ms, of which the 200 took")
            say(f" {statistics.median(phones.times) * 1e3:.1f} ms;")
            say(f" {len(phones.notified)} of 1000 were seen\n")
        finally:
            stop(a, b)

    def cost(self) -> None:
        for users in (1_000, 10_000, 100_000):
            pair = links.Pair()
            time.sleep(6)
            flow = Flow(pair.source.udp, links.PHONE)
            for wake_up in registers(users, flow, range(users), 1):
                pair.round([wake_up])
            changed = range(0, users, users // 1000)
            pair.source.taken = pair.sink.taken = 0.0
            for wake_up in registers(1, flow, changed, 2):
                pair.round([wake_up])
            source, sink = pair.source.taken, pair.sink.taken
            say(f"{users:>7} users: one change costs {source / 1000 * 1e6:.0f} µs")
            say(f" at the source, {sink / 1000 * 1e6:.0f} µs at the sink\n")

    def load(self) -> None:
        given = self.given
        servers = self.servers(3)
        try:
            for one in servers:
                one.start()
            time.sleep(12)
            phones = Phones(given.load_users)
            victim, random = servers[1], Random(1)
            begin = now()
            plan = [0.2, 0.35, 0.55, 0.7]  # when it is killed, and started, twice
            is_down = False

            def meanwhile() -> bool:
                nonlocal is_down
                if plan and now() - begin > plan[0] * given.seconds:
                    plan.pop(0)
                    (victim.start if is_down else victim.kill)()
                    is_down = not is_down
                return True

            def server_of(user: int) -> Linked:
                # One in ten moves to another server; nobody asks one that is down.
                at = random.choice(servers) if random.random() < 0.1 else None
                at = at or servers[user % 3]
                return servers[0] if is_down and at is victim else at

            phones.run(given.seconds, given.rate, server_of, meanwhile)
            sent = sum(phones.cseq)
            seconds = now() - begin
            begin = now()
            wait_for(lambda: is_equal(servers), 60.0)
            wall = now() - begin
            wrong = untrue(phones, servers[0])
            say(f"three servers, {sent / seconds:.0f} REGISTERs/s over all of them for")
            say(f" {seconds:.0f} s, one of them killed and restarted twice: equal")
            say(f" {wall:.1f} s later; {len(phones.times)} answered 200,")
            say(f" {phones.lost} not answered, {phones.refused} refused;")
            say(f" {wrong} of {len(phones)} users are not as they were last told\n")
        finally:
            stop(*servers)


def registers(
    each: int, flow: Flow, users: Sequence[int], cseq: int
) -> Iterator[list[tuple[bytes, Flow]]]:
    """A REGISTER of each user, ``each`` of them in a wake-up, at most 64."""
    each = min(each, 64)
    for at in range(0, len(users), each):
        yield [
            (messages.register(cseq * 10**7 + u, u, cseq, links.PORT, "x"), flow)
            for u in users[at : at + each]
        ]


def is_synced(server: Linked) -> bool:
    """Whether all links that a server holds to running servers are in sync."""
    return all(link["state"] == "in sync" for link in server.sinks())


def is_equal(servers: Sequence[Linked]) -> bool:
    """Whether all servers have the same contacts."""
    first, *others = servers
    table = first.table()
    return all(one.table() == table for one in others)


def untrue(phones: Phones, server: Linked) -> int:
    """How many users are not bound by what they were told, or sent since."""
    by_user = {}
    for key, (_, cseq) in server.table().items():
        found = _USER.search(key)
        if found is not None:
            by_user[int(found[1])] = cseq
    return sum(
        not phones.told[user] <= by_user.get(user, 0) <= phones.cseq[user]
        for user in range(len(phones))
    )


def a_and_b(a: Linked, b: Linked) -> float:
    return cpu_seconds(a.pid) + cpu_seconds(b.pid)


def percentile(times: Sequence[float]) -> float:
    """The 99th percentile."""
    return sorted(times)[int(len(times) * 0.99)]


def wait_for(is_so: Callable[[], bool], limit: float, each: float = 0.2) -> None:
    """
    Wait until something is so.

    Raises:
        TimeoutError: it is not.
    """
    end = now() + limit
    while not is_so():
        if now() > end:
            raise TimeoutError(f"not within {limit:g} s")
        time.sleep(each)


def stop(*servers: Linked) -> None:
    for one in servers:
        one.stop()


FIGURES = ("sync", "away", "change", "cost", "load")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=", ".join(FIGURES))
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--away", type=float, default=60.0, help="seconds")
    parser.add_argument("--rate", type=float, default=2000.0, help="of load")
    parser.add_argument("--seconds", type=float, default=60.0, help="of load")
    parser.add_argument("--load-users", type=int, default=20_000)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    given = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="reginfo-domain-", dir=given.directory))
    say(f"{given.python}\n")
    try:
        for figure in given.figures or FIGURES:
            getattr(Bench(given, directory / figure), figure)()
            sys.stdout.flush()
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
