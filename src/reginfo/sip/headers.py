"""Structured header field values: lists, addresses, Via, CSeq (RFC 3261 §20)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from . import grammar
from .errors import RemoteProtocolError
from .uri import CACHE, LONG_CACHE, LONGEST_CACHED, SHORT_CACHED, Uri
from .value import Value

MAGIC_COOKIE = "z9hG4bK"
"""The prefix of a branch that is unique to its transaction (§8.1.1.7)."""

HeaderParams = Mapping[str, str | None]


class NameAddr(Value, frozen=True):
    """A name-addr or addr-spec with header parameters: From, To, Contact, Route."""

    uri: str
    "The URI as written, without angle brackets."

    params: HeaderParams = {}
    "Parameters of the header, not of the URI; names in lower case, values as written."

    display_name: str = ""
    "The display name, without quotes."

    @property
    def tag(self) -> str:
        """The tag of a From or To; empty if there is none."""
        return self.params.get("tag") or ""

    @property
    def parsed(self) -> Uri:
        """
        The parsed URI.

        Raises:
            RemoteProtocolError: it is not a URI.
        """
        return Uri.parse(self.uri)


class Via(Value, frozen=True):
    """One hop of a request (§20.42)."""

    transport: str
    "The transport in upper case: UDP, TCP, TLS, ..."

    host: str
    port: int | None
    "The port of sent-by; None for the default port of the transport."

    params: HeaderParams

    @property
    def branch(self) -> str:
        return self.params.get("branch") or ""

    @property
    def sent_by(self) -> str:
        """Host, and the port if there is one, for matching transactions."""
        return self.host if self.port is None else f"{self.host}:{self.port}"


class CSeq(NamedTuple):
    """Number and method of a request (§20.16)."""

    number: int
    method: str


def split(value: str) -> list[str]:
    """
    Split a comma-separated list into its elements (§7.3.1).

    Commas in quotes and in angle brackets are not separators.
    """
    if "," not in value:
        return [value] if value else []
    if '"' not in value and "<" not in value:
        return [part for part in map(str.strip, value.split(",")) if part]
    return [part for part in map(str.strip, _ELEMENT.findall(value)) if part]


# An element with an unclosed quote or bracket extends to the end; parsing it will fail.
_ELEMENT = re.compile(r'(?:"(?:[^"\\]|\\.)*+"?|<[^>]*+>?|[^,"<]++)+', re.DOTALL)


def parse_params(text: str) -> dict[str, str | None]:
    """
    Parse ``;name=value;flag`` into a mapping, with names in lower case.

    Raises:
        RemoteProtocolError: the list is malformed, or a parameter is repeated.
    """
    params: dict[str, str | None] = {}
    if '"' not in text and " " not in text and text.isprintable():
        # The common case: no regular expression is needed to find the end of a value.
        if text[:1] == ";" and "<" not in text and ">" not in text:
            for item in text[1:].split(";"):
                name, equals, value = item.partition("=")
                name = PLAIN.get(name) or _param_name(name)
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


PLAIN = {
    name: name
    for name in (
        "branch", "expires", "id", "lr", "maddr", "q", "received", "reason",
        "retry-after", "rport", "tag", "transport",
    )
}  # fmt: skip
"""Names of parameters as most peers write them, which need no check."""


def _param_name(text: str) -> str:
    """Return the name of a parameter in lower case; empty if it is not a token."""
    return text.lower() if grammar.token.fullmatch(text) else ""


def parse_name_addr(text: str) -> NameAddr:
    """
    Parse one name-addr or addr-spec.

    Raises:
        RemoteProtocolError: it is neither.
    """
    if text[:1] == "<":
        # The common case: no display name.
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
    # §20.10: without angle brackets, all parameters belong to the header. A
    # quoted-string among them may contain brackets.
    uri, semicolon, rest = text.partition(";")
    uri = uri.strip()
    if not uri or not _ODD_IN_URI.isdisjoint(uri) or not uri.isprintable():
        raise RemoteProtocolError(f"malformed address: {text[:80]!r}")
    return NameAddr(uri, parse_params(semicolon + rest))


_ODD_IN_URI = frozenset('?,"<> ')


def cached_name_addr(text: str) -> NameAddr:
    """Like :func:`parse_name_addr`, with a cache, for recurring values: To, Contact."""
    length = len(text)
    if length > LONGEST_CACHED or not text.isascii():
        return parse_name_addr(text)
    return _cached(text) if length <= SHORT_CACHED else _long(text)


_cached = lru_cache(CACHE)(parse_name_addr)
_long = lru_cache(LONG_CACHE)(parse_name_addr)


def parse_via(text: str) -> Via:
    """
    Parse one Via.

    Raises:
        RemoteProtocolError: it is malformed, or of a protocol other than SIP. The
            version is not checked here: a request with another version in its start
            line must get a 505.
    """
    if text.startswith("SIP/2.0/UDP ") and "[" not in text:
        # The usual spelling of the usual transport, parsed without a regular
        # expression.
        place, semicolon, rest = text[12:].partition(";")
        sent_by = _sent_by(place) if len(place) <= LONGEST_SENT_BY else None
        if sent_by is not None:
            params = parse_params(semicolon + rest) if semicolon else {}
            return Via("UDP", sent_by[0], sent_by[1], params)
    match = grammar.via.fullmatch(text)
    if match is None:
        raise RemoteProtocolError(f"malformed Via: {text[:80]!r}")
    protocol, transport, host = match[1], match[2], match[3]
    params_text: str | None = match[5]
    if protocol.partition("/")[0].rstrip().upper() != "SIP":
        raise RemoteProtocolError(f"Via of another protocol: {protocol!r}")
    params = parse_params(params_text) if params_text else {}
    return Via(transport.upper(), host, _port(match[4]), params)


LONGEST_SENT_BY = 64
"""Characters of a sent-by that is kept parsed."""


@lru_cache(CACHE)
def _sent_by(text: str) -> tuple[str, int | None] | None:
    """Return host and port of a sent-by in its usual spelling; None for any other."""
    host, colon, port = text.partition(":")
    if (
        host.replace(".", "").replace("-", "").isalnum()
        and text.isascii()
        and (port.isdecimal() if colon else True)
        and len(port) < 6
    ):
        return host, _port(port)
    return None


def _port(text: str | None) -> int | None:
    if not text:
        return None
    if int(text) > 65_535:
        raise RemoteProtocolError(f"port out of range in Via: {text}")
    return int(text)


def parse_cseq(text: str) -> CSeq:
    """
    Parse a CSeq.

    Raises:
        RemoteProtocolError: it is malformed, or its number is 2**31 or more (§8.1.1.5).
    """
    digits, _, method = text.partition(" ")
    is_plain = method.isalpha() and method.isascii()
    if not is_plain:
        digits, _, method = text.replace("\t", " ").partition(" ")
        method = method.strip()
    value: int | None
    if len(digits) < 10 and digits.isdecimal() and digits.isascii():
        value = int(digits)  # the usual case
    else:
        value = number(digits, 2**31)
    if value is None:
        raise RemoteProtocolError(f"malformed CSeq: {text[:80]!r}")
    if value == 2**31:
        raise RemoteProtocolError(f"CSeq out of range: {digits[:80]}")
    if not is_plain and not grammar.token.fullmatch(method):
        raise RemoteProtocolError(f"malformed CSeq: {text[:80]!r}")
    return CSeq(value, method)


def number(text: str, maximum: int) -> int | None:
    """
    Parse ``1*DIGIT``, with any number of leading zeros; None if it is not a number.

    A number above ``maximum``, however long, becomes ``maximum``.
    """
    if not (text.isdecimal() and text.isascii()):
        return None
    if len(text) > 10:
        # Check the length first: int() refuses thousands of digits, even zeros.
        text = text.lstrip("0") or "0"
        if len(text) > 18:
            return maximum
    return min(int(text), maximum)


def delta_seconds(text: str | None) -> int | None:
    """Parse seconds as in Expires; None if absent or not a number."""
    if text is None:
        return None
    # §20.19: a 32-bit number. A greater value is taken as the maximum.
    return number(text.strip(), 2**32 - 1)


def retry_after(value: str | None) -> int | None:
    """Parse the seconds of Retry-After (§20.33); comment and parameters are ignored."""
    if value is None:
        return None
    return delta_seconds(value.partition(";")[0].partition("(")[0])


def unquote(value: str) -> str:
    """Remove quotes and escapes from ``value``, if it is a quoted-string."""
    if len(value) >= 2 and value[0] == '"' and value[-1] == '"':
        value = value[1:-1]
        return _QUOTED_PAIR.sub(r"\1", value) if "\\" in value else value
    return value


_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


def quote(value: str) -> str:
    """
    Write ``value`` as a quoted-string, with control characters as quoted-pairs.

    CR and LF, which §25.1 does not allow in a quoted-pair, become blanks.
    """
    return f'"{_ESCAPED.sub(_quoted_pair, value)}"'


# Everything except qdtext (§25.1); a tab is LWS.
_ESCAPED = re.compile(r'["\\\x00-\x08\x0a-\x1f\x7f]')


def _quoted_pair(match: re.Match[str]) -> str:
    return " " if match[0] in "\r\n" else f"\\{match[0]}"
