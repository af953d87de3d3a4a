"""The administrator: what is done to bindings without a REGISTER (RFC 3680 §4.7.1)."""

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
    Bind ``contact`` although nobody has registered it: event `created`.

    Args:
        expires: seconds.
        call_id: new, of no REGISTER.

    Raises:
        RemoteProtocolError: ``contact`` is no URI.
        ValueError: ``q`` is no preference.
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
    Have contacts end in ``expires`` seconds, so that their user agents refresh soon.

    One that ends before is left as it is.

    Args:
        contact: which one; all if left out.
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
    Unbind contacts, for the reason that ``event`` names.

    Args:
        contact: which one; all if left out.
        retry_after: seconds after which the user agent may come back; needed with
            `probation`, and with nothing else.

    Raises:
        LocalProtocolError: that is no reason, or ``retry_after`` does not fit it.
    """
    if event not in REMOVALS:
        raise LocalProtocolError(f"nobody is removed by {event}")
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
    """What is bound of ``contact``, or of all."""
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
