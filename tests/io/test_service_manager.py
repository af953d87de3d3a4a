"""What a service manager is told (sd_notify(3)), with a socket of the test's own."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reginfo.io.service_manager import ServiceManager


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        yield listener


def environment(heard: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": heard.getsockname(), **more}


def test_it_is_told_of_ready_reload_and_stop(heard: socket.socket) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    with ServiceManager(environment(heard)) as manager:
        manager.ready("sip=udp:127.0.0.1:5060")
        manager.reloading()
        manager.ready("reloaded")
        manager.stopping()
    assert heard.recv(999) == b"READY=1\nSTATUS=sip=udp:127.0.0.1:5060"
    reloading, since = heard.recv(999).decode().split("\n")
    assert reloading == "RELOADING=1"
    assert before <= int(since.removeprefix("MONOTONIC_USEC=")) < before + 10_000_000
    assert heard.recv(999) == b"READY=1\nSTATUS=reloaded"
    assert heard.recv(999) == b"STOPPING=1"
    with pytest.raises(BlockingIOError):
        heard.recv(999)


def test_a_status_is_one_line(heard: socket.socket) -> None:
    with ServiceManager(environment(heard)) as manager:
        manager.ready("a\nWATCHDOG=trigger")
    assert heard.recv(999) == b"READY=1\nSTATUS=a WATCHDOG=trigger"


def test_a_socket_may_be_abstract() -> None:
    name = f"reginfo-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        with ServiceManager({"NOTIFY_SOCKET": f"@{name}"}) as manager:
            manager.stopping()
        assert listener.recv(99) == b"STOPPING=1"


def test_without_a_service_manager_nothing_is_said() -> None:
    with ServiceManager({"WATCHDOG_USEC": "10000000"}) as manager:
        assert manager.interval is None
        manager.ready("serving")
        manager.live()
        manager.stopping()


@pytest.mark.parametrize(
    ("more", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "10000000"}, 5.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_signs_of_life_come_at_half_the_time_limit(
    heard: socket.socket, more: dict[str, str], interval: float | None
) -> None:
    with ServiceManager(environment(heard, **more)) as manager:
        assert manager.interval == interval


def test_a_loop_that_turns_gives_signs_of_life_until_it_stops(
    heard: socket.socket,
) -> None:
    signs: list[bytes] = []

    async def turn() -> None:
        loop = asyncio.get_running_loop()
        with ServiceManager(environment(heard, WATCHDOG_USEC="2000")) as manager:
            manager.live()
            while len(signs) < 3:
                signs.append(await loop.sock_recv(heard, 99))
            manager.stopping()
        signs.append(await loop.sock_recv(heard, 99))

    asyncio.run(turn())
    assert signs[:3] == [b"WATCHDOG=1"] * 3
    # The next sign may have been on its way already.
    assert signs[3] in (b"WATCHDOG=1", b"STOPPING=1")


def test_a_service_manager_that_is_gone_is_logged_once(
    heard: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    Path(heard.getsockname()).unlink()
    with ServiceManager(environment(heard)) as manager:
        manager.ready("one")
        manager.ready("two")
    assert len(caplog.messages) == 1
    assert "NOTIFY_SOCKET" in caplog.text


def test_a_service_manager_that_reads_nothing_does_not_stop_the_server(
    heard: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    with ServiceManager(environment(heard)) as manager:
        for _ in range(10_000):
            manager.ready("x" * 100)
    assert len(caplog.messages) == 1
