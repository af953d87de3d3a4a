"""Nothing is observable before it is on disk; what cannot be put there never was."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reginfo.config.config import Config
from reginfo.io.clock import Clock
from reginfo.io.rim import Rim, durable
from reginfo.ledger.journal import Entry
from reginfo.ledger.turn import Done
from reginfo.routing.targets import Found
from reginfo.script.load import NAME
from reginfo.server.app import App
from reginfo.sip.destination import Destination
from reginfo.sip.flow import Flow, Local
from reginfo.sip.transaction import Datagram
from reginfo.sip.uri import Uri

from ..make import place

LOCAL = Local("UDP", "127.0.0.1", 5060)
PHONE = ("192.0.2.1", 5060)
WATCHER = ("192.0.2.9", 5060)
AOR = "sip:alice@example.com"

CONFIG = """
[server]
id = "a"
domains = ["example.com"]
[store]
url = "memory:"
[notifier]
min_interval = 0.0
"""


class Disk:
    """A writer whose commits end when the test says so, well or badly."""

    def __init__(self) -> None:
        self.waiting: list[tuple[list[Entry], Done]] = []
        self.stopped = False

    def commit(
        self, entries: list[Entry], *, boot: float, wall: float, done: Done
    ) -> None:
        self.waiting.append((list(entries), done))

    def finish(self, failure: Exception | None = None) -> list[Entry]:
        entries, done = self.waiting.pop(0)
        done(failure)
        return entries

    def stop(self) -> None:
        self.stopped = True


class Wire:
    """A transport that keeps what it is given."""

    local = LOCAL

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def close(self) -> None: ...

    def send(self, datagram: Datagram) -> None:
        self.sent.append(datagram.data)

    def first_lines(self) -> list[str]:
        lines = [data.split(b"\r\n", 1)[0].decode() for data in self.sent]
        self.sent.clear()
        return lines


class Places:
    """Finds who is at an address in numbers."""

    def find(self, uri: Uri, found: Found) -> None:
        found([Destination("UDP", (uri.host, uri.port or 5060))])


class Server:
    """An application at the rim, between a disk and a wire of the test's own."""

    def __init__(self, disk: Disk | None, script: Path | None = None) -> None:
        config = Config.parse(CONFIG)
        server = msgspec.structs.replace(config.server, script=script)
        self.app = App(msgspec.structs.replace(config, server=server))
        self.disk = disk or Disk()
        self.wire = Wire()
        self.turns = self.app.turns
        self.rim = Rim(self.turns, self.app, Clock().now, writer=disk)
        self.rim.add(self.wire)

    def receive(self, data: bytes, source: tuple[str, int] = PHONE) -> None:
        self.rim.receive(data, Flow(LOCAL, source))
        self.rim.settle()

    def bound(self) -> list[str]:
        now = self.app.now()
        return [binding.contact for binding in self.app.store.bindings(place(AOR), now)]


def request(
    method: str, cseq: int, *headers: str, to_tag: str = "", host: str = "192.0.2.1"
) -> bytes:
    return "\r\n".join(
        [
            f"{method} {AOR if method == 'SUBSCRIBE' else 'sip:example.com'} SIP/2.0",
            f"Via: SIP/2.0/UDP {host};branch=z9hG4bK{method}{cseq}{host}",
            f"From: <sip:alice@example.com>;tag={method}{cseq}",
            f"To: <{AOR}>{to_tag}",
            f"Call-ID: {method}@{host}",
            f"CSeq: {cseq} {method}",
            *headers,
            "",
            "",
        ]
    ).encode()


def register(cseq: int, expires: int = 600) -> bytes:
    contact = "Contact: <sip:alice@192.0.2.1>"
    return request("REGISTER", cseq, contact, f"Expires: {expires}")


SUBSCRIBE = request(
    "SUBSCRIBE", 1, "Contact: <sip:w@192.0.2.9>", "Event: reg", host="192.0.2.9"
)


