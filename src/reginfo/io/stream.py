"""One connection: messages on TCP, inside of TLS and WebSocket if it has these."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from typing import Protocol

from ..sip.errors import RemoteProtocolError
from ..sip.flow import Address, Flow, Local, uri_host, with_scope
from .crowd import Crowd
from .secured import Secured
from .udp import Receive, Trace

logger = logging.getLogger("reginfo.transport")

READ = 65_536
"""
The number of octets read at once. asyncio's default of 256 KiB costs an mmap per read
(cpython #85451).
"""

READ_ON = 65_536
"""
The number of unsent octets beyond which no more requests are read from a stream: a peer
that does not read its responses gets no more of them.
"""

PROBES = (120, 30, 4)
"""
Seconds of silence before the first TCP keep-alive and between two of them, and the
number without an answer that end a stream. Linux alone waits for two hours.
"""

_PROBES = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)

UNACKNOWLEDGED = 20_000
"""
Milliseconds for which the peer's host may acknowledge nothing of what was sent, before
the stream counts as lost (TCP_USER_TIMEOUT, RFC 5482). Linux alone waits for a quarter
of an hour, and a link would be stalled for as long.
"""

HANDSHAKE = 10.0
"""Seconds that the handshakes of TLS and WebSocket may take together."""

LINGER = 180.0
"""
Seconds for which a stream that the peer has shut down is kept open for pending
responses: Timer C, the longest that an INVITE may take (§16.6 step 11).
"""

GOODBYE = 1.0
"""Seconds that the other side has to read why its connection ends, and to close it."""

RESPONSE = b"SIP/2.0 "
"""The beginning of every response, and of no request."""


_VIA = re.compile(rb"\n(?:via|v)[ \t]*:", re.IGNORECASE)
_ESTABLISHING = re.compile(
    rb"\ncseq[ \t]*:[ \t]*\d+[ \t]+(?:REGISTER|SUBSCRIBE)", re.IGNORECASE
)


class Framing(Protocol):
    """
    Finds messages in octets: :class:`reginfo.sip.framing.Framer`, or
    :class:`reginfo.io.websocket.WebSocketFraming`.
    """

    error: RemoteProtocolError | None
    broken: bytes
    says_why: bool
    "Whether the other side is told about `error`, and closes the connection then."

    @property
    def is_open(self) -> bool:
        """Whether messages may be sent."""

    @property
    def is_unfinished(self) -> bool:
        """Whether a message has begun and is not complete."""

    def receive(self, data: bytes) -> list[bytes]:
        """Receive octets; return the messages that they complete."""

    def octets_to_send(self) -> bytes:
        """Return what the framing itself has to send."""

    def write(self, message: bytes) -> bytes:
        """Return a message as it is sent."""


class StreamOwner(Protocol):
    """What a stream needs of its :class:`reginfo.io.tcp.StreamTransport`."""

    local: Local
    receive: Receive
    trace: Trace | None
    crowd: Crowd
    is_stopped: bool

    def settle(self) -> None:
        """Make a turn from what was received."""

    def secured(self, name: str) -> Secured | None:
        """Begin TLS on a connection, if it has that."""

    def framing(self) -> Framing:
        """Begin to look for messages on a connection."""

    def add(self, place: Place, stream: SocketStream) -> None:
        """Add a stream that is open."""

    def end(self, place: Place, stream: SocketStream) -> None:
        """Use a stream only for pending responses."""

    def remove(self, place: Place, stream: SocketStream) -> None:
        """Remove a stream that was closed."""


Place = tuple[Address, str]
"""The other end of a stream, and the name that its certificate was checked for."""


class SocketStream(asyncio.Protocol):
    """
    One connection.

    Args:
        name: for a secure connection that we open, the SIP domain that its certificate
            must be for; empty for any other.
        is_ours: whether this server opens it.
    """

    def __init__(
        self, owner: StreamOwner, name: str = "", *, is_ours: bool = False
    ) -> None:
        self._owner = owner
        self._crowd = owner.crowd
        self._is_established = is_ours
        self._loop = asyncio.get_running_loop()
        self._name = name
        self._framing = owner.framing()
        self._secured = owner.secured(name)
        self._place: Place = (("", 0), name)
        self._unanswered = 0
        "The number of received requests without a final response."

        self._is_added = False
        self._is_ending = False
        self._linger: asyncio.TimerHandle | None = None
        self._handshake: asyncio.TimerHandle | None = None
        self.opened: asyncio.Future[None] = self._loop.create_future()
        "Is done when the stream can be used, or cannot be opened; see `problem`."

        self.problem = "connection reset"
        "Why it could not be opened."

    @property
    def owes_responses(self) -> bool:
        """Whether the peer waits for a response."""
        return self._unanswered > 0

    @property
    def identities(self) -> frozenset[str]:
        """The SIP domains of the certificate of the other side, if it has shown one."""
        secured = self._secured
        return frozenset() if secured is None else secured.identities

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        if peer is None:
            transport.abort()  # it was reset before its peer could be determined
            return
        transport.max_size = READ  # type: ignore[attr-defined]
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED
        )
        for option, value in zip(_PROBES, PROBES, strict=True):
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
        # Beyond the upper mark `pause_writing` is called.
        transport.set_write_buffer_limits(READ_ON)
        remote = (with_scope(peer), peer[1])
        enter = self._crowd.enter_opened if self._is_established else self._crowd.enter
        enter(self, remote[0], self._loop.time())
        self._place = (remote, self._name)
        self._flow = Flow(self._owner.local, *self._place)
        if self._secured is None and self._framing.is_open:
            self._add()
            return
        self._handshake = self._loop.call_later(
            HANDSHAKE, self._give_up, f"no handshake within {HANDSHAKE:g} s"
        )
        if self._secured is not None:
            self._decrypt(b"")  # a client begins

    def data_received(self, data: bytes) -> None:
        if self._framing.error is not None:
            return  # it is only waited until the other side has read why
        if self._secured is not None:
            data = self._decrypt(data)
            if not data:
                return
        framing = self._framing
        messages = framing.receive(data)
        if (answer := framing.octets_to_send()) and self._can_write():
            self._write(answer)
        if not self._is_added and framing.is_open:
            self._add()
        self._note(bool(messages))
        for message in messages:
            self._take(message)
        if messages:
            self._owner.settle()
        if framing.error is not None:
            self._refuse()
        elif self._secured is not None and self._secured.is_over:
            self._shut_down()

    def eof_received(self) -> bool:
        """
        Keep the connection open for pending responses.

        The peer has shut down only its side (§18.2.2: responses are sent on the
        connection of the request while it is open).
        """
        self._end()
        return self.owes_responses

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._linger, self._handshake):
            if timer is not None:
                timer.cancel()
        self._crowd.leave(self)
        self._owner.remove(self._place, self)
        if not self.opened.done():
            self.opened.set_result(None)

    def send(self, data: bytes) -> None:
        """Write a message, or abort the stream of a peer that does not read."""
        if not self._can_write():
            return
        try:
            octets = self._framing.write(data)
        except RemoteProtocolError as exc:
            self._give_up(str(exc))
            return
        self._write(octets)
        owner = self._owner
        if owner.trace is not None:
            owner.trace(">", data, (owner.local.host, owner.local.port), self._place[0])
        if self._unanswered and data.startswith(RESPONSE) and data[8:9] != b"1":
            self._unanswered -= 1
            if not self._is_established and data[8:9] == b"2":
                if _ESTABLISHING.search(data):
                    self._is_established = True
                    self._crowd.establish(self, self._loop.time())
            if self._is_ending and not self._unanswered:
                self.close()

    def ping(self) -> None:
        """Ping a WebSocket client; close the stream if the last ping got no answer."""
        ping = getattr(self._framing, "ping", None)
        if ping is None or not self._is_added:
            return
        if ping():
            self._write(self._framing.octets_to_send())
        else:
            self._give_up("no answer to a ping")

    def pause_writing(self) -> None:
        """Stop reading requests of a peer that does not read their responses."""
        self.pause()

    def resume_writing(self) -> None:
        """Read on, because the peer reads again."""
        if not (self._is_ending or self._owner.is_stopped):
            self._transport.resume_reading()

    def pause(self) -> None:
        """Stop receiving."""
        if self._transport.is_reading():
            self._transport.pause_reading()

    def close(self) -> None:
        """Close the stream when everything that was written has been sent."""
        if close := getattr(self._framing, "close", None):
            close()
            self._write(self._framing.octets_to_send())
        if self._secured is not None:
            self._secured.close()
            self._transport.write(self._secured.octets_to_send())
        self._transport.close()

    def abort(self) -> None:
        """Close the stream, and lose what was not sent."""
        self._transport.abort()

    def __str__(self) -> str:
        """As a log names it: ``tls 192.0.2.50:5061``."""
        (host, port), _ = self._place
        return f"{self._owner.local.transport.token} {uri_host(host)}:{port}"

    def _note(self, is_whole: bool) -> None:
        """Report whether a whole message has come, and whether another has begun."""
        crowd, now = self._crowd, self._loop.time()
        if is_whole:
            crowd.heard(self, now)
        is_unfinished = self._framing.is_unfinished
        if is_whole or not is_unfinished:
            crowd.finished(self)
        if is_unfinished:
            crowd.begun(self, now)

    def _can_write(self) -> bool:
        """Whether more may be written; otherwise the stream is aborted."""
        most = self._crowd.limits.unsent
        if self._transport.get_write_buffer_size() <= most or not most:
            return True
        logger.warning("! %s:%d does not read: stream closed", *self._place[0])
        self._crowd.unread += 1
        self._transport.abort()
        return False

    def _add(self) -> None:
        """Report that the stream can be used."""
        self._is_added = True
        if self._handshake is not None:
            self._handshake.cancel()
        self._owner.add(self._place, self)
        if not self.opened.done():
            self.opened.set_result(None)

    def _give_up(self, problem: str) -> None:
        """Abort a stream, and log why."""
        self._log_problem(problem)
        self._transport.abort()

    def _log_problem(self, problem: str) -> None:
        self.problem = problem
        # Whom we connect to is configured, or asked for; who connects is anybody.
        level = logging.WARNING if self._name else logging.INFO
        logger.log(level, "! %s: %s", self, problem)

    def _decrypt(self, data: bytes) -> bytes:
        """Return what TLS brings, and send what it has to send."""
        secured = self._secured
        assert secured is not None
        try:
            plain = secured.receive(data)
        except RemoteProtocolError as exc:
            self._transport.write(secured.octets_to_send())
            if not self._transport.is_closing():
                self._log_problem(f"TLS: {exc}")
                self._transport.close()
            return b""
        self._transport.write(secured.octets_to_send())
        if secured.is_open and not self._is_added and self._framing.is_open:
            self._add()
        if secured.is_over and not plain:
            self._shut_down()
        return plain

    def _write(self, octets: bytes) -> None:
        """Write octets, encrypted if the stream is."""
        if self._secured is not None and octets:
            try:
                self._secured.write(octets)
            except RemoteProtocolError as exc:
                self._give_up(str(exc))
                return
            octets = self._secured.octets_to_send()
        self._transport.write(octets)

    def _take(self, message: bytes) -> None:
        owner = self._owner
        if owner.trace is not None:
            owner.trace(
                "<", message, (owner.local.host, owner.local.port), self._place[0]
            )
        if not message.startswith((RESPONSE, b"ACK ")):
            self._unanswered += 1
        owner.receive(message, self._flow)

    def _refuse(self) -> None:
        """
        Stop reading the stream after a message whose end is unknown (§18.3).

        The message itself is answered if its head can be parsed.
        """
        framing = self._framing
        logger.info("! %s: stream closed: %s", self, framing.error)
        if framing.says_why:
            # With octets unread, a close would be a reset, which may overtake that.
            self._end()
            if self._linger is not None:
                self._linger.cancel()
            loop = asyncio.get_running_loop()
            self._linger = loop.call_later(GOODBYE, self._transport.close)
            return
        self.pause()
        # Without a Via there is no response, and nothing to wait for.
        if _VIA.search(framing.broken):
            self._take(framing.broken)
        self._shut_down()

    def _shut_down(self) -> None:
        """Close the stream as soon as all pending responses have been sent."""
        self._end()
        if not self._unanswered:
            self.close()

    def _end(self) -> None:
        if self._is_ending:
            return
        self._is_ending = True
        self._owner.end(self._place, self)
        self._linger = self._loop.call_later(LINGER, self._transport.close)
        self._owner.settle()
