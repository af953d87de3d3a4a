"""dnsmasq: a name server, with the records that a test gives it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from .phone import free_port

ZONE = "far.example"

LIMIT = 10.0  # seconds until it answers, on a busy machine

# A question that any name server answers: the root's NS, id 1.
QUESTION = bytes.fromhex("0001 0100 0001 0000 0000 0000 00 0002 0001")


class NameServer:
    """
    A name server on loopback that knows :data:`ZONE`, and nothing else.

    Args:
        records: lines of its configuration, such as `host-record=a.far.example,...`.
        ttl: of all of them, in seconds.
    """

    def __init__(
        self, directory: Path, records: Sequence[str], *, ttl: int = 60
    ) -> None:
        self.port = free_port()
        self._file = directory / "dnsmasq.conf"
        self._log = directory / "dnsmasq.log"
        self._ttl = ttl
        self._process: subprocess.Popen[bytes] | None = None
        self.set(records)

    @property
    def section(self) -> str:
        """What a server of ours is told of it."""
        return f'[dns]\nservers = ["127.0.0.1:{self.port}"]\ntimeout = 2.0'

    def set(self, records: Sequence[str]) -> None:
        """Have other records from the next start on."""
        self._file.write_text(
            "\n".join(
                [
                    f"port={self.port}",
                    "listen-address=127.0.0.1",
                    "bind-interfaces",
                    "no-hosts",
                    "no-resolv",
                    "pid-file=",
                    f"user={pwd.getpwuid(os.getuid()).pw_name}",
                    f"local=/{ZONE}/",
                    f"local-ttl={self._ttl}",
                    *records,
                    "",
                ]
            )
        )

    def change(self, records: Sequence[str]) -> None:
        """Have other records from now on."""
        self.stop()
        self.set(records)
        self.start()

    def start(self) -> None:
        """Start it, and return when it answers."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        path = f"{os.environ.get('PATH', '')}:/usr/sbin"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    shutil.which("dnsmasq", path=path) or "dnsmasq",
                    "--keep-in-foreground",
                    f"--conf-file={self._file}",
                    "--log-facility=-",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + LIMIT
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", self.port))
            client.settimeout(0.1)
            while True:
                assert self._process.poll() is None, self._log.read_text("utf-8")
                assert time.monotonic() < deadline, self._log.read_text("utf-8")
                try:
                    client.send(QUESTION)
                    client.recv(512)
                    return
                except ConnectionRefusedError:
                    time.sleep(0.02)
                except TimeoutError:
                    continue

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

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
            error.add_note(f"dnsmasq:\n{self._log.read_text('utf-8')[-2000:]}")


def host(name: str, address: str = "127.0.0.1") -> str:
    return f"host-record={name}.{ZONE},{address}"


def srv(service: str, target: str, port: int, priority: int = 1) -> str:
    """An SRV record: service `_sip._udp`, and a target in the zone."""
    return f"srv-host={service}.{ZONE},{target}.{ZONE},{port},{priority},1"


def naptr(service: str, replacement: str, order: int = 1) -> str:
    """A NAPTR record: service `SIP+D2U`, and an SRV name in the zone."""
    return f"naptr-record={ZONE},{order},1,s,{service},,{replacement}.{ZONE}"
