"""The addresses of a server: free if it does not run, taken if it does."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from reginfo.config.address import ListenAddress, SocketAddress, UnixPath
from reginfo.doctor.finding import Level
from reginfo.doctor.listeners import api, examine, listener
from reginfo.sip.transport import TCP, UDP, Transport

KINDS = {UDP: socket.SOCK_DGRAM, TCP: socket.SOCK_STREAM}


@pytest.fixture(params=[UDP, TCP])
def transport(request: pytest.FixtureRequest) -> Transport:
    chosen: Transport = request.param
    return chosen


@pytest.fixture
def taken(transport: Transport) -> Iterator[ListenAddress]:
    """An address that somebody listens at."""
    with socket.socket(socket.AF_INET, KINDS[transport]) as one:
        one.bind(("127.0.0.1", 0))
        if transport is TCP:
            one.listen()
        yield ListenAddress("127.0.0.1", one.getsockname()[1], transport)


@pytest.fixture
def free(transport: Transport) -> ListenAddress:
    with socket.socket(socket.AF_INET, KINDS[transport]) as one:
        one.bind(("127.0.0.1", 0))
        return ListenAddress("127.0.0.1", one.getsockname()[1], transport)


def test_an_address_in_use_is_an_error_unless_the_server_runs(
    taken: ListenAddress,
) -> None:
    [found] = listener(taken, is_running=False)
    assert found.level is Level.ERROR
    assert found.text == f"{taken}: Address already in use"
    [found] = listener(taken, is_running=True)
    assert (found.level, found.text) == (Level.OK, f"{taken} is served")


def test_a_free_address_is_an_error_if_the_server_runs(free: ListenAddress) -> None:
    """The configuration was changed, and the server was not restarted."""
    [found] = listener(free, is_running=False)
    assert (found.level, found.text) == (Level.OK, f"{free} is free")
    [found] = listener(free, is_running=True)
    assert found.level is Level.ERROR
    assert "restart" in found.text


def test_an_address_of_another_machine_is_an_error() -> None:
    [found] = listener(ListenAddress("192.0.2.1", 5060), is_running=False)
    assert found.level is Level.ERROR
    [found] = listener(ListenAddress("no-such-interface", 5060), is_running=False)
    assert found.level is Level.ERROR
    assert "no interface" in found.text


def test_all_addresses_of_a_wildcard_are_examined() -> None:
    found = [one.text for one in listener(ListenAddress("0.0.0.0", 0), False)]
    assert "udp:127.0.0.1:0 is free" in found


def test_the_api_is_examined_too(tmp_path: Path, free: ListenAddress) -> None:
    admin = SocketAddress(free.host, free.port)
    assert [one.subject for one in examine([free], admin, False)] == ["listen", "admin"]
    assert [one.subject for one in examine([free], None, False)] == ["listen"]
    path = UnixPath(tmp_path / "admin")
    assert api(path, is_running=False).text == f"unix:{path.path} can be used"
    assert api(path, is_running=True).text == f"unix:{path.path} is served"
    gone = api(UnixPath(tmp_path / "gone" / "admin"), is_running=False)
    assert gone.level is Level.ERROR
    assert "does not exist" in gone.text
