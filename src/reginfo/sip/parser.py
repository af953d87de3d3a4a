"""Parses a datagram into a request or a response (RFC 3261 §7)."""

from __future__ import annotations

import re

from . import grammar
from .errors import RemoteProtocolError
from .headers import number
from .message import (
    CRLF,
    MAX_DATAGRAM,
    NAMES,
    Request,
    Response,
    SipMessage,
    canonical,
)

_SINGLE = frozenset(
    {"Call-ID", "CSeq", "From", "To", "Content-Length", "Max-Forwards", "Content-Type"}
)
_FOLD = re.compile(rb"\r\n[ \t]+")
BLANKS = (" ", "\t")
"""With what a line begins that goes on with the one before it (§7.3.1)."""

_BARE_FOLD = re.compile(r"\n[ \t]+")
_STRAY = re.compile(r"[\r\n\0]")
# A quoted-string; one that is not closed ends at the error, so that no octet is
# examined twice.
_QUOTED = re.compile(grammar.QUOTED_STRING + "?")


class Malformed(RemoteProtocolError):
    """A message that could not be parsed completely, with the part that was parsed."""

    def __init__(self, error: RemoteProtocolError, message: SipMessage | None) -> None:
        super().__init__(str(error), status=error.status)
        self.message = message


def parse(data: bytes) -> Request | Response:
    """
    Parse one message that fills a datagram.

    Header values are parsed when they are first used. Lines end with CRLF, or with a
    bare LF if the first line does so.

    Raises:
        Malformed: the message is invalid; ``message`` has what is needed for a 400.
    """
    error: RemoteProtocolError | None = None
    head, blank, body = data.partition(b"\r\n\r\n")
    if not head:
        # Keep-alives before a message (§7.5).
        data = data.lstrip(b"\r\n")
        head, blank, body = data.partition(b"\r\n\r\n")
    if not blank:
        error = _without_end(data)
        head = head.rstrip(b"\r\n")
    try:
        text = head.decode()
        mangled = False
    except UnicodeDecodeError:
        text = head.decode("utf-8", "surrogateescape")
        mangled = True
    lines = text.lstrip(CRLF).split(CRLF)
    # CR and LF that end no line. Searching all lines at once is faster than counting.
    text = "".join(lines)
    stray = "\n" in text or "\r" in text or "\0" in text
    if stray and "\n" in lines[0]:
        # Lines that end with a bare LF are wrong, but can be parsed.
        text, body, error = _bare_lines(data)
        mangled = _NOT_UTF8.search(text) is not None
        lines = text.split("\n")
        stray = "\r" in text or "\0" in text
    try:
        message = _start(lines[0])
    except Malformed as odd:
        if lines[1:] and lines[1].startswith(BLANKS):
            return _unfolded(head, blank, body)
        if not isinstance(odd.message, Request):
            raise
        # Another name than below: compiled, a name has one type in a function.
        message, error = odd.message, error or odd
    headers = message.headers
    names = NAMES
    del lines[0]
    for line in lines:
        name, colon, value = line.partition(":")
        try:
            key = names[name]
        except KeyError:
            # No name of a header begins so. Nearly no message has such a line, and a
            # search for one would cost every message.
            if line.startswith(BLANKS):
                return _unfolded(head, blank, body)
            try:
                key = canonical(name)
            except RemoteProtocolError as exc:
                error = error or exc
                continue
        if not colon:
            error = error or RemoteProtocolError(f"not a header: {line[:40]!r}")
        elif key in headers:
            headers[key].append(value.strip(" \t"))
            if key in _SINGLE:
                error = error or RemoteProtocolError(f"{key} is repeated")
        else:
            headers[key] = [value.strip(" \t")]
    if stray:
        # Whatever else is wrong: a 400 copies these values.
        stray_error = _blank_out(message)
        error = error or stray_error
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


def _unfolded(head: bytes, blank: bytes, body: bytes) -> Request | Response:
    """
    Read a message once more, with one line for each header field (§7.3.1).

    Raises:
        Malformed: as :func:`parse`.
    """
    unfolded = _FOLD.sub(b" ", head)
    try:
        return parse(unfolded + blank + body)
    except Malformed as exc:
        if not blank and len(head) > MAX_DATAGRAM:
            raise Malformed(_without_end(head), exc.message) from exc
        raise


