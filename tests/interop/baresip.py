"""baresip: a phone as people use it, told over a socket what to do."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .phone import DOMAIN, Address, free_port

LIMIT = 20.0  # seconds for anything to happen, on a busy machine

MODULES = "/usr/lib/baresip/modules"

CONFIG = """\
module_path {modules}
module g711.so
module aubridge.so
module_tmp uuid.so
module_tmp account.so
module_app ctrl_tcp.so
module_app menu.so
audio_player aubridge,x
audio_source aubridge,x
audio_alert aubridge,x
ctrl_tcp_listen 127.0.0.1:{control}
net_interface 127.0.0.1
sip_listen 127.0.0.1:{port}
call_local_timeout 120
statmode_default off
"""


class Baresip:
    """
    A phone that registers at ``server`` as ``user``, and rings when it is called.

    Args:
        directory: where its configuration is put.
        password: what it answers challenges with.
        transport: of its requests; by default UDP.
        ca: by TLS, the authority whose certificates it trusts; None for UDP.
    """

    def __init__(
        self,
        directory: Path,
        server: Address,
        user: str,
        *,
        ca: Path | None = None,
        password: str = "none",
        transport: str = "",
    ) -> None:
        self.aor = f"sip:{user}@{DOMAIN}"
        self._directory = directory
        directory.mkdir(parents=True)
        self._secure = "" if ca is None else f"sip_cafile {ca}\nsip_verify_server yes\n"
        if ca is not None:
            transport = "tls"
        param = f";transport={transport}" if transport else ""
        (directory / "accounts").write_text(
            f'<{self.aor}>;outbound="sip:{server[0]}:{server[1]}{param}"'
            f";auth_pass={password};regint=60;answermode=manual\n"
        )
        self._log = (directory / "log").open("wb")
        self._path = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._data = b""
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        try:
            deadline = time.monotonic() + LIMIT
            while not self._start(deadline):
                assert time.monotonic() < deadline, self.log
        except BaseException:
            self._stop()
            raise
        return self

    def _start(self, deadline: float) -> bool:
        """Start it; False if it ended, as it does if somebody has taken its port."""
        control, port = free_port(), free_port()
        config = CONFIG.format(modules=MODULES, control=control, port=port)
        (self._directory / "config").write_text(config + self._secure)
        self._process = subprocess.Popen(
            # -s: messages into its log
            ["baresip", "-s", "-f", str(self._directory)],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        while self._process.poll() is None:
            assert time.monotonic() < deadline, self.log
            try:
                client = socket.create_connection(("127.0.0.1", control))
            except OSError:
                time.sleep(0.05)
                continue
            if client.getsockname() != client.getpeername():
                self._socket = client
                return True
            client.close()  # it has met itself: nobody listened there yet
        return False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        if error is not None:
            error.add_note(f"{self.aor} saw {[e.get('type') for e in self.events]}")
            error.add_note(f"the end of its log:\n{self.log[-3000:]}")

    def _stop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def command(self, command: str, params: str = "") -> None:
        """Have it do something: dial, accept, hangup."""
        assert self._socket is not None
        text = json.dumps({"command": command, "params": params}).encode()
        self._socket.sendall(b"%d:%b," % (len(text), text))

    @property
    def log(self) -> str:
        """What it has said, with each message that it has sent or received."""
        return self._path.read_text(errors="replace").replace("\r\n", "\n")

    def messages(self, start: str) -> list[str]:
        """The heads of those messages that begin so, retransmissions but once."""
        heads = self.log.split("\n\n")
        found = [head[at:] for head in heads if (at := head.find(f"\n{start}")) >= 0]
        return list(dict.fromkeys(head.strip() for head in found))

    def sees(self, kind: str) -> dict[str, Any]:
        """Wait for an event of this type that was not looked for yet."""
        deadline = time.monotonic() + LIMIT
        while True:
            for event in self.events:
                if event.get("type") == kind and not event.get("seen"):
                    event["seen"] = True
                    return event
            left = deadline - time.monotonic()
            assert left > 0, f"no {kind}"
            self._read(left)

    def _read(self, timeout: float) -> None:
        assert self._socket is not None
        ready, _, _ = select.select([self._socket], [], [], timeout)
        if not ready:
            return
        data = self._socket.recv(65_536)
        assert data, "baresip has gone"
        self._data += data
        while True:  # netstrings: "12:hello world!,"
            length, colon, rest = self._data.partition(b":")
            if not colon or len(rest) <= int(length):
                return
            self.events.append(json.loads(rest[: int(length)]))
            self._data = rest[int(length) + 1 :]
