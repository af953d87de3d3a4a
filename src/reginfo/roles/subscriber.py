"""The subscriber: what peers notify becomes known here (RFC 3680 §4.8, §5.2)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from ..events.subscribe import Subscription, Wanted
from ..location.binding import Binding
from ..location.journal import Journal
from ..location.store import TABLE, LocationStore
from ..reg import xml
from ..reg.document import Contact, ContactEvent, Reginfo
from ..reg.table import News, Table, TableDump
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.message import Draft, Request, Response
from ..sip.timer import TimerWheel
from ..sip.transaction import Flow
from ..sip.uri import Uri

logger = logging.getLogger("reginfo.subscriber")

PACKAGE = "reg"

KIND = "held"
"""The kind of our entries in the journal."""

RESTART_RATE = 100.0
"""Subscriptions refreshed a second after a restart: it is no storm for the peers."""

RETRY_AFTER = 5.0
"""Seconds until what was due, and could not be committed, is due again."""

SLACK = 1.0
"""Seconds by which an end has to be earlier to be news: documents carry whole ones."""

Send = Callable[[Draft, Flow, object], object]


class HeldRow(msgspec.Struct, kw_only=True, gc=False):
    """What of a subscription is kept on disk."""

    subscription: Subscription
    table: TableDump


class Mirror:
    """One address-of-record of a peer, and what it has told us of it."""

    __slots__ = (
        "aor",
        "held",
        "peer",
        "scheduled_at",
        "source",
        "subscription",
        "table",
    )

    def __init__(self, peer: str, aor: str, subscription: Subscription) -> None:
        self.peer = peer
        self.aor = aor
        self.source = f"{peer}/{aor}"
        "How bindings learned by it are marked; the same over restarts."

        self.subscription = subscription
        self.table = Table()
        self.held: tuple[str, str] | None = None
        "Call-ID and local tag under which it is found."

        self.scheduled_at: float | None = None

    @property
    def timer_at(self) -> float | None:
        return self.subscription.timer_at

    @timer_at.setter
    def timer_at(self, at: float | None) -> None:
        self.subscription.timer_at = at

    def timer_due(self, now: float) -> None:
        self.subscription.timer_due(now)


class Subscriber:
    """
    All subscriptions that we hold, and what their NOTIFYs do to the store.

    Args:
        send: sends a request by a flow; what it is for comes back with the answer.
        new_id: makes a random token.
        jitter: a random number from 0 to 1, to spread what would come together.
        max_expires: how long a contact is believed whose peer does not say, in seconds.
    """

    def __init__(
        self,
        store: LocationStore,
        journal: Journal,
        *,
        server_id: str,
        send: Send,
        new_id: Callable[[], str],
        jitter: Callable[[], float],
        max_expires: int,
        location: str = TABLE,
    ) -> None:
        self._store = store
        self._journal = journal
        self._server_id = server_id
        self._send = send
        self._new_id = new_id
        self._jitter = jitter
        self._max_expires = max_expires
        self._location = location
        self._wheel = TimerWheel()
        self._mirrors: dict[str, Mirror] = {}
        self._by_dialog: dict[tuple[str, str], Mirror] = {}
        self._on_disk: dict[str, tuple[HeldRow, float]] = {}

    def mirrors(self) -> Iterator[Mirror]:
        """Every subscription that is wanted."""
        return iter(self._mirrors.values())

    def watch(
        self, peer: str, aor: str, wanted: Wanted, flow: Flow, now: float
    ) -> None:
        """
        Have ``aor`` of ``peer`` known here from now on.

        A subscription that is on disk is gone on with; asking twice for the same
        changes nothing.
        """
        source = f"{peer}/{aor}"
        if source in self._mirrors:
            return
        subscription = Subscription(wanted=wanted, flow=flow, timer_at=now)
        mirror = Mirror(peer, aor, subscription)
        on_disk = self._on_disk.pop(source, None)
        if on_disk is not None:
            row, shift = on_disk
            mirror.table = Table.load(row.table, shift)
            known = row.subscription
            if known.wanted == wanted:
                mirror.subscription = known
                # What was sent while we were down is found out by a refresh; not by
                # all of them at once.
                at = now + len(self._mirrors) / RESTART_RATE
                known.resume(flow, shift=shift, at=at)
                self._index(mirror)
            else:
                mirror.table.restart()
        self._mirrors[source] = mirror
        self._wheel.schedule(mirror)

    # From the network.

    def receive_notify(
        self, request: Request, flow: Flow, now: float, wall: float
    ) -> Response:
        """
        Take in a NOTIFY: first its dialog, then its package, its body last.

        Raises:
            Refusal, RemoteProtocolError: it is none of ours, or makes no sense. Then
                nothing has changed.
        """
        mirror = self._by_dialog.get((request.call_id, request.to.tag))
        if mirror is None:
            # RFC 6665 §4.1.3: a NOTIFY that matches no subscription.
            raise Refusal(481, "Subscription Does Not Exist")
        subscription = mirror.subscription
        state = subscription.check_notify(request, PACKAGE)
        document = None
        if request.body:
            content_type = (request.header("Content-Type") or "").partition(";")[0]
            if content_type.strip().lower() != xml.MEDIA_TYPE:
                accept = [("Accept", xml.MEDIA_TYPE)]
                raise Refusal(415, "Unsupported Media Type", headers=accept)
            try:
                document = xml.parse(request.body)
            except RemoteProtocolError as exc:
                logger.warning("! NOTIFY of %s: %s", mirror.source, exc)
                raise
            for warning in document.warnings:
                logger.debug("! NOTIFY of %s: %s", mirror.source, warning)
        before = _copy(subscription)
        table = mirror.table.dump()
        self._journal.remember(self._restore, mirror, before, table)
        subscription.receive_notify(request, state, flow, now, self._jitter)
        if document is not None:
            taken = mirror.table.take(document, request.cseq.number, now)
            self._learn(mirror, taken.news, now, wall)
            if document.full:
                self._remove_unlisted(mirror, now, wall)
            self._prolong(mirror, document, now, wall)
            if taken.missed:
                self._journal.after(
                    logger.info, "= a NOTIFY of %s was missed", mirror.source
                )
                subscription.refresh(now)
        self._settle(mirror)
        return Response(200, "OK")

    def receive_response(self, mirror: Mirror, response: Response, now: float) -> None:
        """Take in the answer to a SUBSCRIBE."""
        before = _copy(mirror.subscription)
        self._journal.remember(self._restore, mirror, before, mirror.table.dump())
        mirror.subscription.receive_response(response, now, self._jitter)
        if response.status >= 300:
            logger.warning("! SUBSCRIBE for %s: %d", mirror.source, response.status)
        self._settle(mirror)

    def receive_failure(self, mirror: Mirror, cause: str, now: float) -> None:
        """A SUBSCRIBE got no answer."""
        before = _copy(mirror.subscription)
        self._journal.remember(self._restore, mirror, before, mirror.table.dump())
        logger.warning("! SUBSCRIBE for %s got no answer: %s", mirror.source, cause)
        mirror.subscription.receive_failure(now, self._jitter)
        self._settle(mirror)

    # From the clock.

    @property
    def timer_at(self) -> float | None:
        return self._wheel.timer_at

    def timer_due(self, now: float) -> None:
        """Ask for what is wanted, refresh what ends."""
        for machine in self._wheel.timer_due(now):
            assert isinstance(machine, Mirror)
            before = _copy(machine.subscription)
            # If the disk does not take it, nobody is served by haste.
            before.timer_at = now + RETRY_AFTER
            self._journal.remember(self._restore, machine, before, machine.table.dump())
            dialog = machine.subscription.dialog
            machine.subscription.due(now, self._new_id, self._jitter)
            if machine.subscription.dialog is not dialog:
                machine.table.restart()
            self._settle(machine)

    # From the disk.

    def load(self, key: str, value: Any, shift: float) -> None:
        """
        Take in one entry of the journal; :meth:`watch` goes on with it.

        Args:
            shift: to be added to its times.
        """
        self._on_disk[key] = msgspec.convert(value, HeldRow), shift

    # How.

    def _learn(
        self, mirror: Mirror, news: tuple[News, ...], now: float, wall: float
    ) -> None:
        """Make claims of what is new, and put them into the store, by their AoR."""
        claims: dict[str, list[Binding]] = {}
        for item in news:
            try:
                aor = Uri.parse(item.aor).aor
                claim = self._claim(mirror, aor, item, now, wall) if aor else None
            except RemoteProtocolError as exc:
                logger.warning("! NOTIFY of %s: %s", mirror.source, exc)
                continue
            if claim is not None:
                claims.setdefault(aor, []).append(claim)
        for aor, list_ in claims.items():
            self._store.apply(aor, list_, now, self._location)

    def _claim(
        self, mirror: Mirror, aor: str, news: News, now: float, wall: float
    ) -> Binding | None:
        """
        What the store is told of a contact; None if it knows.

        Raises:
            RemoteProtocolError: the contact's URI is none.
        """
        contact, said = news.contact, news.contact.claim
        key, known = self._known(aor, Uri.parse(contact.uri))
        if news.omitted:
            return self._omitted(mirror, known, wall)
        if said is not None and said.owner == self._server_id:
            return None  # our own, on its way back
        call_id = contact.callid or f"{contact.id}@{mirror.peer}"
        stamp = said.stamp if said is not None else self._store.next_stamp(wall)
        # Who sends no CSeq counts by the order in which it sends.
        cseq = contact.cseq if contact.cseq is not None else stamp
        expires_at = self._expires_at(mirror, contact, now)
        event = contact.event
        if event.state == "active" and expires_at <= now:
            event = ContactEvent.EXPIRED
        twin = next((c for c in known if c.call_id == call_id and c.cseq == cseq), None)
        owner = said.owner if said is not None else mirror.peer
        if twin is not None and said is None:
            # A peer without our extension owns what it sends, but for what we know
            # already: that, it may have from us.
            owner = twin.owner
            if owner == self._server_id:
                return None
            if not twin.active or (
                event.state == "active" and expires_at >= twin.expires_at - SLACK
            ):
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
            source=mirror.source,
            q=contact.q,
            params=contact.params,
            display_name=contact.display_name or "",
            path=said.path if said is not None else contact.path,
            received=said.received if said is not None else contact.received,
            user_agent=said.user_agent if said is not None else contact.user_agent,
            retry_after=contact.retry_after,
        )

    def _known(self, aor: str, uri: Uri) -> tuple[str, tuple[Binding, ...]]:
        """The key of a contact, and what is claimed of it."""
        known = self._store.claims(aor, uri.key, self._location)
        if known:
            return uri.key, known
        for key, claims in self._store.rows(aor, self._location).items():
            if uri.matches(Uri.parse(claims[0].contact)):
                return key, claims
        return uri.key, ()

    def _expires_at(self, mirror: Mirror, contact: Contact, now: float) -> float:
        if contact.expires is not None:
            return now + contact.expires
        if contact.event.state != "active":
            return now
        # 3680-103: it lives as long as the subscription that told us.
        return min(mirror.subscription.expires_at, now + self._max_expires)

    def _omitted(
        self, mirror: Mirror, known: tuple[Binding, ...], wall: float
    ) -> Binding | None:
        """Gone by omission: only what this very subscription has told us."""
        if not known or not known[0].active or known[0].source != mirror.source:
            return None
        return msgspec.structs.replace(
            known[0], event=ContactEvent.EXPIRED, stamp=self._store.next_stamp(wall)
        )

    def _remove_unlisted(self, mirror: Mirror, now: float, wall: float) -> None:
        """
        Remove what the store has from this subscription and its table has not.

        The table reports what it saw go; but it may be younger than the store.
        """
        listed: dict[str, set[str]] = {mirror.aor: set()}
        for row in mirror.table:
            try:
                aor = Uri.parse(row.aor).aor
                key, _ = self._known(aor, Uri.parse(row.contact.uri))
            except RemoteProtocolError:
                continue
            listed.setdefault(aor, set()).add(key)
        for aor, keys in listed.items():
            gone = [
                claim
                for key, known in self._store.rows(aor, self._location).items()
                if key not in keys
                and (claim := self._omitted(mirror, known, wall)) is not None
            ]
            self._store.apply(aor, gone, now, self._location)

    def _prolong(
        self, mirror: Mirror, document: Reginfo, now: float, wall: float
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
                    _, known = self._known(aor, Uri.parse(contact.uri))
                except RemoteProtocolError:
                    continue  # which has been complained of
                expires_at = self._expires_at(mirror, contact, now)
                if (
                    known
                    and known[0].active
                    and known[0].source == mirror.source
                    and expires_at > known[0].expires_at + SLACK
                ):
                    longer = msgspec.structs.replace(
                        known[0],
                        event=ContactEvent.REFRESHED,
                        expires_at=expires_at,
                        stamp=self._store.next_stamp(wall),
                    )
                    self._store.apply(aor, [longer], now, self._location)

    def _settle(self, mirror: Mirror) -> None:
        """Send what the subscription wants sent, keep it, and set its timer."""
        self._index(mirror)
        subscription = mirror.subscription
        for draft, flow in subscription.drafts_to_send():
            self._send(draft, flow, mirror)
        # A copy: what is written is encoded later, when the subscription has gone on.
        row = HeldRow(subscription=_copy(subscription), table=mirror.table.dump())
        self._journal.write(KIND, mirror.source, row, _nothing)
        self._wheel.schedule(mirror)

    def _index(self, mirror: Mirror) -> None:
        dialog = mirror.subscription.dialog
        key = None if dialog is None else (dialog.call_id, dialog.local_tag)
        if key != mirror.held:
            if mirror.held is not None:
                self._by_dialog.pop(mirror.held, None)
            if key is not None:
                self._by_dialog[key] = mirror
            mirror.held = key

    def _restore(
        self, mirror: Mirror, subscription: Subscription, table: TableDump
    ) -> None:
        mirror.subscription = subscription
        mirror.table = Table.load(table)
        self._index(mirror)
        self._wheel.schedule(mirror)


def _copy(subscription: Subscription) -> Subscription:
    dialog = subscription.dialog
    return msgspec.structs.replace(
        subscription,
        dialog=None if dialog is None else msgspec.structs.replace(dialog),
        drafts=[],
    )


def _nothing() -> None:
    """What is undone with the entry before it."""
