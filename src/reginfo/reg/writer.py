"""
The writer of ``application/reginfo+xml`` (RFC 3680 §5.4).

Writing is strict, while reading (reader.py) is lenient. A document is joined from
parts, so that the XML of a contact can be cached for all of its watchers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .contact import (
    ClaimElement,
    Contact,
    ContactEvent,
    Piece,
    RecordKey,
    Registration,
    RegistrationState,
)
from .elements import CLAIM_NAMESPACE, GRUU_NAMESPACE, NAMESPACE

# Characters that must be escaped in text or attributes: markup; white space that a
# reader would turn into a blank; and characters that XML 1.0 §2.2 does not allow, which
# become U+FFFD, as does DEL. (A byte of a header that is not UTF-8 is a surrogate
# here.)
_SPECIAL = re.compile(
    r"[&<>\"\t\n\r]|[^\u0020-\u007e\u0080-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)
_ESCAPES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "\t": "&#9;",
    "\n": "&#10;",
    "\r": "&#13;",
}

# The same test for all texts of an element at once, in half the time of a regular
# expression: is any of their bytes mapped to 0?
_PLAIN = bytes(c if 0x20 <= c < 0x7F and c not in b'&<>"' else 0 for c in range(256))

_TAIL = "</uri></contact>"

Params = tuple[tuple[str, str | None], ...]
"""As of :attr:`.Contact.params`."""


def escape(text: str) -> str:
    """Escape ``text`` for an attribute in double quotes, or for an element."""
    return _SPECIAL.sub(lambda found: _ESCAPES.get(found[0], "\ufffd"), text)


def plain_parts(
    id: str,
    uri: str,
    event: ContactEvent,
    callid: str | None,
    cseq: int | None,
    q: str | None = None,
    retry_after: int | None = None,
    display_name: str | None = None,
    params: Params = (),
) -> tuple[bytes, bytes]:
    """Like :func:`contact_parts`, of a contact that has nothing else."""
    head, uri = _head(id, uri, event, callid, cseq, q, retry_after)
    if display_name is None and not params:
        return head.encode(), f"><uri>{uri}{_TAIL}".encode()
    children = _children(display_name, None, params)
    return head.encode(), f"><uri>{uri}</uri>{children}</contact>".encode()


def contact_parts(contact: Contact) -> tuple[bytes, bytes]:
    """
    Return the XML of a contact before and after the attributes that change with time.

    :func:`contact_element` inserts these attributes.
    """
    head, uri = _head(
        contact.id,
        contact.uri,
        contact.event,
        contact.callid,
        contact.cseq,
        contact.q,
        contact.retry_after,
    )
    if contact.claim is None:
        head += _legacy_attributes(contact)
    children = _children(contact.display_name, contact.lang, contact.params)
    children += _foreign_children(contact)
    return head.encode(), f"><uri>{uri}</uri>{children}</contact>".encode()


def _head(
    id: str,
    uri: str,
    event: ContactEvent,
    callid: str | None,
    cseq: int | None,
    q: str | None,
    retry_after: int | None,
) -> tuple[str, str]:
    """Write the start of a contact, without what changes with time; and its URI."""
    probe = f"{id}{uri}{callid}{q}".encode("utf-8", "surrogatepass")
    if 0 in probe.translate(_PLAIN):
        id, uri = escape(id), escape(uri)
        callid = None if callid is None else escape(callid)
        q = None if q is None else escape(q)
    head = f'<contact id="{id}" state="{event.state}" event="{event}"'
    if callid is not None:
        head += f' callid="{callid}"'
    if cseq is not None:
        head += f' cseq="{cseq}"'
    if q is not None:
        head += f' q="{q}"'
    if retry_after is not None:
        head += f' retry-after="{retry_after}"'
    return head, uri


def contact_element(
    parts: tuple[bytes, bytes], expires: int | None, duration_registered: int | None
) -> bytes:
    """Complete the XML of a contact from the result of :func:`contact_parts`."""
    head, tail = parts
    if expires is None:
        if duration_registered is None:
            return head + tail
        return b'%b duration-registered="%d"%b' % (head, duration_registered, tail)
    if duration_registered is None:
        return b'%b expires="%d"%b' % (head, expires, tail)
    return b'%b expires="%d" duration-registered="%d"%b' % (
        head,
        expires,
        duration_registered,
        tail,
    )


def key_element(key: RecordKey) -> bytes:
    """Write the XML of a key, which is the last element of its registration."""
    value = "" if key.value is None else f' value="{escape(key.value)}"'
    more = "" if key.kind == "key" else f' kind="{escape(key.kind)}"'
    if key.until:
        more += f' until="{key.until}"'
    if key.left is not None:
        more += f' left="{key.left}"'
    return (
        f'<key xmlns="{CLAIM_NAMESPACE}" name="{escape(key.name)}"'
        f' owner="{escape(key.owner)}" stamp="{key.stamp}"{value}{more}/>'
    ).encode()


def registration_element(
    aor: str, id: str, state: RegistrationState, contacts: Iterable[bytes]
) -> bytes:
    """Write the XML of a registration, around that of its contacts and keys."""
    if 0 in f"{aor}{id}".encode("utf-8", "surrogatepass").translate(_PLAIN):
        aor, id = escape(aor), escape(id)
    return b"%b%b</registration>" % (
        f'<registration aor="{aor}" id="{id}" state="{state}">'.encode(),
        b"".join(contacts),
    )


def reginfo_body(
    version: int,
    full: bool,
    registrations: Iterable[bytes],
    piece: Piece = Piece.WHOLE,
) -> bytes:
    """Write a document around the XML of its registrations."""
    content = b"".join(registrations)
    if piece is not Piece.WHOLE:
        content += f'<{piece} xmlns="{CLAIM_NAMESPACE}"/>'.encode()
    return (_FULL if full else _PARTIAL) % (version, content)


# `version` stands before `state`, not at the end, because some servers overwrite it
# with their own version, padded with blanks.
_FULL, _PARTIAL = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<reginfo xmlns="%b" version="%%d" state="%b">%%b</reginfo>'
    % (NAMESPACE.encode(), state)
    for state in (b"full", b"partial")
)


def registration(registration: Registration) -> bytes:
    """Write the XML of a registration, with its contacts and keys."""
    return registration_element(
        registration.aor,
        registration.id,
        registration.state,
        [
            contact_element(
                contact_parts(contact), contact.expires, contact.duration_registered
            )
            for contact in registration.contacts
        ]
        + [key_element(key) for key in registration.keys],
    )


def _legacy_attributes(contact: Contact) -> str:
    return "".join(
        f' {name}="{escape(value)}"'
        for name, value in (
            ("received", contact.received),
            ("path", ",".join(contact.path)),
            ("user_agent", contact.user_agent),
        )
        if value
    )


def _children(display_name: str | None, lang: str | None, params: Params) -> str:
    """Write the elements after the URI, in the order of the schema."""
    children = []
    if display_name is not None:
        language = "" if lang is None else f' xml:lang="{escape(lang)}"'
        name = escape(display_name)
        children.append(f"<display-name{language}>{name}</display-name>")
    for name, value in params:
        text = "" if value is None else escape(value)
        children.append(f'<unknown-param name="{escape(name)}">{text}</unknown-param>')
    return "".join(children)


def _foreign_children(contact: Contact) -> str:
    """Write the elements of other namespaces, which come last."""
    children = []
    # Each foreign element declares its namespace, because the XML of a contact is
    # inserted into documents that do not. The prefix is that of RFC 5628 §7, for
    # readers that depend on it.
    if contact.pub_gruu is not None:
        children.append(
            f'<gr:pub-gruu xmlns:gr="{GRUU_NAMESPACE}"'
            f' uri="{escape(contact.pub_gruu)}"/>'
        )
    if contact.temp_gruu is not None:
        uri, first_cseq = contact.temp_gruu
        children.append(
            f'<gr:temp-gruu xmlns:gr="{GRUU_NAMESPACE}"'
            f' uri="{escape(uri)}" first-cseq="{first_cseq}"/>'
        )
    if contact.claim is not None:
        children.append(_claim_element(contact.claim))
    return "".join(children)


def _claim_element(claim: ClaimElement) -> str:
    # An element rather than attributes: the schema allows only foreign elements.
    head = (
        f'<claim xmlns="{CLAIM_NAMESPACE}" owner="{escape(claim.owner)}"'
        f' key="{escape(claim.key)}" begin="{claim.begin}" stamp="{claim.stamp}"'
        f' edition="{claim.edition}" until="{claim.until}"'
    )
    if claim.left is not None:
        head += f' left="{claim.left}"'
    if claim.gone:
        head += ' gone="true"'
    if claim.received:
        head += f' received="{escape(claim.received)}"'
    if claim.user_agent:
        head += f' user-agent="{escape(claim.user_agent)}"'
    if not claim.path:
        return head + "/>"
    path = "".join([f"<path>{escape(uri)}</path>" for uri in claim.path])
    return f"{head}>{path}</claim>"
