"""``reginfo drain``, at a real server with real watchers (6665-27)."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reginfo.roles.health import ServerHealth

from ..interop.phone import Phone, becomes
from ..interop.server import Server
from ..web.fake import BOB, FakeApp, watch
from .admin import served
from .run import run, start


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "a") as running:
        yield running


def state(phone: Phone) -> str:
    return phone.notify()["subscription-state"]


def test_every_watcher_is_notified_and_the_server_can_be_stopped(alone: Server) -> None:
    """After a drain every watcher has its final NOTIFY (6665-27)."""
    watchers = [Phone(alone.address) for _ in range(5)]
    for number, watcher in enumerate(watchers):
        assert watcher.subscribe(f"user{number}").status == 200
        assert state(watcher).startswith("active")
    process = start("drain", "--admin", alone.admin, "--rate", "10")
    for watcher in watchers:
        assert state(watcher) == "terminated;reason=deactivated"
    _, said = process.communicate(timeout=20.0)
    assert process.returncode == 0
    assert said.endswith(
        "5 watchers notified, 0 did not answer: the server can be stopped now\n"
    )

    # Nobody is served anew; who registers, is.
    refused = watchers[0].subscribe("user0")
    assert (refused.status, refused["retry-after"]) == (503, "60")
    watchers[0].register("user0", expires=60)
    health = alone.health()
    assert (health["status"], health["watchers"]) == ("drained", 0)
    assert health["draining"] == {
        "watchers": 5, "left": 0, "gave_up": 0, "rate": 10.0
    }  # fmt: skip
    # Asking again looks again.
    again = run("drain", "--admin", alone.admin)
    assert (again.exit_code, again.stdout) == (0, "")

    assert alone.terminate() == 0
    alone.start()
    assert alone.health()["status"] == "ok"
    assert watchers[0].subscribe("user0").status == 200
    for watcher in watchers:
        watcher.close()


def test_ctrl_c_ends_the_looking_and_not_the_leaving(alone: Server) -> None:
    with Phone(alone.address) as watcher:
        for user in ("one", "two", "three"):
            watcher.subscribe(user)
            assert state(watcher).startswith("active")
        process = start("drain", "--admin", alone.admin, "--rate", "0.1")
        assert state(watcher) == "terminated;reason=deactivated"
        becomes(lambda: alone.health()["watchers"], 2)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20.0)
        assert process.returncode == 1
        assert "run the same command again" in said
        assert alone.health()["status"] == "draining"
        # Another pace; and who is there to be told, is told.
        faster = start("drain", "--admin", alone.admin, "--rate", "100")
        assert {state(watcher), state(watcher)} == {"terminated;reason=deactivated"}
        faster.communicate(timeout=20.0)
        assert faster.returncode == 0


def test_a_server_without_watchers_has_left_at_once() -> None:
    app = FakeApp()
    with served(app) as address:
        done = run("drain", "--admin", address)
    assert done.exit_code == 0
    assert done.stderr == (
        "reginfo: 0 watchers notified, 0 did not answer:"
        " the server can be stopped now\n"
    )
    assert app.drained == [100.0]


class Leaving(FakeApp):
    """A server that one watcher less has each time that it is looked at."""

    def health(self) -> ServerHealth:
        draining = self.well["draining"]
        self.well["draining"] = draining | {"left": max(0, draining["left"] - 1)}
        return super().health()


def leaving() -> Leaving:
    return Leaving(watches=tuple(watch(BOB, f"call{n}") for n in range(5)))


def test_the_progress_is_printed_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("reginfo.cli.drain.SAY", 0.0)
    with served(leaving()) as address:
        done = run("drain", "--admin", address)
    lines = done.stderr.splitlines()
    assert lines[:-1] == [f"reginfo: {n} of 5 watchers are left" for n in (4, 3, 2, 1)]
    assert lines[-1].startswith("reginfo: 5 watchers notified, 0 did not answer")


def test_the_progress_is_shown_on_a_terminal() -> None:
    terminal, theirs = pty.openpty()
    with served(leaving()) as address:
        process = subprocess.Popen(
            [sys.executable, "-m", "reginfo", "drain", "--admin", address],
            stdin=subprocess.DEVNULL,
            stderr=theirs,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
        )
        os.close(theirs)
        shown = b""
        # At the end there is an error, and no end of file.
        with contextlib.suppress(OSError):
            while data := os.read(terminal, 65_536):
                shown += data
        assert process.wait(20.0) == 0
    os.close(terminal)
    assert b"ending subscriptions" in shown
    assert b"5/5" in shown
    assert b"5 watchers notified" in shown


def test_a_server_that_was_started_again_is_3() -> None:
    class Restarted(FakeApp):
        def health(self) -> ServerHealth:
            once = super().health()
            self.well = {"status": "ok", "draining": None}
            return once

    with served(Restarted(watches=(watch(BOB, "one"),))) as address:
        done = run("drain", "--admin", address)
    assert done.exit_code == 3
    assert "not draining any more" in done.stderr


def test_a_server_that_does_not_answer_is_3() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = run("drain", "--admin", f"127.0.0.1:{port}")
    assert done.exit_code == 3
    assert "no server answers" in done.stderr


@pytest.mark.parametrize("rate", ["0", "-1", "x", "1000000"])
def test_an_invalid_rate_exits_with_2(rate: str) -> None:
    done = run("drain", "--admin", "127.0.0.1:1", "--rate", rate)
    assert done.exit_code == 2
    assert "--rate" in done.stderr
