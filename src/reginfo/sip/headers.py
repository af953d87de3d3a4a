"""Header field values with a structure: lists, addresses, Via, CSeq (RFC 3261 §20)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from . import grammar
from .errors import RemoteProtocolError
from .uri import CACHE, LONGEST_CACHED, Uri
from .value import Value

MAGIC_COOKIE = "z9hG4bK"
"""Begins a branch that is unique to its transaction (§8.1.1.7)."""

HeaderParams = Mapping[str, str | None]


class NameAddr(Value, frozen=True):
    """A name-addr or addr-spec with header parameters: From, To, Contact, Route."""

    uri: str
    "As written, without angle brackets."

    params: HeaderParams = {}
    "Of the header, not of the URI; names in lower case, values as written."

    display_name: str = ""
    "Without its quotes."

    @property
    def tag(self) -> str:
        """The tag of a From or To; empty when there is none."""
        return self.params.get("tag") or ""

    @property
    def parsed(self) -> Uri:
        """
        The URI, taken apart.

        Raises:
            RemoteProtocolError: it is none.
        """
        return Uri.parse(self.uri)


class Via(Value, frozen=True):
    """One hop of a request (§20.42)."""

    transport: str
    "Upper case: UDP, TCP, TLS, ..."

    host: str
    port: int | None
    "The sent-by, as written; None where the transport's default port is meant."

    params: HeaderParams

    @property
    def branch(self) -> str:
        return self.params.get("branch") or ""

    @property
    def sent_by(self) -> str:
        """Host, and the port if one is written, as they identify a transaction."""
        return self.host if self.port is None else f"{self.host}:{self.port}"


class CSeq(NamedTuple):
    """Number and method of a request (§20.16)."""

    number: int
    method: str


def split(value: str) -> list[str]:
    """
    The elements of a comma-separated list (§7.3.1).

    Commas in quotes and in angle brackets separate nothing.
    """
    if "," not in value:
        return [value] if value else []
    if '"' not in value and "<" not in value:
        return [part for part in map(str.strip, value.split(",")) if part]
    return [part for part in map(str.strip, _ELEMENT.findall(value)) if part]


# A quote or a bracket that is never closed takes all that is left: whoever reads that
# element refuses it.
_ELEMENT = re.compile(r'(?:"(?:[^"\\]|\\.)*+"?|<[^>]*+>?|[^,"<]++)+', re.DOTALL)


def parse_params(text: str) -> dict[str, str | None]:
    """
    ``;name=value;flag`` as a mapping, names in lower case.

    Raises:
        RemoteProtocolError: it is not a list of parameters, or one stands twice.
    """
    params: dict[str, str | None] = {}
    if '"' not in text and " " not in text and "\t" not in text:
        # As nearly all are: no expression is needed to see where a value ends.
        if text[:1] == ";" and "<" not in text and ">" not in text:
            for item in text[1:].split(";"):
                name, equals, value = item.partition("=")
                name = name.lower()
                if not name or name in params:
                    raise RemoteProtocolError(f"malformed parameters: {text[:80]!r}")
                params[name] = value if equals else None
        elif text:
            raise RemoteProtocolError(f"malformed parameters: {text[:80]!r}")
        return params
    at, end = 0, len(text)
    while at < end:
        match = grammar.param.match(text, at)
        if match is None or match["name"].lower() in params:
            raise RemoteProtocolError(f"malformed parameters: {text[:80]!r}")
        params[match["name"].lower()] = match["value"]
        at = match.end()
    return params


def parse_name_addr(text: str) -> NameAddr:
    """
    Read one name-addr or addr-spec.

    Raises:
        RemoteProtocolError: it is neither.
    """
    if text[:1] == "<":
        # Without a display name; that is, nearly always.
        uri, bracket, rest = text[1:].partition(">")
        if not bracket or not uri or "<" in uri or " " in uri or not uri.isprintable():
            raise RemoteProtocolError(f"malformed address: {text[:80]!r}")
        return NameAddr(uri, parse_params(rest) if rest else {})
    if "<" in text:
        match = grammar.name_addr.fullmatch(text)
        if match is not None:
            display, uri, params = match.groups()
            if not uri.isprintable():
                raise RemoteProtocolError(f"malformed address: {text[:80]!r}")
            return NameAddr(uri, parse_params(params), unquote(display.strip()))
    # §20.10: without angle brackets all parameters are the header's. A quoted-string
    # among them may hold brackets.
    uri, semicolon, rest = text.partition(";")
    uri = uri.strip()
    if not uri or not _ODD_IN_URI.isdisjoint(uri) or not uri.isprintable():
        raise RemoteProtocolError(f"malformed address: {text[:80]!r}")
    return NameAddr(uri, parse_params(semicolon + rest))


_ODD_IN_URI = frozenset('?,"<> ')


def cached_name_addr(text: str) -> NameAddr:
    """:func:`parse_name_addr` for what comes again and again: To, Contact."""
    return _cached(text) if len(text) <= LONGEST_CACHED else parse_name_addr(text)


_cached = lru_cache(CACHE)(parse_name_addr)


def parse_via(text: str) -> Via:
    """
    Read one Via.

    Raises:
        RemoteProtocolError: it is none, or is of another protocol than SIP. Of which
            version is left to the start line: who wants a 505 must be found.
    """
    if text.startswith("SIP/2.0/UDP ") and "[" not in text:
        # The usual spelling of the usual transport, taken apart without an expression.
        place, semicolon, rest = text[12:].partition(";")
        host, colon, port = place.partition(":")
        if (
            host.replace(".", "").replace("-", "").isalnum()
            and place.isascii()
            and (port.isdecimal() if colon else True)
            and len(port) < 6
        ):
            params = parse_params(semicolon + rest) if semicolon else {}
            return Via("UDP", host, _port(port), params)
    match = grammar.via.fullmatch(text)
    if match is None:
        raise RemoteProtocolError(f"malformed Via: {text[:80]!r}")
    protocol, transport, host = match[1], match[2], match[3]
    params_text: str | None = match[5]
    if protocol.partition("/")[0].rstrip().upper() != "SIP":
        raise RemoteProtocolError(f"Via of another protocol: {protocol!r}")
    params = parse_params(params_text) if params_text else {}
    return Via(transport.upper(), host, _port(match[4]), params)


def _port(text: str | None) -> int | None:
    if not text:
        return None
    if int(text) > 65_535:
        raise RemoteProtocolError(f"port out of range in Via: {text}")
    return int(text)


def parse_cseq(text: str) -> CSeq:
    """
    Read a CSeq.

    Raises:
        RemoteProtocolError: it is none, or its number is 2**31 or more (§8.1.1.5).
    """
    number, _, method = text.replace("\t", " ").partition(" ")
    if not number.isdecimal() or not number.isascii() or len(number) > 10:
        raise RemoteProtocolError(f"malformed CSeq: {text[:80]!r}")
    value = int(number)
    if value >= 2**31:
        raise RemoteProtocolError(f"CSeq out of range: {number}")
    method = method.strip()
    if not (method.isalpha() and method.isascii()) and not grammar.token.fullmatch(
        method
    ):
        raise RemoteProtocolError(f"malformed CSeq: {text[:80]!r}")
    return CSeq(value, method)


def delta_seconds(text: str | None) -> int | None:
    """Seconds as they stand in Expires; None for what is absent or no number."""
    if text is None:
        return None
    text = text.strip()
    if not (text.isdecimal() and text.isascii() and len(text) <= 20):
        return None
    # §20.19: a number of 32 bits. More can only mean "long".
    return min(int(text), 2**32 - 1)


def retry_after(value: str | None) -> int | None:
    """Seconds of a Retry-After (§20.33), whose comment and parameters are ignored."""
    if value is None:
        return None
    digits = value.partition(";")[0].partition("(")[0].strip()
    if not digits.isdecimal() or not digits.isascii():
        return None
    return min(int(digits[:10]), 2**32 - 1)


def unquote(value: str) -> str:
    """``value`` without its quotes and escapes, if it is a quoted-string."""
    if len(value) >= 2 and value[0] == '"' and value[-1] == '"':
        value = value[1:-1]
        return _QUOTED_PAIR.sub(r"\1", value) if "\\" in value else value
    return value


_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


def quote(value: str) -> str:
    """
    ``value`` as a quoted-string, with control characters as quoted-pairs.

    A CR or LF, which §25.1 allows in no quoted-pair, becomes a blank.
    """
    return f'"{_ESCAPED.sub(_quoted_pair, value)}"'


# All that is not qdtext (§25.1): a tab is LWS.
_ESCAPED = re.compile(r'["\\\x00-\x08\x0a-\x1f\x7f]')


def _quoted_pair(match: re.Match[str]) -> str:
    return " " if match[0] in "\r\n" else f"\\{match[0]}"
