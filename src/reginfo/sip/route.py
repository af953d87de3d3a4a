"""Route information of a request that comes to a proxy (RFC 3261 §16.4, §16.12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .dialog import route_uri
from .errors import RemoteProtocolError
from .message import Request, request_uri
from .token import is_token
from .uri import Uri

IsOurs = Callable[[Uri], bool]
"""Whether a URI leads to this very server, whatever its user part is."""


class Routed(NamedTuple):
    """Where a request was going, once what leads here is taken off."""

    uri: str
    "The Request-URI."

    route: tuple[str, ...]
    "Route that is left, topmost first."

    loose: bool
    "Whether a Route of ours has brought it here."

    token: str = ""
    "The user part of the last Route of ours: it may name a flow (RFC 5626 §5.3)."


def preprocess(request: Request, is_ours: IsOurs) -> Routed:
    """
    Take off what leads here: our Route, or the Request-URI that a strict router wrote.

    Raises:
        RemoteProtocolError: its Route cannot be read.
    """
    uri = request_uri(request)
    route = request.values("Route")
    text, loose, token = request.uri, False, ""
    unnamed = not uri.user or is_token(uri.user)
    if route and unnamed and uri.param("lr") is not None and is_ours(uri):
        # A strict router has put our Record-Route there, and the target last.
        text, loose, token = _target_of(route.pop()), True, uri.user
    elif uri.param("maddr") is not None and is_ours(uri):
        text = _without_maddr(uri)
    # Two of ours, where the transport or the address changes here (RFC 5658 §3).
    while route and is_ours(first := Uri.parse(route_uri(route[0]))):
        del route[0]
        loose, token = True, first.user
    return Routed(text, tuple(route), loose, token)


def request_uri_of(uri: Uri) -> str:
    """
    A URI as it may stand in a Request-URI: without a method, and without headers.

    §16.6 step 2, by the table in §19.1.1.
    """
    text = uri.text.removesuffix(f"?{uri.headers}") if uri.headers else uri.text
    if uri.scheme == "tel" or uri.param("method") is None:
        return text
    # A user part may well have a ";" of its own.
    user, at, rest = text.partition("@") if uri.user else ("", "", text)
    place, *params = rest.split(";")
    kept = [
        f";{param}"
        for param, (name, _) in zip(params, uri.params, strict=True)
        if name != "method"
    ]
    return "".join([user, at, place, *kept])


def next_hop(uri: str, route: tuple[str, ...]) -> tuple[str, tuple[str, ...], Uri]:
    """
    The Request-URI and Route to send, and the URI that says where (§16.6 steps 6, 7).

    Raises:
        RemoteProtocolError: one of them cannot be read.
    """
    if not route:
        return uri, route, Uri.parse(uri)
    first = Uri.parse(route_uri(route[0]))
    if first.param("lr") is not None:
        return uri, route, first
    # A strict router wants itself in the Request-URI, and the target last.
    return first.text, (*route[1:], f"<{uri}>"), first


def _target_of(value: str) -> str:
    uri = Uri.parse(route_uri(value))
    if uri.scheme not in ("sip", "sips"):
        raise RemoteProtocolError(f"Route of scheme {uri.scheme}")
    return uri.text


def _without_maddr(uri: Uri) -> str:
    """§16.4: the maddr has brought it here; what it stood for, it has done."""
    text, semicolon, rest = uri.text.partition(";")
    params, mark, headers = rest.partition("?")
    kept = [
        param
        for param in params.split(";")
        if param.partition("=")[0].lower() not in ("maddr", "transport")
    ]
    # A port that is not the usual one, and a transport, were for this hop.
    host, colon, port = text.rpartition(":")
    if uri.port is not None and colon and port == str(uri.port):
        text = host
    return "".join([text, *(f";{param}" for param in kept), mark, headers])
