"""The demonstration works with real processes, and reports what fails."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from rich.console import Console

from reginfo.demo import story
from reginfo.demo.servers import DemoServer


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[DemoServer]]:
    """The servers that a demonstration in this process has started."""
    started: list[DemoServer] = []

    class Noted(DemoServer):
        def __enter__(self) -> Noted:
            started.append(self)
            super().__enter__()
            return self

    monkeypatch.setattr(story, "DemoServer", Noted)
    before = signal.getsignal(signal.SIGTERM)
    yield started
    signal.signal(signal.SIGTERM, before)


def test_every_step_succeeds() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reginfo", "demo"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    steps = re.findall(r"^ok +[\d.]+ ms  (.+)$", done.stdout, re.MULTILINE)
    assert f"All {len(steps)} steps succeeded." in done.stdout
    assert "B has removed alice's contact" in steps
    assert re.search(r"^NOTIFY sip:reginfo@127\.0\.0\.1:", done.stdout, re.MULTILINE)
    assert '<reginfo xmlns="urn:ietf:params:xml:ns:reginfo"' in done.stdout


def test_a_step_that_fails_is_reported(
    monkeypatch: pytest.MonkeyPatch, servers: list[DemoServer]
) -> None:
    monkeypatch.setattr(story, "LIMIT", 0.0)
    out = io.StringIO()
    assert story.tell(Console(file=out, width=100)) == 1
    assert "failed: B got no NOTIFY from A within 0 s" in out.getvalue()
    assert "end of the log of a" in out.getvalue()
    assert "ready sip=udp:127.0.0.1" in out.getvalue()
    assert [server.has_ended for server in servers] == [True, True]


def test_a_server_that_does_not_start_is_reported(
    monkeypatch: pytest.MonkeyPatch, servers: list[DemoServer]
) -> None:
    monkeypatch.setattr(story, "CONFIG", "[server]\nid = 1\n")
    out = io.StringIO()
    assert story.tell(Console(file=out, width=100)) == 1
    assert "failed: server a exited with 2 at the start" in out.getvalue()
    assert "server.id: a string is needed" in out.getvalue()
    assert [server.has_ended for server in servers] == [True]
