"""A relay between two servers that loses, doubles, delays and cuts what they say."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import socket
from random import Random

from .phone import Address
from .worker import Worker

LONGEST_DELAY = 0.5
"""Seconds by which a datagram or a part of a stream is late, at most."""

CONNECT = 1.0


class Relay(Worker):
    """
    Passes on what comes to its address, by UDP and by TCP, to a server, and back.

    Args:
        server: where the server listens, by both.
        loss: how often a datagram is lost, from 0 to 1; also how often it is doubled
            and delayed. What comes by a stream is delayed, and the stream is cut.
    """

    def __init__(self, server: Address, *, loss: float, random: Random) -> None:
        # The same port for both, as the server itself has.
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        super().__init__(port=self._listener.getsockname()[1])
        self.loss = loss
        self._server = server
        self._random = random
        self._numbers = itertools.count()
        # What is delayed: when it is due, and where it goes.
        self._delayed: list[tuple[float, int, bytes, Address]] = []
        self._client: Address | None = None
        self._streams: dict[socket.socket, socket.socket] = {}
        self._cut_until = 0.0

    def cut(self, until: float) -> None:
        """End all streams, and pass nothing on until then (``time.monotonic``)."""
        with self.lock:
            self._cut_until = until
            self._hang_up()

    # As a worker.

    def close(self) -> None:
        self._hang_up()
        self._listener.close()
        super().close()

    def sockets(self) -> list[socket.socket]:
        return [self.udp, self._listener, *self._streams]

    def tick(self, now: float) -> float | None:
        while self._delayed and self._delayed[0][0] <= now:
            _, _, data, to = heapq.heappop(self._delayed)
            self._send(data, to)
        return self._delayed[0][0] if self._delayed else None

    def readable(self, ready: socket.socket, now: float) -> None:
        if ready is self.udp:
            self._pass_datagram(now)
        elif ready is self._listener:
            self._accept(now)
        elif ready in self._streams:
            self._pass_stream(ready)

    # How.

    def _pass_datagram(self, now: float) -> None:
        try:
            data, source = self.udp.recvfrom(65535)
        except ConnectionRefusedError:
            return  # the server is down just now
        if source != self._server:
            self._client = source
        to = self._client if source == self._server else self._server
        if to is None or now < self._cut_until:
            return
        random = self._random
        if random.random() < self.loss:
            return
        if random.random() < self.loss:
            self._send(data, to)
        late = random.uniform(0, LONGEST_DELAY) if random.random() < self.loss else 0.0
        heapq.heappush(self._delayed, (now + late, next(self._numbers), data, to))

    def _send(self, data: bytes, to: Address) -> None:
        with contextlib.suppress(ConnectionRefusedError):
            self.udp.sendto(data, to)

    def _accept(self, now: float) -> None:
        one, _ = self._listener.accept()
        if now < self._cut_until:
            one.close()
            return
        try:
            other = socket.create_connection(self._server, CONNECT)
        except OSError:
            one.close()
            return
        self._streams |= {one: other, other: one}

    def _pass_stream(self, ready: socket.socket) -> None:
        other = self._streams[ready]
        try:
            data = ready.recv(65535)
            if data:
                other.settimeout(CONNECT)
                other.sendall(data)
                # Now and then a stream ends in the middle of it.
                if self._random.random() < self.loss / 100:
                    data = b""
        except OSError:
            data = b""
        if not data:
            self._drop(ready)

    def _drop(self, one: socket.socket) -> None:
        other = self._streams.pop(one, None)
        if other is not None:
            self._streams.pop(other, None)
            other.close()
        one.close()

    def _hang_up(self) -> None:
        for one in list(self._streams):
            self._drop(one)
