"""What others say of contacts, made into claims that the store can judge."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from ..location.binding import Binding
from ..location.key import Key
from ..location.keyring import REMEMBERED
from ..location.omission import omitted, split
from ..location.store import TABLE, LocationStore, is_ahead
from ..reg.document import Contact, ContactEvent, Reginfo
from ..reg.table import News, Table
from ..sip.errors import RemoteProtocolError
from ..sip.uri import Uri

logger = logging.getLogger("reginfo.subscriber")

SLACK = 1.0
"""Seconds by which an end has to be earlier to be news: documents carry whole ones."""


class DocumentOrigin(NamedTuple):
    """Where a document comes from."""

    peer: str
    "Who owns what it says, unless it says so itself, or we know better."

    source: str
    "By which way: what a claim is marked with."

    until: float
    "How long a contact is believed that comes without `expires`, on our clock."

    table: str = TABLE
    "The location table that is learned into."

    scope: str = ""
    "What takes back that a contact is gone by omission: its source, if left out."


Listed = Callable[[str, str, Uri, float, bool], bool]
"""Whether another subscription than that of a source lists a contact; see `Learner`."""


class Learner:
    """
    Puts what peers tell into the store.

    Args:
        server_id: ours: what we own, nobody can tell us.
        max_expires: the longest time that a contact is believed to last, in seconds.
        longest: the same for a peer, by its name, where that differs.
        listed: whether a subscription lists a contact, other than that by which we
            were told: its source, an address-of-record, a contact, the time, and
            whether only those at the same peer count.
    """

    def __init__(
        self,
        store: LocationStore,
        *,
        server_id: str,
        max_expires: int,
        longest: Callable[[str], int] | None = None,
        listed: Listed | None = None,
    ) -> None:
        self._store = store
        self._listed = listed
        self._server_id = server_id
        self._longest = longest or (lambda peer: max_expires)

    def learn(
        self, told: DocumentOrigin, news: tuple[News, ...], now: float, wall: float
    ) -> None:
        """Make claims of what is new, and put them into the store, by their AoR."""
        claims: dict[str, list[Binding]] = {}
        refused = 0
        for item in news:
            said = item.contact.claim
            if said is not None and not item.omitted and is_ahead(said.stamp, wall):
                refused += 1
                continue
            try:
                aor = Uri.parse(item.aor).aor
                claim = self._claim(told, aor, item, now, wall) if aor else None
            except RemoteProtocolError as exc:
                logger.warning("! document of %s: %s", told.source, exc)
                continue
            if claim is not None:
                claims.setdefault(aor, []).append(claim)
        if refused:
            _complain(told, refused, "contacts")
        for aor, list_ in claims.items():
            self._store.apply(aor, list_, now, told.table)

    def learn_keys(
        self, told: DocumentOrigin, document: Reginfo, now: float, wall: float
    ) -> None:
        """Put the keys of records into the store."""
        refused = 0
        for registration in document.registrations:
            for name, value, owner, stamp in registration.keys:
                if is_ahead(stamp, wall):
                    refused += 1
                    continue
                try:
                    aor = Uri.parse(registration.aor).aor
                except RemoteProtocolError:
                    break  # which is complained of
                if aor and (
                    value is not None
                    or stamp / 1e6 > wall - REMEMBERED
                    or name in self._store.all_keys(aor, told.table)
                ):
                    # Not what we have forgotten to be removed: that would be news,
                    # with each of the peer's documents.
                    key = Key(value, stamp, owner, told.source)
                    self._store.put_key(aor, name, key, now, told.table)
        if refused:
            _complain(told, refused, "keys")

    def _claim(
        self, told: DocumentOrigin, aor: str, news: News, now: float, wall: float
    ) -> Binding | None:
        """
        What the store is told of a contact; None if it knows.

        Raises:
            RemoteProtocolError: the contact's URI is none.
        """
        contact, said = news.contact, news.contact.claim
        uri = Uri.parse(contact.uri)
        key, known = self._known(told, aor, uri)
        if news.omitted:
            # What the owner lists no more, others know from hearsay.
            final = said is not None and said.owner == told.peer
            return self._omitted(told, aor, known, now, wall, had=True, final=final)
        if said is not None and said.owner == self._server_id:
            return None  # our own, on its way back
        call_id = contact.callid or f"{contact.id}@{told.peer}"
        is_back = bool(known) and self._omitted_here(told, call_id, known[0])
        if said is not None and said.omitted_by and contact.event.state != "active":
            call_id = omitted(call_id, said.omitted_by)
        if said is None or (is_back and said.stamp <= known[0].stamp):
            stamp = self._store.next_stamp(wall)
        else:
            stamp = said.stamp
        # Who sends no CSeq counts by the order in which it sends.
        cseq = contact.cseq if contact.cseq is not None else stamp
        expires_at = self._expires_at(told, contact, now)
        event = contact.event
        if event.state == "active" and expires_at <= now:
            event = ContactEvent.EXPIRED
        twin = next((c for c in known if c.call_id == call_id and c.cseq == cseq), None)
        owner = said.owner if said is not None else told.peer
        if twin is not None and said is None:
            # A peer without our extension owns what it sends, but for what we know
            # already: that, it may have from us.
            owner = twin.owner
            if owner == self._server_id:
                return None
            if not twin.active:
                return None
            # Who does not say when it ends must not make that earlier.
            later = contact.expires is None or expires_at >= twin.expires_at - SLACK
            if event.state == "active" and later and not is_back:
                return None
        duration = contact.duration_registered
        if duration is not None:
            registered_at = now - duration
        else:
            registered_at = known[0].registered_at if known and known[0].active else now
        return Binding(
            contact=contact.uri,
            key=key,
            call_id=call_id,
            cseq=cseq,
            event=event,
            expires_at=expires_at,
            registered_at=registered_at,
            owner=owner,
            stamp=stamp,
            source=told.source,
            q=contact.q,
            params=contact.params,
            display_name=contact.display_name or "",
            path=contact.path,
            received=contact.received,
            user_agent=contact.user_agent,
            retry_after=contact.retry_after,
        )

    def _known(
        self, told: DocumentOrigin, aor: str, uri: Uri
    ) -> tuple[str, tuple[Binding, ...]]:
        """The key of a contact, and what is claimed of it."""
        known = self._store.claims(aor, uri.key, told.table)
        if known:
            return uri.key, known
        for key, claims in self._store.rows(aor, told.table).items():
            if uri.matches(Uri.parse(claims[0].contact)):
                return key, claims
        return uri.key, ()

    def _expires_at(self, told: DocumentOrigin, contact: Contact, now: float) -> float:
        longest = self._longest(told.peer)
        if contact.expires is not None:
            return now + min(contact.expires, longest)
        if contact.event.state != "active":
            return now
        # 3680-103: it lives as long as the subscription that told us.
        return min(told.until, now + longest)

    def _omitted_here(self, told: DocumentOrigin, call_id: str, holds: Binding) -> bool:
        """Whether what holds is only that this peer did not list a contact before."""
        register, by = split(holds.call_id)
        return register == split(call_id)[0] and (
            by == (told.scope or told.source)
            or (is_subscription(by) and by.partition("/")[0] == told.peer)
        )

    def _omitted(
        self,
        told: DocumentOrigin,
        aor: str,
        known: tuple[Binding, ...],
        now: float,
        wall: float,
        *,
        had: bool = False,
        final: bool = False,
    ) -> Binding | None:
        """
        Gone by omission: only what no other subscription lists.

        Args:
            had: whether it was listed here until now. Then it goes with this, the last
                that did, whichever was the first to tell us.
            final: whether only other subscriptions at the same peer count.
        """
        if not known or not known[0].active or known[0].source is None:
            return None
        holds = known[0]
        source = known[0].source
        if source != told.source and not (had and is_subscription(source)):
            return None
        uri = Uri.parse(holds.contact)
        if self._listed is not None and self._listed(told.source, aor, uri, now, final):
            return None
        return omission(holds, told.scope or told.source, self._store, wall)

    def forget_others(
        self, told: DocumentOrigin, aor: str, table: Table, now: float, wall: float
    ) -> None:
        """
        Remove what the store has from this subscription and no table has.

        The table reports what it saw go; but it may be younger than the store.
        """
        listed: dict[str, set[str]] = {aor: set()}
        for row in table:
            try:
                aor = Uri.parse(row.aor).aor
                key, _ = self._known(told, aor, Uri.parse(row.contact.uri))
            except RemoteProtocolError:
                continue
            listed.setdefault(aor, set()).add(key)
        for aor, keys in listed.items():
            gone = [
                claim
                for key, known in self._store.rows(aor, told.table).items()
                if key not in keys
                and (claim := self._omitted(told, aor, known, now, wall)) is not None
            ]
            self._store.apply(aor, gone, now, told.table)

    def prolong(
        self, told: DocumentOrigin, document: Reginfo, now: float, wall: float
    ) -> None:
        """
        Let contacts without `expires` live on: they have been mentioned again.

        To the table this is no news; and they end with the subscription, which goes on.
        """
        for registration in document.registrations:
            for contact in registration.contacts:
                if contact.expires is not None or contact.event.state != "active":
                    continue
                try:
                    aor = Uri.parse(registration.aor).aor
                    _, known = self._known(told, aor, Uri.parse(contact.uri))
                except RemoteProtocolError:
                    continue  # which has been complained of
                expires_at = self._expires_at(told, contact, now)
                if (
                    known
                    and known[0].active
                    and known[0].source == told.source
                    and expires_at > known[0].expires_at + SLACK
                ):
                    longer = msgspec.structs.replace(
                        known[0],
                        event=ContactEvent.REFRESHED,
                        expires_at=expires_at,
                        stamp=self._store.next_stamp(wall),
                    )
                    self._store.apply(aor, [longer], now, told.table)


def _complain(told: DocumentOrigin, refused: int, what: str) -> None:
    logger.warning(
        "! document of %s: %d %s refused, stamped more than a day ahead of us",
        told.source, refused, what,
    )  # fmt: skip


def is_subscription(source: str) -> bool:
    """Whether a source is a subscription: it is named after what it is for, a URI."""
    return ":" in source.partition("/")[2]


def omission(binding: Binding, by: str, store: LocationStore, wall: float) -> Binding:
    """The claim that a contact is gone because ``by`` no longer lists it."""
    return msgspec.structs.replace(
        binding,
        call_id=omitted(binding.call_id, by),
        event=ContactEvent.EXPIRED,
        stamp=store.next_stamp(wall),
    )
