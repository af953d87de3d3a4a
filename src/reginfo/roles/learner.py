"""What others report of contacts, made into claims that the store can judge."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from ..location.binding import ACTIVE, Binding
from ..location.key import Key
from ..location.keyring import REMEMBERED
from ..location.merge import Survivors
from ..location.omission import omitted, split
from ..location.source import Source, peer_of
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
    "The owner of what it says, unless it names another one, or we know better."

    source: str
    "The source of the claims that are made of it; see :class:`~.source.Source`."

    until: float
    "How long a contact is believed that comes without `expires`, on our clock."

    table: str = TABLE
    "The location table that is learned into."

    scope: str = ""
    "Who may revoke an omission; the source itself if left out."


Listed = Callable[[str, str, Uri, float, bool], bool]
"""Whether another subscription than that of a source lists a contact; see `Learner`."""


class Learner:
    """
    Puts what peers report into the store.

    Addresses-of-record in documents and tables are in canonical form
    (:func:`.naming.named`).

    Args:
        server_id: ours: nobody can tell us about what we own.
        max_expires: the longest time that a contact is believed to last, in seconds.
        longest: the same for a peer, by its name, where that differs.
        listed: whether a subscription lists a contact, other than that of a source. It
            is given the source, the address-of-record, the contact, the time, and
            whether only subscriptions at the same peer count.
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
        self,
        origin: DocumentOrigin,
        document: Reginfo,
        news: Iterable[News],
        now: float,
        wall: float,
    ) -> None:
        """
        Put a document into the store.

        Args:
            news: what of it is new (:class:`~reginfo.reg.table.Table`).
        """
        untimed: list[tuple[str, Contact]] = []
        has_keys = False
        for registration in document.registrations:
            if registration.keys:
                has_keys = True
            for contact in registration.contacts:
                if contact.expires is None and contact.event.state is ACTIVE:
                    untimed.append((registration.aor, contact))
        if has_keys:
            self._learn_keys(origin, document, now, wall)
        self.learn_news(origin, news, now, wall)
        if untimed:
            self.prolong(origin, untimed, now, wall)

    def learn_news(
        self, origin: DocumentOrigin, news: Iterable[News], now: float, wall: float
    ) -> None:
        """Make claims of what is new, and apply them by address-of-record."""
        claims: dict[str, list[Binding]] = {}
        refused = 0
        for item in news:
            said = item.contact.claim
            if said is not None and not item.omitted and is_ahead(said.stamp, wall):
                refused += 1
                continue
            try:
                claim = self._claim(origin, item, now, wall)
            except RemoteProtocolError as exc:
                logger.warning("! document of %s: %s", origin.source, exc)
                continue
            if claim is not None:
                claims.setdefault(item.aor, []).append(claim)
        if refused:
            _warn_of_stamps(origin, refused, "contacts")
        for aor, list_ in claims.items():
            self._store.apply(aor, list_, now, origin.table)

    def prolong(
        self,
        origin: DocumentOrigin,
        contacts: Iterable[tuple[str, Contact]],
        now: float,
        wall: float,
    ) -> None:
        """
        Extend contacts without `expires` that were listed again.

        To the table this is no news; and they end with the subscription, which was
        extended.

        Args:
            contacts: such contacts, each with its address-of-record.
        """
        store = self._store
        for aor, contact in contacts:
            try:
                _, known = store.find(aor, Uri.parse(contact.uri), origin.table)
            except RemoteProtocolError:
                continue  # already logged
            expires_at = self._expires_at(origin, contact, now)
            if (
                known
                and known[0].active
                and known[0].source == origin.source
                and expires_at > known[0].expires_at + SLACK
            ):
                longer = msgspec.structs.replace(
                    known[0],
                    event=ContactEvent.REFRESHED,
                    expires_at=expires_at,
                    stamp=store.next_stamp(wall),
                )
                store.apply(aor, [longer], now, origin.table)

    def forget_others(
        self, origin: DocumentOrigin, aor: str, table: Table, now: float, wall: float
    ) -> None:
        """
        Remove what the store has from this subscription and its table does not list.

        The table reports what it saw go, but it may be younger than the store.
        """
        store = self._store
        listed: dict[str, set[str]] = {aor: set()}
        for row in table:
            try:
                uri = Uri.parse(row.contact.uri)
            except RemoteProtocolError:
                continue
            key, _ = store.find(row.aor, uri, origin.table)
            listed.setdefault(row.aor, set()).add(key)
        for aor, keys in listed.items():
            gone = [
                claim
                for key, known in store.rows(aor, origin.table).items()
                if key not in keys
                and (claim := self._omitted(origin, aor, known, now, wall)) is not None
            ]
            if gone:
                store.apply(aor, gone, now, origin.table)

    def _learn_keys(
        self, origin: DocumentOrigin, document: Reginfo, now: float, wall: float
    ) -> None:
        """Put the keys of records into the store."""
        refused = 0
        for registration in document.registrations:
            aor = registration.aor
            for name, value, owner, stamp in registration.keys:
                if is_ahead(stamp, wall):
                    refused += 1
                elif (
                    value is not None
                    or stamp / 1e6 > wall - REMEMBERED
                    or name in self._store.all_keys(aor, origin.table)
                ):
                    # But for a removal that we have forgotten: it would be news with
                    # each document of the peer.
                    key = Key(value, stamp, owner, origin.source)
                    self._store.put_key(aor, name, key, now, origin.table)
        if refused:
            _warn_of_stamps(origin, refused, "keys")

    def _claim(
        self, origin: DocumentOrigin, news: News, now: float, wall: float
    ) -> Binding | None:
        """
        Return the claim that a contact makes; None if the store knows it.

        Raises:
            RemoteProtocolError: the contact has no usable URI.
        """
        contact, said = news.contact, news.contact.claim
        key, known = self._store.find(news.aor, Uri.parse(contact.uri), origin.table)
        if news.omitted:
            # What its owner no longer lists, others know from hearsay.
            final = said is not None and said.owner == origin.peer
            return self._omitted(
                origin, news.aor, known, now, wall, had=True, final=final
            )
        if said is not None and said.owner == self._server_id:
            return None  # our own, on its way back
        event = contact.event
        is_active = event.state is ACTIVE
        call_id = contact.callid or f"{contact.id}@{origin.peer}"
        is_back = bool(known) and self._omitted_here(origin, call_id, known[0])
        if said is not None and said.omitted_by and not is_active:
            call_id = omitted(call_id, said.omitted_by)
        if said is None or (is_back and said.stamp <= known[0].stamp):
            stamp = self._store.next_stamp(wall)
        else:
            stamp = said.stamp
        # Without a CSeq, the order in which the peer sends counts.
        cseq = contact.cseq if contact.cseq is not None else stamp
        expires_at = self._expires_at(origin, contact, now)
        if is_active and expires_at <= now:
            event = ContactEvent.EXPIRED
            is_active = False
        owner = said.owner if said is not None else origin.peer
        twin = _twin(known, call_id, cseq)
        if twin is not None and said is None:
            # A peer without our extension owns what it sends, except for what we know
            # already: that it may have from us.
            owner = twin.owner
            if owner == self._server_id or not twin.active:
                return None
            # A report without an end must not make it earlier.
            later = contact.expires is None or expires_at >= twin.expires_at - SLACK
            if is_active and later and not is_back:
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
            source=origin.source,
            q=contact.q,
            params=contact.params,
            display_name=contact.display_name or "",
            path=contact.path,
            received=contact.received,
            user_agent=contact.user_agent,
            retry_after=contact.retry_after,
        )

    def _expires_at(
        self, origin: DocumentOrigin, contact: Contact, now: float
    ) -> float:
        longest = self._longest(origin.peer)
        if contact.expires is not None:
            return now + min(contact.expires, longest)
        if contact.event.state is not ACTIVE:
            return now
        # 3680-103: it lives as long as the subscription that reported it.
        return min(origin.until, now + longest)

    def _omitted_here(
        self, origin: DocumentOrigin, call_id: str, holds: Binding
    ) -> bool:
        """Whether ``holds`` only says that this peer did not list a contact before."""
        register, by = split(holds.call_id)
        if not by or register != split(call_id)[0]:
            return False
        return by == (origin.scope or origin.source) or (
            Source.parse(by).is_subscription and peer_of(by) == origin.peer
        )

    def _omitted(
        self,
        origin: DocumentOrigin,
        aor: str,
        known: Survivors,
        now: float,
        wall: float,
        *,
        had: bool = False,
        final: bool = False,
    ) -> Binding | None:
        """
        Return the claim that a contact is gone; None if another subscription lists it.

        Args:
            had: whether this subscription has listed it until now. Then it is the last
                one that did, whichever was the first to tell us.
            final: whether only other subscriptions at the same peer count.
        """
        if not known or not known[0].active or known[0].source is None:
            return None
        holds = known[0]
        source = known[0].source
        if source != origin.source and not (
            had and Source.parse(source).is_subscription
        ):
            return None
        uri = Uri.parse(holds.contact)
        if self._listed is not None and self._listed(
            origin.source, aor, uri, now, final
        ):
            return None
        return omission(holds, origin.scope or origin.source, self._store, wall)


def _twin(known: Survivors, call_id: str, cseq: int) -> Binding | None:
    """Return the claim of the same REGISTER."""
    for claim in known:
        if claim.call_id == call_id and claim.cseq == cseq:
            return claim
    return None


def _warn_of_stamps(origin: DocumentOrigin, refused: int, what: str) -> None:
    logger.warning(
        "! document of %s: %d %s refused, stamped more than a day ahead of us",
        origin.source, refused, what,
    )  # fmt: skip


def omission(binding: Binding, by: str, store: LocationStore, wall: float) -> Binding:
    """Return the claim that a contact is gone because ``by`` no longer lists it."""
    return msgspec.structs.replace(
        binding,
        call_id=omitted(binding.call_id, by),
        event=ContactEvent.EXPIRED,
        stamp=store.next_stamp(wall),
    )
