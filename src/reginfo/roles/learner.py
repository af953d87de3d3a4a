"""
Makes claims from the contacts that peers report.

A `reginfo` server sends claims and records, which are taken in as they are. From
anybody else come documents of RFC 3680: what changes in what they list is made into
claims (`location/foreign.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from ..location import foreign
from ..location.claim import Claim, is_too_large
from ..location.contact_row import ContactRow
from ..location.foreign import FINAL, GRACE, Told
from ..location.keyring import REMEMBERED
from ..location.lives import Claims, join, newest_of
from ..location.place import Aor, Place
from ..location.stamp import Stamp, wall_at
from ..location.store import LocationStore
from ..reg.document import Contact, ContactEvent, ContactState, Reginfo
from ..reg.table import News, Table
from ..sip.errors import RemoteProtocolError
from ..sip.uri import Uri
from .envelope import claim_of, record_of
from .listing import Listings
from .origin import DocumentOrigin

logger = logging.getLogger("reginfo.subscriber")

EXPIRED = ContactEvent.EXPIRED
ACTIVE = ContactState.ACTIVE


class Learner:
    """
    Applies the reports of peers to the store.

    Addresses-of-record in documents and tables are in canonical form
    (:func:`.naming.named`).

    Args:
        longest: the longest interval accepted for a contact, in seconds, by the name of
            the peer.
        listings: returns who else lists a contact.
    """

    def __init__(
        self,
        store: LocationStore,
        *,
        longest: Callable[[str], int],
        listings: Listings,
    ) -> None:
        self._store = store
        self._longest = longest
        self._listings = listings

    def learn(
        self,
        origin: DocumentOrigin,
        document: Reginfo,
        news: Sequence[News],
        table: Table,
        now: float,
        wall: float,
    ) -> None:
        """
        Apply a document to the store.

        Args:
            news: the part of it that is new.
            table: the table that it was applied to.
        """
        if table.has_claims:
            self._take(origin, document, now, wall)
            return
        if news:
            had = {}
            for change in table.changes:
                before = change.before
                if before is not None:
                    had[change.aor, before.contact.uri] = before.contact
            self.learn_news(origin, news, had, now, wall)
        if table.untimed:
            self.prolong(origin, table.untimed, now, wall)

    def learn_news(
        self,
        origin: DocumentOrigin,
        news: Sequence[News],
        had: Mapping[tuple[str, str], Contact],
        now: float,
        wall: float,
    ) -> None:
        """
        Make claims from the changes, and apply them for each address-of-record.

        Args:
            had: contacts as they were listed before, where they have changed, by
                address-of-record and URI.
        """
        store = self._store
        claims: dict[Place, list[Claim]] = {}
        # The claim so far, for contacts that a document mentions twice.
        known: dict[tuple[Place, str], Claims] = {}
        for item in news:
            aor, contact = item.aor, item.contact
            if contact.claim is not None:
                continue  # a `reginfo` server: not being listed says nothing
            place = origin.place(aor)
            try:
                uri = Uri.parse(contact.uri)
            except RemoteProtocolError as exc:
                logger.warning("! document of %s: %s", origin.source, exc)
                continue
            key, before = store.find(place, uri)
            if known:
                before = known.get((place, key), before)
            is_exact = contact.duration_registered is not None
            told = self._told(origin, place, before, now, wall, is_exact)
            claim = self._claim(
                origin, place.aor, uri, contact, key, told, had.get((aor, contact.uri))
            )
            if claim is not None and is_too_large(claim):
                logger.warning(
                    "! document of %s: a contact of %s is too large, left out",
                    origin.source,
                    place.aor,
                )
            elif claim is not None:
                if len(news) > 1:
                    known[place, key] = join(before, claim)
                claims.setdefault(place, []).append(claim)
        for place, list_ in claims.items():
            store.apply(place, list_, now)

    def prolong(
        self,
        origin: DocumentOrigin,
        contacts: Iterable[tuple[str, Contact]],
        now: float,
        wall: float,
    ) -> None:
        """
        Extend contacts without `expires` that were listed again.

        The table reports no change for them; but they end with the subscription, which
        was extended.

        Args:
            contacts: such contacts, each with its address-of-record.
        """
        for aor, contact in contacts:
            try:
                uri = Uri.parse(contact.uri)
            except RemoteProtocolError:
                continue  # already logged
            place = origin.place(aor)
            key, claims = self._store.find(place, uri)
            told = self._told(origin, place, claims, now, wall)
            ends_at = self._expires_at(origin, contact, now)
            listing = self._listing(origin, contact, key, told, False, ends_at)
            if listing is None:
                continue
            bound = newest_of(claims, listing.call_id)
            if bound is None or bound.gone or bound.expires_at > listing.expires_at:
                continue  # this neither revives the contact nor shortens it
            had = (listing.call_id, listing.cseq)
            claim = foreign.listed(listing, told, had=had)
            if claim is not None:
                self._store.apply(place, (claim,), now)

    def forget_others(
        self, origin: DocumentOrigin, aor: Aor, table: Table, now: float, wall: float
    ) -> None:
        """
        End contacts that the peer owns and does not list.

        This is for the first full document: the table reports only contacts that it has
        seen, and it may be younger than the store.
        """
        store = self._store
        listed: dict[Place, set[str]] = {origin.place(aor): set()}
        for row in table:
            try:
                uri = Uri.parse(row.contact.uri)
            except RemoteProtocolError:
                continue
            place = origin.place(row.aor)
            key, _ = store.find(place, uri)
            listed.setdefault(place, set()).add(key)
        for place, keys in listed.items():
            gone = []
            for key, claims in store.rows(place).items():
                holds = claims[0]
                if key in keys or holds.is_over(now) or holds.owner != origin.peer:
                    continue
                told = self._told(origin, place, claims, now, wall)
                uri = Uri.parse(holds.contact)
                claim = self._ended(
                    origin, place.aor, uri, EXPIRED, holds.call_id, holds.cseq, told
                )
                if claim is not None:
                    gone.append(claim)
            if gone:
                store.apply(place, gone, now)

    def prolonged(self, row: ContactRow, now: float, wall: float) -> Claim | None:
        """
        Return the claim that continues a contact that has expired here; None if it
        ends.

        A peer may list a contact for longer than the server that owns it has granted.
        """
        holds = row.claims[0]
        uri = Uri.parse(holds.contact)
        for listed in self._listings(row.place.aor, uri, now):
            origin = DocumentOrigin(
                listed.peer, listed.source, row.place.table, listed.expires_at
            )
            told = self._told(origin, row.place, row.claims, now, wall)
            listing = self._listing(
                origin, listed.contact, row.key, told, False, listed.expires_at
            )
            if listing is not None:
                claim = foreign.prolonged(listing, told)
                if claim is not None:
                    return claim
        return None

    # From a `reginfo` server.

    def _take(
        self, origin: DocumentOrigin, document: Reginfo, now: float, wall: float
    ) -> None:
        """Apply the claims and records of a document, each complete in itself."""
        store = self._store
        refused = 0
        for registration in document.registrations:
            place = origin.place(registration.aor)
            claims = []
            for contact in registration.contacts:
                claim = claim_of(contact, origin.source, now, store.longest_life)
                if claim is None:
                    refused += 1
                else:
                    claims.append(claim)
            known = {record.id for record in store.records(place)}
            records = [
                record
                for key in registration.keys
                if (record := record_of(key, origin.source, now)) is not None
                # A removal that we have forgotten would be a change in each document.
                and not (
                    record.value is None
                    and wall_at(record.stamp) <= wall - REMEMBERED
                    and record.id not in known
                )
            ]
            store.apply(place, claims, now, records=records, is_told=True)
        if refused:
            logger.warning(
                "! document of %s: %d contacts ignored, which are not valid claims",
                origin.source, refused,
            )  # fmt: skip

    # From anybody else.

    def _told(
        self,
        origin: DocumentOrigin,
        place: Place,
        claims: Claims,
        now: float,
        wall: float,
        is_exact: bool = False,
    ) -> Told:
        return Told(
            peer=origin.peer,
            claims=claims,
            now=now,
            wall=wall,
            since=origin.since,
            is_exact=is_exact,
            floor=self._store.latest_record(place),
        )

    def _claim(
        self,
        origin: DocumentOrigin,
        aor: Aor,
        uri: Uri,
        contact: Contact,
        key: str,
        told: Told,
        had: Contact | None,
    ) -> Claim | None:
        """
        Return the claim for a change in the list of a peer, if any.

        Args:
            uri: the URI of the contact.
            had: the contact as it was listed before; None if it was not.
        """
        call_id, cseq = contact.callid, contact.cseq
        event = contact.event
        if event.state is ACTIVE:
            ends_at = self._expires_at(origin, contact, told.now)
            if ends_at > told.now:
                listing = self._listing(origin, contact, key, told, True, ends_at)
                if listing is None:
                    return None
                if had is None:
                    had = self._had_elsewhere(origin, aor, uri, told.now)
                before = None if had is None else (had.callid or "", had.cseq or 0)
                return foreign.listed(listing, told, had=before)
            event = EXPIRED
        if call_id is None or cseq is None:
            # An S-CSCF gives a contact that ends a different id.
            call_id, cseq = f"{contact.id}@{origin.peer}", 0
            known = newest_of(told.claims, call_id)
            if known is None and told.claims and told.claims[0].owner == origin.peer:
                known = told.claims[0]
            if known is not None:
                call_id, cseq = known.call_id, known.cseq
        return self._ended(
            origin, aor, uri, event, call_id, cseq, told, contact.retry_after
        )

    def _had_elsewhere(
        self, origin: DocumentOrigin, aor: Aor, uri: Uri, now: float
    ) -> Contact | None:
        """Return a contact as another document of the same peer lists it."""
        for one in self._listings(aor, uri, now):
            if one.peer == origin.peer and one.source != origin.source:
                return one.contact
        return None

    def _ended(
        self,
        origin: DocumentOrigin,
        aor: Aor,
        uri: Uri,
        event: ContactEvent,
        call_id: str,
        cseq: int,
        told: Told,
        retry_after: int | None = None,
    ) -> Claim | None:
        """
        Return the claim that ends a contact, unless another document of the peer lists
        it.

        If another peer lists it, the claim passes to that peer, which is its source.
        """
        claim = foreign.ended(event, call_id, cseq, told, retry_after=retry_after)
        if claim is None:
            return None
        claim = msgspec.structs.replace(claim, source=origin.source)
        if event in FINAL:
            return claim
        for other in self._listings(aor, uri, told.now):
            numbers = (other.contact.callid, other.contact.cseq)
            if other.peer == origin.peer and numbers[0] in (call_id, None):
                return None
            if numbers == (call_id, cseq):
                # Another peer still lists it; until now that was an echo.
                other_origin = DocumentOrigin(
                    other.peer, other.source, origin.table, 0.0
                )
                listing = self._listing(
                    other_origin, other.contact, claim.key, told, False,
                    other.expires_at,
                )  # fmt: skip
                if listing is not None:
                    return msgspec.structs.replace(
                        listing,
                        begin=claim.begin,
                        stamp=claim.stamp,
                        edition=claim.edition,
                        until=claim.until,
                        owner=other.peer,
                    )
        return claim

    def _listing(
        self,
        origin: DocumentOrigin,
        contact: Contact,
        key: str,
        told: Told,
        changed: bool,
        expires_at: float,
    ) -> Claim | None:
        """Return a contact as the peer lists it; None for an echo without numbers."""
        now = told.now
        holds = told.claims[0] if told.claims else None
        if contact.duration_registered is not None:
            registered_at = now - contact.duration_registered
        elif holds is not None and not holds.is_over(now):
            registered_at = holds.registered_at
        else:
            registered_at = now
        listing = Claim(
            contact=contact.uri,
            key=key,
            call_id=contact.callid or "",
            cseq=contact.cseq or 0,
            begin=Stamp(0),
            stamp=Stamp(0),
            edition=Stamp(0),
            gone=False,
            event=contact.event,
            owner=origin.peer,
            until=Stamp(0),
            expires_at=expires_at,
            registered_at=registered_at,
            source=origin.source,
            q=contact.q,
            params=contact.params,
            display_name=contact.display_name or "",
            path=contact.path,
            received=contact.received,
            user_agent=contact.user_agent,
        )
        if contact.callid is None or contact.cseq is None:
            return foreign.unnumbered(listing, contact.id, told, changed=changed)
        return listing

    def _expires_at(
        self, origin: DocumentOrigin, contact: Contact, now: float
    ) -> float:
        longest = self._longest(origin.peer)
        if contact.expires is not None:
            return now + min(contact.expires, longest)
        if contact.event.state is not ACTIVE:
            return now
        # 3680-103: it lives as long as the subscription that reported it.
        return min(origin.until + GRACE, now + longest)
