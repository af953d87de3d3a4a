"""SIP and tel URIs, addresses-of-record, and URI comparison (RFC 3261 §19.1)."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from . import grammar
from .errors import RemoteProtocolError
from .value import Value

Params = tuple[tuple[str, str | None], ...]

RESERVED = frozenset(";/?:@&=+$,")
"""Characters that are not equal to their escaped form (§19.1.4, RFC 2396 §2.2)."""

DISTINCTIVE = frozenset({"transport", "user", "ttl", "method", "maddr"})
"""URI parameters whose absence matches no value, not even the default (§19.1.4)."""

CACHE = 65_536
"""The number of cached URIs: phones send the same few with each refresh."""

SHORT_CACHED = 128
"""The maximum length of one of these URIs, so that they cannot fill the memory."""

LONG_CACHE, LONGEST_CACHED = 4096, 512
"""
The number and the maximum length of cached longer URIs. A URI with other characters
than ASCII takes up to four times as much memory, and is not cached.
"""


class Uri(Value, frozen=True):
    """A parsed URI, with its text as written."""

    text: str

    scheme: str
    "The scheme in lower case: sip, sips, tel, or any other of an absoluteURI."

    user: str = ""
    "The user part as written, with escapes; the number of a tel URI."

    password: str | None = None

    host: str = ""
    "The host in lower case, IPv6 in brackets; empty for tel and other schemes."

    port: int | None = None

    params: Params = ()
    "Names in lower case, values as written, None for one without a value."

    headers: str = ""

    aor: str = ""
    """
    The address-of-record: scheme, user, host and port, with redundant escapes undone
    (§10.3 step 5). Empty if the URI cannot be an address-of-record.
    """

    key: str = ""
    """
    A canonical spelling, including parameters; equal for URIs that are equal by the
    rules of §19.1.4 for each component.
    """

    base: str = ""
    "The part of :attr:`key` in which two equal URIs never differ."

    @staticmethod
    def parse(text: str) -> Uri:
        """
        Parse a URI without angle brackets.

        Raises:
            RemoteProtocolError: it is not a URI.
        """
        length = len(text)
        if length > LONGEST_CACHED or not text.isascii():
            return _parse(text)
        return _cached(text) if length <= SHORT_CACHED else _long(text)

    def __repr__(self) -> str:
        return f"Uri({self.text!r})"

    def param(self, name: str) -> str | None:
        """Return the value of a parameter; None if absent, "" if it has no value."""
        for known, value in self.params:
            if known == name:
                return value or ""
        return None

    def matches(self, other: Uri) -> bool:
        """
        Whether two URIs are equal (§19.1.4).

        A parameter that only one of them has is ignored, except those in
        :data:`DISTINCTIVE`. Therefore equality is not transitive, and has no key.
        """
        if self.key == other.key:
            return True
        if self.base != other.base:
            return False
        theirs = other.compared_params()
        return all(
            theirs.get(name, value) == value
            for name, value in self.compared_params().items()
        )

    def compared_params(self) -> dict[str, str | None]:
        """Return the parameters in the form in which they are compared."""
        return dict(_normal_params(self.params))


def normal(text: str) -> str:
    """
    Undo the escapes in ``text``, except those of reserved and unprintable characters.

    Raises:
        RemoteProtocolError: a ``%`` does not begin an escape.
    """
    if "%" not in text:
        return text
    return grammar.escaped.sub(_unescaped, text)


def _unescaped(match: re.Match[str]) -> str:
    code: str | None = match[1]
    if code is None:
        raise RemoteProtocolError(f"broken escape in {match.string[:80]!r}")
    char = chr(int(code, 16))
    if " " < char < "\x7f" and char not in _STAYS_ESCAPED:
        return char
    return f"%{code.upper()}"


# Characters that would end a user part, or begin an escape, if they were not escaped.
_STAYS_ESCAPED = RESERVED | frozenset('%"<>[]\\^`{|}#')


def _normal_params(params: Params) -> list[tuple[str, str | None]]:
    return [
        (name, None if value is None else normal(value).lower())
        for name, value in params
    ]


def _parse(text: str) -> Uri:
    if len(text) > 4096:
        raise RemoteProtocolError("URI of more than 4096 characters", status=414)
    # A plain `str`, whatever a script has given: it is cached, and may be stored.
    text = text[:]
    match = grammar.sip_uri.fullmatch(text)
    if match is None:
        return _parse_other(text)
    scheme, user, password, host, port_text, params_text, headers = match.groups()
    scheme, host = scheme.lower(), _normal_host(host, text)
    port = int(port_text) if port_text else None
    if port is not None and not 0 < port < 65_536:
        raise RemoteProtocolError(f"port out of range in {text!r}")
    params = _params(params_text)
    name = normal(user or "")
    place = host if port is None else f"{host}:{port}"
    aor = f"{scheme}:{name}@{place}" if name else f"{scheme}:{place}"
    normal_params = sorted(_normal_params(params), key=lambda item: item[0])
    secret = "" if password is None else f":{normal(password)}"
    base = (
        f"{scheme}:{name}{secret}@{place}"
        + _written([item for item in normal_params if item[0] in DISTINCTIVE])
        + _normal_headers(headers)
    )
    key = base + _written([i for i in normal_params if i[0] not in DISTINCTIVE])
    return Uri(
        text=text,
        scheme=scheme,
        user=user or "",
        password=password,
        host=host,
        port=port,
        params=params,
        headers=headers or "",
        aor=aor,
        key=key,
        base=base,
    )


_cached = lru_cache(CACHE)(_parse)
_long = lru_cache(LONG_CACHE)(_parse)


def _parse_other(text: str) -> Uri:
    match = grammar.tel_uri.fullmatch(text)
    if match is not None:
        scheme, number, params_text = match.groups()
        params = _params(params_text)
        # RFC 3966 §5: visual separators are ignored, and case does not matter.
        digits = number.translate(_VISUAL_SEPARATORS).lower()
        context = (
            ""
            if digits.startswith("+")
            else next(
                (
                    f";phone-context={(v or '').lower()}"
                    for n, v in params
                    if n == "phone-context"
                ),
                "",
            )
        )
        aor = f"tel:{digits}{context}"
        normal_params = sorted(_normal_params(params), key=lambda item: item[0])
        key = f"tel:{digits}{_written(normal_params)}"
        return Uri(
            text=text, scheme="tel", user=number, params=params,
            aor=aor, key=key, base=key,
        )  # fmt: skip
    scheme, colon, _ = text.partition(":")
    if scheme.lower() in ("sip", "sips", "tel") or not grammar.absolute_uri.fullmatch(
        text
    ):
        raise RemoteProtocolError(f"not a URI: {text[:80]!r}")
    return Uri(text=text, scheme=scheme.lower(), key=text, base=text)


_VISUAL_SEPARATORS = str.maketrans("", "", "-.()")


def _params(text: str) -> Params:
    if not text:
        return ()
    params = []
    for item in text[1:].split(";"):
        name, equals, value = item.partition("=")
        params.append((normal(name).lower(), value if equals else None))
    names = [name for name, _ in params]
    if "" in names:
        raise RemoteProtocolError(f"URI parameter without a name: {text!r}")
    if len(set(names)) != len(names):
        raise RemoteProtocolError(f"repeated URI parameter: {text!r}")
    return tuple(params)


def _written(params: list[tuple[str, str | None]]) -> str:
    return "".join(
        f";{name}" if value is None else f";{name}={value}" for name, value in params
    )


def _normal_headers(headers: str | None) -> str:
    # "URI header components are never ignored" (§19.1.4); their order is.
    if not headers:
        return ""
    # In a key, a ";" that should have been escaped would begin a parameter.
    headers = headers.replace(";", "%3B")
    return "?" + "&".join(
        sorted(
            f"{normal(name).lower()}={normal(value)}"
            for name, _, value in (item.partition("=") for item in headers.split("&"))
        )
    )


def _normal_host(host: str, text: str) -> str:
    if host[0] != "[":
        return host.lower()
    try:
        # The grammar of RFC 3261 has a superfluous colon before IPv4 (RFC 5118 §4.10).
        address = ipaddress.IPv6Address(host[1:-1].replace(":::", "::"))
        return f"[{address.compressed}]"
    except ValueError as exc:
        raise RemoteProtocolError(f"invalid IPv6 address in {text!r}") from exc
