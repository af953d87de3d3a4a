"""The administrator: changes bindings without a REGISTER (RFC 3680 §4.7.1)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ..location.binding import Binding
from ..location.merge import Survivors
from ..reg.document import ContactEvent, shortest_q
from ..sip.errors import LocalProtocolError
from ..sip.uri import Uri

REMOVALS = frozenset(
    {
        ContactEvent.DEACTIVATED,
        ContactEvent.PROBATION,
        ContactEvent.REJECTED,
        ContactEvent.UNREGISTERED,
    }
)
"""Events that an administrator can remove a contact with."""


def create(
    rows: Mapping[str, Survivors],
    contact: str,
    *,
    expires: int,
    server_id: str,
    stamp: int,
    call_id: str,
    now: float,
    q: str | None = None,
) -> tuple[Binding, ...]:
    """
    Bind ``contact`` without a REGISTER: event `created`.

    Args:
        expires: seconds.
        call_id: a new one, which no REGISTER has.

    Raises:
        RemoteProtocolError: ``contact`` is not a URI.
        ValueError: ``q`` is not a number from 0 to 1.
    """
    uri = Uri.parse(contact)
    key = _key(uri, rows) or uri.key
    return (
        Binding(
            contact=contact,
            key=key,
            call_id=call_id,
            cseq=1,
            event=ContactEvent.CREATED,
            expires_at=now + expires,
            registered_at=now,
            owner=server_id,
            stamp=stamp,
            q=None if q is None else shortest_q(q),
        ),
    )


def shorten(
    rows: Mapping[str, Survivors],
    *,
    expires: int,
    server_id: str,
    stamp: int,
    now: float,
    contact: str | None = None,
) -> tuple[Binding, ...]:
    """
    Let contacts expire in ``expires`` seconds, so that their user agents refresh soon.

    A contact that expires before is left as it is.

    Args:
        contact: the contact to shorten; all if None.
    """
    return tuple(
        msgspec.structs.replace(
            bound,
            event=ContactEvent.SHORTENED,
            expires_at=now + expires,
            owner=server_id,
            stamp=stamp,
            source=None,
        )
        for bound in _bound(rows, contact, now)
        if bound.expires_at > now + expires
    )


def remove(
    rows: Mapping[str, Survivors],
    *,
    server_id: str,
    stamp: int,
    now: float,
    contact: str | None = None,
    event: ContactEvent = ContactEvent.DEACTIVATED,
    retry_after: int | None = None,
) -> tuple[Binding, ...]:
    """
    Remove contacts with ``event`` as the reason.

    Args:
        contact: the contact to remove; all if None.
        retry_after: seconds after which the user agent may register again; required
            with `probation`, and not allowed with any other event.

    Raises:
        LocalProtocolError: ``event`` removes no contact, or ``retry_after`` does not
            go with it.
    """
    if event not in REMOVALS:
        raise LocalProtocolError(f"{event} does not remove a contact")
    if (event is ContactEvent.PROBATION) != (retry_after is not None):
        raise LocalProtocolError("retry-after goes with probation, and only with that")
    return tuple(
        msgspec.structs.replace(
            bound,
            event=event,
            owner=server_id,
            stamp=stamp,
            source=None,
            retry_after=retry_after,
        )
        for bound in _bound(rows, contact, now)
    )


def _bound(
    rows: Mapping[str, Survivors], contact: str | None, now: float
) -> list[Binding]:
    """Return the binding of ``contact``, or of all contacts."""
    if contact is None:
        keys = list(rows)
    else:
        key = _key(Uri.parse(contact), rows)
        keys = [] if key is None else [key]
    return [
        holds
        for key in keys
        if (holds := rows[key][0]).active and holds.expires_at > now
    ]


def _key(uri: Uri, rows: Mapping[str, Survivors]) -> str | None:
    if uri.key in rows:
        return uri.key
    return next(
        (k for k, known in rows.items() if uri.matches(Uri.parse(known[0].contact))),
        None,
    )
