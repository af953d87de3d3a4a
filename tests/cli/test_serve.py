"""``reginfo serve``: what keeps it from serving is said."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from pathlib import Path

import pytest
import typer

from reginfo.cli import serve
from reginfo.cli.serve import collect_rarely
from reginfo.config.config import Config
from reginfo.io.shutdown import Shutdown
from reginfo.io.watchdog import Watchdog, WatchedSelector

from .run import configured, run, start


def test_a_trace_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    result = run("serve", "-c", configured(tmp_path), "--trace", tmp_path)
    assert result.exit_code == 2
    assert "Is a directory" in result.stderr


def test_an_address_in_use_is_reported(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        listen = f'listen = ["udp:127.0.0.1:{port}"]\n[store]\nurl = "memory:"\n'
        result = run("serve", "-c", configured(tmp_path, listen))
    assert result.exit_code == 4
    assert f"127.0.0.1:{port}" in result.stderr
    assert "in use" in result.stderr


def test_an_api_address_in_use_is_reported(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        admin = f'admin = "127.0.0.1:{taken.getsockname()[1]}"\n'
        listen = 'listen = ["udp:127.0.0.1:0"]\n[store]\nurl = "memory:"\n'
        result = run("serve", "-c", configured(tmp_path, admin + listen))
    assert result.exit_code == 4
    assert "in use" in result.stderr


def test_a_store_that_is_damaged_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "reginfo.db").write_bytes(b"no database at all" * 1000)
    listen = 'listen = ["udp:127.0.0.1:0"]\n'
    result = run("serve", "-c", configured(tmp_path, listen))
    assert result.exit_code == 5
    assert "reginfo.db" in result.stderr


def test_a_script_that_is_wrong_is_a_wrong_configuration(tmp_path: Path) -> None:
    (tmp_path / "routes.py").write_text("route = None\n")
    more = (
        'listen = ["udp:127.0.0.1:0"]\nscript = "routes.py"\n[store]\nurl = "memory:"\n'
    )
    result = run("serve", "-c", configured(tmp_path, more))
    assert result.exit_code == 2
    assert "routes.py" in result.stderr


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_missing_script_is_reported_with_its_line(
    tmp_path: Path, command: str
) -> None:
    file = configured(tmp_path, 'script = "gone.py"\n')
    result = run(command, "-c", file)
    assert result.exit_code == 2
    assert result.stderr == (
        f"reginfo: {file}:4: server.script: {tmp_path}/gone.py does not exist\n"
    )


def test_the_exit_codes_are_in_the_help() -> None:
    said = " ".join(run("serve", "--help").output.replace("│", " ").split())
    assert "4 an address is not available; 5 the store cannot be used" in said


def test_it_reports_that_it_is_ready_and_stops_on_request(tmp_path: Path) -> None:
    listen = 'listen = ["udp:127.0.0.1:0"]\n[store]\nurl = "memory:"\n'
    for number in (signal.SIGTERM, signal.SIGINT):
        process = start("serve", "-c", configured(tmp_path, listen))
        assert process.stderr is not None
        try:
            assert process.stderr.readline().startswith("ready sip=udp:127.0.0.1:")
            process.send_signal(number)
            out, said = process.communicate(timeout=15.0)
        finally:
            process.kill()
        assert (process.returncode, out, said) == (0, "", "")


def test_loaded_objects_are_not_garbage_collected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[object] = []
    monkeypatch.setattr(gc, "freeze", lambda: calls.append("freeze"))
    monkeypatch.setattr(gc, "collect", lambda: calls.append("collect"))
    monkeypatch.setattr(gc, "set_threshold", lambda *at: calls.append(at[2] > 10))
    collect_rarely()
    assert calls == ["collect", "freeze", True]


def test_that_is_done_before_the_server_says_that_it_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def stop() -> None:
        calls.append("collect_rarely")
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(serve, "collect_rarely", stop)
    monkeypatch.setattr(typer, "echo", lambda *_, **__: calls.append("ready"))
    listen = 'listen = ["udp:127.0.0.1:0"]\n[store]\nurl = "memory:"\n'
    config = Config.read(configured(tmp_path, listen))
    with Watchdog(WatchedSelector()) as watchdog, Shutdown() as shutdown:
        asyncio.run(serve.run(config, None, watchdog, shutdown))
    assert calls == ["collect_rarely", "ready"]
