"""The draft of a forwarded request (RFC 3261 §16.6)."""

from __future__ import annotations

from .message import CRLF, Draft, Headers, Request

FIRST = ("Via", "Route", "Record-Route", "Max-Forwards", "Path")
"""
Header fields that proxies read, which therefore come first (recommended in §7.3.1).
`Via` is the very first, because the endpoint writes ours above it.
"""


def draft_of(request: Request, *, uri: str, headers: Headers) -> Draft:
    """
    Return a copy of ``request``, with another Request-URI and other headers.

    Args:
        headers: all header fields, with values as written, one item per line.
    """
    lines = [
        f"{name}: {value}{CRLF}" for name in FIRST for value in headers.get(name, ())
    ]
    lines += [
        f"{name}: {value}{CRLF}"
        for name, values in headers.items()
        if name not in FIRST and name != "Content-Length"
        for value in values
    ]
    return Draft(request.method, uri, "".join(lines), request.body)
