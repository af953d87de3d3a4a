"""The parameters of challenges and credentials (RFC 3261 §25.1, RFC 7235 §2.1)."""

from __future__ import annotations

import re

from ..sip import grammar
from ..sip.errors import RemoteProtocolError

# One C call splits a whole header field; what fits nothing ends up in the last group.
_PARAM = re.compile(
    rf"{grammar.LWS}({grammar.TOKEN}){grammar.LWS}={grammar.LWS}"
    rf"(?:({grammar.QUOTED_STRING})|({grammar.TOKEN}|[^\s\",;=]++=*))"
    rf"{grammar.LWS}(?:,|$)|([^\s,].*)"
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def scheme_of(value: str) -> str:
    """Return the scheme of a challenge or of credentials, in lower case."""
    return value.lstrip(" \t").partition(" ")[0].lower()


def parameters(value: str) -> dict[str, str]:
    """
    Parse what follows the scheme: names in lower case, values without quotes.

    Clients quote `qop` and `algorithm`, or leave the quotes of `response` out; both is
    accepted.

    Raises:
        RemoteProtocolError: it is malformed, or a parameter is repeated.
    """
    text = value.lstrip(" \t").partition(" ")[2]
    found = _plain(text)
    if found is not None:
        return found
    found = {}
    for name, quoted, token, garbage in _PARAM.findall(text):
        name = name.lower()
        if garbage or name in found:
            raise RemoteProtocolError("malformed or repeated digest parameter")
        if not quoted:
            found[name] = token
        elif "\\" in quoted:
            found[name] = _ESCAPE.sub(r"\1", quoted[1:-1])
        else:
            found[name] = quoted[1:-1]
    return found


def _plain(text: str) -> dict[str, str] | None:
    """
    Parse parameters without commas and escapes in their values, as nearly all are.

    Returns:
        None if they are others, or malformed. The regular expression takes six times
        as long.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name, _, value = part.strip(" \t").partition("=")
        name = name.lower()
        if not name.isalnum() or not name.isascii() or name in found:
            return None
        if value[:1] == '"':
            bare = value[1:-1]
            if len(value) < 2 or value[-1] != '"' or '"' in bare or "\\" in bare:
                return None
            found[name] = bare
        elif grammar.token.fullmatch(value):
            found[name] = value
        else:
            return None
    return found


def quoted(text: str) -> str:
    """Write a quoted-string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
