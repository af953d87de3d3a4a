"""The command line says what it means, by words and by exit codes."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

import reginfo
from reginfo.cli import command
from reginfo.server.address import AdminAddress, SocketAddress, UnixPath
from reginfo.web.api import api
from reginfo.web.server import WebServer

from .web.fake import ALICE, BOB, FakeApp, binding

SERVER = '[server]\nid = "a"\ndomains = ["example.com"]\n'

run = CliRunner().invoke


@contextmanager
def served(app: FakeApp, listen: AdminAddress) -> Iterator[str]:
    """The API of ``app``, in a thread of its own; its address."""
    ready: list[str] = []
    is_ready, enough = threading.Event(), asyncio.Event()

    async def serve() -> None:
        web = WebServer(api(app), listen)
        await web.start()
        ready.append(web.address)
        loops.append(asyncio.get_running_loop())
        is_ready.set()
        await enough.wait()
        await web.stop()

    loops: list[asyncio.AbstractEventLoop] = []
    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    assert is_ready.wait(10)
    try:
        yield ready[0]
    finally:
        loops[0].call_soon_threadsafe(enough.set)
        thread.join()


@pytest.fixture
def admin() -> Iterator[str]:
    app = FakeApp(
        (ALICE, binding("alice", q="0.5", params=(("ob", None), ("[b]", "x")))),
        (BOB, binding("bob")),
    )
    with served(app, SocketAddress("127.0.0.1", 0)) as address:
        yield address


def test_the_version_is_told() -> None:
    result = run(command, ["--version"])
    assert result.output == f"reginfo {reginfo.__version__}\n"
    assert result.exit_code == 0


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], []])
def test_there_is_help(arguments: list[str]) -> None:
    assert "Usage: reginfo" in run(command, arguments).output


def test_a_wrong_configuration_is_told_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "reginfo.toml"
    file.write_text(f"{SERVER}lisen = 1\n[registrar]\nmin_expires = -1\n")
    for name in ("serve", "show"):
        result = run(command, [name, "-c", str(file)])
        assert result.exit_code == 2
        first, second = result.stderr.splitlines()
        assert first.startswith(f"reginfo: {file}:4: server.lisen: ")
        assert second.startswith(f"reginfo: {file}:6: registrar.min_expires: ")


def test_a_missing_configuration_is_told(tmp_path: Path) -> None:
    result = run(command, ["serve", "-c", str(tmp_path / "none.toml")])
    assert result.exit_code == 2
    assert "none.toml: No such file or directory" in result.stderr


def test_a_trace_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    file = tmp_path / "reginfo.toml"
    file.write_text(SERVER)
    result = run(command, ["serve", "-c", str(file), "--trace", str(tmp_path)])
    assert result.exit_code == 2
    assert "Is a directory" in result.stderr


def test_an_address_that_is_taken_is_told(tmp_path: Path) -> None:
    file = tmp_path / "reginfo.toml"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        listen = f'listen = ["udp:127.0.0.1:{port}"]'
        file.write_text(f'{SERVER}{listen}\n[store]\nurl = "memory:"\n')
        result = run(command, ["serve", "-c", str(file)])
    assert result.exit_code == 1
    assert f"127.0.0.1:{port}" in result.stderr
    assert "in use" in result.stderr


def test_bindings_are_shown_to_people(admin: str) -> None:
    result = run(command, ["show", "--admin", admin])
    assert result.exit_code == 0
    head, alice, bob = (
        [cell.strip() for cell in line.strip("┃│").replace("┃", "│").split("│")]
        for line in result.stdout.splitlines()
        if line[0] in "┃│"
    )
    # What no binding has, has no column.
    assert head == "aor uri owner expires callid cseq q params event".split()
    assert alice == [
        "sip:alice@example.com", "sip:alice@192.0.2.1", "a", "60", "call-alice", "7",
        "0.5", "ob;[b]=x", "registered",
    ]  # fmt: skip
    assert bob[0] == "sip:bob@example.com"


def test_bindings_are_shown_to_programs(admin: str) -> None:
    result = run(command, ["show", "--json", "--admin", admin])
    assert result.exit_code == 0
    rows = json.loads(result.stdout)["bindings"]
    assert [(row["aor"], row["expires"]) for row in rows] == [(ALICE, 60), (BOB, 60)]
    assert list(rows[0]) == [
        "aor", "uri", "owner", "source", "expires", "callid", "cseq", "q", "params",
        "path", "received", "event",
    ]  # fmt: skip


def test_one_aor_is_shown(admin: str) -> None:
    result = run(command, ["show", "bob@example.com", "--json", "--admin", admin])
    assert [row["aor"] for row in json.loads(result.stdout)["bindings"]] == [BOB]


def test_an_unknown_aor_is_1(admin: str) -> None:
    result = run(command, ["show", "sip:dave@example.com", "--admin", admin])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "nobody is registered as sip:dave@example.com" in result.stderr


def test_nobody_is_no_error(tmp_path: Path) -> None:
    with served(FakeApp(), UnixPath(tmp_path / "admin")) as address:
        result = run(command, ["show", "--admin", address])
    assert (result.exit_code, result.stdout) == (0, "nobody is registered\n")


def test_the_configuration_says_where_to_ask(tmp_path: Path) -> None:
    file = tmp_path / "reginfo.toml"
    file.write_text(f'{SERVER}admin = "unix:admin"\n')
    with served(FakeApp((BOB, binding("bob"))), UnixPath(tmp_path / "admin")):
        assert BOB in run(command, ["show", "-c", str(file)]).stdout


def test_all_pages_are_shown(monkeypatch: pytest.MonkeyPatch, admin: str) -> None:
    monkeypatch.setattr("reginfo.web.client.PAGE", 1)
    result = run(command, ["show", "--json", "--admin", admin])
    rows = json.loads(result.stdout)["bindings"]
    assert [row["aor"] for row in rows] == [ALICE, BOB]


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ("", "server.admin is not set"),
        ('admin = "127.0.0.1:0"', "any free port"),
    ],
)
def test_a_configuration_that_does_not_say_where_to_ask_is_2(
    tmp_path: Path, lines: str, error: str
) -> None:
    file = tmp_path / "reginfo.toml"
    file.write_text(SERVER + lines)
    result = run(command, ["show", "-c", str(file)])
    assert result.exit_code == 2
    assert error in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--admin", "nowhere"],
        ["--admin", "127.0.0.1:1", "-c", "x.toml"],
        ["--unknown"],
        ["a", "b"],
    ],
)
def test_a_wrong_command_is_2(arguments: list[str]) -> None:
    assert run(command, ["show", *arguments]).exit_code == 2


# httpcore leaves a Unix socket to the collector if it cannot connect it.
@pytest.mark.filterwarnings("ignore:.*<socket.socket")
def test_a_server_that_does_not_answer_is_3(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"unix:{tmp_path / 'none'}"):
        result = run(command, ["show", "--admin", address])
        assert result.exit_code == 3
        assert f"no server answers at {address}" in result.stderr
    del result
    gc.collect()


def test_another_server_is_3() -> None:
    class Other(FakeApp):
        def now(self) -> float:
            raise RuntimeError("broken")

    app = Other((ALICE, binding("alice")))
    with served(app, SocketAddress("127.0.0.1", 0)) as address:
        result = run(command, ["show", "--admin", address])
    assert result.exit_code == 3
    assert "500" in result.stderr
