"""One REGISTER, and what the registrar answers (RFC 3261 §10.2)."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from ..sip.errors import RemoteProtocolError
from ..sip.headers import delta_seconds, parse_name_addr
from ..sip.message import Draft, Response
from ..sip.uri import Uri

ALL = "*"
"""In the place of a contact: every one, to be removed (§10.2.2)."""


class Exchange(NamedTuple):
    """What tells one exchange from another: random tokens."""

    tag: str
    call_id: str


class RegisteredContact(Struct, frozen=True):
    """One contact, as the registrar lists it."""

    uri: str

    expires: int | None
    "Seconds left; None if it does not say."

    q: str | None
    params: dict[str, str | None]
    "The other parameters, values as written."


def contact_value(text: str) -> str:
    """
    A Contact as it stands in a REGISTER: a URI is put in angle brackets.

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
        raise ValueError(f"{text!r} is no contact: {exc}") from exc
    return value


def register_draft(
    aor: Uri,
    contact: str | None,
    expires: int | None,
    *,
    registrar: str,
    exchange: Exchange,
) -> Draft:
    """
    A REGISTER.

    Args:
        contact: of :func:`contact_value`; None to ask what is registered.
        expires: in seconds; None leaves that to the registrar.
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
    What the 200 to a REGISTER lists.

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
