"""Servers of the demonstration, as processes."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from reginfo.demo.servers import DemoServer, ServerFailed, free_port

READY = "ready sip=udp:127.0.0.1:5070 admin=127.0.0.1:8080\n"


class Process:
    """A process that says and does what the test says."""

    said = READY
    code: int | None = None
    stops = True
    "Whether it ends at SIGTERM, with 0."

    def __init__(self, command: list[str], *, stdout: Any, **others: Any) -> None:
        self.command = command
        self.killed = False
        self.returncode = self.code
        stdout.write(self.said.encode())

    def poll(self) -> int | None:
        return self.returncode

    def terminate(self) -> None:
        if self.stops:
            self.returncode = 0 if self.code is None else self.code

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            raise subprocess.TimeoutExpired("reginfo", timeout or 0)
        return self.returncode

    def kill(self) -> None:
        self.killed, self.returncode = True, -9


@pytest.fixture(autouse=True)
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", Process)
    times = iter(range(10_000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(times)))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def test_a_server_is_ready_when_it_says_so(tmp_path: Path) -> None:
    """docs/commands.md: the line `ready` names the ports that were taken."""
    with DemoServer(tmp_path, "a", "x = 1\n") as server:
        assert (server.sip, server.admin) == (("127.0.0.1", 5070), "127.0.0.1:8080")
        assert (tmp_path / "a.toml").read_text() == "x = 1\n"
        assert not server.has_ended
        assert "ready" in server.log_tail()
        server.stop()
        assert server.has_ended


def test_a_server_is_killed_if_the_demonstration_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), DemoServer(tmp_path, "a", "") as server:
        process: Any = server._process
        raise RuntimeError
    assert process.killed and server.has_ended


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        ("", 2, "server a exited with 2 at the start"),
        ("", None, "server a was not ready within 15 s"),
    ],
)
def test_a_server_that_does_not_start_is_reported(
    said: str, code: int | None, message: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(Process, "said", said)
    monkeypatch.setattr(Process, "code", code)
    server = DemoServer(tmp_path, "a", "")
    with pytest.raises(ServerFailed, match=message):
        server.__enter__()
    assert server.has_ended


@pytest.mark.parametrize(
    ("stops", "code", "message"),
    [(False, None, "did not stop within 10 s"), (True, 1, "exited with 1")],
)
def test_a_server_that_does_not_stop_well_is_reported(
    stops: bool, code: int | None, message: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(Process, "stops", stops)
    monkeypatch.setattr(Process, "code", code)
    with DemoServer(tmp_path, "a", "") as server:
        with pytest.raises(ServerFailed, match=message):
            server.stop()


def test_the_end_of_a_log_is_shown(tmp_path: Path) -> None:
    server = DemoServer(tmp_path, "a", "")
    assert server.log_tail() == ""
    (tmp_path / "a.log").write_text("\n".join(map(str, range(30))))
    assert server.log_tail(2) == "28\n29"


def test_a_free_port_is_one_that_can_be_bound() -> None:
    assert 0 < free_port() < 65_536
