"""What the tests of the command line share: one server, and one that says nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from ..conftest import has_ipv6
from ..interop.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One ``reginfo serve``, by UDP and TCP, IPv4 and IPv6; each test has its users."""
    directory = tmp_path_factory.mktemp("served")
    hosts = ("127.0.0.1", "[::1]") if has_ipv6() else ("127.0.0.1",)
    with Server(directory, hosts=hosts, tcp=True) as running:
        yield running


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes everything and answers nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{udp.getsockname()[1]}"


@pytest.fixture
def nobody() -> str:
    """An address at which there is no server, by TCP."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"sip:127.0.0.1:{free.getsockname()[1]};transport=tcp"
