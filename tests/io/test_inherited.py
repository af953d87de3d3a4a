"""Sockets bound by a service manager: each goes to the listener of its address."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from reginfo.io import inherited as module
from reginfo.io.inherited import Inherited

DATAGRAM, STREAM = socket.SOCK_DGRAM, socket.SOCK_STREAM


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[list[socket.socket]]:
    """UDP, TCP and a Unix socket."""
    udp = socket.socket(socket.AF_INET, DATAGRAM)
    udp.bind(("127.0.0.1", 0))
    tcp = socket.socket(socket.AF_INET, STREAM)
    tcp.bind(("127.0.0.1", 0))
    unix = socket.socket(socket.AF_UNIX, STREAM)
    unix.bind(str(tmp_path / "admin"))
    yield [udp, tcp, unix]
    for one in (udp, tcp, unix):
        one.close()


def test_each_is_taken_once_by_its_kind_and_address(
    bound: list[socket.socket], tmp_path: Path
) -> None:
    udp, tcp, unix = bound
    inherited = Inherited(bound)
    assert inherited.take(STREAM, udp.getsockname()) is None
    assert inherited.take(DATAGRAM, udp.getsockname()) is udp
    assert inherited.take(DATAGRAM, udp.getsockname()) is None
    assert inherited.take(STREAM, str(tmp_path / "admin")) is unix
    assert inherited.take(STREAM, tcp.getsockname()) is tcp
    assert inherited.left() == []


def test_those_that_are_left_are_named_and_closed(
    bound: list[socket.socket], tmp_path: Path
) -> None:
    inherited = Inherited(bound)
    assert inherited.left() == [
        f"udp:127.0.0.1:{bound[0].getsockname()[1]}",
        f"tcp:127.0.0.1:{bound[1].getsockname()[1]}",
        f"unix:{tmp_path / 'admin'}",
    ]
    inherited.close()
    assert inherited.left() == []
    assert all(one.fileno() == -1 for one in bound)


def test_an_ipv6_address_is_named_in_brackets() -> None:
    with socket.socket(socket.AF_INET6, DATAGRAM) as udp:
        try:
            udp.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6")
        port = udp.getsockname()[1]
        inherited = Inherited([udp])
        assert inherited.left() == [f"udp:[::1]:{port}"]
        assert inherited.take(DATAGRAM, ("::1", port)) is udp


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LISTEN_PID", "1"),
        ("LISTEN_FDS", "x"),
        ("LISTEN_FDS", "-1"),
        ("LISTEN_FDS", ""),
    ],
)
def test_variables_that_are_not_for_this_process_are_ignored(
    name: str, value: str
) -> None:
    right = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    assert Inherited.of(right | {name: value}).left() == []
    assert Inherited.of({}).left() == []


def test_the_announced_descriptors_are_adopted(
    bound: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that the script starts does not inherit them in turn."""
    copy = os.dup(bound[0].fileno())
    os.set_inheritable(copy, True)
    monkeypatch.setattr(module, "FIRST", copy)
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    inherited = Inherited.of(environment)
    taken = inherited.take(DATAGRAM, bound[0].getsockname())
    assert taken is not None
    assert taken.fileno() == copy
    assert not taken.get_inheritable()
    taken.close()


def test_a_descriptor_that_is_no_socket_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "file").open("w") as file:
        monkeypatch.setattr(module, "FIRST", file.fileno())
        environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
        with pytest.raises(OSError, match="[Ss]ocket"):
            Inherited.of(environment)
