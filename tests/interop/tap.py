"""A wire tap: what is said to a server, and is answered; it can answer itself."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from .phone import Address, Message, response
from .worker import Worker


@dataclass(slots=True)
class Exchange:
    """A request and the statuses of what it was answered."""

    request: Message
    copies: int = 1
    "How often it was sent, itself counted."

    answers: list[Message] = field(default_factory=list)
    refusal: bytes = b""
    "What the tap answered in the place of the server."

    @property
    def status(self) -> int | None:
        """Of the last answer; None if there was none."""
        return self.answers[-1].status if self.answers else None


class Tap(Worker):
    """
    Passes datagrams on to ``server`` and back, and keeps what they said.

    Requests come from one client at a time, and none from the server.
    """

    def __init__(self, server: Address) -> None:
        super().__init__()
        self._server = server
        self._client: Address | None = None
        self._exchanges: dict[str, Exchange] = {}
        self._refusals: list[tuple[int, Sequence[str]]] = []

    def refuse(self, status: int, *headers: str) -> None:
        """Answer the next request like this; the server does not hear of it."""
        with self.lock:
            self._refusals.append((status, headers))

    def exchanges(self) -> list[Exchange]:
        """All requests so far, each once, in their order."""
        with self.lock:
            return list(self._exchanges.values())

    def forget(self) -> None:
        """Begin to count anew."""
        with self.lock:
            self._exchanges.clear()

    def readable(self, ready: socket.socket, now: float) -> None:
        try:
            data, source = ready.recvfrom(65535)
        except ConnectionRefusedError:
            return  # the server is down just now
        message = Message.parse(data, source)
        if source == self._server:
            if (exchange := self._exchanges.get(message.branch)) is not None:
                exchange.answers.append(message)
            if self._client is not None:
                ready.sendto(data, self._client)
            return
        self._client = source
        known = self._exchanges.get(message.branch)
        if known is not None:
            known.copies += 1
        else:
            known = self._exchanges[message.branch] = Exchange(message)
            if self._refusals:
                status, headers = self._refusals.pop(0)
                known.refusal = response(message, status, "-", headers)
                known.answers.append(Message.parse(known.refusal, self.address))
        if known.refusal:
            ready.sendto(known.refusal, source)
            return
        if "rport" not in message["via"]:
            # Else the answer does not come by here (RFC 3581), but by the sent-by.
            data = data.replace(b";branch=", b";rport;branch=", 1)
        ready.sendto(data, self._server)
