"""Parses XML into events, within limits; parses its numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import NoReturn
from xml.parsers import expat

from ..sip.errors import RemoteProtocolError

MAX_BODY = 1 << 20  # bytes: about 3000 contacts; peers send the few of one user
MAX_ELEMENTS = 20_000  # seven for each contact in such a body

Start = tuple[str, dict[str, str], int]
"""The start of an element: its name, its attributes, and its offset in octets."""

Event = Start | str | None
"""The start of an element, a piece of text, or the end of an element."""

BLANKS = " \t\r\n"
"""The white space of XML."""

CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")


def events(body: bytes) -> Iterator[Event]:
    """
    Return the events of a body, in order.

    A name consists of its namespace, a blank and the local name; without a namespace,
    of the local name.

    Raises:
        RemoteProtocolError: it is too long, or uses a feature of XML that documents do
            not need. The iterator raises it where the body is not well-formed, so that
            earlier errors are found first.
    """
    if len(body) > MAX_BODY:
        raise RemoteProtocolError(f"reginfo of {len(body)} bytes, {MAX_BODY} allowed")
    # XML contains no zero byte, but UTF-16 does, and expat would accept it.
    if b"\0" in body:
        raise RemoteProtocolError("reginfo that is not UTF-8")
    # An element has one `<`, or two unless it is empty; most bodies are too short for
    # that many.
    if len(body) > MAX_ELEMENTS and body.count(b"<") > 2 * MAX_ELEMENTS:
        raise RemoteProtocolError(f"reginfo with more than {MAX_ELEMENTS} elements")
    # UTF-8, whatever the declaration says: nothing else is allowed (§5.1).
    parser = expat.ParserCreate("utf-8", " ")
    found: list[Event] = []
    append = found.append

    def start(name: str, attributes: dict[str, str]) -> None:
        append((name, attributes, parser.CurrentByteIndex))

    def end(name: str) -> None:
        append(None)

    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = append
    # Documents need no DTD, and entities serve only to exhaust memory or to read files.
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(body, True)
    except expat.ExpatError as exc:
        return chain(found, _malformed(exc))
    finally:
        # It refers to the parser; this breaks the reference cycle.
        parser.StartElementHandler = None
    return iter(found)


def _malformed(exc: expat.ExpatError) -> Iterator[Event]:
    raise RemoteProtocolError(f"malformed reginfo: {exc}") from exc
    yield None


def _refuse_doctype(*declaration: object) -> NoReturn:
    raise RemoteProtocolError("reginfo with a document type declaration")


def number(text: str, maximum: int) -> int | None:
    """
    Parse a number as the schema allows it, with white space and leading zeros.

    Returns None if it is not a number, or exceeds ``maximum``.
    """
    if len(text) < 20 and text.isascii() and text.isdigit():
        found = int(text)
        return found if found <= maximum else None
    text = text.strip(BLANKS).removeprefix("+")
    if not (text.isascii() and text.isdigit()):
        return None
    # Check the length first: int() is slow with thousands of digits, or refuses them.
    if len(text) > 20 and len(text := text.lstrip("0") or "0") > 20:
        return None
    found = int(text)
    return found if found <= maximum else None


def one_line(text: str) -> str:
    """Replace the line breaks in ``text``, which are only folding in a value."""
    return text if text.isprintable() else CONTROLS.sub(" ", text).strip(BLANKS)
