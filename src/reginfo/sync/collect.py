"""What follows a change, for one link: as many whole elements as fit a document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ..location.claim import Claim
from ..location.contact_row import ContactRow
from ..location.keyring import UserRecords
from ..location.place import Aor, Place
from ..location.record import Record
from ..location.source import peer_of
from ..location.store import LocationStore
from ..reg.document import RegistrationState
from .envelope import (
    AROUND,
    claim_element,
    contact_and_claim,
    contact_start,
    record_element,
    registration_element,
)
from .group import Group

AROUND_USER = 100
"""Octets of a registration around its address-of-record and what is in it, at most."""

AT_ONCE = 4096
"""Changes that are looked at for one document, so that no document takes long."""


ACTIVE: Final = RegistrationState.ACTIVE


class Collected(NamedTuple):
    """What goes into one document."""

    registrations: list[str]
    elements: int
    "How many claims and records these have."

    to: int
    "The change that it reaches up to."

    more: bool
    "Whether there is more that did not fit."


class _User:
    """What is told of one address-of-record."""

    __slots__ = ("contacts", "is_bound", "records")

    def __init__(self) -> None:
        self.contacts: dict[str, str] = {}
        "By key: the contact of RFC 3680, and our elements, without its end."

        self.records = ""
        self.is_bound = False


def collect(
    store: LocationStore,
    group: Group,
    *,
    after: int,
    until: int,
    kept_back: int,
    peer: str | None,
    room: int,
    now: float,
    path_of: Callable[[Claim], tuple[str, ...]],
    is_check: bool = False,
) -> Collected:
    """
    Write what has changed after one number, and up to another.

    Args:
        kept_back: beyond this number, what ``peer`` has told itself is left out.
        room: octets of the document; one element is written however long it is.
        path_of: the route set to a contact that the other server is told.
        is_check: whether to write all claims of a contact together, for who has
            forgotten some of them.
    """
    users: dict[Aor, _User] = {}
    table = group.table
    to, count, looked = after, 0, 0
    size, more = AROUND, False
    row: ContactRow | None
    for number, item in store.changes.after(after):
        if number > until:
            break
        looked += 1
        if looked > AT_ONCE:
            more = True
            break
        if isinstance(item, ContactRow):
            row, place = item, item.place
        else:
            assert isinstance(item, UserRecords)
            row, place = None, item.place
        aor = place.aor
        if place.table != table or not group.covers(aor):
            to = number
            continue
        user = users.get(aor)
        start, is_bound = "", False
        if row is not None:
            claim = _claim_of(row, number)
            if is_check and number != max([one.number for one in row.claims]):
                to = number
                continue
            source = claim.source
            if source is not None and number > kept_back and peer_of(source) == peer:
                to = number
                continue
            holds = row.claims[0]
            is_new = user is None or row.key not in user.contacts
            if is_new:
                shown = row.shown
                is_bound = shown is not None and shown.expires_at > now
            if is_new and claim is holds and not is_check:  # the hot path
                element = contact_and_claim(aor, claim, is_bound, now, path_of(claim))
            else:
                if is_new:
                    start = contact_start(aor, holds, is_bound, now)
                element = start + claim_element(claim, now, path_of(claim))
                if is_check:
                    for other in row.claims:
                        if other is not claim:
                            element += claim_element(other, now, path_of(other))
        else:
            assert isinstance(item, UserRecords)
            record = _record_of(item, number)
            source = record.source
            if source is not None and number > kept_back and peer_of(source) == peer:
                to = number
                continue
            element = record_element(record, now)
        added = 10 + (len(element) if element.isascii() else len(element.encode()))
        if user is None:
            added += AROUND_USER + len(aor)
        if count and size + added > room:
            more = True
            break
        if user is None:
            user = users[aor] = _User()
        if row is not None:
            known = user.contacts.get(row.key)
            user.contacts[row.key] = element if known is None else known + element
            user.is_bound = user.is_bound or is_bound
        else:
            user.records += element
        size += added
        count += 1
        to = number
    if not more:
        to = max(to, until)
    return Collected(
        [_written(store, group, aor, user, now) for aor, user in users.items()],
        count,
        to,
        more,
    )


def _claim_of(row: ContactRow, number: int) -> Claim:
    """Return the claim of a contact that was changed under a number."""
    for claim in row.claims:
        if claim.number == number:
            return claim
    raise AssertionError(f"{row.key}: no change {number}")


def _record_of(user: UserRecords, number: int) -> Record:
    """Return the record of a user that was changed under a number."""
    for record in user.records.values():
        if record.number == number:
            return record
    raise AssertionError(f"{user.place}: no change {number}")


def _written(
    store: LocationStore, group: Group, aor: Aor, user: _User, now: float
) -> str:
    if user.is_bound or store.is_bound(Place(group.table, aor), now):
        state = ACTIVE
    elif user.contacts:
        state = RegistrationState.TERMINATED
    else:
        state = RegistrationState.INIT
    inside = ""
    for text in user.contacts.values():
        inside += f"{text}</contact>"
    return registration_element(aor, state, inside + user.records)
