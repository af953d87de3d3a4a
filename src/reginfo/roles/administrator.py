"""The administrator: changes bindings without a REGISTER (RFC 3680 §4.7.1)."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ..location.claim import MAX_SIZE, Claim, is_too_large
from ..location.contacts import Contacts as Contacts
from ..location.record import Record, RecordKind
from ..location.stamp import Stamp, label
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
"""The events with which an administrator can remove a contact."""


class ActResult(NamedTuple):
    """What an act has changed here; false if nothing."""

    contacts: int = 0
    "How many contacts it has changed."

    is_recorded: bool = False
    """
    Whether it holds for the user, and not only for contacts that are bound here: that
    the user is barred, say, or that what other servers know of is shortened or removed.
    """

    def __bool__(self) -> bool:
        return self.contacts > 0 or self.is_recorded


class Act(NamedTuple):
    """
    An action of an administrator, to be applied to the store.

    Each claim is a life of its own, so a refresh by the user agent that is not known
    here yet does not undo it, whatever its CSeq.
    """

    claims: tuple[Claim, ...] = ()
    records: tuple[Record, ...] = ()


def create(
    contacts: Contacts,
    contact: str,
    *,
    expires: int,
    server_id: str,
    call_id: str,
    q: str | None = None,
) -> Act:
    """
    Bind ``contact`` without a REGISTER: event `created`.

    Args:
        expires: the interval in seconds.
        call_id: a new Call-ID, which no REGISTER has.

    Raises:
        LocalProtocolError: the user is rejected or on probation, or the contact takes
            more than `claim.MAX_SIZE`.
        RemoteProtocolError: ``contact`` is not a URI.
        ValueError: ``q`` is not a number from 0 to 1.
    """
    uri = Uri.parse(contact)
    if contacts.standing is not None and contacts.standing.bars(contacts.now):
        raise LocalProtocolError("the user is rejected or on probation; admit it first")
    key = contacts.find(uri) or uri.key
    stamp = contacts.stamp(key)
    bound = contacts.bound(key)
    claim = Claim(
        contact=contact,
        key=key,
        call_id=call_id,
        cseq=1,
        begin=stamp,
        stamp=stamp,
        edition=stamp,
        gone=False,
        event=ContactEvent.CREATED,
        owner=server_id,
        until=label(stamp, expires),
        expires_at=contacts.now + expires,
        registered_at=contacts.now if bound is None else bound.registered_at,
        q=None if q is None else shortest_q(q),
    )
    if is_too_large(claim):
        raise LocalProtocolError(f"a contact may take {MAX_SIZE} octets at the most")
    return Act((claim,))


def shorten(
    contacts: Contacts, *, expires: int, server_id: str, contact: str | None = None
) -> Act:
    """
    Let contacts expire in ``expires`` seconds, so that their user agents refresh soon.

    A contact that ends earlier is not changed; the owner stays the same.

    Args:
        contact: the contact; by default all, including those that only other servers
            know.
    """
    now = contacts.now
    if contact is None:
        stamp = contacts.record_stamp(RecordKind.SHORTEN)
        record = Record(
            kind=RecordKind.SHORTEN,
            value="",
            stamp=stamp,
            owner=server_id,
            until=label(stamp, expires),
            expires_at=now + expires,
        )
        return Act(records=(record,))
    return Act(
        tuple(
            _life(
                bound,
                stamp,
                event=ContactEvent.SHORTENED,
                until=label(stamp, expires),
                expires_at=now + expires,
            )
            for bound, stamp in _bound(contacts, contact)
            if bound.expires_at > now + expires
        )
    )


def remove(
    contacts: Contacts,
    *,
    server_id: str,
    contact: str | None = None,
    event: ContactEvent = ContactEvent.DEACTIVATED,
    retry_after: int | None = None,
    call_id: str | None = None,
) -> Act:
    """
    Remove contacts, and report ``event``.

    If all contacts of a user are put on probation, the user's REGISTERs are refused
    until it is over; if they are rejected, until :func:`admit`.

    Args:
        contact: the contact to remove; all if None.
        retry_after: seconds after which the user agent may register again; required
            with `probation`, and not allowed with any other event.
        call_id: a new Call-ID if other servers may know contacts that are not known
            here: they are removed, too. None if there are no such servers.

    Raises:
        LocalProtocolError: ``event`` does not remove a contact, or ``retry_after`` does
            not match it.
    """
    if event not in REMOVALS:
        raise LocalProtocolError(f"{event} does not remove a contact")
    if (event is ContactEvent.PROBATION) != (retry_after is not None):
        raise LocalProtocolError("probation, and only probation, needs retry-after")
    claims = tuple(
        _life(
            bound,
            stamp,
            gone=True,
            event=event,
            owner=server_id,
            until=stamp,
            retry_after=retry_after,
        )
        for bound, stamp in _bound(contacts, contact)
    )
    if contact is not None:
        if claims or call_id is None:
            return Act(claims)
        return Act((_tombstone(contacts, contact, event, server_id, call_id),))
    if event is ContactEvent.REJECTED:
        known = contacts.record(RecordKind.REJECTED)
        if known is not None and known.value is not None:
            return Act(claims)  # it is barred already
        return Act(claims, (_bar(contacts, RecordKind.REJECTED, server_id),))
    if retry_after is not None:
        record = _bar(contacts, RecordKind.PROBATION, server_id)
        record = msgspec.structs.replace(
            record,
            value=str(retry_after),
            until=label(record.stamp, retry_after),
            expires_at=contacts.now + retry_after,
        )
        return Act(claims, (record,))
    if call_id is None:
        return Act(claims)
    # As `Contact: *` does: what is only known elsewhere does not hold any more.
    stamp = contacts.record_stamp(RecordKind.CLEARED)
    cleared = Record(kind=RecordKind.CLEARED, value="", stamp=stamp, owner=server_id)
    ended = [
        msgspec.structs.replace(
            claim, begin=stamp, stamp=stamp, edition=stamp, until=stamp
        )
        for claim in claims
    ]
    return Act(tuple(ended), (cleared,))


def admit(contacts: Contacts, *, server_id: str) -> Act:
    """Allow a user to register again who was rejected or put on probation."""
    records = []
    for kind in (RecordKind.REJECTED, RecordKind.PROBATION):
        known = contacts.record(kind)
        if known is not None and known.value is not None:
            bar = _bar(contacts, kind, server_id)
            records.append(msgspec.structs.replace(bar, value=None))
    return Act(records=tuple(records))


def _bar(contacts: Contacts, kind: RecordKind, server_id: str) -> Record:
    stamp = contacts.record_stamp(kind)
    return Record(kind=kind, value="", stamp=stamp, owner=server_id)


def _tombstone(
    contacts: Contacts, contact: str, event: ContactEvent, server_id: str, call_id: str
) -> Claim:
    """Make a claim that ends a contact which is not bound here."""
    uri = Uri.parse(contact)
    key = contacts.find(uri) or uri.key
    stamp = contacts.stamp(key)
    return Claim(
        contact=contact,
        key=key,
        call_id=call_id,
        cseq=1,
        begin=stamp,
        stamp=stamp,
        edition=stamp,
        gone=True,
        event=event,
        owner=server_id,
        until=stamp,
        expires_at=contacts.now,
        registered_at=contacts.now,
    )


def _life(bound: Claim, stamp: Stamp, **fields: object) -> Claim:
    """Make a claim about a bound contact, in a life of its own."""
    return msgspec.structs.replace(
        bound,
        begin=stamp,
        stamp=stamp,
        edition=stamp,
        source=None,
        number=0,
        branch=0,
        **fields,
    )


def _bound(contacts: Contacts, contact: str | None) -> list[tuple[Claim, Stamp]]:
    """Return the binding of ``contact``, or all, each with a stamp for the action."""
    if contact is None:
        keys = list(contacts.rows)
    else:
        key = contacts.find(Uri.parse(contact))
        keys = [] if key is None else [key]
    return [
        (bound, contacts.stamp(key))
        for key in keys
        if (bound := contacts.bound(key)) is not None
    ]
