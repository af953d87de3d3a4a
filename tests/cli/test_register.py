"""``reginfo register``, at a real server."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from reginfo.config.address import ListenAddress
from reginfo.io.network import Network, StartError
from reginfo.sip.transport import Transport

from ..interop.server import Server
from .run import run, start

CONTACT = "sip:phone@192.0.2.9:5062;transport=tcp"


def ways(server: Server) -> list[tuple[str, ...]]:
    """All the ways to one server."""
    port = server.port
    return [
        ("--server", f"127.0.0.1:{port}"),
        ("--server", f"localhost:{port}"),
        ("--server", f"[::1]:{port}"),
        ("--server", f"127.0.0.1:{port}", "--transport", "tcp"),
        ("--server", f"sip:[::1]:{port};transport=tcp"),
    ]


IPV6 = pytest.mark.ipv6
WAYS = [0, 1, pytest.param(2, marks=IPV6), 3, pytest.param(4, marks=IPV6)]
"""Which of :func:`ways`."""


@pytest.mark.parametrize("way", WAYS)
def test_a_contact_is_registered_shown_and_removed(server: Server, way: int) -> None:
    user = f"reg{way}"
    register = ("register", f"{user}@example.test")
    to = ways(server)[way]

    done = run(*register, CONTACT, "--expires", "60", *to)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"{CONTACT}  expires=60\n"
    assert server.contacts(user) == {CONTACT}

    asked = run(*register, *to)
    assert asked.stdout.startswith(f"{CONTACT}  expires=")

    removed = run(*register, CONTACT, "--expires", "0", *to)
    assert (removed.exit_code, removed.stdout) == (0, "nobody is registered\n")
    assert server.contacts(user) == set()


def test_all_contacts_are_removed_by_a_star(server: Server) -> None:
    to = ways(server)[0]
    for number in (1, 2):
        run("register", "star@example.test", f"sip:star@192.0.2.{number}", *to)
    assert len(server.contacts("star")) == 2
    done = run("register", "star@example.test", "*", "--expires", "0", *to)
    assert done.exit_code == 0
    assert server.contacts("star") == set()


def test_json_is_printed_for_programs(server: Server) -> None:
    done = run(
        *("register", "sip:json@example.test", "<sip:j@192.0.2.9>;q=0.5;+x;y=1"),
        *("--expires", "60", "--json", *ways(server)[0]),
    )
    assert json.loads(done.stdout) == {
        "aor": "sip:json@example.test",
        "contacts": [
            {
                "uri": "sip:j@192.0.2.9",
                "expires": 60,
                "q": "0.5",
                "params": {"+x": None, "y": "1"},
            }
        ],
    }
    line = run("register", "json@example.test", *ways(server)[0]).stdout
    assert line.endswith("q=0.5  +x  y=1\n")


def test_a_trace_has_the_messages(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "trace"
    to = ways(server)[0]
    run("register", "trace@example.test", *to, "--trace", file)
    written = file.read_text("utf-8")
    assert "REGISTER sip:example.test SIP/2.0\n" in written.replace("\r", "")
    assert "SIP/2.0 200 OK" in written


def test_a_refusal_is_1_and_says_why(server: Server) -> None:
    done = run("register", "al@example.org", CONTACT, *ways(server)[0])
    assert (done.exit_code, done.stdout) == (1, "")
    port = server.port
    assert done.stderr == f"reginfo: 127.0.0.1:{port} (UDP): 404 Not Found\n"


def test_no_answer_is_3(silent: str, nobody: str) -> None:
    late = run("register", "al@example.com", "--server", silent, "--timeout", "0.2")
    assert late.exit_code == 3
    assert late.stderr == (
        f"reginfo: {silent} (UDP): REGISTER got no answer within 0.2 s\n"
    )
    place = nobody.removeprefix("sip:").partition(";")[0]
    for server in (nobody, place):  # by TCP, and by UDP: an ICMP error says so
        refused = run("register", "al@example.com", "--server", server)
        assert refused.exit_code == 3
        assert refused.stderr == f"reginfo: {place}: connection refused\n"
    unknown = run("register", "al@example.com", "--server", "no-such-host.invalid")
    assert unknown.exit_code == 3
    assert "no-such-host.invalid: " in unknown.stderr


@pytest.mark.parametrize("name", ["register", "publish", "watch"])
def test_a_closed_udp_port_is_reported_at_once(name: str, nobody: str) -> None:
    address = nobody.removeprefix("sip:").partition(";")[0]
    contact = [CONTACT] if name != "watch" else []
    began = time.monotonic()
    done = run(name, "al@example.com", *contact, "--server", address)
    assert done.exit_code == 3
    assert done.stderr == f"reginfo: {address}: connection refused\n"
    assert time.monotonic() - began < 16  # without the report it would be 32 s


@pytest.mark.parametrize(
    ("name", "unknown"),
    [("register", "the contact is registered"), ("publish", "it was published")],
)
def test_ctrl_c_ends_the_waiting(name: str, unknown: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(10.0)
        to = f"127.0.0.1:{udp.getsockname()[1]}"
        process = start(name, "al@example.com", CONTACT, "--server", to)
        assert udp.recv(65_535).startswith(name.upper().encode())
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10.0)
    assert process.returncode == 1
    assert said == f"reginfo: interrupted: it is unknown whether {unknown}\n"


@pytest.mark.parametrize("failures", [1, 100])
def test_a_port_that_is_not_free_is_left_for_another(
    server: Server, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    listen = Network.listen
    left = iter(range(failures))

    def taken(network: Network, addresses: Sequence[ListenAddress]) -> None:
        # By UDP: of the TCP port it is not known whether it is free for that, too.
        if addresses[0].transport is Transport.UDP and next(left, None) is not None:
            raise StartError(f"{addresses[0]}: Address already in use")
        listen(network, addresses)

    monkeypatch.setattr(Network, "listen", taken)
    done = run("register", "port@example.test", *ways(server)[0])
    assert done.exit_code == (0 if failures == 1 else 3)
    if failures > 1:
        assert "no local port: udp:127.0.0.1:" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["al@example.com", CONTACT], "--server"),
        (["al@example.com", "--server", "::1"], "--server: '::1' is not HOST:PORT"),
        (
            ["al@example.com", "--server", "sips:h", "--ca", "none"],
            "--ca: none: No such",
        ),
        (["al b", "--server", "h"], "AOR: not a URI"),
        (["mailto:al@h", "--server", "h"], "AOR: mailto:al@h is not a sip:"),
        (
            ["al@h", "al", "--server", "h"],
            "CONTACT: al is not a URI: did you mean sip:al?",
        ),
        (["al@h", "*", "--server", "h"], "--expires 0"),
        (["al@h", "--expires", "0", "--server", "h"], "--expires needs a CONTACT"),
        (["al@h", "--expires", "-1", "--server", "h"], "--expires"),
        (["al@h", "--server", "h", "--trace", "/"], "--trace /: Is a directory"),
    ],
)
def test_a_wrong_command_exits_with_2_and_a_hint(
    arguments: list[str], error: str
) -> None:
    done = run("register", *arguments)
    assert done.exit_code == 2
    assert error in done.stderr
