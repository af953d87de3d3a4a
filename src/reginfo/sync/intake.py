"""Applies the documents of links to the location store, and detects drift."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import msgspec

from ..ledger.journal import Journal
from ..location.claim import Claim
from ..location.keyring import REMEMBERED
from ..location.lives import Claims, join
from ..location.place import Aor, Place
from ..location.record import Record
from ..location.store import LocationStore
from .held_link import HeldLink
from .reader import UserNews

logger = logging.getLogger("reginfo.link")


def join_all(claims: Iterable[Claim]) -> dict[str, Claim]:
    """Return the claim that holds for each contact, by key, among these claims."""
    known: dict[str, Claims] = {}
    for claim in claims:
        known[claim.key] = join(known.get(claim.key, ()), claim)
    return {key: found[0] for key, found in known.items()}


class Intake:
    """
    Applies claims and records of other servers to the store.

    Args:
        own: returns one of our own claims as it was before it was sent.
    """

    def __init__(
        self, store: LocationStore, journal: Journal, own: Callable[[Claim], Claim]
    ) -> None:
        self._store = store
        self._journal = journal
        self._own = own

    def apply(self, link: HeldLink, told: UserNews, now: float, wall: float) -> None:
        """Apply the claims and records about one address-of-record."""
        place = Place(link.group.table, Aor(told.aor))
        latest = now + self._store.longest_life
        claims = [self._bounded(claim, latest) for claim in told.claims]
        records = told.records and [
            record
            for record in told.records
            if not self._is_forgotten(record, place, wall)
        ]
        if claims or records:
            self._store.apply(place, claims, now, records=records, is_told=True)

    def verify(self, link: HeldLink, told: UserNews, now: float, wall: float) -> None:
        """Apply a verification: every change is drift, and is repaired."""
        place = Place(link.group.table, Aor(told.aor))
        known = self._effect(told, place, now)
        # What was already forgotten here is not drift. It is not applied in part: a
        # claim that lost to one that has ended must not come to hold.
        holds = join_all(told.claims)
        claims = [
            claim
            for claim in told.claims
            if not holds[claim.key].is_over(now) or self._store.claims(place, claim.key)
        ]
        self.apply(link, UserNews(told.aor, claims, told.records), now, wall)
        drift = sum(
            known.get(key) != said
            for key, said in self._effect(told, place, now).items()
        )
        if drift:
            link.drift += drift
            self._journal.after(
                logger.warning,
                "! %s: a verification repaired %d elements of %s",
                link.source,
                drift,
                told.aor,
            )

    def _effect(self, told: UserNews, place: Place, now: float) -> dict[object, object]:
        """
        Return what holds here for everything in the document.

        Claims that lost, and all those of a contact that has ended, may be forgotten
        here, or be kept in part if they were: neither is drift.
        """
        effect: dict[object, object] = {}
        for key in {claim.key for claim in told.claims}:
            for claim in self._store.claims(place, key)[:1]:
                effect[key] = None if claim.is_over(now) else claim.order
        for record in self._store.records(place):
            effect[record.id] = record.stamp, record.owner
        return effect

    def _bounded(self, claim: Claim, latest: float) -> Claim:
        if claim.expires_at > latest:
            claim = msgspec.structs.replace(claim, expires_at=latest)
        if claim.owner == self._store.server_id:
            claim = self._own(claim)
        return claim

    def _is_forgotten(self, record: Record, place: Place, wall: float) -> bool:
        """Whether a record removes something that is unknown here."""
        return (
            record.value is None
            and record.stamp / 1e6 <= wall - REMEMBERED
            and all(known.id != record.id for known in self._store.records(place))
        )
