"""SIP over WebSocket on one connection, between octets and messages (RFC 7118)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from websockets.exceptions import InvalidState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from ..sip.errors import RemoteProtocolError
from ..sip.framing import PING, PONG

logger = logging.getLogger("reginfo.transport.websocket")
logger.setLevel(logging.WARNING)  # the stream logs what has failed, in one line

SIP = Subprotocol("sip")
"""The subprotocol that a client must offer (§4.1)."""

DATA = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})


class WebSocketFraming:
    """
    The server's side of one connection, in the place of a
    :class:`reginfo.sip.framing.Framer`: one message of WebSocket is one of SIP (§5).

    Args:
        origins: the origins of web pages that may connect; None for all of them. A
            client that sends none may always connect.
        max_message: the maximum size of a message, in octets.
    """

    def __init__(self, origins: Sequence[str] | None, max_message: int) -> None:
        self._protocol = ServerProtocol(
            origins=None if origins is None else [*map(Origin, origins), None],
            subprotocols=[SIP],
            max_size=max_message,
            logger=logger,
        )
        self._pieces: list[bytes] = []
        "The fragments of a message that is not complete."

        self._awaited: bytes | None = None
        "The payload of the last ping, until it is answered."

        self._pings = 0
        self.error: RemoteProtocolError | None = None
        "Why the connection must be closed, when what is to be sent has been sent."

        self.broken = b""
        "Nothing: a message that is too long is not kept."

    is_unfinished = False
    "Pings find out who leaves a message unfinished."

    says_why = True
    "By a response of HTTP, or by a frame."

    @property
    def is_open(self) -> bool:
        """Whether the handshake is over, and messages may be sent."""
        return self._protocol.state is State.OPEN

    def receive(self, data: bytes) -> list[bytes]:
        """Receive the next octets; return the messages that they complete."""
        if self.error is not None:
            return []
        self._protocol.receive_data(data)
        messages = []
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._accept(event)
            elif isinstance(event, Frame):
                message = self._take(event)
                if message is not None:
                    messages.append(message)
        if self.error is None and self._protocol.state is not State.OPEN:
            self._note_end()
        return messages

    def octets_to_send(self) -> bytes:
        """Return what WebSocket itself has to send: the handshake, pongs, an end."""
        return b"".join(self._protocol.data_to_send())

    def write(self, message: bytes) -> bytes:
        """
        Return a message as it is sent: as text, or as binary if it is not UTF-8 (§4.2).

        Raises:
            RemoteProtocolError: the connection is being closed.
        """
        try:
            message.decode()
        except UnicodeDecodeError:
            send = self._protocol.send_binary
        else:
            send = self._protocol.send_text
        try:
            send(message)
        except InvalidState as exc:
            raise RemoteProtocolError("the connection is being closed") from exc
        return self.octets_to_send()

    def ping(self) -> bool:
        """Send a ping; returns False if the last one has not been answered."""
        if not self.is_open:
            return False
        if self._awaited is not None:
            return False
        self._pings += 1
        self._awaited = b"%d" % self._pings
        self._protocol.send_ping(self._awaited)
        return True

    def close(self) -> None:
        """Say that the server goes away (RFC 6455 §7.4.1)."""
        if self.is_open:
            self._protocol.send_close(CloseCode.GOING_AWAY)

    def _accept(self, request: Request) -> None:
        response = self._protocol.accept(request)
        self._protocol.send_response(response)
        if response.status_code != 101:
            why = self._protocol.handshake_exc or response.reason_phrase
            self.error = RemoteProtocolError(f"WebSocket refused: {why}")

    def _take(self, frame: Frame) -> bytes | None:
        """Return the message that a frame completes; None if there is none."""
        if frame.opcode is Opcode.PONG:
            if bytes(frame.data) == self._awaited:
                self._awaited = None
            return None
        if frame.opcode not in DATA:
            return None
        self._pieces.append(bytes(frame.data))
        if not frame.fin:
            return None
        message = b"".join(self._pieces)
        self._pieces.clear()
        if message.strip(b"\r\n"):
            return message
        if message == PING and self.is_open:
            self._protocol.send_text(PONG)  # RFC 5626 §3.5.1; RFC 7118 §6
        return None

    def _note_end(self) -> None:
        """Note that the connection has ended, or cannot go on."""
        protocol = self._protocol
        if protocol.state is State.CONNECTING and protocol.handshake_exc is None:
            return  # the rest of the request is still to come
        left = f"the client left: {protocol.close_rcvd}"
        why = protocol.handshake_exc or protocol.parser_exc or left
        self.error = RemoteProtocolError(str(why))
