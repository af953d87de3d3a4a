"""``reginfo serve``: what keeps it from serving is said."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

from .run import configured, run, start


def test_a_trace_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    result = run("serve", "-c", configured(tmp_path), "--trace", tmp_path)
    assert result.exit_code == 2
    assert "Is a directory" in result.stderr


def test_an_address_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        listen = f'listen = ["udp:127.0.0.1:{port}"]\n[store]\nurl = "memory:"\n'
        result = run("serve", "-c", configured(tmp_path, listen))
    assert result.exit_code == 1
    assert f"127.0.0.1:{port}" in result.stderr
    assert "in use" in result.stderr


def test_it_says_that_it_is_ready_and_ends_when_asked_to(tmp_path: Path) -> None:
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
