"""The servers that are measured, as processes of their own on loopback."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).parent
SCHEMA = Path("/usr/share/kamailio/db_sqlite")
START_LIMIT = 20.0  # seconds
STOP_LIMIT = 15.0

_TICK = os.sysconf("SC_CLK_TCK")


class Server(Protocol):
    """What the benchmark asks of a server."""

    name: str
    port: int

    def start(self, *, watched: bool) -> None:
        """Start it afresh, with nothing in its tables; it is up when this returns."""

    def stop(self) -> None: ...

    @property
    def pid(self) -> int: ...

    def commits(self) -> int | None:
        """How many transactions it has put on disk; None if it puts none there."""


class Ours:
    """``reginfo serve``, durable: nothing is answered before it is on disk."""

    name = "reginfo"

    def __init__(self, python: str, directory: Path) -> None:
        self.port = 0
        self._python = python
        self._directory = directory
        self._starts = 0
        self._admin = ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *, watched: bool) -> None:
        # The same server for both: it is we who bring watchers, or do not.
        del watched
        self._starts += 1
        directory = self._directory / f"reginfo-{self._starts}"
        directory.mkdir()
        self.port = _free_port()
        configuration = directory / "reginfo.toml"
        configuration.write_text(
            "\n".join(
                [
                    "[server]",
                    'id = "bench"',
                    f'listen = ["udp:127.0.0.1:{self.port}"]',
                    'domains = ["example.test"]',
                    'admin = "127.0.0.1:0"',
                    "[store]",
                    f'url = "sqlite:{directory / "reginfo.db"}"',
                    "[notifier]",
                    "min_interval = 0.0",
                    "[pua_reginfo]",
                    f'server_address = "sip:reginfo@127.0.0.1:{self.port}"',
                    "",
                ]
            )
        )
        log = directory / "log"
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                [self._python, "-m", "reginfo", "serve", "-c", str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=directory,
            )

        def is_up() -> bool:
            ready = re.search(r"\bready .*\badmin=(http://\S+)", log.read_text())
            if ready:
                self._admin = ready[1]
            return ready is not None

        _await(is_up, self._process, log)

    def stop(self) -> None:
        _end(self._process)
        self._process = None
        shutil.rmtree(self._directory / f"reginfo-{self._starts}", ignore_errors=True)

    def commits(self) -> int | None:
        with urllib.request.urlopen(f"{self._admin}/v1/health", timeout=10.0) as reply:
            health: dict[str, Any] = json.load(reply)
        commits = health.get("commits")
        return None if commits is None else int(commits)


class Kamailio:
    """Kamailio 5.6 with one worker, everything in memory."""

    name = "Kamailio"

    def __init__(self, directory: Path, allocator: str | None = None) -> None:
        self._allocator = allocator
        self.port = 0
        self._directory = directory / "kamailio"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @staticmethod
    def missing() -> str | None:
        """What this machine lacks to run it, if anything."""
        if _program() is None or shutil.which("kamcmd") is None:
            return "Kamailio is not installed (Debian package kamailio)"
        modules = _modules()
        if modules is None or not (modules / "presence_reginfo.so").exists():
            return "kamailio-presence-modules is not installed"
        if not (modules / "db_sqlite.so").exists() or not SCHEMA.exists():
            return "kamailio-sqlite-modules is not installed"
        return None

    def start(self, *, watched: bool) -> None:
        program, modules = _program(), _modules()
        assert program and modules
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir()
        database = self._directory / "pua.sqlite"
        with sqlite3.connect(database) as connection:
            for part in ("standard", "presence"):
                connection.executescript((SCHEMA / f"{part}-create.sql").read_text())
        connection.close()
        self.port = _free_port()
        control = self._directory / "control"
        command = [
            program,
            *("-f", str(HERE / "kamailio.cfg")),
            *("-L", str(modules)),
            *("-P", str(self._directory / "kamailio.pid")),
            *("-Y", str(self._directory)),
            *("-w", str(self._directory)),
            *("-m", "512", "-M", "32"),
            *(() if self._allocator is None else ("-x", self._allocator)),
            "-DD",  # not a daemon: it stays our child
        ]
        for definition in (
            f"LISTEN_URI=udp:127.0.0.1:{self.port}",
            f'SELF_URI="sip:reginfo@127.0.0.1:{self.port}"',
            f'CTL_SOCKET="unix:{control}"',
            f'PUA_DB="sqlite:///{database}"',
            *(["WITH_WATCHERS"] if watched else []),
        ):
            command += ["-A", definition]
        log = self._directory / "log"
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
            )

        def is_up() -> bool:
            done = subprocess.run(
                ["kamcmd", "-s", f"unix:{control}", "core.version"],
                capture_output=True,
                check=False,
            )
            return done.returncode == 0

        _await(is_up, self._process, log)

    def stop(self) -> None:
        _end(self._process)
        self._process = None
        shutil.rmtree(self._directory, ignore_errors=True)

    def commits(self) -> int | None:
        return None


def cpu_seconds(pid: int) -> float:
    """
    CPU time of a process and of its children, user and kernel, in seconds.

    By the scheduler's own account, in nanoseconds, where the kernel keeps one;
    else in clock ticks. Loopback charges the sender for the receiver's interrupt,
    and kernel threads that write to disk are nobody's: the same for every server.
    """
    return sum(_cpu_of(one) for one in _tree(pid))


def _cpu_of(pid: int) -> float:
    try:
        threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
        tasks = [path.read_text() for path in threads]
        if tasks:
            return sum(int(text.split()[0]) for text in tasks) / 1e9
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    fields = stat[stat.rindex(")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue  # it has ended meanwhile
            parent = int(stat[stat.rindex(")") + 2 :].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def _await(
    is_up: Callable[[], bool], process: subprocess.Popen[bytes], log: Path
) -> None:
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server has ended:\n{log.read_text()[-3000:]}")
        if is_up():
            return
        time.sleep(0.05)
    _end(process)
    raise TimeoutError(f"the server was not up within {START_LIMIT} s")


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is None or process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _program() -> str | None:
    # Debian keeps it where only root has it on the PATH.
    return shutil.which("kamailio") or shutil.which("kamailio", path="/usr/sbin")


def _modules() -> Path | None:
    found = [
        *Path("/usr/lib").glob("*/kamailio/modules"),
        *Path("/usr").glob("lib*/kamailio/modules"),
    ]
    return next(iter(found), None)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
