"""Nothing is observable before it is on disk; what cannot be put there never was."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import pytest

from reginfo.io.rim import durable
from reginfo.script.load import NAME
from reginfo.sip.flow import Flow

from .at_rim import (
    AOR,
    LOCAL,
    SUBSCRIBE,
    WATCHER,
    Disk,
    Places,
    Server,
    in_loop,
    ok_to,
    register,
    request,
)


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
    assert server.wire.first_lines() == ["SIP/2.0 200 OK"]
    assert server.disk.waiting == []
    server.receive(register(1))
    assert server.wire.first_lines() == ["SIP/2.0 200 OK"]


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
        server.app.begin([LOCAL], Places())
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
