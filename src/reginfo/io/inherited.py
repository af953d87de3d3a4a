"""Sockets that a service manager has bound for this process (sd_listen_fds(3))."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

FIRST = 3
"""The number of the first inherited file descriptor."""


class Inherited:
    """
    The inherited sockets; each is taken once, by the listener of its address.

    Socket activation keeps the sockets of a service open while it restarts: datagrams
    and connections that arrive meanwhile wait in the kernel.

    Args:
        sockets: bound sockets; those of streams listen already.
    """

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._sockets = {(one.type, _address(one)): one for one in sockets}

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Inherited:
        """
        Adopt the sockets that the environment announces.

        ``LISTEN_PID`` has to name this process; otherwise the variables were meant for
        its parent, and there are no sockets.

        Raises:
            OSError: an inherited descriptor is no socket.
        """
        count = environment.get("LISTEN_FDS", "")
        if environment.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal():
            return cls([])
        sockets = []
        for number in range(FIRST, FIRST + int(count)):
            # The programs of a script must not inherit them in turn.
            os.set_inheritable(number, False)
            sockets.append(socket.socket(fileno=number))
        return cls(sockets)

    def take(
        self, kind: socket.SocketKind, address: tuple[str, int] | str
    ) -> socket.socket | None:
        """
        Return the socket of an address, or None if there is none (any more).

        Args:
            kind: SOCK_DGRAM or SOCK_STREAM.
            address: host and port, or the path of a Unix socket.
        """
        return self._sockets.pop((kind, address), None)

    def left(self) -> list[str]:
        """Name the sockets that nobody has taken, such as ``udp:127.0.0.1:5060``."""
        return [_name(kind, address) for kind, address in self._sockets]

    def close(self) -> None:
        """Close those."""
        for one in self._sockets.values():
            one.close()
        self._sockets.clear()


def _address(one: socket.socket) -> tuple[str, int] | str:
    name = one.getsockname()
    if one.family == socket.AF_UNIX:
        return str(name)
    return (name[0], name[1])


def _name(kind: int, address: tuple[str, int] | str) -> str:
    if isinstance(address, str):
        return f"unix:{address}"
    host, port = address
    transport = "udp" if kind == socket.SOCK_DGRAM else "tcp"
    return f"{transport}:{f'[{host}]' if ':' in host else host}:{port}"
