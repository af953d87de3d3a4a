"""A wire tap: what a server of ours says to a presence server, and is answered."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from .phone import Address, Message
from .worker import Worker


@dataclass(slots=True)
class Exchange:
    """A request and the statuses of what it was answered."""

    request: Message
    copies: int = 1
    "How often it was sent, itself counted."

    answers: list[Message] = field(default_factory=list)

    @property
    def status(self) -> int | None:
        """Of the last answer; None if there was none."""
        return self.answers[-1].status if self.answers else None


class Tap(Worker):
    """Passes datagrams on to ``server`` and back, and keeps what they said."""

    def __init__(self, server: Address) -> None:
        super().__init__()
        self._server = server
        self._client: Address | None = None
        self._exchanges: dict[str, Exchange] = {}

    def exchanges(self) -> list[Exchange]:
        """All requests so far, each once, in their order."""
        with self.lock:
            return list(self._exchanges.values())

    def forget(self) -> None:
        """Begin to count anew."""
        with self.lock:
            self._exchanges.clear()

    def passed(self, data: bytes, source: Address) -> bytes | None:
        """What is passed on of a datagram; None if nothing is."""
        return data

    def readable(self, ready: socket.socket, now: float) -> None:
        try:
            received, source = ready.recvfrom(65535)
        except ConnectionRefusedError:
            return  # the server is down just now
        data = self.passed(received, source)
        if data is None:
            return
        message = Message.parse(data, source)
        if source == self._server:
            if (exchange := self._exchanges.get(message.branch)) is not None:
                exchange.answers.append(message)
            if self._client is not None:
                ready.sendto(data, self._client)
            return
        self._client = source
        if message.branch in self._exchanges:
            self._exchanges[message.branch].copies += 1
        else:
            self._exchanges[message.branch] = Exchange(message)
        ready.sendto(data, self._server)
