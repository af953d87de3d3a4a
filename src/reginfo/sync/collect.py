"""Collects the changes after a number that fit into one document of a link."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..location.claim import Claim
from ..location.contact_row import ContactRow
from ..location.keyring import UserRecords
from ..location.place import Aor, Place
from ..location.source import peer_of
from ..location.store import LocationStore
from ..reg.document import RegistrationState
from .envelope import (
    AROUND,
    claim_element,
    contact_start,
    record_element,
    registration_element,
)
from .group import Group

AROUND_USER = 100
"""The maximum size of a registration without address and content, in octets."""

AT_ONCE = 4096
"""The maximum number of changes examined for one document, to limit the time."""


class Collected(NamedTuple):
    """The content of one document."""

    registrations: list[str]
    elements: int
    "The number of claims and records in these."

    to: int
    "The number of the last change that it covers."

    more: bool
    "Whether more changes follow that did not fit."


class _User:
    """The elements about one address-of-record."""

    __slots__ = ("contacts", "is_bound", "records")

    def __init__(self) -> None:
        self.contacts: dict[str, str] = {}
        "By key: the contact of RFC 3680 with our elements, without its end tag."

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
    Write the changes after one number, up to another.

    Args:
        kept_back: beyond this number, changes reported by ``peer`` itself are left out.
        room: the maximum size in octets; a single element may exceed it.
        path_of: returns the route set to a contact, as reported to the other server.
        is_check: whether to write all claims about a contact together, for a server
            that has forgotten some of them.
    """
    users: dict[Aor, _User] = {}
    table, covers = group.table, group.covers
    to, count, looked = after, 0, 0
    size, more = AROUND, False
    for number, item in store.changes.after(after):
        if number > until:
            break
        looked += 1
        if looked > AT_ONCE:
            more = True
            break
        assert isinstance(item, ContactRow | UserRecords)
        place = item.place
        aor = place.aor
        if place.table != table or not covers(aor):
            to = number
            continue
        start = ""
        if isinstance(item, ContactRow):
            claim = _claim_of(item, number)
            if is_check and number != max([one.number for one in item.claims]):
                to = number
                continue
            source = claim.source
            if source is not None and number > kept_back and peer_of(source) == peer:
                to = number
                continue
            element = claim_element(claim, now, path_of(claim))
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
        user = users.get(aor)
        added = len(element) if element.isascii() else len(element.encode())
        if user is None:
            added += AROUND_USER + len(aor)
        if isinstance(item, ContactRow) and (
            user is None or item.key not in user.contacts
        ):
            shown = item.shown
            is_bound = shown is not None and shown.expires_at > now
            start = contact_start(aor, item.claims[0], is_bound, now)
            added += 10 + (len(start) if start.isascii() else len(start.encode()))
        else:
            is_bound = False
        if count and size + added > room:
            more = True
            break
        if user is None:
            user = users[aor] = _User()
        if isinstance(item, ContactRow):
            user.contacts[item.key] = (start or user.contacts[item.key]) + element
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
    """Return the claim about a contact that was changed under a number."""
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
