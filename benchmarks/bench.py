"""
What a REGISTER costs here, and what it costs Kamailio: `make bench`.

The same messages go to both servers in turn, in one run, several rounds (ours,
Kamailio, ours, Kamailio, ...), each time to a server that was just started. There
are two kinds of work:

plain     a REGISTER that refreshes a contact, and its 200
watched   the same with one watcher for each user, and the one NOTIFY that it causes

Ours puts everything on a real disk before it answers; Kamailio nothing. The
figures of one run on one machine are compared with each other, as ratios; those
of two machines are not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driver import Driver, Tally, paused, percentile
from rich.console import Console
from rich.table import Table
from servers import Kamailio, Ours, Server

LIMIT = 60.0  # seconds: the longest that one load loop may take
NO_DISK = {"tmpfs", "ramfs", "devtmpfs"}

# What an interpreter knows of how it was built. Debian's and Ubuntu's are built with
# profile-guided optimisation, and take the flags out of what they tell.
PROBE = """
import json, platform, sys, sysconfig
from reginfo.sip import message
told = [str(sysconfig.get_config_var(name) or "") for name in (
    "CONFIG_ARGS", "PY_CFLAGS_NODIST", "PY_CORE_CFLAGS", "CONFIGURE_CFLAGS_NODIST")]
