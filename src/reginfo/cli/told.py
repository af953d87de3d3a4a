"""A NOTIFY as text and as JSON."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import msgspec

from ..agent.watching import Notification
from ..reg.document import Contact, Reginfo
from ..sip.text import printable

NOTHING = "-"
"""A column that has no value."""


def moment(at: float) -> str:
    """Write a time in UTC, with milliseconds.

    Args:
        at: seconds since the epoch.
    """
    time = datetime.datetime.fromtimestamp(at, datetime.UTC)
    return f"{time.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


def lines(told: Notification, uri: str, at: float) -> Iterator[str]:
    """
    Write a NOTIFY as text: time, address-of-record, contact, event, state and expiry.

    There is one line for each contact in its document, and for each that a full
    document no longer lists; one for a registration without contacts.

    Args:
        uri: the watched resource.
        at: when it was received, in seconds since the epoch.
    """
    rows: list[tuple[str, ...]] = []
    if told.document is None:
        rows.append((uri, "no document"))
    else:
        for registration in told.document.registrations:
            for contact in registration.contacts:
                rows.append(_row(registration.aor, contact))
            if not registration.contacts:
                empty = (NOTHING, NOTHING, registration.state, NOTHING)
                rows.append((registration.aor, *empty))
        if not told.document.registrations:
            rows.append((uri, "no registration"))
    for news in told.omitted:
        rows.append((news.aor, news.contact.uri, "omitted", "terminated", NOTHING))
    for row in rows:
        yield printable("  ".join((moment(at), *row)))


def builtins(told: Notification, uri: str, at: float) -> dict[str, Any]:
    """
    Convert a NOTIFY to values for JSON; empty fields of a contact are left out.

    Args:
        uri, at: as of :func:`lines`.
    """
    state = told.state
    return {
        "time": moment(at),
        "uri": uri,
        "cseq": told.cseq,
        "subscription": {
            "state": state.state,
            "expires": state.expires,
            "reason": state.reason,
            "retry_after": state.retry_after,
        },
        "document": None if told.document is None else _document(told.document),
        "omitted": [
            {"aor": news.aor, "uri": news.contact.uri} for news in told.omitted
        ],
        "missed": told.missed,
    }


def _row(aor: str, contact: Contact) -> tuple[str, ...]:
    expires = NOTHING if contact.expires is None else str(contact.expires)
    return aor, contact.uri, contact.event, contact.state, expires


def _document(document: Reginfo) -> dict[str, Any]:
    return {
        "version": document.version,
        "state": "full" if document.full else "partial",
        "registrations": [
            {
                "aor": registration.aor,
                "id": registration.id,
                "state": registration.state.value,
                "contacts": [_contact(contact) for contact in registration.contacts],
            }
            for registration in document.registrations
        ],
        "warnings": list(document.warnings),
    }


def _contact(contact: Contact) -> dict[str, Any]:
    said = _said(contact)
    said["state"] = contact.state.value
    if contact.params:
        said["params"] = dict(contact.params)
    if contact.temp_gruu is not None:
        said["temp_gruu"] = contact.temp_gruu._asdict()
    if contact.claim is not None:
        said["claim"] = _said(contact.claim)
    return said


def _said(struct: msgspec.Struct) -> dict[str, Any]:
    """The fields that are not empty."""
    fields = msgspec.to_builtins(struct)
    return {name: value for name, value in fields.items() if value not in _EMPTY}


_EMPTY: tuple[object, ...] = (None, "", [], ())
