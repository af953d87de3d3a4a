"""Messages out of a stream (RFC 3261 §18.3), and keep-alives (RFC 5626 §3.5.1)."""

from __future__ import annotations

import re

from .errors import RemoteProtocolError
from .message import MAX_MESSAGE

PING = b"\r\n\r\n"
PONG = b"\r\n"

_LENGTH = re.compile(rb"\r\n(?:content-length|l)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)


class Framer:
    """
    The receiving end of one stream.

    Octets go in by :meth:`receive` in whatever pieces they come, and whole messages
    come out. After an error the stream cannot be made sense of, and must be closed.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._wanted: int | None = None
        "Length of the message at the start of the buffer, once its head is there."

        self.pongs = 0
        "How many pings have come that are to be answered by a :data:`PONG` each."

    def receive(self, data: bytes) -> list[bytes]:
        """
        Take in the next octets; return the messages that they complete.

        Raises:
            RemoteProtocolError: 513 for a message that is too long, 400 for one whose
                end cannot be told.
        """
        buffer = self._buffer
        buffer += data
        messages = []
        while buffer:
            if self._wanted is None and not self._find_head():
                break
            assert self._wanted is not None
            if len(buffer) < self._wanted:
                break
            messages.append(bytes(buffer[: self._wanted]))
            del buffer[: self._wanted]
            self._searched, self._wanted = 0, None
        return messages

    def _find_head(self) -> bool:
        """Find how long the next message is; False if its head is not there yet."""
        buffer = self._buffer
        self._skip_blank_lines()
        end = buffer.find(b"\r\n\r\n", self._searched)
        if end < 0:
            if len(buffer) > MAX_MESSAGE:
                raise RemoteProtocolError("Message Too Large", status=513)
            # The end of the head may itself come in pieces.
            self._searched = max(0, len(buffer) - 3)
            return False
        lengths = _LENGTH.findall(buffer, 0, end)
        # §18.3: on a stream it "MUST be used"; absent, there is no body.
        if len(set(lengths)) > 1:
            raise RemoteProtocolError("two values of Content-Length")
        length = bytes(lengths[0]).strip() if lengths else b"0"
        if not length.isdigit():
            raise RemoteProtocolError("malformed Content-Length")
        # First its own length: int refuses thousands of digits.
        if len(length) > 9 or end + 4 + int(length) > MAX_MESSAGE:
            raise RemoteProtocolError("Message Too Large", status=513)
        self._wanted = end + 4 + int(length)
        return True

    def _skip_blank_lines(self) -> None:
        """Before a message there may be keep-alives, and stray ends of lines."""
        buffer = self._buffer
        while buffer.startswith(PING):
            self.pongs += 1
            del buffer[: len(PING)]
            self._searched = 0
        # One CRLF alone is a pong, or half of a ping: what follows will tell.
        while buffer.startswith(b"\r\n") and len(buffer) > 3:
            del buffer[:2]
            self._searched = 0