told = " ".join(told)
json.dump({
    "executable": sys.executable,
    "version": sys.version.split()[0],
    "compiler": platform.python_compiler(),
    "optimised": "--enable-optimizations" in told or "-fprofile-use" in told
        or (sys.base_prefix == "/usr"
            and sysconfig.get_config_var("PGO_PROF_USE_FLAG") == ""),
    "compiled": not message.__file__.endswith(".py"),
}, sys.stdout)
"""


@dataclass(slots=True)
class Round:
    """What one server did in one round of one kind of work."""

    loaded: Tally
    "As fast as it answers."

    paced: Tally
    "At a rate that leaves it time: what latency means."

    commits: int | None
    "Transactions put on disk under load; None if there is no disk in it."


@dataclass(slots=True)
class Figures:
    """The medians of some rounds."""

    cpu: float
    rate: float
    p50: float
    p99: float
    lost: int
    doubled: int
    wrong_versions: int
    commits_per_thousand: float | None
    notifies: tuple[int, int] | None
    "How many NOTIFYs came, and how many REGISTERs there were."

    @classmethod
    def of(cls, rounds: Sequence[Round], *, watched: bool) -> Figures:
        """Times are medians of the rounds; what went wrong is the sum of them all."""
        every = [tally for one in rounds for tally in (one.loaded, one.paced)]
        commits = [
            one.commits / one.loaded.operations * 1000
            for one in rounds
            if one.commits is not None
        ]
        return cls(
            cpu=statistics.median(one.loaded.cpu_per_operation for one in rounds),
            rate=statistics.median(one.loaded.rate for one in rounds),
            p50=statistics.median(
                percentile(one.paced.times, 50) or 0.0 for one in rounds
            ),
            p99=statistics.median(
                percentile(one.paced.times, 99) or 0.0 for one in rounds
            ),
            lost=sum(tally.lost for tally in every),
            doubled=sum(tally.doubled for tally in every),
            wrong_versions=sum(tally.wrong_versions for tally in every),
            commits_per_thousand=statistics.median(commits) if commits else None,
            notifies=(
                sum(
                    tally.operations - tally.missing_notifies + tally.doubled_notifies
                    for tally in every
                ),
                sum(tally.operations for tally in every),
            )
            if watched
            else None,
        )


def main() -> int:
    given = arguments()
    console = Console()
    directory = Path(tempfile.mkdtemp(prefix="reginfo-bench-", dir=given.directory))
    try:
        return run(given, console, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=20_000, help="REGISTERs in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--window", type=int, default=20, help="on their way at once")
    parser.add_argument("--rate", type=float, default=200.0, help="of the paced part")
    parser.add_argument("--only", choices=["ours", "kamailio"])
    parser.add_argument("--work", choices=["plain", "watched"])
    parser.add_argument(
        "--allocator",
        help="Kamailio's -x: fm is its fast one; without, Debian's default",
    )
    parser.add_argument(
        "--python", default=sys.executable, help="the interpreter of our server"
    )
    parser.add_argument(
        "--directory",
        type=Path,
        # Not /tmp, which is in memory on many machines. FHS: /var/tmp is not.
        default=Path("/var/tmp"),
        help="where our store is; on a real disk",
    )
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    return parser.parse_args()


def run(given: argparse.Namespace, console: Console, directory: Path) -> int:
    """Measure what was asked for, and tell."""
    servers: list[Server] = []
    about: dict[str, Any] = {"machine": machine()}
    console.print(f"[bold]Machine[/bold]      {about['machine']}")
    if given.only != "kamailio":
        filesystem = filesystem_of(directory)
        if filesystem in NO_DISK:
            console.print(
                f"[red]{given.directory} is on {filesystem}, which is no disk: what is"
                " written there is not durable. Name another with --directory."
            )
            return 2
        sync = sync_time(directory)
        about |= {"filesystem": filesystem, "fdatasync_us": round(sync * 1e6, 1)}
        console.print(
            f"[bold]Disk[/bold]         {given.directory} ({filesystem}), fdatasync of"
            f" 4 KiB: {sync * 1e6:.0f} µs (median)"
        )
        interpreter = interpreter_of(given.python)
        about["interpreter"] = interpreter
        console.print(
            f"[bold]Interpreter[/bold]  {interpreter['executable']},"
            f" {interpreter['version']}, {interpreter['compiler']}"
        )
        console.print(
            "[bold]Hot path[/bold]     "
            + ("compiled (mypyc)" if interpreter["compiled"] else "not compiled")
        )
        if not interpreter["optimised"]:
            console.print(
                "[yellow]             built without profile-guided optimisation, which"
                " costs a third and more; Debian's /usr/bin/python3 has it"
            )
        servers.append(Ours(given.python, directory))
    if given.only != "ours":
        if missing := Kamailio.missing():
            console.print(f"[yellow]{missing}: ours is measured alone")
        else:
            servers.append(Kamailio(directory, given.allocator))
    if not servers:
        return 2

    works = [given.work] if given.work else ["plain", "watched"]
    measured: dict[tuple[str, str], list[Round]] = {}
    for number in range(given.rounds):
        for work in works:
            for server in servers:
                with console.status(f"round {number + 1}: {work}, {server.name}"):
                    measured.setdefault((work, server.name), []).append(
                        measure(server, given, watched=work == "watched")
                    )
    figures = {
        (work, name): Figures.of(rounds, watched=work == "watched")
        for (work, name), rounds in measured.items()
    }
    console.print(table(given, works, [server.name for server in servers], figures))
    for line in notes(figures):
        console.print(line)
    if given.json:
        write_json(given.json, about, given, measured)
    return 0


def measure(server: Server, given: argparse.Namespace, *, watched: bool) -> Round:
    """Start a server, load it, pace it, and stop it."""
    server.start(watched=watched)
    try:
        driver = Driver(
            ("127.0.0.1", server.port),
            users=given.users,
            watched=watched,
            pid=server.pid,
        )
        try:
            if watched:
                driver.subscribe(limit=LIMIT)
            driver.warm(window=given.window)
            before = server.commits()
            loaded = paused(
                lambda: driver.run(given.n, window=given.window, limit=LIMIT)
            )
            after = server.commits()
            paced = paused(
                lambda: driver.run(given.users, rate=given.rate, limit=LIMIT)
            )
        finally:
            driver.close()
    finally:
        server.stop()
    commits = None if before is None or after is None else after - before
    return Round(loaded, paced, commits)


def table(
    given: argparse.Namespace,
    works: Sequence[str],
    names: Sequence[str],
    figures: dict[tuple[str, str], Figures],
) -> Table:
    """The figures, and their ratios where there are two to compare."""
    shown = Table(
        title=f"medians of {given.rounds} rounds",
        caption=f"{given.n} REGISTERs of {given.users} users, {given.window} on their"
        f" way; p50 and p99 at {given.rate:g}/s",
    )
    shown.add_column("work")
    shown.add_column("server")
    for column in ("CPU µs/op", "rate/s", "p50 ms", "p99 ms", "lost", "doubled"):
        shown.add_column(column, justify="right")
    for work in works:
        for name in names:
            one = figures[work, name]
            shown.add_row(
                work if name == names[0] else "",
                name,
                f"{one.cpu:.1f}",
                f"{one.rate:.0f}",
                f"{one.p50:.2f}",
                f"{one.p99:.2f}",
                str(one.lost),
                str(one.doubled),
            )
        if len(names) == 2:
            ours, theirs = (figures[work, name] for name in names)
            shown.add_row(
                "",
                f"{names[0]} / {names[1]}",
                *(
                    f"[bold]{getattr(ours, key) / getattr(theirs, key):.2f}"
                    if getattr(theirs, key)
                    else ""
                    for key in ("cpu", "rate", "p50", "p99")
                ),
                "",
                "",
            )
        shown.add_section()
    return shown


def notes(figures: dict[tuple[str, str], Figures]) -> list[str]:
    """What the table has no column for."""
    lines = []
    for (work, name), one in figures.items():
        if one.commits_per_thousand is not None:
            lines.append(
                f"{name}, {work}: {one.commits_per_thousand:.1f} syncs to disk"
                " per 1000 operations under load"
            )
        if one.notifies is not None:
            came, asked = one.notifies
            lines.append(
                f"{name}, {work}: {came} NOTIFYs for {asked} REGISTERs,"
                f" {one.wrong_versions} of them with a version that is not the next"
            )
    return lines


def write_json(
    file: Path,
    about: dict[str, Any],
    given: argparse.Namespace,
    measured: dict[tuple[str, str], list[Round]],
) -> None:
    """Every figure of every round."""
    asked = {key: value for key, value in vars(given).items() if key != "json"}
    rounds = [
        {
            "work": work,
            "server": name,
            "round": number,
            "commits": one.commits,
            "loaded": one.loaded.summary(),
            "paced": one.paced.summary(),
        }
        for (work, name), several in measured.items()
        for number, one in enumerate(several, start=1)
    ]
    whole = {**about, "asked": asked, "rounds": rounds}
    file.write_text(json.dumps(whole, indent=2, default=str) + "\n")


def machine() -> str:
    """Cores, processor and kernel."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    model = models[0] if models else platform.machine()
    return f"{os.cpu_count()} × {model}, {platform.system()} {platform.release()}"


def filesystem_of(directory: Path) -> str:
    """The type of the file system on which a directory is."""
    path = directory.resolve()
    best, kind = Path("/"), "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mounted, type_, *_ = line.split()
        # The kernel writes blanks in it as octal numbers.
        point = Path(mounted.replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= len(best.parts):
            best, kind = point, type_
    return kind


def sync_time(directory: Path, times: int = 200) -> float:
    """The median time of fdatasync after a write of 4 KiB, in seconds."""
    file = directory / "sync"
    taken = []
    with file.open("wb", buffering=0) as stream:
        for _ in range(times):
            stream.write(bytes(4096))
            begin = time.perf_counter()
            os.fdatasync(stream.fileno())
            taken.append(time.perf_counter() - begin)
    file.unlink()
    return statistics.median(taken)


def interpreter_of(python: str) -> dict[str, Any]:
    """What our server runs on, and whether it was built with a profile."""
    done = subprocess.run(
        [python, "-c", PROBE], capture_output=True, check=True, text=True
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


if __name__ == "__main__":
    sys.exit(main())
