"""Makes text from the network safe to show, on terminals, in logs and in JSON."""

from __future__ import annotations

import re

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""Replaces a character that cannot be shown."""


def printable(text: str) -> str:
    """Replace the characters that could control a terminal by U+FFFD."""
    if text.isprintable():
        return text
    return "".join([c if c.isprintable() else REPLACEMENT for c in text])


def visible(text: str) -> str:
    r"""
    Write the characters that could control a terminal, or end a line, as escapes.

    ``\x1b`` for ESC, ``\n`` for a line feed, ``\udc9b`` for an octet that is not UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(
        [c if c.isprintable() else c.encode("unicode_escape").decode() for c in text]
    )


# An escape in JSON, or a control character that JSON does not escape: DEL, and those of
# ISO 6429 in UTF-8.
_IN_JSON = re.compile(
    rb"\\(?:u00(?:[01][0-9a-f]|7f|[89][0-9a-f])|([bf])|.)|\x7f|\xc2[\x80-\x9f]"
)
_KEPT = frozenset({b"\\u0009", b"\\u000a", b"\\u000d"})


def json_text(data: bytes) -> bytes:
    """
    Replace the control characters in JSON by U+FFFD, as in XML.

    Tabs and line ends stay: JSON escapes them, and XML 1.0 §2.2 allows them.
    """
    return _IN_JSON.sub(_json_octets, data)


def _json_octets(match: re.Match[bytes]) -> bytes:
    found = match[0]
    is_plain = found[:1] == b"\\" and len(found) == 2 and match[1] is None
    return found if is_plain or found in _KEPT else _REPLACED


_REPLACED = REPLACEMENT.encode()
