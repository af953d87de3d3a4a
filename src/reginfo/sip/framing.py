"""Splits a stream into messages (RFC 3261 §18.3) and keep-alives (RFC 5626 §3.5.1)."""

from __future__ import annotations

import re

from .errors import RemoteProtocolError

MAX_MESSAGE = 1 << 20
"""The default maximum size of a message on a stream, in octets."""

PING = b"\r\n\r\n"
PONG = b"\r\n"

# The same rule as in `parser`: if the first line of a head ends with CRLF, all lines
# do; if it ends with a bare LF, all lines end with LF.
_BARE_END = re.compile(rb"\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_LENGTH = re.compile(
    rb"^(?:content-length|l)[ \t]*:([^\n]*)", re.IGNORECASE | re.MULTILINE
)


class Framer:
    """
    The receiving end of one stream.

    :meth:`receive` takes octets in pieces of any size, and returns complete messages.
    If :attr:`error` is set, the end of a message cannot be determined: the framer
    returns nothing more, and the stream must be closed.

    Args:
        max_message: the maximum size of a message, in octets.
        max_head: the maximum size of its head; 0 if only that of the message counts.
    """

    def __init__(self, max_message: int = MAX_MESSAGE, max_head: int = 0) -> None:
        self._max_message = max_message
        self._max_head = min(max_head or max_message, max_message)
        self._buffer = bytearray()
        self._searched = 0
        self._wanted: int | None = None
        "The size of the message at the start of the buffer, once its head is complete."

        self.pongs = 0
        "The number of received pings; each is answered with a :data:`PONG`."

        self.error: RemoteProtocolError | None = None
        "513 for a message that is too long, 400 for one without a valid length."

        self.broken = b""
        "The head of the message that `error` is about, as far as it was received."

    is_open = True
    "There is no handshake."

    says_why = False
    "A stream has nothing but messages."

    @property
    def is_unfinished(self) -> bool:
        """Whether a message has begun and is not complete."""
        buffer = self._buffer
        # A line end may be a pong, or half of a ping.
        return len(buffer) > 3 or bool(buffer.strip(b"\r\n"))

    def receive(self, data: bytes) -> list[bytes]:
        """
        Receive the next octets; return the messages that they complete.

        Messages before an invalid one are returned.
        """
        if self.error is not None:
            return []
        buffer = self._buffer
        buffer += data
        messages = []
        while buffer:
            if self._wanted is None:
                try:
                    if not self._find_head():
                        break
                except RemoteProtocolError as exc:
                    self.error = exc
                    buffer.clear()
                    break
            assert self._wanted is not None
            if len(buffer) < self._wanted:
                break
            messages.append(bytes(buffer[: self._wanted]))
            del buffer[: self._wanted]
            self._searched, self._wanted = 0, None
        return messages

    def octets_to_send(self) -> bytes:
        """Return the answers to the pings since the last call."""
        pongs, self.pongs = self.pongs, 0
        return PONG * pongs

    def write(self, message: bytes) -> bytes:
        """Return a message as it is sent on a stream: unchanged."""
        return message

    def _find_head(self) -> bool:
        """Find the size of the next message; False if its head is not complete."""
        buffer = self._buffer
        self._skip_blank_lines()
        end = self._end_of_head()
        if end < 0:
            if len(buffer) > self._max_head:
                self.broken = bytes(buffer)
                raise RemoteProtocolError("Message Too Large", status=513)
            # The end of the head may arrive in pieces.
            self._searched = max(0, len(buffer) - 3)
            return False
        head = bytes(buffer[:end])
        try:
            # A head that is too long is refused for that, as if it came in pieces.
            length = content_length(head) if end <= self._max_head else -1
            if length < 0 or end + length > self._max_message:
                raise RemoteProtocolError("Message Too Large", status=513)
        except RemoteProtocolError:
            self.broken = head
            raise
        self._wanted = end + length
        return True

    def _end_of_head(self) -> int:
        """Return the offset of the body; -1 if the head is not complete."""
        buffer = self._buffer
        first = buffer.find(b"\n")
        if first > 0 and buffer[first - 1] == 13:
            end = buffer.find(b"\r\n\r\n", self._searched)
            return end if end < 0 else end + 4
        found = _BARE_END.search(buffer, self._searched)
        return -1 if found is None else found.end()

    def _skip_blank_lines(self) -> None:
        """Skip keep-alives and stray line ends before a message (§7.5)."""
        buffer = self._buffer
        while True:
            if buffer.startswith(PING):
                self.pongs += 1
                skipped = len(PING)
            elif buffer.startswith(b"\n"):
                skipped = 1
            elif buffer.startswith(b"\r\n") and len(buffer) > 3:
                # A single CRLF is a pong, or half of a ping: the next octets decide.
                skipped = 2
            else:
                return
            del buffer[:skipped]
            self._searched = 0


def content_length(head: bytes) -> int:
    """
    Return the Content-Length of a message's head; -1 for one beyond any limit.

    §18.3: on a stream the header "MUST be used"; without it, there is no body.

    Raises:
        RemoteProtocolError: it is not a number, or there are two different ones.
    """
    if b"\n " in head or b"\n\t" in head:
        head = _FOLD.sub(b" ", head)
    lengths = {value.strip(b" \t\r") for value in _LENGTH.findall(head)}
    if not lengths:
        return 0
    if len(lengths) > 1:
        raise RemoteProtocolError("two values of Content-Length")
    length = lengths.pop()
    if not length.isdigit():
        raise RemoteProtocolError("malformed Content-Length")
    # int() refuses a number with thousands of digits, even zeros.
    length = length.lstrip(b"0") or b"0"
    return int(length) if len(length) < 10 else -1
