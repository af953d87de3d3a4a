"""The publisher: publishes our registrations at presence servers (RFC 3903)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from ..events.publish import (
    Operation,
    Outcome,
    Publication,
    may_have_arrived,
)
from ..ledger.due import work_off
from ..ledger.journal import Journal
from ..ledger.part import Description, Here, Moment
from ..ledger.shelf import Rows
from ..location.binding import Binding, BindingChange
from ..location.keyring import KeyChange
from ..location.place import Aor, Place
from ..location.store import LocationStore
from ..reg import xml
from ..reg.legacy import Profile, profile_of
from ..sip.flow import Flow
from ..sip.message import Response
from ..sip.timer import TimerWheel
from ..sip.user import Send
from .envelope import LINK, VERSION
from .publication_body import PublicationBodies
from .published import (
    PresenceServer,
    PublishedShelf,
    PublishedState,
)

logger = logging.getLogger("reginfo.publisher")


RESTART_RATE = 100.0
"""The maximum number of publications resumed per second after a restart."""

RETRY_AFTER = 5.0
"""Seconds until a due item whose commit failed is retried."""

Failed = Callable[[str, Flow], Flow | None]
"""
Is called with the URI of a server and a flow that has failed; returns another flow that
is to be tried at once, or None.
"""


class Publisher:
    """
    All publications: the contacts that are registered at this server, and no others.

    Args:
        send: sends a request on a flow; its last argument is the user of the request.
        new_id: makes a random token.
        jitter: returns a random number from 0 to 1.
        failed: finds another address of a server that did not answer.
        min_expires, max_expires: the limits of Expires, in seconds.
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
        min_expires: int,
        max_expires: int,
        table: str,
        datagram_only: Callable[[Flow], bool] = lambda flow: False,
        failed: Failed | None = None,
    ) -> None:
        self._failed = failed
        self._store = store
        self._bodies = PublicationBodies(store, server_id, table)
        self._datagram_only = datagram_only
        self._journal = journal
        self._server_id = server_id
        self._send = send
        self._new_id = new_id
        self._jitter = jitter
        self._min_expires = min_expires
        self._max_expires = max_expires
        self._table = table
        self._targets: dict[str, PresenceServer] = {}
        self._published: dict[str, PublishedState] = {}
        self._shelf = PublishedShelf(journal)
        self._wheel = TimerWheel()

    def __len__(self) -> int:
        return len(self._published)

    def publications(self) -> Iterator[PublishedState]:
        """Every publication, oldest first."""
        return iter(self._published.values())

    def servers(self) -> list[PresenceServer]:
        """Return the presence servers at which we publish."""
        return list(self._targets.values())

    def publish_to(self, target: PresenceServer, now: float) -> None:
        """
        Publish at ``target``, and resume its stored publications.

        The state at the server is unknown, so each publication is modified once, 100
        per second. Nothing is sent while the flow of the server is not known; a second
        call for the same URI sets it, or another one.
        """
        known = self._targets.get(target.uri)
        if known is not None:
            self._move(known, target, now)
            return
        self._targets[target.uri] = target
        for number, key in enumerate(self._shelf.stored_at(target.uri)):
            at = now + number / RESTART_RATE
            try:
                with self._journal.attempt():
                    self._resume(key, target, now, at)
            except Exception:
                # One row that cannot be used must not stop the others.
                logger.exception("! publication of %s", key.replace("\0", " "))
                self._forget(key)

    def leave(self, uri: str) -> None:
        """Do not publish at a server that turns out to be this one."""
        if self._targets.pop(uri, None) is None:
            return
        for key, published in list(self._published.items()):
            if published.target.uri == uri:
                self._forget(key)
                self._shelf.erase(key, published)

    def _move(self, known: PresenceServer, new: PresenceServer, now: float) -> None:
        """Publish at the present addresses of a server."""
        was_lost = known.flow is None
        known.flow, known.profile = new.flow, new.profile
        if not was_lost:
            return
        waiting = [one for one in self._published.values() if one.target is known]
        for number, published in enumerate(waiting):
            published.publication.timer_at = now + number / RESTART_RATE
            self._wheel.schedule(published)

    def begin(self, here: Here, moment: Moment) -> None:
        """Do nothing: :meth:`publish_to` resumes the loaded publications."""

    def hears(self, change: BindingChange | KeyChange) -> None:
        """Publish a change, if it is ours and publishing is not disabled."""
        if not self._targets or not change.is_published:
            return
        if type(change) is BindingChange:
            self._tell_binding(change, change.at)
        else:
            assert isinstance(change, KeyChange)
            self._tell_keys(change, change.at)

    def _tell_binding(self, change: BindingChange, now: float) -> None:
        """Publish a change of a contact."""
        if change.place.table != self._table:
            return
        for aor in self._store.identities(change.place):
            self._tell(aor, now, only_if_ours=change.binding, more=change.more)

    def _tell_keys(self, change: KeyChange, now: float) -> None:
        """Publish a user under exactly its current identities."""
        if change.place.table == self._table and (
            change.before != change.after or change.moved
        ):
            for aor in dict.fromkeys((*change.before, *change.after)):
                self._tell(aor, now)

    def update(self, aor: Aor, now: float) -> bool:
        """Publish the current state of ``aor`` again; False if there is none."""
        record = self._store.record_of(Place(self._table, aor))
        if not any(
            binding.owner == self._server_id
            for binding in self._store.bindings(record, now)
        ):
            return False
        for identity in self._store.identities(record):
            self._tell(identity, now)
        return True

    def receive_response(
        self, published: PublishedState, response: Response, now: float
    ) -> None:
        """Receive the response to the unanswered PUBLISH."""
        target, publication = published.target, published.publication
        self._remember(published, now)
        if response.status >= 200:
            published.heard = publication.cseq, now
        if response.user_agent:
            target.recognised = profile_of(response.user_agent)
        outcome = publication.receive_response(
            response, published.asked, now, self._jitter
        )
        if outcome is None:
            return
        if response.status == 513:  # Message Too Large (RFC 3261 §21.5.14)
            target.shorten(published.length, published.length // 4, now)
        if response.status >= 300:
            logger.warning(
                "! PUBLISH of %s at %s: %d", published.aor, target.uri, response.status
            )
            target.note_problem(f"PUBLISH was answered {response.status}", now)
        if outcome is Outcome.REFUSED and not target.refused:
            target.refused = True
            logger.error("! %s refuses all publications", target.uri)
        elif outcome is Outcome.PUBLISHED:
            target.note_success()
            published.told = published.sent
            self._recognise(published, response, now)
        if may_have_arrived(response.status):
            published.doubt()
        elif response.status >= 300:
            published.sent = {}
        if response.status == 503:
            self._try_another(published, now)
        self._advance(published, now)

    def receive_failure(
        self, published: PublishedState, cause: str, now: float
    ) -> None:
        """Receive the news that the unanswered PUBLISH failed."""
        self._remember(published, now)
        published.heard = published.publication.cseq, now
        flow = published.flow
        by_datagram = flow is not None and self._datagram_only(flow)
        published.note_failure(cause, by_datagram, now)
        published.publication.receive_failure(now, self._jitter)
        published.doubt()
        self._try_another(published, now)
        self._advance(published, now)

    @property
    def timer_at(self) -> float | None:
        return self._wheel.timer_at

    def timer_due(self, moment: Moment) -> None:
        """Send the PUBLISHes that are due: refreshes and retries."""
        now = moment.now

        def act(published: PublishedState) -> None:
            self._remember(published, now)
            self._advance(published, now)

        work_off(self._wheel, self._journal, now, act)

    def undone(self, moment: Moment) -> None:
        """Do nothing: the undo of an item schedules it again."""

    def describe(self) -> Description:
        """Describe the number of publications."""
        count = len(self)
        line = f"publications: {count}, presence servers: {len(self._targets)}"
        return Description("publisher", line, {"publications": count})

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        """The stored rows; :meth:`publish_to` continues with them."""
        return self._shelf.rows

    # How.

    def _recognise(
        self, published: PublishedState, response: Response, now: float
    ) -> None:
        """Note whether a server takes claims; if so, publish them at once."""
        target = published.target
        target.takes_claims = (
            target.speaks is Profile.STANDARD and response.header(LINK) == VERSION
        )
        if target.takes_claims and published.is_plain:
            published.is_plain = False
            published.publication.change(bool(self._own(published.aor, now)))

    def _try_another(self, published: PublishedState, now: float) -> None:
        """Publish at once at the next address of a server that did not answer."""
        target = published.target
        if self._failed is None or published.flow is None:
            return
        other = self._failed(target.uri, published.flow)
        if other is not None:
            target.flow = other
            published.publication.not_before = now

    def _resume(
        self,
        key: str,
        target: PresenceServer,
        now: float,
        at: float,
    ) -> None:
        """Resume one stored publication, and modify it at ``at``."""
        aor = Aor(key.partition("\0")[2])
        row, contacts = self._shelf.take(key)
        publication = row.publication
        target.takes_claims = target.takes_claims or row.takes_claims
        # The unanswered PUBLISH may have arrived. We try the old entity-tag; a 412
        # means that it did arrive.
        publication.give_up(now)
        publication.not_before = at
        published = PublishedState(aor, target, publication, self)
        published.told, published.stored = contacts, dict(contacts)
        published.saved = (published.told, published.sent)
        self._published[key] = published
        published.publication.change(bool(self._own(published.aor, now)))
        self._advance(published, now)

    def _own(self, aor: Aor, now: float) -> dict[str, Binding]:
        """Return the contacts that were registered at this server."""
        store = self._store
        record = store.record_of(Place(self._table, aor))
        if aor not in store.identities(record):
            return {}
        return {
            binding.key: binding
            for binding in store.bindings(record, now)
            if binding.owner == self._server_id
        }

    def _tell(
        self,
        aor: Aor,
        now: float,
        only_if_ours: Binding | None = None,
        more: bool = False,
    ) -> None:
        for target in self._targets.values():
            key = f"{target.uri}\0{aor}"
            published = self._published.get(key)
            if only_if_ours is not None and only_if_ours.owner != self._server_id:
                # A contact that moved away must not stay published here.
                if published is None or not (
                    published.owed or only_if_ours.key in published.told
                ):
                    continue
            if published is None:
                if not self._own(aor, now):
                    continue
                publication = Publication(
                    uri=aor, call_id=self._new_id(), tag=self._new_id()
                )
                published = PublishedState(aor, target, publication, self)
                self._published[key] = published
                self._journal.remember(self._forget, key)
            else:
                self._remember(published, now)
            published.publication.change(bool(self._own(published.aor, now)))
            # One REGISTER leads to one PUBLISH, however many contacts it changes.
            published.owed = more
            if not more:
                self._advance(published, now)

    def _advance(self, published: PublishedState, now: float) -> None:
        """Send a PUBLISH if one is due, store the publication, and set its timer."""
        publication, target = published.publication, published.target
        # A Kamailio that keeps publications in memory answers 200 to a refresh without
        # a body, but then has no document for later watchers.
        bodiless = target.speaks is not Profile.LEGACY and not published.left_out
        operation = publication.timer_at = None
        if target.flow is not None:
            operation = publication.next(now, bodiless=bodiless)
        key = f"{target.uri}\0{published.aor}"
        if operation is not None:
            own = self._own(published.aor, now)
            longest = max((b.expires(now) for b in own.values()), default=0)
            lifetime = min(max(longest, self._min_expires), self._max_expires)
            published.asked = max(lifetime, publication.min_expires)
            headers, body = f"Event: {xml.PACKAGE}\r\n", b""
            if operation in (Operation.INITIAL, Operation.MODIFY):
                headers += f"Content-Type: {xml.MEDIA_TYPE}\r\n"
                assert target.flow is not None
                room = target.room(self._datagram_only(target.flow), now)
                body, published.sent = self._bodies.write(published, own, now, room)
                published.note_left_out(len(own))
            draft = publication.draft(headers, lifetime, body)
            published.length = len(body)
            assert target.flow is not None
            published.flow = target.flow
            self._send(draft, target.flow, published)
        if publication.is_over:
            self._published.pop(key, None)
            self._journal.remember(self._put_back, key, published)
            self._shelf.erase(key, published)
            publication.timer_at = None
            self._wheel.schedule(published)
            return
        self._shelf.save(key, published)
        self._wheel.schedule(published)

    def _remember(self, published: PublishedState, now: float) -> None:
        """Note the current state of the publication in the undo list."""
        self._journal.remember(
            self._restore,
            published,
            # If the commit fails, retry only after RETRY_AFTER.
            now + RETRY_AFTER,
            msgspec.structs.replace(published.publication),
            published.told,
            published.sent,
            published.asked,
            published.owed,
            published.stored,
            published.saved,
        )

    def _restore(
        self,
        published: PublishedState,
        due_at: float,
        publication: Publication,
        told: dict[str, Binding],
        sent: dict[str, Binding],
        asked: int,
        owed: bool,
        stored: dict[str, Binding],
        saved: tuple[dict[str, Binding], dict[str, Binding]],
    ) -> None:
        published.publication = publication
        published.told, published.sent = told, sent
        published.asked, published.owed = asked, owed
        published.stored, published.saved = stored, saved
        cseq, at = published.heard
        if publication.operation is not None and cseq >= publication.cseq:
            publication.give_up(at)
            published.doubt()
            publication.not_before = max(publication.not_before, at + RETRY_AFTER)
        publication.timer_at = max(publication.not_before, due_at)
        self._wheel.schedule(published)

    def _forget(self, key: str) -> None:
        published = self._published.pop(key, None)
        if published is not None:
            published.timer_at = None
            self._wheel.schedule(published)

    def _put_back(self, key: str, published: PublishedState) -> None:
        self._published[key] = published
