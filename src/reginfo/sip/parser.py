"""Reads a datagram as a request or a response (RFC 3261 §7)."""

from __future__ import annotations

import re

from . import grammar
from .errors import RemoteProtocolError
from .message import CRLF, NAMES, Request, Response, SipMessage, canonical

_SINGLE = frozenset(
    {"Call-ID", "CSeq", "From", "To", "Content-Length", "Max-Forwards", "Content-Type"}
)
_FOLD = re.compile(r"\r?\n[ \t]+")


class Malformed(RemoteProtocolError):
    """A message that could not be read whole, with as much of it as was read."""

    def __init__(self, error: RemoteProtocolError, message: SipMessage | None) -> None:
        super().__init__(str(error), status=error.status)
        self.message = message


def parse(data: bytes) -> Request | Response:
    """
    Read one message that fills a datagram.

    Header values stay text until somebody asks for them.

    Raises:
        Malformed: it is no message; ``message`` holds what a 400 can be written from.
    """
    error: RemoteProtocolError | None = None
    head, blank, body = data.partition(b"\r\n\r\n")
    if not head:
        # Keep-alives, and a message behind them (§7.5).
        data = data.lstrip(b"\r\n")
        head, blank, body = data.partition(b"\r\n\r\n")
    if not blank:
        # Bare line feeds: wrong, and readable all the same.
        head, blank, body = data.partition(b"\n\n")
        if not blank:
            # Cut off somewhere; what is left may be enough to answer 400.
            error = RemoteProtocolError("headers without an end")
            head = head.rstrip(b"\r\n")
    try:
        text = head.decode().lstrip(CRLF)
        mangled = False
    except UnicodeDecodeError:
        text = head.decode("utf-8", "surrogateescape").lstrip(CRLF)
        mangled = True
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    # A line feed alone ends a line, too: kept in a value, it would do so for the next
    # who reads that.
    lines = text.split("\n")
    message = _start(lines[0].rstrip("\r"))
    headers = message.headers
    names = NAMES
    del lines[0]
    for line in lines:
        name, colon, value = line.partition(":")
        try:
            key = names[name]
        except KeyError:
            try:
                key = canonical(name)
            except RemoteProtocolError as exc:
                error = error or exc
                continue
        if not colon:
            error = error or RemoteProtocolError(f"no header: {line[:40]!r}")
        elif key in headers:
            headers[key].append(value.strip(" \t\r"))
            if key in _SINGLE:
                error = error or RemoteProtocolError(f"{key} stands twice")
        else:
            headers[key] = [value.strip(" \t\r")]
    if mangled:
        error = error or _mend(message)
    length = headers.get("Content-Length")
    if length is not None and error is None:
        try:
            body = _cut(body, length[0])
        except RemoteProtocolError as exc:
            error = exc
    message.body = body
    if error is not None:
        raise Malformed(error, message)
    return message


def _start(line: str) -> Request | Response:
    if line.startswith("SIP/2.0 "):
        status, _, reason = line[8:].partition(" ")
        if not (len(status) == 3 and status.isdecimal() and "100" <= status < "700"):
            raise Malformed(
                RemoteProtocolError(f"malformed status: {line[:40]!r}"), None
            )
        return Response(int(status), reason)
    try:
        method, uri, version = line.split(" ")
    except ValueError:
        return _odd_start(line)
    if version != "SIP/2.0":
        return _odd_start(line)
    return Request(method, uri)


def _odd_start(line: str) -> Request:
    """What could still be a request: found out by whoever checks its parts."""
    method, _, rest = line.rstrip(" ").partition(" ")
    uri, _, version = rest.rpartition(" ")
    if not grammar.token.fullmatch(method) or not version.upper().startswith("SIP/"):
        raise Malformed(RemoteProtocolError(f"no SIP: {line[:40]!r}"), None)
    return Request(method, uri if version.upper() == "SIP/2.0" else f"{uri} {version}")


_NOT_UTF8 = re.compile(r"[\udc80-\udcff]")
_REPLACED = "\N{REPLACEMENT CHARACTER}"

_USED = frozenset(
    {
        "Via", "From", "To", "Call-ID", "CSeq", "Contact", "Path", "Route",
        "Record-Route", "Service-Route", "Event", "SIP-ETag", "SIP-If-Match",
    }
)  # fmt: skip
"""Headers that are kept, compared or sent on: no octet of them may be exchanged."""


def _mend(message: SipMessage) -> RemoteProtocolError | None:
    """
    Make text of what is not UTF-8 (§7.3.1), or say where that cannot be.

    Such octets cannot be stored, nor written into a document.
    """
    if isinstance(message, Request) and _NOT_UTF8.search(message.uri):
        return RemoteProtocolError("Request-URI is not UTF-8")
    for name, values in message.headers.items():
        if not any(map(_NOT_UTF8.search, values)):
            continue
        if name in _USED:
            return RemoteProtocolError(f"{name} is not UTF-8")
        message.headers[name] = [
            _NOT_UTF8.sub("\N{REPLACEMENT CHARACTER}", value) for value in values
        ]
    return None


def _cut(body: bytes, length: str) -> bytes:
    """
    ``body`` as long as Content-Length says (§18.3).

    Raises:
        RemoteProtocolError: the body is shorter, or that is not a length.
    """
    if not (length.isdecimal() and length.isascii() and len(length) < 10):
        raise RemoteProtocolError(f"malformed Content-Length: {length[:40]!r}")
    wanted = int(length)
    if wanted > len(body):
        raise RemoteProtocolError("body shorter than Content-Length")
    return body if wanted == len(body) else body[:wanted]
