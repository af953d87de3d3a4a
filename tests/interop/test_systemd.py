"""
``reginfo serve`` as a service: readiness, signs of life, inherited sockets.

systemd itself needs a machine of its own. Here its protocols, sd_notify(3) and
sd_listen_fds(3), are spoken by its ``systemd-socket-activate`` and by the test.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .phone import Address
from .server import Server

UNITS = Path(__file__).parents[2] / "examples" / "systemd"
LIMIT = 20.0  # seconds for a start on a busy machine


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Server]:
    """A server that is not started yet."""
    server = Server(tmp_path / "a", tcp=True)
    yield server
    server.stop()


@contextmanager
def manager(directory: Path) -> Iterator[socket.socket]:
    """The socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(directory / "notify"))
        listener.settimeout(LIMIT)
        yield listener


def next_but_signs_of_life(listener: socket.socket) -> list[str]:
    """The next message that is not WATCHDOG=1, as lines."""
    while (message := listener.recv(4096)) == b"WATCHDOG=1":
        pass
    return message.decode().split("\n")


def test_a_service_manager_follows_its_life(
    idle: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``Type=notify``: ready, reloading and ready again, stopping."""
    idle.script = "from reginfo import Route\nroute = Route()\n"
    with manager(tmp_path) as listener:
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        idle.start()
        ready, status = next_but_signs_of_life(listener)
        assert (ready, status.partition(" admin=")[0]) == (
            "READY=1",
            f"STATUS=sip={','.join(idle.listen)}",
        )
        os.kill(idle.pid, signal.SIGHUP)
        assert next_but_signs_of_life(listener)[0] == "RELOADING=1"
        assert next_but_signs_of_life(listener) == ["READY=1", "STATUS=reloaded"]

        (idle.directory / "routes.py").write_text("route = None\n")
        os.kill(idle.pid, signal.SIGHUP)
        assert next_but_signs_of_life(listener)[0] == "RELOADING=1"
        ready, status = next_but_signs_of_life(listener)
        assert ready == "READY=1"
        assert "previous" in status

        assert idle.terminate() == 0
        assert next_but_signs_of_life(listener) == ["STOPPING=1"]


def test_signs_of_life_end_when_a_script_hangs(
    idle: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``WatchdogSec=``: systemd would kill and restart such a process."""
    idle.script = (
        "from reginfo import Message, Route\nroute = Route()\n"
        "@route.request('OPTIONS')\ndef hang(message: Message) -> None:\n"
        "    while True:\n        pass\n"
    )
    with manager(tmp_path) as listener:
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        idle.start()
        assert listener.recv(4096).startswith(b"READY=1")
        for _ in range(3):
            assert listener.recv(4096) == b"WATCHDOG=1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
            phone.connect(idle.address)
            phone.send(options(phone.getsockname(), "udp"))
            listener.settimeout(1.0)
            with pytest.raises(TimeoutError):
                for _ in range(50):
                    listener.recv(4096)
        idle.kill()


@pytest.mark.peers("systemd")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_request_that_came_before_the_start_is_answered(
    idle: Server, transport: str
) -> None:
    """systemd binds the socket; the first request starts the server, and is served."""
    at = f"{idle.hosts[0]}:{idle.port}"
    datagram = ("--datagram",) if transport == "udp" else ()
    idle.command = ("systemd-socket-activate", *datagram, "--listen", at)
    idle.launch()
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    answer = b""
    while not answer:  # until systemd-socket-activate has bound it
        with socket.socket(socket.AF_INET, kind) as phone, suppress(ConnectionError):
            phone.settimeout(LIMIT)
            phone.connect(idle.address)
            phone.send(options(phone.getsockname(), transport))
            answer = phone.recv(4096)
    assert answer.startswith(b"SIP/2.0 200 ")
    idle.wait_until_ready()


@pytest.mark.parametrize("how", ["TERM", "KILL"])
def test_what_arrives_during_a_restart_waits_in_the_kernel(
    idle: Server, how: str
) -> None:
    """The socket of a ``.socket`` unit stays open while its service restarts."""
    idle.transports = ("udp",)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as kept:
        kept.bind(idle.address)
        idle.command = handing_over(kept)
        idle.descriptors = (kept.fileno(),)
        idle.start()
        if how == "TERM":
            assert idle.terminate() == 0
        else:
            idle.kill()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
            phone.settimeout(LIMIT)
            phone.connect(idle.address)
            phone.send(options(phone.getsockname(), "udp"))
            idle.start()
            assert phone.recv(4096).startswith(b"SIP/2.0 200 ")


def test_an_inherited_socket_that_the_configuration_does_not_name(
    idle: Server, tmp_path: Path
) -> None:
    """Otherwise nobody would read it, and its callers would wait for ever."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as kept:
        kept.bind(("127.0.0.1", 0))
        idle.command = handing_over(kept)
        idle.descriptors = (kept.fileno(),)
        with pytest.raises(RuntimeError) as caught:
            idle.start()
        port = kept.getsockname()[1]
    assert f"inherited and not in listen: udp:127.0.0.1:{port}" in str(caught.value)


@pytest.mark.peers("systemd")
def test_the_units_of_the_example_are_right(tmp_path: Path) -> None:
    service = (UNITS / "reginfo.service").read_text("utf-8")
    # systemd-analyze looks whether the program is there.
    service = service.replace("/usr/bin/reginfo", sys.executable)
    (tmp_path / "reginfo.service").write_text(service)
    (tmp_path / "reginfo.socket").write_text((UNITS / "reginfo.socket").read_text())
    units = [str(tmp_path / "reginfo.service"), str(tmp_path / "reginfo.socket")]
    verified = analyze("verify", "--man=no", *units)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    # The exposure of a service, from 0 to 10, as tenths; a usual one has 96.
    secured = analyze("security", "--offline=yes", "--threshold=20", units[0])
    assert secured.returncode == 0, secured.stdout


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60
    )


def handing_over(kept: socket.socket) -> tuple[str, ...]:
    """A command that announces a socket as systemd does."""
    program = (
        f"import os, sys; os.dup2({kept.fileno()}, 3);"
        " os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()));"
        " os.execv(sys.argv[1], sys.argv[1:])"
    )
    return (sys.executable, "-c", program)


def options(local: Address, transport: str) -> bytes:
    """An OPTIONS without a user, which the server answers for itself."""
    host, port = local
    lines = [
        "OPTIONS sip:127.0.0.1 SIP/2.0",
        f"Via: SIP/2.0/{transport.upper()} {host}:{port};branch=z9hG4bK1;rport",
        "Max-Forwards: 70",
        "From: <sip:a@example.test>;tag=1",
        "To: <sip:a@example.test>",
        f"Call-ID: {host}-{port}",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
        "",
        "",
    ]
    return "\r\n".join(lines).encode()