def ok_to(notify: bytes) -> bytes:
    """The watcher's 200 to a NOTIFY."""
    head = notify.split(b"\r\n\r\n", 1)[0].split(b"\r\n")
    copied = [
        line
        for line in head
        if line.split(b":")[0] in (b"Via", b"From", b"To", b"Call-ID", b"CSeq")
    ]
    return b"\r\n".join([b"SIP/2.0 200 OK", *copied, b"Content-Length: 0", b"", b""])


def in_loop(
    test: Callable[[Server], Coroutine[Any, Any, None]],
) -> Callable[[], None]:
    """Run a test of a server that is durable inside an event loop."""

    def run() -> None:
        async def main() -> None:
            await test(Server(Disk()))

        asyncio.run(main())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@in_loop
async def test_no_200_leaves_before_its_commit(server: Server) -> None:
    server.receive(register(1))
    assert server.wire.first_lines() == []
    (entry,) = server.disk.finish()
    assert entry[0] == "location"
    assert server.wire.first_lines() == ["SIP/2.0 200 OK"]


@in_loop
async def test_a_retransmission_is_not_answered_before_the_commit(
    server: Server,
) -> None:
    server.receive(register(1))
    server.receive(register(1))
    assert server.wire.first_lines() == []
    server.disk.finish()
    assert server.wire.first_lines() == 2 * ["SIP/2.0 200 OK"]
    assert server.disk.waiting == []


@in_loop
async def test_what_reads_an_uncommitted_state_waits_for_it(server: Server) -> None:
    server.receive(register(1))
    server.receive(request("REGISTER", 7, host="192.0.2.2"))  # asks for all bindings
    assert server.wire.first_lines() == []
    server.disk.finish()
    assert server.wire.first_lines() == 2 * ["SIP/2.0 200 OK"]


@in_loop
async def test_requests_that_come_during_a_commit_share_the_next(
    server: Server,
) -> None:
    for cseq in range(1, 5):
        server.receive(register(cseq))
    assert len(server.disk.waiting) == 1
    assert len(server.disk.finish()) == 1
    assert server.wire.first_lines() == ["SIP/2.0 200 OK"]
    assert len(server.disk.finish()) == 3
    assert server.wire.first_lines() == 3 * ["SIP/2.0 200 OK"]
    assert server.turns.commits == 2


@in_loop
async def test_options_wait_for_no_disk(server: Server) -> None:
    server.receive(request("OPTIONS", 1))
    assert server.wire.first_lines() == ["SIP/2.0 200 OK"]
    assert server.disk.waiting == []


@in_loop
async def test_200_leaves_before_the_notify_that_it_causes(server: Server) -> None:
    """6665-08"""
    server.receive(SUBSCRIBE, WATCHER)
    server.disk.finish()
    assert server.wire.first_lines() == [
        "SIP/2.0 200 OK",
        "NOTIFY sip:w@192.0.2.9 SIP/2.0",
    ]


@in_loop
async def test_a_failed_commit_is_answered_500_and_nothing_has_changed(
    server: Server,
) -> None:
    server.receive(register(1))
    server.disk.finish()
    server.receive(SUBSCRIBE, WATCHER)
    server.disk.finish()
    _, _, notify = server.wire.sent
    server.receive(ok_to(notify), WATCHER)
    server.wire.sent.clear()

    server.receive(register(2, expires=0))
    server.receive(register(3))  # decided upon what will be taken back
    server.disk.finish(OSError("No space left on device"))

    first, second = server.wire.sent
    for answer in (first, second):
        assert answer.startswith(b"SIP/2.0 500 Server Internal Error\r\n")
        assert b"Retry-After: 5\r\n" in answer
    assert server.bound() == ["sip:alice@192.0.2.1"]
    assert server.disk.waiting == []
    assert server.turns.degraded == "No space left on device"

    # Once there is room, the phone tries again, and its watcher hears the next version.
    server.wire.sent.clear()
    server.receive(register(4, expires=0))
    server.disk.finish()
    answer, told = server.wire.sent
    assert answer.startswith(b"SIP/2.0 200 OK\r\n")
    assert b"CSeq: 2 NOTIFY\r\n" in told
    assert b' version="1" state="partial"' in told
    assert server.bound() == []
    assert server.turns.degraded is None


