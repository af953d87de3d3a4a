"""The addresses that a server listens at: whether it can, and whether it does."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator

from ..config.address import AdminAddress, ListenAddress, UnixPath
from ..io.interfaces import expand
from ..sip.flow import family_of
from .finding import Finding, error, ok


def listener(address: ListenAddress, is_running: bool) -> Iterator[Finding]:
    """
    Try to bind an address, and release it.

    Args:
        is_running: whether the server runs, which has bound it then.
    """
    try:
        hosts = expand(address.host)
    except OSError as exc:
        yield error("listen", f"{address}: {exc.strerror}")
        return
    for host in hosts:
        one = ListenAddress(host, address.port, address.transport)
        kind = (
            socket.SOCK_STREAM if address.transport.is_reliable else socket.SOCK_DGRAM
        )
        problem = _bind(host, address.port, kind)
        yield _judged("listen", str(one), problem, is_running)


def api(address: AdminAddress, is_running: bool) -> Finding:
    """Examine the address of the API in the same way."""
    if isinstance(address, UnixPath):
        directory = address.path.absolute().parent
        if is_running:
            return ok("admin", f"{address} is served")
        if not directory.is_dir():
            return error("admin", f"{address}: {directory} does not exist")
        return ok("admin", f"{address} can be used")
    problem = _bind(address.host, address.port, socket.SOCK_STREAM)
    return _judged("admin", str(address), problem, is_running)


def examine(
    listen: Iterable[ListenAddress], admin: AdminAddress | None, is_running: bool
) -> Iterator[Finding]:
    """Examine all addresses of a server."""
    for address in listen:
        yield from listener(address, is_running)
    if admin is not None:
        yield api(admin, is_running)


def _judged(
    subject: str, address: str, problem: OSError | None, is_running: bool
) -> Finding:
    if problem is None:
        if is_running:
            return error(
                subject, f"{address} is free, although the server runs: restart it"
            )
        return ok(subject, f"{address} is free")
    if is_running:
        return ok(subject, f"{address} is served")
    return error(subject, f"{address}: {problem.strerror}")


def _bind(host: str, port: int, kind: socket.SocketKind) -> OSError | None:
    family = family_of(host)
    try:
        with socket.socket(family, kind) as probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as exc:
        return exc
    return None
