"""The demonstration: each step is shown, and a failed step ends it."""

from __future__ import annotations

import datetime
import io
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from reginfo.demo import story
from reginfo.demo.phone import RegistrationFailed
from reginfo.demo.servers import ServerFailed
from reginfo.io.trace import Traced
from reginfo.web.bindings import BindingItem, row
from reginfo.web.client import NotFound

from ..web.fake import ALICE, NOW, binding

AT = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class World:
    """Two servers, a phone and a client that know of each other at once."""

    def __init__(self) -> None:
        self.bound: str | None = None
        self.notifies: list[Traced] = []
        self.started: list[str] = []
        self.stopped: list[str] = []
        self.failure: dict[str, Exception] = {}

    def notify(self, body: str) -> None:
        data = f"NOTIFY sip:b SIP/2.0\r\n\r\n{body}".encode()
        self.notifies.append(
            Traced(at=AT, direction="<", local="b", remote="a", data=data)
        )

    def check(self, step: str) -> None:
        if step in self.failure:
            raise self.failure[step]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    one = World()

    class Server:
        def __init__(self, directory: Path, name: str, config: str) -> None:
            self.name, self.trace = name, directory / name
            self.sip, self.admin = ("127.0.0.1", 5060), "127.0.0.1:1"

        def __enter__(self) -> Server:
            one.check(f"start {self.name}")
            one.started.append(self.name)
            if self.name == "b":
                one.notify('state="init"')
            return self

        def __exit__(self, *error: object) -> None: ...

        def stop(self) -> None:
            one.stopped.append(self.name)

        def log_tail(self) -> str:
            return f"log of {self.name}"

    class Phone:
        aor, contact = ALICE, "sip:alice@127.0.0.1:40000"

        def __init__(self, *arguments: object) -> None: ...
        def __enter__(self) -> Phone:
            return self

        def __exit__(self, *error: object) -> None: ...

        def register(self, expires: int) -> None:
            one.check(f"register {expires}")
            one.bound = self.contact if expires == 600 else None
            one.notify(self.contact if expires else 'event="unregistered"')
            if expires == story.SHORT:
                pending.append(self.contact)

    pending: list[str] = []

    class Client:
        def __init__(self, address: str) -> None: ...
        def __enter__(self) -> Client:
            return self

        def __exit__(self, *error: object) -> None: ...

        def bindings(self, aor: str) -> list[BindingItem]:
            contact = one.bound or (pending.pop() if pending else None)
            if contact is None:
                raise NotFound("nobody")
            return [row(aor, binding("alice", contact=contact), NOW)]

    times = iter(range(10_000))
    monkeypatch.setattr(story, "DemoServer", Server)
    monkeypatch.setattr(story, "Phone", Phone)
    monkeypatch.setattr(story, "Client", Client)
    monkeypatch.setattr(story, "free_port", lambda: 5070)
    monkeypatch.setattr(story, "read_trace", lambda path: iter(one.notifies))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(times)))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    before = signal.getsignal(signal.SIGTERM)
    yield one
    signal.signal(signal.SIGTERM, before)


def tell() -> tuple[int, str]:
    out = io.StringIO()
    return story.tell(Console(file=out, width=120)), out.getvalue()


def test_every_step_is_shown_and_both_servers_are_stopped(world: World) -> None:
    """README: `reginfo demo` shows two servers and a phone at work."""
    code, shown = tell()
    assert (code, world.started, world.stopped) == (0, ["a", "b"], ["b", "a"])
    lines = [line for line in shown.splitlines() if line.startswith("ok ")]
    assert "steps succeeded" in shown and f"All {len(lines)} steps" in shown
    assert "sip:alice@127.0.0.1:40000" in shown and "NOTIFY sip:b SIP/2.0" in shown


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("start b", ServerFailed("server b exited with 2")),
        ("register 600", RegistrationFailed("no answer")),
        ("register 0", RegistrationFailed("no answer")),
    ],
)
def test_a_failed_step_ends_the_demonstration_and_shows_the_logs(
    step: str, error: Exception, world: World
) -> None:
    """docs/commands.md: 1, and the end of each server's log."""
    world.failure[step] = error
    code, shown = tell()
    assert code == 1
    assert f"failed: {error}" in shown and "log of a" in shown


def test_a_step_that_takes_too_long_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "read_trace", lambda path: iter(()))
    code, shown = tell()
    assert code == 1 and "B got no NOTIFY from A within 10 s" in shown


def test_ctrl_c_is_not_a_failure(world: World) -> None:
    failure: Any = KeyboardInterrupt()
    world.failure["register 600"] = failure
    assert tell()[0] == 130


def test_sigterm_stops_the_servers() -> None:
    end: Callable[..., None] = story._end
    with pytest.raises(SystemExit) as ended:
        end(signal.SIGTERM, None)
    assert ended.value.code == 128 + signal.SIGTERM