@in_loop
async def test_a_subscription_whose_commit_failed_never_was(server: Server) -> None:
    server.receive(SUBSCRIBE, WATCHER)
    server.disk.finish(OSError("disk"))
    assert server.wire.first_lines() == ["SIP/2.0 500 Server Internal Error"]
    assert len(server.app.notifier) == 0
    server.receive(register(1))
    server.disk.finish()
    assert server.wire.first_lines() == ["SIP/2.0 200 OK"]


@in_loop
async def test_who_reads_is_told_that_it_was_taken_back(server: Server) -> None:
    server.receive(register(1))
    reading = asyncio.create_task(durable(server.turns))
    await asyncio.sleep(0)
    server.disk.finish(OSError("disk"))
    assert await reading is False
    assert await durable(server.turns) is True


def test_a_log_line_tells_only_what_is_on_disk(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    @in_loop
    async def run(server: Server) -> None:
        server.receive(register(1))
        assert caplog.messages == []
        server.disk.finish(OSError("disk"))
        assert [m for m in caplog.messages if m.startswith("=")] == []
        server.receive(register(2))
        server.disk.finish()
        assert f"= {AOR} sip:alice@192.0.2.1 registered" in caplog.messages

    run()


@in_loop
async def test_a_bug_in_one_request_changes_nothing_and_stops_nobody(
    server: Server,
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError

    server.receive(SUBSCRIBE, WATCHER)
    server.disk.finish()
    server.wire.sent.clear()
    listener, server.app.store.listener = server.app.store.listener, broken
    server.receive(register(1))
    assert server.wire.first_lines() == ["SIP/2.0 500 Server Internal Error"]
    assert server.bound() == []
    assert server.disk.waiting == []
    server.app.store.listener = listener
    server.receive(register(2))
    server.disk.finish()
    assert server.wire.first_lines() == ["SIP/2.0 200 OK"]


@in_loop
async def test_the_end_commits_what_was_decided(server: Server) -> None:
    server.receive(register(1))
    server.receive(register(2))
    stopping = asyncio.create_task(server.rim.stop())
    await asyncio.sleep(0)
    server.disk.finish()
    await asyncio.sleep(0)
    server.disk.finish()
    await stopping
    assert server.disk.stopped
    assert server.wire.first_lines() == 2 * ["SIP/2.0 200 OK"]


def test_a_store_in_memory_answers_at_once() -> None:
    async def main() -> None:
        server = Server(None)
        server.receive(register(1))
        assert server.wire.first_lines() == ["SIP/2.0 200 OK"]
        await server.rim.stop()

    asyncio.run(main())


ASKS = """
from reginfo import Message, Route

route = Route()
told = []

@route.request("REGISTER")
async def register(msg: Message) -> None:
    told.append((await msg.send_request("OPTIONS", "sip:x@192.0.2.60")).status)
    msg.save()
"""


def test_who_waits_for_a_request_that_was_never_sent_is_told_503(
    tmp_path: Path,
) -> None:
    """What the failed commit has taken back; the user's next REGISTERs are served."""
    path = tmp_path / "routes.py"
    path.write_text(ASKS)

    async def run() -> None:
        server = Server(Disk(), path)
        server.app.load_script()
        server.app.begin([LOCAL], {}, Places())
        told = sys.modules[NAME].told
        # What is to be committed before anything of this wake-up leaves.
        server.rim.receive(SUBSCRIBE, Flow(LOCAL, WATCHER))
        server.receive(register(1))
        assert server.wire.first_lines() == []
        server.disk.finish(OSError("disk"))
        for _ in range(10):
            await asyncio.sleep(0)
        assert told == [503]
        server.disk.finish()
        assert "SIP/2.0 200 OK" in server.wire.first_lines()
        server.receive(register(2))
        assert server.wire.first_lines() == ["OPTIONS sip:x@192.0.2.60 SIP/2.0"]
        await server.rim.stop()

    asyncio.run(run())