def _without_end(data: bytes) -> RemoteProtocolError:
    """Return the error for a message whose head was cut off."""
    if len(data) > MAX_DATAGRAM:
        return RemoteProtocolError("Message Too Large", status=513)
    return RemoteProtocolError("headers without an end")


def _bare_lines(data: bytes) -> tuple[str, bytes, RemoteProtocolError | None]:
    """Split a message whose lines end with a bare LF: head, body and error."""
    data = data.lstrip(b"\r\n")
    end = _BARE_END.search(data)
    if end is None:
        head, body, error = data.rstrip(b"\r\n"), b"", _without_end(data)
        return _text(head), body, error
    return _text(data[: end.start()]), data[end.end() :], None


_BARE_END = re.compile(rb"\n\r?\n")


def _text(head: bytes) -> str:
    text = head.decode("utf-8", "surrogateescape")
    return _BARE_FOLD.sub(" ", text) if "\n " in text or "\n\t" in text else text


def _blank_out(message: SipMessage) -> RemoteProtocolError | None:
    """
    Refuse misplaced CR, LF and NUL, and replace them by blanks.

    §25.1: CR and LF are allowed only in line ends, NUL only in a quoted-pair. A
    response copies header values, so no line end may remain in one.
    """
    error = None
    if isinstance(message, Request) and _STRAY.search(message.uri):
        message.uri = _STRAY.sub(" ", message.uri)
        error = RemoteProtocolError("control character in the Request-URI")
    if isinstance(message, Response) and _STRAY.search(message.reason):
        error = RemoteProtocolError("control character in the reason phrase")
    for name, values in message.headers.items():
        if any(_STRAY.search(_QUOTED.sub("", value)) for value in values):
            message.headers[name] = [_STRAY.sub(" ", value) for value in values]
            error = error or RemoteProtocolError(f"control character in {name}")
    return error


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
    if version != "SIP/2.0" or not (
        method in METHODS or grammar.token.fullmatch(method)
    ):
        return _odd_start(line)
    return Request(method, uri)


METHODS = frozenset(
    {
        "ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS",
        "PRACK", "PUBLISH", "REFER", "REGISTER", "SUBSCRIBE", "UPDATE",
    }
)  # fmt: skip
"""Methods that need no check for their grammar."""


def _odd_start(line: str) -> Request:
    """
    Parse an unusual start line, which may still be that of a request.

    Raises:
        Malformed: it is not; with a request if the line has the version of one.
    """
    method, _, rest = line.lstrip(" \t").rstrip(" ").partition(" ")
    uri, _, version = rest.rpartition(" ")
    if not version.upper().startswith("SIP/"):
        raise Malformed(RemoteProtocolError(f"not SIP: {line[:40]!r}"), None)
    request = Request(
        method, uri if version.upper() == "SIP/2.0" else f"{uri} {version}"
    )
    # §25.1: a line begins with the method, which is a token.
    if line.startswith(BLANKS) or not grammar.token.fullmatch(method):
        raise Malformed(RemoteProtocolError("malformed Request-Line"), request)
    return request


_NOT_UTF8 = re.compile(r"[\udc80-\udcff]")

_USED = frozenset(
    {
        "Via", "From", "To", "Call-ID", "CSeq", "Contact", "Path", "Route",
        "Record-Route", "Service-Route", "Event", "SIP-ETag", "SIP-If-Match",
    }
)  # fmt: skip
"""Header fields that are stored, compared or forwarded, so no octet may be replaced."""


def _mend(message: SipMessage) -> RemoteProtocolError | None:
    """
    Replace octets that are not UTF-8 (§7.3.1); return an error where this is not
    possible.

    Such octets cannot be stored or written into a document.
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
    Truncate ``body`` to Content-Length (§18.3).

    Raises:
        RemoteProtocolError: the body is shorter, or the length is invalid.
    """
    if length == "0":
        return b""
    wanted = number(length, 2**32)
    if wanted is None:
        raise RemoteProtocolError(f"malformed Content-Length: {length[:40]!r}")
    if wanted > len(body):
        if wanted > MAX_DATAGRAM:
            raise RemoteProtocolError("Message Too Large", status=513)
        raise RemoteProtocolError("body shorter than Content-Length")
    return body if wanted == len(body) else body[:wanted]
