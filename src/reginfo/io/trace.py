r"""
Writes every message on the wire to a file.

Each message follows a line with the time, the direction (``<`` received, ``>`` sent),
our address, the other address, and the number of octets. An empty line ends it.

    2026-01-31T12:00:00.000000Z < 127.0.0.1:5060 127.0.0.1:5070 417
    NOTIFY sip:b@127.0.0.1:5060 SIP/2.0
    ...

In credentials the values of `response` and `cnonce` are `***`, so that nobody guesses
the password by them. The file has the mode 0600.

The file is text, and safe to show on a terminal: control characters, and octets that
are not UTF-8, are written as ``\x1b``, and a backslash as ``\\``. Tabs and line ends
are not changed; in a line that looks like the line before a message, the first digit is
escaped.
"""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from .private import private

Address = tuple[str, int]


class Traced(Struct, frozen=True, kw_only=True):
    """One message."""

    at: datetime.datetime
    direction: str
    "``<`` received, ``>`` sent."

    local: str
    remote: str
    data: bytes


class TraceFile:
    """
    Appends messages to a file.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        # Unbuffered, so that a reader sees everything.
        self._file = open(path, "ab", buffering=0, opener=private)
        self._clock = clock

    def __call__(
        self, direction: str, data: bytes, local: Address, remote: Address
    ) -> None:
        at = datetime.datetime.fromtimestamp(self._clock(), datetime.UTC)
        text = escape(masked(data))
        head = (
            f"{at:%Y-%m-%dT%H:%M:%S.%fZ} {direction} {local[0]}:{local[1]}"
            f" {remote[0]}:{remote[1]} {len(text)}\n"
        )
        self._file.write(b"%b%b\n\n" % (head.encode(), text))

    def close(self) -> None:
        self._file.close()


_ANY = re.compile(rb"authorization", re.IGNORECASE)
_CREDENTIALS = re.compile(
    rb"(?im)^((?:proxy-)?authorization[ \t]*:)(.*(?:\r?\n[ \t].*)*)"
)
_PROOF = re.compile(rb"(?i)\b((?:response|cnonce)[ \t]*=[ \t]*)(\"[^\"]*\"?|[^,\s]*)")


def masked(data: bytes) -> bytes:
    """
    Return a message without what shows a password in its credentials.

    Whoever has a `response` and what it was made of can guess the password at leisure.
    """
    head, blank, body = data.partition(b"\r\n\r\n")
    if not _ANY.search(head):
        return data
    head = _CREDENTIALS.sub(_without_proof, head)
    return head + blank + body


def _without_proof(match: re.Match[bytes]) -> bytes:
    scheme = match[2].split(None, 1)[:1]
    if scheme and scheme[0].lower() == b"digest":
        return match[1] + _PROOF.sub(rb'\1"***"', match[2])
    return match[1] + b" ***"


# The characters that are escaped. One character at a time, so that the time is linear.
_SPECIAL = re.compile(
    r"[^\t\r\n\x20-\x5b\x5d-\x7e]|\r(?!\n)|^[0-9](?=[0-9]{3}-[0-9]{2}-[0-9]{2}T)",
    re.MULTILINE,
)
_ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|\\)")


def escape(data: bytes) -> bytes:
    """Escape a message for the file; :func:`unescape` is the inverse."""
    return _SPECIAL.sub(_escaped, data.decode("utf-8", "surrogateescape")).encode()


def unescape(text: bytes) -> bytes:
    """Undo :func:`escape`."""
    return _ESCAPE.sub(_unescaped, text)


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    if char == "\\":
        return "\\\\"
    if char.isprintable() and not char.isascii():
        return char
    octets = char.encode("utf-8", "surrogateescape")
    return "".join([f"\\x{octet:02x}" for octet in octets])


def _unescaped(match: re.Match[bytes]) -> bytes:
    octet = match[1]
    return b"\\" if octet is None else bytes.fromhex(octet.decode())


_HEAD = re.compile(rb"(\S+) ([<>]) (\S+) (\S+) (\d+)\n")


def read_trace(path: Path) -> Iterator[Traced]:
    """Read the messages in a file, except the last one if it is incomplete."""
    content = path.read_bytes()
    position = 0
    while head := _HEAD.match(content, position):
        at, direction, local, remote, length = (g.decode() for g in head.groups())
        begin = head.end()
        end = begin + int(length)
        if len(content) < end + 2:
            return
        yield Traced(
            at=datetime.datetime.fromisoformat(at),
            direction=direction,
            local=local,
            remote=remote,
            data=unescape(content[begin:end]),
        )
        position = end + 2
