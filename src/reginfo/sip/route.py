"""Interprets the Route of a request: our part and the rest (RFC 3261 §16.4, §16.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .dialog import hop_to, route_uri
from .errors import RemoteProtocolError
from .message import Request, request_uri
from .token import is_token
from .uri import Uri

IsOurs = Callable[[Uri], bool]
"""Says whether a URI leads to this server, whatever its user part."""

SUBSCRIPTION = "sub"
"""
The parameter of our Record-Route URI in a SUBSCRIBE, which identifies its NOTIFYs:
these are record-routed if and only if the SUBSCRIBE was (RFC 6665 §4.3).
"""


DIALOG = "dlg"
"""
The parameter of our Record-Route URI with the mark of its dialog: a request that has it
needs no permission; see :meth:`reginfo.sip.token.Tokens.mark`.
"""


class Routed(NamedTuple):
    """A request without the routes that led here."""

    uri: str
    "The Request-URI."

    route: tuple[str, ...]
    "The remaining Route, topmost first."

    loose: bool
    "Whether one of our Routes led here."

    token: str = ""
    "The user part of our last Route, which may be a flow token (RFC 5626 §5.3)."

    subscribed: bool = False
    "Whether one of our Routes was recorded in a SUBSCRIBE."

    mark: str = ""
    "The mark of its dialog in one of our Routes."


class Outgoing(NamedTuple):
    """The Request-URI and the Route of a request to send."""

    uri: str
    route: tuple[str, ...]

    first: Uri
    "The URI of the next hop."


def preprocess(request: Request, is_ours: IsOurs) -> Routed:
    """
    Remove what leads here: our Route, or the Request-URI written by a strict router.

    Raises:
        RemoteProtocolError: its Route cannot be parsed.
    """
    uri = request_uri(request)
    route = request.values("Route")
    text, loose, token, subscribed, mark = request.uri, False, "", False, ""
    unnamed = not uri.user or is_token(uri.user)
    if route and unnamed and uri.param("lr") is not None and is_ours(uri):
        # A strict router moved our Record-Route there, and the target to the end.
        text, loose, token = _target_of(route.pop()), True, uri.user
        subscribed = uri.param(SUBSCRIPTION) is not None
        mark = uri.param(DIALOG) or ""
    elif uri.param("maddr") is not None and is_ours(uri):
        text = _without_maddr(uri)
    # There are two of ours if transport or address change here (RFC 5658 §3).
    while route and is_ours(first := Uri.parse(route_uri(route[0]))):
        del route[0]
        loose, token = True, first.user
        subscribed = subscribed or first.param(SUBSCRIPTION) is not None
        mark = first.param(DIALOG) or mark
    return Routed(text, tuple(route), loose, token, subscribed, mark)


def request_uri_of(uri: Uri) -> str:
    """
    Return a URI in the form of a Request-URI: without `method` and without headers.

    §16.6 step 2, by the table in §19.1.1.
    """
    text = uri.text.removesuffix(f"?{uri.headers}") if uri.headers else uri.text
    if uri.scheme == "tel" or uri.param("method") is None:
        return text
    address, params = _without(uri, text, "method")
    return address + params


def outgoing(uri: str, route: tuple[str, ...]) -> Outgoing:
    """
    Return the Request-URI and Route to send, for a target and a route set (§16.6).

    Raises:
        RemoteProtocolError: one of them cannot be parsed.
    """
    if not route:
        return Outgoing(uri, route, Uri.parse(uri))
    first = Uri.parse(route_uri(route[0]))
    hop = hop_to(uri, first)
    if first.param("lr") is not None:
        return Outgoing(uri, route, hop)
    # A strict router requires its own URI as Request-URI, and the target at the end.
    return Outgoing(first.text, (*route[1:], f"<{uri}>"), hop)


def _target_of(value: str) -> str:
    uri = Uri.parse(route_uri(value))
    if uri.scheme not in ("sip", "sips"):
        raise RemoteProtocolError(f"Route of scheme {uri.scheme}")
    return uri.text


def _without_maddr(uri: Uri) -> str:
    """Remove a maddr that leads here, with its port and transport (§16.4)."""
    address, params = _without(uri, uri.text, "maddr", "transport")
    if uri.port is not None:
        address = address.rpartition(":")[0]
    return address + params


def _without(uri: Uri, text: str, *names: str) -> tuple[str, str]:
    """
    Split a SIP URI before its parameters, and omit those with ``names``.

    Args:
        text: the text of ``uri``, without its headers.
    """
    # The user part may contain a ";".
    user, at, rest = text.partition("@") if uri.user else ("", "", text)
    address, *params = rest.split(";")
    kept = [
        f";{param}"
        for param, (name, _) in zip(params, uri.params, strict=True)
        if name not in names
    ]
    return f"{user}{at}{address}", "".join(kept)
