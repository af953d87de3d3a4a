"""The contacts of a REGISTER, as requested and as listed in its response."""

from __future__ import annotations

from functools import lru_cache

from ..location.claim import MARKUP, Claim
from ..reg.document import shortest_q
from ..sip.address import numeric
from ..sip.dialog import route_uri
from ..sip.errors import RemoteProtocolError
from ..sip.flow import Flow, Local, unscoped, uri_host
from ..sip.headers import delta_seconds, parse_name_addr, quote
from ..sip.message import Request
from ..sip.uri import CACHE, LONG_CACHE, LONGEST_CACHED, SHORT_CACHED, Uri
from ..sip.value import Value

LONG = 3600
"""The meaning of a malformed Expires or `expires` parameter, in seconds (§20.10)."""


class RequestedContact(Value, frozen=True):
    """A value of the Contact header of a REGISTER."""

    uri: Uri

    expires: int | None
    "The interval in its own parameter, in seconds; None if there is none."

    q: str | None
    "The preference, in its shortest form."

    params: tuple[tuple[str, str | None], ...]
    "Header parameters except `expires` and `q`; values as written."

    display_name: str

    size: int
    "Characters that it takes at the most in a claim, with the markup of a document."


def requested_contact(value: str) -> RequestedContact:
    """
    Parse a value of Contact.

    Raises:
        RemoteProtocolError: it is malformed.
    """
    # A phone sends the same value with each refresh.
    length = len(value)
    if length > LONGEST_CACHED or not value.isascii():
        return _read(value)
    return _cached(value) if length <= SHORT_CACHED else _long(value)


def _read(value: str) -> RequestedContact:
    contact = parse_name_addr(value)
    expires = None
    if "expires" in contact.params:
        expires = delta_seconds(contact.params["expires"])
        if expires is None:
            expires = LONG
    return RequestedContact(
        contact.parsed,
        expires,
        _q(contact.params.get("q")),
        tuple(
            (name, parameter)
            for name, parameter in contact.params.items()
            if name != "expires" and name != "q"
        ),
        contact.display_name,
        # The URI is in the key as well.
        2 * len(value) + MARKUP * len(contact.params),
    )


_cached = lru_cache(CACHE)(_read)
_long = lru_cache(LONG_CACHE)(_read)


def _q(value: str | None) -> str | None:
    if not value:
        return None
    try:
        return shortest_q(value)
    except ValueError as exc:
        raise RemoteProtocolError(f"malformed q: {value!r}") from exc


def path_of(request: Request) -> tuple[str, ...]:
    """
    Return the route set of a contact, as Path records it (RFC 3327 §5.3).

    Raises:
        RemoteProtocolError: no request can be routed by it.
    """
    path = tuple(request.values("Path"))
    for value in path:
        if Uri.parse(route_uri(value)).scheme not in ("sip", "sips"):
            raise RemoteProtocolError(f"unusable Path: {value[:80]!r}")
    return path


def received(uri: Uri, flow: Flow) -> str:
    """Return the source of a REGISTER as a URI; empty if its Contact is the same."""
    host, port = flow.remote
    if (uri.port or flow.local.transport.default_port) == port:
        address = numeric(uri.host).address
        if address == host or address == unscoped(host):
            return ""
    transport = flow.local.transport
    # By its own name, also WSS: in URIs for others that is `ws`, or `sips:`.
    param = f";transport={transport.token}" if transport.uri_param else ""
    return f"sip:{uri_host(host)}:{port}{param}"


@lru_cache(64)
def listener(local: Local) -> str:
    """Return the name of a listening address, as stored in a claim."""
    return str(local)


def contact_value(binding: Claim, now: float) -> str:
    """Return the Contact header value of a binding."""
    text = f"<{binding.contact}>;expires={binding.expires(now)}"
    if binding.display_name:
        text = f"{quote(binding.display_name)} {text}"
    if binding.q is not None:
        text += f";q={binding.q}"
    for name, value in binding.params:
        # A peer may have listed these as parameters (§7.3.1: none may be repeated).
        if name != "expires" and name != "q":
            text += f";{name}" if value is None else f";{name}={value}"
    return text
