"""
An HSS for the tests: it accepts every user that an S-CSCF asks for (Diameter Cx).

Of RFC 6733 and TS 29.229 it knows the exchange of capabilities, the watchdog, and
Server-Assignment; the profile that it answers with has the user's implicit identities.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from html import escape

from .worker import Worker

REALM = "example.test"
CX = 16777216
TGPP = 10415

CAPABILITIES, WATCHDOG, DISCONNECT, SERVER_ASSIGNMENT = 257, 280, 282, 301


class Hss(Worker):
    """
    Args:
        identities: All public identities of a user, of whom one is asked for.
    """

    def __init__(self, identities: Callable[[str], list[str]]) -> None:
        super().__init__()
        self._identities = identities
        self._listener = socket.create_server((self.udp.getsockname()[0], 0))
        self._streams: dict[socket.socket, bytearray] = {}
        self.assignments: list[tuple[str, int]] = []
        "Whom it was asked for, and Server-Assignment-Type: 1 registers, 5 ends that."

        self.watched = 0
        "How often a connection was found to live."

    @property
    def diameter(self) -> int:
        """The port at which it is asked."""
        port: int = self._listener.getsockname()[1]
        return port

    def close(self) -> None:
        super().close()
        for one in [self._listener, *self._streams]:
            one.close()

    def sockets(self) -> list[socket.socket]:
        return [self._listener, *self._streams]

    def readable(self, ready: socket.socket, now: float) -> None:
        if ready is self._listener:
            stream, _ = self._listener.accept()
            self._streams[stream] = bytearray()
            return
        buffer = self._streams[ready]
        try:
            data = ready.recv(65535)
        except ConnectionResetError:
            data = b""
        if not data:
            ready.close()
            del self._streams[ready]
            return
        buffer += data
        while len(buffer) >= 20 and len(buffer) >= _length(buffer, 1):
            message = bytes(buffer[: _length(buffer, 1)])
            del buffer[: len(message)]
            if message[4] & 0x80:
                ready.sendall(self._answer(message))

    def _answer(self, request: bytes) -> bytes:
        asked = dict(_avps(request[20:]))
        command = _length(request, 5)
        body = _avp(268, 2001) + _avp(264, "127.0.0.1") + _avp(296, REALM)
        if command == CAPABILITIES:
            address = b"\0\1" + socket.inet_aton("127.0.0.1")
            body += _avp(257, address) + _avp(266, TGPP) + _avp(269, "hss", flags=0)
            body += _avp(265, TGPP) + _application()
        elif command == SERVER_ASSIGNMENT:
            user, (kind,) = asked[601].decode(), struct.unpack(">I", asked[614])
            self.assignments.append((user, kind))
            body += _avp(263, asked[263]) + _application() + _avp(277, 1)
            body += _avp(1, asked[1]) + _avp(606, self._profile(user, asked[1]), TGPP)
        elif command == WATCHDOG:
            self.watched += 1
        head = bytes([1]) + (20 + len(body)).to_bytes(3, "big")
        return head + bytes([request[4] & 0x40]) + request[5:20] + body

    def _profile(self, user: str, private: bytes) -> str:
        identities = "".join(
            "<PublicIdentity><BarringIndication>0</BarringIndication>"
            f"<Identity>{escape(one)}</Identity></PublicIdentity>"
            for one in self._identities(user)
        )
        return (
            '<?xml version="1.0" encoding="UTF-8"?><IMSSubscription>'
            f"<PrivateID>{escape(private.decode())}</PrivateID>"
            f"<ServiceProfile>{identities}</ServiceProfile></IMSSubscription>"
        )


def _length(data: bytes | bytearray, at: int) -> int:
    return int.from_bytes(data[at : at + 3], "big")


def _avp(
    code: int, value: int | str | bytes, vendor: int = 0, flags: int = 64
) -> bytes:
    if isinstance(value, int):
        value = struct.pack(">I", value)
    data = value.encode() if isinstance(value, str) else value
    extra = struct.pack(">I", vendor) if vendor else b""
    size = 8 + len(extra) + len(data)
    head = struct.pack(">I", code) + bytes([flags | (0x80 if vendor else 0)])
    return head + size.to_bytes(3, "big") + extra + data + bytes(-size % 4)


def _application() -> bytes:
    return _avp(260, _avp(266, TGPP) + _avp(258, CX))


def _avps(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        size = _length(data, at + 5)
        head = 12 if data[at + 4] & 0x80 else 8
        yield struct.unpack_from(">I", data, at)[0], data[at + head : at + size]
        at += size + -size % 4
