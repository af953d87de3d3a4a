"""What the load driver says: the same to every server, byte for byte."""

from __future__ import annotations

import re

DOMAIN = "example.test"

BRANCH = re.compile(rb"branch=z9hG4bK-([0-9a-f]+)-", re.I)
"The number of the operation, in the branch of its REGISTER and of the 200."

SUBSCRIPTION = re.compile(rb"sub-([0-9a-f]+)-")
"The number of the subscription, in the Call-ID of its NOTIFYs."

CSEQ = re.compile(rb"\ncseq:[ \t]*(\d+)", re.I)
VERSION = re.compile(rb'<reginfo[^>]*?\bversion="(\d+)"')

_COPIED = (b"via", b"v", b"from", b"f", b"to", b"t", b"call-id", b"i", b"cseq")


def register(
    operation: int, user: int, cseq: int, port: int, run: str, *, expires: int = 3600
) -> bytes:
    """The REGISTER that is operation no. ``operation``, of one user's one contact."""
    return _crlf(
        f"REGISTER sip:{DOMAIN} SIP/2.0\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK-{operation:x}-{run}\n"
        "Max-Forwards: 70\n"
        f"From: <sip:u{user}@{DOMAIN}>;tag=t{user:x}{run}\n"
        f"To: <sip:u{user}@{DOMAIN}>\n"
        f"Call-ID: reg-{user}-{run}@driver\n"
        f"CSeq: {cseq} REGISTER\n"
        f"Contact: <sip:u{user}@127.0.0.1:{port}>\n"
        f"Expires: {expires}\n"
        "User-Agent: driver\n"
        "Content-Length: 0\n\n"
    )


def subscribe(user: int, port: int, run: str, *, expires: int = 3600) -> bytes:
    """The SUBSCRIBE of the one watcher of a user, and of the same number."""
    return _crlf(
        f"SUBSCRIBE sip:u{user}@{DOMAIN} SIP/2.0\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK-{user:x}-s{run}\n"
        "Max-Forwards: 70\n"
        f"From: <sip:w{user}@{DOMAIN}>;tag=f{user:x}{run}\n"
        f"To: <sip:u{user}@{DOMAIN}>\n"
        f"Call-ID: sub-{user:x}-{run}@driver\n"
        "CSeq: 1 SUBSCRIBE\n"
        f"Contact: <sip:w{user}@127.0.0.1:{port}>\n"
        "Event: reg\n"
        "Accept: application/reginfo+xml\n"
        f"Expires: {expires}\n"
        "User-Agent: driver\n"
        "Content-Length: 0\n\n"
    )


def ok(request: bytes) -> bytes:
    """The 200 to a request (RFC 3261 §8.2.6)."""
    lines = [b"SIP/2.0 200 OK"]
    for line in request.split(b"\r\n\r\n", 1)[0].split(b"\r\n")[1:]:
        if line[: line.find(b":")].strip().lower() in _COPIED:
            lines.append(line)
    lines.append(b"Content-Length: 0\r\n\r\n")
    return b"\r\n".join(lines)


def _crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()
