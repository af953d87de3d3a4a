"""Our own server as a process of its own, for tests: started, killed, started again."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict, cast

import httpx2

from reginfo.io.trace import read_trace

from .phone import DOMAIN, Message, free_port

READY = re.compile(r"\bready sip=(\S+) admin=(http://\S+)")
START_LIMIT = 20.0  # seconds until `ready`; a busy machine needs some
STOP_LIMIT = 15.0  # seconds from SIGTERM to the end


class Binding(TypedDict):
    """One binding as the administrator's API shows it."""

    aor: str
    uri: str
    owner: str
    source: str | None
    expires: int
    callid: str
    cseq: int
    q: float | None
    params: dict[str, str | None]
    path: list[str]
    received: str | None
    event: str


class Server:
    """
    One ``reginfo serve`` on loopback, its store in ``directory``.

    It keeps its port from one start to the next, as a server does.

    Args:
        directory: Where its configuration, its store and its log are.
        name: The id by which its peers know it.
        peers: What stands in its configuration after ``[[peer]]``, for each.
        publish_to: Where it publishes.
        publication: Least and greatest life of what it publishes, in seconds.
        tcp: Whether others can open streams to it.
        hosts: The addresses at which it listens, all with the same port.
        script: Its routing script.
        sections: More of its configuration.
        store: The file of its database, in ``directory``.
        trace: Whether it keeps every message: :meth:`sent`, :meth:`received`.
        command: What runs it, such as ``nsenter``, with its arguments.
        program: What Python runs.
    """

    def __init__(
        self,
        directory: Path,
        *,
        name: str = "a",
        peers: Sequence[str] = (),
        publish_to: Sequence[str] = (),
        publication: tuple[int, int] = (60, 86_400),
        tcp: bool = False,
        hosts: Sequence[str] = ("127.0.0.1",),
        min_expires: int = 1,
        registrar: Sequence[str] = (),
        min_interval: float = 0.0,
        script: str | None = None,
        sections: Sequence[str] = (),
        store: str = "reginfo.db",
        synchronous: str = "full",
        trace: bool = False,
        command: Sequence[str] = (),
        program: Sequence[str] = ("-m", "reginfo"),
    ) -> None:
        self.directory = directory
        self.name = name
        self.port = free_port(hosts[0].strip("[]"))
        self.peers = tuple(peers)
        self.publish_to = tuple(publish_to)
        self.publication = publication
        self.hosts = tuple(hosts)
        self.min_expires = min_expires
        self.registrar = tuple(registrar)
        self.min_interval = min_interval
        self.script = script
        self.sections = tuple(sections)
        self.store = directory / store
        self.synchronous = synchronous
        self.trace = directory / "trace" if trace else None
        self.command = tuple(command)
        self.program = tuple(program)
        self.descriptors: tuple[int, ...] = ()
        "Those that it inherits."

        self.transports = ("udp", "tcp") if tcp else ("udp",)
        self._admin = ""
        self._begin = 0  # of what it has logged since its last start
        self._process: subprocess.Popen[str] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def address(self) -> tuple[str, int]:
        return (self.hosts[0].strip("[]"), self.port)

    @property
    def listen(self) -> list[str]:
        """Where it listens, as its configuration says it."""
        return [
            f"{transport}:{host}:{self.port}"
            for host in self.hosts
            for transport in self.transports
        ]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if error is not None:
            error.add_note(f"the end of {self.name}'s log:\n{self.log[-3000:]}")

    def configuration(self) -> str:
        """Its configuration file."""
        return "\n".join(
            [
                "[server]",
                f'id = "{self.name}"',
                f"listen = {json.dumps(self.listen)}",
                f'domains = ["{DOMAIN}"]',
                'admin = "127.0.0.1:0"',
                *([] if self.script is None else ['script = "routes.py"']),
                "[store]",
                f'url = "sqlite:{self.store}"',
                f'synchronous = "{self.synchronous}"',
                "[registrar]",
                f"min_expires = {self.min_expires}",
                "max_contacts = 0\nmax_per_register = 0",  # tests have many contacts
                *self.registrar,
                "[notifier]",
                f"min_interval = {self.min_interval}",
                "[presence_reginfo]",
                f"min_expires = {self.min_expires}",
                "[pua]",
                "min_expires = {}\nmax_expires = {}".format(*self.publication),
                "[pua_reginfo]",
                f'server_address = "sip:reginfo@{self.hosts[0]}:{self.port}"',
                f"publish_to = {json.dumps(self.publish_to)}",
                *self.sections,
                *(f"[[peer]]\n{peer}" for peer in self.peers),
                "",
            ]
        )

    def start(self) -> None:
        """Start it, and return when it is ready."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start it, and do not wait."""
        assert self._process is None, "it runs already"
        file = self.directory / "reginfo.toml"
        file.write_text(self.configuration())
        if self.script is not None:
            (self.directory / "routes.py").write_text(self.script)
        log = self.directory / "log"
        self._begin = log.stat().st_size if log.exists() else 0
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [
                    *self.command,
                    sys.executable,
                    *self.program,
                    "serve",
                    "-c",
                    str(file),
                    *([] if self.trace is None else ["--trace", str(self.trace)]),
                ],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                text=True,
                cwd=self.directory,
                pass_fds=self.descriptors,
            )

    def wait_until_ready(self) -> None:
        assert self._process is not None
        log = self.directory / "log"
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            said = log.read_bytes()[self._begin :].decode(errors="replace")
            if ready := READY.search(said):
                assert ready[1] == ",".join(self.listen)
                self._admin = ready[2]
                return
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} has ended:\n{said[-3000:]}")
            time.sleep(0.02)
        self.kill()
        raise TimeoutError(f"{self.name} was not ready within {START_LIMIT} s")

    def kill(self) -> None:
        """Take it away without a word (SIGKILL)."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def terminate(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; its exit code."""
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(number)
        try:
            return process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def stop(self) -> None:
        """End it, however it is."""
        if self._process is not None and self._process.poll() is None:
            self.terminate()
        self._process = None

    def bindings(self, user: str) -> list[Binding]:
        """The bindings of ``user``, asked of its API."""
        return [
            binding
            for binding in self.all_bindings()
            if binding["aor"] == f"sip:{user}@{DOMAIN}"
        ]

    def all_bindings(self) -> list[Binding]:
        """Its whole location table, asked of its API."""
        reply = httpx2.get(f"{self._admin}/v1/aors", timeout=10.0)
        reply.raise_for_status()
        return cast(list[Binding], json.loads(reply.content)["bindings"])

    def sent(self, method: str) -> list[Message]:
        """The requests of this method that it has sent, each once, and where to."""
        return self._traced(">", method)

    def received(self, method: str) -> list[Message]:
        """The requests of this method that came to it, each once."""
        return self._traced("<", method)

    def _traced(self, direction: str, method: str) -> list[Message]:
        assert self.trace is not None
        found: dict[str, Message] = {}
        start = method.encode() + b" "
        for one in read_trace(self.trace):
            if one.direction == direction and one.data.startswith(start):
                host, _, port = one.remote.rpartition(":")
                message = Message.parse(one.data, (host, int(port)))
                found.setdefault(message.branch, message)
        return list(found.values())

    @property
    def admin(self) -> str:
        """Where its API is."""
        return self._admin

    def health(self) -> dict[str, Any]:
        """How it says that it is."""
        reply = httpx2.get(f"{self._admin}/v1/health", timeout=10.0)
        return cast(dict[str, Any], reply.json())

    def contacts(self, user: str) -> set[str]:
        """The URIs at which it would reach ``user`` now."""
        return {binding["uri"] for binding in self.bindings(user)}
