"""What follows a change, for one link: as many whole elements as fit a document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..location.claim import Claim
from ..location.contact_row import ContactRow
from ..location.place import Aor, Place
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
    table, covers = group.table, group.covers
    to, count, looked = after, 0, 0
    size, more = AROUND, False
    item: Any  # a ContactRow, or UserRecords: both have a place
    for number, item in store.changes.after(after):
        if number > until:
            break
        looked += 1
        if looked > AT_ONCE:
            more = True
            break
        place = item.place
        aor = place.aor
        if place.table != table or not covers(aor):
            to = number
            continue
        user = users.get(aor)
        start, is_bound = "", False
        if type(item) is ContactRow:
            claim = _claim_of(item, number)
            if is_check and number != max([one.number for one in item.claims]):
                to = number
                continue
            source = claim.source
            if source is not None and number > kept_back and peer_of(source) == peer:
                to = number
                continue
            holds = item.claims[0]
            is_new = user is None or item.key not in user.contacts
            if is_new:
                shown = item.shown
                is_bound = shown is not None and shown.expires_at > now
            if is_new and claim is holds and not is_check:  # the hot path
                element = contact_and_claim(aor, claim, is_bound, now, path_of(claim))
            else:
                if is_new:
                    start = contact_start(aor, holds, is_bound, now)
                element = start + claim_element(claim, now, path_of(claim))
                if is_check:
                    for other in item.claims:
                        if other is not claim:
                            element += claim_element(other, now, path_of(other))
        else:
            record = next(r for r in item.records.values() if r.number == number)
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
        if type(item) is ContactRow:
            known = user.contacts.get(item.key)
            user.contacts[item.key] = element if known is None else known + element
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


def _written(
    store: LocationStore, group: Group, aor: Aor, user: _User, now: float
) -> str:
    if user.is_bound or store.is_bound(Place(group.table, aor), now):
        state = RegistrationState.ACTIVE
    elif user.contacts:
        state = RegistrationState.TERMINATED
    else:
        state = RegistrationState.INIT
    inside = "".join([f"{text}</contact>" for text in user.contacts.values()])
    return registration_element(aor, state, inside + user.records)
