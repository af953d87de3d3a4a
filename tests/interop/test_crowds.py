"""Crowds of connections on which nothing is said, and the users who are there."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from .phone import Phone, TcpPhone
from .server import Server

SPARE = 400
"""File descriptors of the test beside its connections."""

SOON = 0.5
"""Seconds in which an established user is answered, also in a crowd."""

HOSTS = 40
"""The number of addresses that a crowd comes from."""


@contextmanager
def file_descriptors(number: int) -> Iterator[None]:
    """Let this process have so many; skip the test if it must not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < number:
        pytest.skip(f"{number} file descriptors are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def crowd(stack: ExitStack, server: Server, number: int, hosts: int) -> None:
    """Open connections from several addresses, and say nothing."""
    for at in range(number):
        source = f"127.0.{1 + at % hosts}.1"
        stack.enter_context(
            socket.create_connection(server.address, 10.0, source_address=(source, 0))
        )


def seconds_to_refresh(phone: Phone, user: str) -> float:
    began = time.monotonic()
    phone.register(user, expires=600)
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("connections", "hosts", "limit"),
    [(1100, 1, 1024), (1100, HOSTS, 1024), (10_000, HOSTS, None)],
)
def test_established_users_are_unharmed_by_a_crowd_of_silent_connections(
    tmp_path: Path, connections: int, hosts: int, limit: int | None
) -> None:
    """
    3261-156: SIP by UDP and TCP, by old and new connections, and the API go on.

    The first two processes may have 1024 file descriptors, as from a shell.
    """
    command = [] if limit is None else ["prlimit", f"--nofile={limit}:{limit}"]
    with (
        file_descriptors(connections + SPARE),
        Server(tmp_path, tcp=True, command=command) as server,
        TcpPhone(server.address) as established,
        Phone(server.address) as other,
        ExitStack() as stack,
    ):
        established.register("ann", expires=600)
        crowd(stack, server, connections, hosts)
        took = [
            seconds_to_refresh(established, "ann"),
            seconds_to_refresh(other, "ben"),
        ]
        with TcpPhone(server.address) as late:
            took.append(seconds_to_refresh(late, "cid"))
        health = server.health()
        (streams,) = (one for one in health["parts"] if one["name"] == "streams")
        assert max(took) < SOON
        assert health["status"] == "ok"
        figures = streams["figures"]
        # 64 of one address; and never as many as would leave no descriptors.
        assert figures["silent"] <= min(64 * hosts, limit or connections)
        assert figures["displaced_total"] >= connections - 64 * hosts - 1
        assert not established.is_closed(within=0.1)
