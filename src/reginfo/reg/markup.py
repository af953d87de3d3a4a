"""XML as a list of events, with the limits that keep it harmless, and its numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import NoReturn
from xml.parsers import expat

from ..sip.errors import RemoteProtocolError

MAX_BODY = 1 << 20  # bytes; some 3000 contacts, where peers send one user's few
MAX_ELEMENTS = 20_000  # seven for each contact of such a body

Start = tuple[str, dict[str, str], int]
"""The start of an element: its name, its attributes, and its offset in octets."""

Event = Start | str | None
"""The start of an element, a piece of text, or the end of an element."""

BLANKS = " \t\r\n"
"""What XML calls blank."""

CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")


def events(body: bytes) -> Iterator[Event]:
    """
    Return what a body consists of, in order.

    A name is its namespace, a blank and the local name; without a namespace, the local
    name alone.

    Raises:
        RemoteProtocolError: it is too long, or XML of a kind that a document has no use
            for. The iterator raises it where the body is no XML: what is wrong before
            is found before.
    """
    if len(body) > MAX_BODY:
        raise RemoteProtocolError(f"reginfo of {len(body)} bytes, {MAX_BODY} allowed")
    # XML has no use for a zero, but UTF-16 has, and expat would read it.
    if b"\0" in body:
        raise RemoteProtocolError("reginfo that is not UTF-8")
    # An element costs one `<`, and another unless it is empty; most bodies are
    # too short for so many.
    if len(body) > MAX_ELEMENTS and body.count(b"<") > 2 * MAX_ELEMENTS:
        raise RemoteProtocolError(f"reginfo with more than {MAX_ELEMENTS} elements")
    # UTF-8 whatever the declaration says: nothing else is allowed (§5.1).
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
    # A document has no use for a DTD; entities only serve to exhaust memory
    # and to read other people's files.
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(body, True)
    except expat.ExpatError as exc:
        return chain(found, _malformed(exc))
    finally:
        # It refers to the parser: no work for the collector.
        parser.StartElementHandler = None
    return iter(found)


def _malformed(exc: expat.ExpatError) -> Iterator[Event]:
    raise RemoteProtocolError(f"malformed reginfo: {exc}") from exc
    yield None


def _refuse_doctype(*declaration: object) -> NoReturn:
    raise RemoteProtocolError("reginfo with a document type declaration")


def number(text: str, maximum: int) -> int | None:
    """
    Return what the schema takes as a number, with blanks around it and leading zeros.

    None if it is none, or above ``maximum``.
    """
    if len(text) < 20 and text.isascii() and text.isdigit():
        found = int(text)
        return found if found <= maximum else None
    text = text.strip(BLANKS).removeprefix("+")
    if not (text.isascii() and text.isdigit()):
        return None
    # First the length: thousands of digits take long, or are refused by int.
    if len(text) > 20 and len(text := text.lstrip("0") or "0") > 20:
        return None
    found = int(text)
    return found if found <= maximum else None


def one_line(text: str) -> str:
    """Return ``text`` without line breaks, which in a value are only folding."""
    return text if text.isprintable() else CONTROLS.sub(" ", text)
