"""
How long a start takes with 100 000 bindings, and how long folding holds up a commit.

Each binding is in an address-of-record of its own, and looks like one of a real phone
behind an edge proxy: Path, +sip.instance, reg-id, User-Agent, a long Call-ID. They come
in as REGISTERs, by the server's own parts. The time is from the opening of the file to
the end of `LocationStore.loaded`, in a process that has just been started; the file is
in the page cache. It is measured twice: from the journal alone, which is replayed, and
from the tables into which it has been folded.

Ends with 1 if a start takes longer than the limit.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import filesystem_of, interpreter_of, machine
from nowhere import Nowhere
from rich.console import Console
from rich.table import Table

from reginfo.config.config import Config
from reginfo.io.clock import Clock
from reginfo.ledger.part import Here
from reginfo.ledger.sqlite import SqliteStorage
from reginfo.location.schema import SCHEMA
from reginfo.server.app import App
from reginfo.sip.flow import Flow, Local
from reginfo.sip.transport import Transport

LIMIT = 2.0  # seconds, for a start with 100 000 bindings
BATCH = 20  # REGISTERs in a commit

LOCAL = Local(Transport.UDP, "127.0.0.1", 5060)
EDGE = Flow(LOCAL, ("127.0.0.1", 9))
CONFIG = """
[server]
id = "bench"
listen = ["udp:127.0.0.1:5060"]
domains = ["example.test"]
[store]
url = "memory:"
"""


def main() -> int:
    given = arguments()
    if given.start:
        json.dump(start(given.start), sys.stdout)
        return 0
    console = Console()
    directory = Path(tempfile.mkdtemp(prefix="reginfo-load-", dir=given.directory))
    try:
        return run(given, console, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=100_000, help="bindings")
    parser.add_argument("--rounds", type=int, default=5, help="starts of each kind")
    parser.add_argument("--python", default=sys.executable, help="our interpreter")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def run(given: argparse.Namespace, console: Console, directory: Path) -> int:
    interpreter = interpreter_of(given.python)
    console.print(f"[bold]Machine[/bold]      {machine()}")
    console.print(f"[bold]Disk[/bold]         {directory} ({filesystem_of(directory)})")
    console.print(
        f"[bold]Interpreter[/bold]  {interpreter['executable']},"
        f" {interpreter['version']}, {interpreter['compiler']}"
        f"{'' if interpreter['optimised'] else ', [yellow]built without a profile'}"
    )
    path = directory / "reginfo.db"
    with console.status(f"{given.n} phones register"):
        register_all(path, given.n)
    with console.status("it is replayed"):
        replayed = [started(given, path) for _ in range(given.rounds)]
    with console.status("it is folded"):
        put = fold_all(path)
    with console.status("it is loaded"):
        loaded = [started(given, path) for _ in range(given.rounds)]
    with console.status("all refresh, and it is folded again"):
        register_all(path, given.n, cseq=2)
        renewed = fold_all(path)

    shown = Table(title=f"a start with {given.n} bindings, {given.rounds} of each")
    for column in ("", "median s", "worst s", "MB on disk"):
        shown.add_column(column, justify="right" if column else "left")
    for name, starts in (
        ("replayed from the journal", replayed),
        ("loaded from the tables", loaded),
    ):
        taken = [one["seconds"] for one in starts]
        assert {one["bindings"] for one in starts} == {given.n}
        shown.add_row(
            name,
            f"{statistics.median(taken):.2f}",
            f"{max(taken):.2f}",
            f"{starts[0]['octets'] / 1e6:.0f}",
        )
    console.print(shown)
    shown = Table(title="folding it: a commit waits for one step at most")
    for column in ("", "steps", "all s", "median ms", "p99 ms", "worst ms"):
        shown.add_column(column, justify="right" if column else "left")
    for name, steps in (("new rows", put), ("rows that were there", renewed)):
        steps.sort()
        shown.add_row(
            name,
            str(len(steps)),
            f"{sum(steps):.2f}",
            f"{statistics.median(steps) * 1e3:.1f}",
            f"{steps[len(steps) * 99 // 100] * 1e3:.1f}",
            f"{steps[-1] * 1e3:.1f}",
        )
    console.print(shown)
    worst = statistics.median(one["seconds"] for one in max(replayed, loaded, key=_sum))
    if worst > LIMIT:
        console.print(f"[red]a start takes longer than {LIMIT:g} s")
        return 1
    return 0


def _sum(starts: list[dict[str, Any]]) -> float:
    return float(sum(one["seconds"] for one in starts))


def started(given: argparse.Namespace, path: Path) -> dict[str, Any]:
    """What :func:`start` measures, in a process of its own."""
    done = subprocess.run(
        [given.python, __file__, "--start", str(path)],
        capture_output=True,
        check=True,
        text=True,
    )
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def start(path: Path) -> dict[str, Any]:
    """Load a database as a server does; how long that took, and what was in it."""
    clock = Clock()
    app = App(Config.parse(CONFIG), clock=clock)
    begin = time.perf_counter()
    journal = SqliteStorage(path, SCHEMA)
    app.load(journal)
    app.store.begin(Here((LOCAL,), Nowhere()), clock.moment())
    seconds = time.perf_counter() - begin
    journal.close()
    now = clock.now()
    bindings = sum(len(app.store.bindings(place, now)) for place in app.store.places())
    octets = path.stat().st_size
    return {"seconds": seconds, "bindings": bindings, "octets": octets}


def register_all(path: Path, count: int, *, cseq: int = 1) -> None:
    """Have ``count`` phones register, and what that writes appended to a database."""
    clock = Clock()
    app = App(Config.parse(CONFIG), clock=clock)
    journal = SqliteStorage(path, SCHEMA, synchronous="normal")
    app.load(journal)
    app.begin([LOCAL], Nowhere())
    for first in range(0, count, BATCH):
        now = clock.now()
        for user in range(first, min(first + BATCH, count)):
            app.endpoint.receive_datagram(message(user, cseq), EDGE, now)
        for event in app.endpoint.events():
            app.handle(event, clock.moment())
        outbox = app.endpoint.datagrams_to_send()
        assert all(one.data.startswith(b"SIP/2.0 200 ") for one in outbox)
        batch = app.journal.close()
        journal.append(batch.entries, boot=now, wall=clock.wall())
        app.endpoint.sent(outbox, now)
        app.endpoint.timer_due(now + 60.0)  # or it would remember each transaction
    journal.close()


def fold_all(path: Path) -> list[float]:
    """Fold a database; how long each step took, in seconds."""
    journal = SqliteStorage(path, SCHEMA)
    for _ in journal.load(boot=0.0, wall=0.0):
        pass
    steps: list[float] = []
    more = True
    while more:
        more = timed(journal.fold, steps)
    journal.close()
    return steps


def timed(function: Callable[[], bool], taken: list[float]) -> bool:
    begin = time.perf_counter()
    result = function()
    taken.append(time.perf_counter() - begin)
    return result


def message(user: int, cseq: int) -> bytes:
    """The REGISTER of a phone that is reached by an edge proxy."""
    host = f"10.{user >> 16 & 255}.{user >> 8 & 255}.{user & 255}"
    lines = [
        "REGISTER sip:example.test SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKe{user:x}c{cseq};rport",
        f"Via: SIP/2.0/UDP {host}:5060;branch=z9hG4bK{user:x}c{cseq};rport",
        "Max-Forwards: 69",
        f"From: <sip:user{user}@example.test>;tag=t{user:x}",
        f"To: <sip:user{user}@example.test>",
        f"Call-ID: {user:08x}-5f0c-4b6e-9d1b-000a95a0e128@{host}",
        f"CSeq: {cseq} REGISTER",
        "Supported: path, outbound, gruu",
        "Path: <sip:edge1.example.test:5060;lr;ob>",
        f"Contact: <sip:user{user}@{host}:5060;transport=udp>"
        f';+sip.instance="<urn:uuid:{user:08x}-0000-1000-8000-000a95a0e128>"'
        ";reg-id=1;q=0.8",
        "Expires: 3600",
        "User-Agent: Example-Phone T46U 108.86.0.20 805ec0abcdef",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


if __name__ == "__main__":
    sys.exit(main())
