"""A peer that takes UDP, and TCP or not: what comes to it by which of the two."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Literal

from .phone import (
    DOMAIN,
    Address,
    Message,
    answer_headers,
    free_port,
    response,
    take_message,
)
from .worker import Worker

Kind = Literal["takes", "refuses", "resets", "drops"]
"""What becomes of a TCP connection; one whose SYN is dropped is never answered."""

KINDS: tuple[Kind, ...] = ("takes", "refuses", "resets", "drops")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request, and how and when it came."""

    message: Message
    transport: str
    at: float
    "On the monotonic clock."


class Peer(Worker):
    """Answers every request 200, as a watcher, a notifier or a presence server."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(port=free_port())
        self.kind = kind
        self.connections = 0
        "How many it has taken, or reset."

        self.extra: dict[str, list[str]] = {}
        "Header lines that its answers have, too, by method."

        self.status: dict[str, tuple[int, str]] = {}
        "What it answers other than 200, by method."

        self._arrivals: list[Arrival] = []
        self._cseq = 0
        self._streams: dict[socket.socket, bytearray] = {}
        self._listener: socket.socket | None = None
        self._full: list[socket.socket] = []
        if kind != "refuses":
            self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._listener.bind(self.address)
            self._listener.listen(0 if kind == "drops" else 10)
        if kind == "drops":
            # A queue of connections that nobody accepts holds one more than it was
            # asked to; after that, the kernel drops each SYN.
            for _ in range(3):
                one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                one.setblocking(False)
                one.connect_ex(self.address)
                self._full.append(one)

    def arrivals(self, method: str) -> list[Arrival]:
        """The requests of this method, retransmissions but once."""
        with self.lock:
            found = [a for a in self._arrivals if a.message.method == method]
        return list({a.message.branch: a for a in reversed(found)}.values())[::-1]

    def subscribe(self, server: Address, user: str) -> None:
        """Watch ``user``, by UDP."""
        aor = f"sip:{user}@{DOMAIN}"
        me = f"127.0.0.1:{self.port}"
        lines = [
            f"SUBSCRIBE {aor} SIP/2.0",
            f"Via: SIP/2.0/UDP {me};branch=z9hG4bKwatch{self.port}",
            "Max-Forwards: 70",
            f"From: <sip:watcher@{DOMAIN}>;tag=w{self.port}",
            f"To: <{aor}>",
            f"Call-ID: watch-{self.port}",
            "CSeq: 1 SUBSCRIBE",
            f"Contact: <sip:watcher@{me}>",
            "Event: reg",
            "Expires: 3600",
            "Content-Length: 0",
        ]
        self.udp.sendto("\r\n".join([*lines, "", ""]).encode(), server)

    def register(self, server: Address, aor: str) -> None:
        """Register this address for ``aor``, by UDP; the answer is not awaited."""
        self._cseq += 1
        me = f"127.0.0.1:{self.port}"
        lines = [
            f"REGISTER sip:{aor.partition('@')[2]} SIP/2.0",
            f"Via: SIP/2.0/UDP {me};branch=z9hG4bKregister{self.port}n{self._cseq}",
            "Max-Forwards: 70",
            f"From: <{aor}>;tag=r{self.port}",
            f"To: <{aor}>",
            f"Call-ID: register-{self.port}",
            f"CSeq: {self._cseq} REGISTER",
            f"Contact: <sip:user@{me}>",
            "Expires: 600",
            "Content-Length: 0",
        ]
        self.udp.sendto("\r\n".join([*lines, "", ""]).encode(), server)

    def close(self) -> None:
        super().close()
        if self._listener is not None:
            self._listener.close()
        for stream in [*self._streams, *self._full]:
            stream.close()

    def sockets(self) -> list[socket.socket]:
        sockets = [self.udp, *self._streams]
        if self._listener is not None and self.kind != "drops":
            sockets.append(self._listener)
        return sockets

    def readable(self, ready: socket.socket, now: float) -> None:
        if ready is self.udp:
            data, source = ready.recvfrom(65535)
            message = Message.parse(data, source)
            if not message.status:
                self._arrivals.append(Arrival(message, "UDP", now))
                ready.sendto(self._answer(message), source)
        elif ready is self._listener:
            self._accept(ready)
        else:
            self._read(ready, now)

    def _accept(self, listener: socket.socket) -> None:
        stream, _ = listener.accept()
        self.connections += 1
        if self.kind == "resets":
            # With nothing to linger for, a close is a reset.
            linger = struct.pack("ii", 1, 0)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            stream.close()
        else:
            self._streams[stream] = bytearray()

    def _read(self, stream: socket.socket, now: float) -> None:
        buffer = self._streams[stream]
        data = stream.recv(65535)
        buffer += data
        if not data:
            stream.close()
            del self._streams[stream]
            return
        while (found := take_message(buffer, lambda: None)) is not None:
            message = Message.parse(found, self.address)
            self._arrivals.append(Arrival(message, "TCP", now))
            stream.sendall(self._answer(message))

    def _answer(self, request: Message) -> bytes:
        status, reason = self.status.get(request.method, (200, "OK"))
        headers = answer_headers(request, f"127.0.0.1:{self.port}")
        headers += self.extra.get(request.method, [])
        return response(request, status, reason, headers)
