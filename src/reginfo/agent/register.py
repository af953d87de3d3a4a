"""One REGISTER, and the answer of the registrar (RFC 3261 §10.2)."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from ..sip.errors import RemoteProtocolError
from ..sip.headers import delta_seconds, parse_name_addr
from ..sip.message import Draft, Response
from ..sip.uri import Uri

ALL = "*"
"""Instead of a contact: all contacts, to be removed (§10.2.2)."""


class Exchange(NamedTuple):
    """The random tokens of one exchange."""

    tag: str
    call_id: str


class RegisteredContact(Struct, frozen=True):
    """One contact, as the registrar lists it."""

    uri: str

    expires: int | None
    "Seconds left; None if the registrar does not say."

    q: str | None
    params: dict[str, str | None]
    "The other parameters, values as written."


def contact_value(text: str) -> str:
    """
    Write a Contact for a REGISTER: a URI is put in angle brackets.

    Raises:
        ValueError: it is neither a URI nor a name-addr.
    """
    if text == ALL:
        return ALL
    # A bare URI's parameters are its own, and not the header's.
    value = text if "<" in text else f"<{text}>"
    try:
        if not value.isprintable():
            raise RemoteProtocolError("control characters")
        Uri.parse(parse_name_addr(value).uri)
    except RemoteProtocolError as exc:
        if _is_uri(f"sip:{text}"):
            message = f"{text} is not a URI: did you mean sip:{text}?"
            raise ValueError(message) from exc
        raise ValueError(f"{text!r} is not a contact: {exc}") from exc
    return value


def _is_uri(text: str) -> bool:
    try:
        return text.isprintable() and bool(Uri.parse(text).host)
    except RemoteProtocolError:
        return False


def register_draft(
    aor: Uri,
    contact: str | None,
    expires: int | None,
    *,
    registrar: str,
    exchange: Exchange,
) -> Draft:
    """
    Make a REGISTER.

    Args:
        contact: of :func:`contact_value`; None to ask what is registered.
        expires: in seconds; None leaves it to the registrar.
        registrar: its host and port, for an address-of-record without a domain.
    """
    place = aor.host if aor.port is None else f"{aor.host}:{aor.port}"
    scheme = aor.scheme if place else "sip"
    head = (
        "Max-Forwards: 70\r\n"
        f"From: <{aor.text}>;tag={exchange.tag}\r\nTo: <{aor.text}>\r\n"
        f"Call-ID: {exchange.call_id}\r\nCSeq: 1 REGISTER\r\n"
    )
    if contact is not None:
        head += f"Contact: {contact}\r\n"
        if expires is not None:
            head += f"Expires: {expires}\r\n"
    return Draft("REGISTER", f"{scheme}:{place or registrar}", head)


def registered(response: Response) -> list[RegisteredContact]:
    """
    Read the contacts in the 200 to a REGISTER.

    Raises:
        RemoteProtocolError: it cannot be read.
    """
    contacts = []
    for value in response.values("Contact"):
        contact = parse_name_addr(value)
        params = dict(contact.params)
        own = delta_seconds(params.pop("expires", None))
        expires = response.expires if own is None else own
        contacts.append(
            RegisteredContact(contact.uri, expires, params.pop("q", None), params)
        )
    return contacts
