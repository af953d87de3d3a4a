"""
The compositor: merges publications of peers into the location service (RFC 3903 §6).

A publication is one publisher's complete view of an address-of-record. Its contacts
become claims like any others. When a publication is removed or expires, the contacts
that no other publication lists are removed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from ..events import compose
from ..events.notify import SubscriptionPolicy
from ..ledger.due import work_off
from ..ledger.journal import Journal
from ..ledger.part import Description, Here, Moment
from ..ledger.shelf import Rows, Shelf, nothing
from ..location.foreign import GRACE
from ..location.place import Aor, Name, as_written
from ..location.source import PUBLISHED, Source
from ..location.store import LocationStore
from ..reg.document import ContactEvent, Reginfo
from ..reg.table import News, ReportedContact, RowChange, TableState, shifted
from ..reg.xml import PACKAGE
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.message import Request, Response
from ..sip.timer import TimerWheel
from ..sip.uri import Uri
from .contribution import Contribution, ContributionRow, shifted_row
from .document import MayTell, anything, read_document
from .envelope import LINK, VERSION
from .learner import Learner
from .listing import Listed, Listing, Listings
from .origin import DocumentOrigin

logger = logging.getLogger("reginfo.compositor")


KIND = "contribution"
CONTACT_KIND = "contribution-contact"
"""The kinds of its journal entries: a publication, and one contact in it."""

FULL_RETRY_AFTER = "60"
"""Retry-After, in seconds, when there are too many publications."""

RETRY_AFTER = 5.0
"""Seconds until a due item whose commit failed is retried."""

_Etag = tuple[str, str, str]
_Identity = tuple[str, str, str, str, int]


class PublicationLimits(NamedTuple):
    """The maximum number of publications, in all and per address-of-record; 0: any."""

    in_all: int = 0
    per_aor: int = 0


class Compositor:
    """
    All publications of peers.

    Args:
        new_id: makes a random token, so that no entity-tag is used twice.
        policy: the limits of the interval of a publication.
        max_expires: the longest interval accepted for a contact, in seconds.
        longest: the same for individual publishers, by name.
        name: returns the address-of-record of a URI.
        room: how many publications there may be.
    """

    def __init__(
        self,
        store: LocationStore,
        journal: Journal,
        *,
        new_id: Callable[[], str],
        policy: SubscriptionPolicy,
        max_expires: int,
        longest: Callable[[str], int] | None = None,
        location: str,
        name: Name = as_written,
        room: PublicationLimits | None = None,
    ) -> None:
        self._name = name
        self._store = store
        self._journal = journal
        self._new_id = new_id
        self._policy = policy
        self._location = location
        self._wheel = TimerWheel()
        self._room = room or PublicationLimits()
        self._by_aor: Counter[Aor] = Counter()
        self._by_id: dict[str, Contribution] = {}
        # By address-of-record, peer and entity-tag; and by address-of-record, peer and
        # the identification of its last PUBLISH.
        self._by_etag: dict[_Etag, Contribution] = {}
        self._by_request: dict[_Identity, Contribution] = {}
        self._listing: Listing[Contribution] = Listing()
        self._stored: dict[str, list[ReportedContact]] = {}
        self._rows: Shelf[ContributionRow] = Shelf(
            journal, KIND, ContributionRow, shifted_row
        )
        self._contacts: Rows[ReportedContact] = Rows(
            journal, CONTACT_KIND, ReportedContact, self._take_contact, shifted
        )
        self.may_tell: MayTell = anything
        self.others: Listings | None = None
        "Returns who else lists a contact, such as peers that notify."

        self._longest = longest or (lambda peer: max_expires)
        self._learner = Learner(
            store,
            longest=self._longest,
            listings=self._all_listings,
        )

    def __len__(self) -> int:
        return len(self._by_id)

    def contributions(self) -> Iterator[Contribution]:
        """Every publication that has not ended."""
        return iter(self._by_id.values())

    # From the network.

    def receive_publish(
        self, request: Request, *, peer: str, aor: Aor, now: float, wall: float
    ) -> Response:
        """
        Process a PUBLISH, atomically.

        Args:
            peer: the name of the publisher, a configured peer.
            aor: the address-of-record in the Request-URI.

        Raises:
            Refusal, RemoteProtocolError: it is refused; nothing has changed.
        """
        identity = (request.call_id, request.from_.tag, request.cseq.number)
        again = self._by_request.get((aor, peer, *identity))
        if again is not None:
            # The transaction recognises a retransmission, but it is gone after a
            # restart, when a publisher that got no response sends the PUBLISH again.
            return _accepted(again.row.granted, again.row.etag)
        asked = compose.read(request, PACKAGE, self._policy)
        known = None
        if asked.etag is not None:
            known = self._by_etag.get((aor, peer, asked.etag))
            if known is None:
                raise Refusal(412, "Conditional Request Failed")
        document = None
        if asked.has_body:
            document = read_document(
                request,
                peer,
                self._name,
                self._longest(peer),
                partial(self.may_tell, peer),
            )
            if document is not None:
                document = _of(document, aor)
        etag = self._new_id()
        if not asked.expires:
            if known is not None:
                self._remove(known, now, wall)
            return _accepted(0, etag)
        if known is None:
            self._check_room(aor)
        row = ContributionRow(
            id=known.row.id if known is not None else self._new_id(),
            aor=aor,
            peer=peer,
            etag=etag,
            expires_at=now + asked.expires,
            request=identity,
            granted=asked.expires,
        )
        self._update(known, row, document, now, wall)
        return _accepted(asked.expires, etag)

    def listings(self, aor: Aor, uri: Uri, now: float) -> Iterator[Listed]:
        """Return which peers list a contact as bound, in a publication."""
        for contribution, one in self._listing.find(aor, uri):
            if one.contact.claim is not None:
                continue  # a `reginfo` server: its claims are in the store
            row = contribution.row
            ends = one.expires_at
            if ends is None:
                ends = row.expires_at + GRACE
            if now < ends:
                source = str(Source(row.peer, PUBLISHED))
                yield Listed(row.peer, source, aor, one.contact, ends)

    # From the clock.

    @property
    def timer_at(self) -> float | None:
        return self._wheel.timer_at

    def timer_due(self, moment: Moment) -> None:
        """Remove publications that were not refreshed."""
        now = moment.now

        def act(contribution: Contribution) -> None:
            if contribution.row.expires_at > now or not self._has(contribution):
                return
            # If the commit fails, retry only after RETRY_AFTER.
            self._journal.remember(self._postpone, contribution, now + RETRY_AFTER)
            self._remove(contribution, now, moment.wall)

        work_off(self._wheel, self._journal, now, act)

    def undone(self, moment: Moment) -> None:
        """Do nothing: the undo of an item schedules it again."""

    def describe(self) -> Description:
        """Describe the publications of peers."""
        count = len(self)
        line = f"publications of peers: {count}"
        return Description("compositor", line, {"contributions": count})

    # From the storage.

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        """The stored rows; :meth:`begin` continues with them."""
        return (self._rows, self._contacts)

    def begin(self, here: Here, moment: Moment) -> None:
        """
        Schedule the loaded publications; remove those that have expired meanwhile.
        """
        now = moment.now
        for row in list(self._rows.values()):
            contribution = Contribution(row)
            self._load(contribution, self._stored.pop(row.id, ()))
            self._add(contribution)
            if row.expires_at > now:
                self._wheel.schedule(contribution)
                continue
            try:
                with self._journal.attempt():
                    self._remove(contribution, now, moment.wall)
            except Exception:
                # A publication that cannot be ended must not prevent the start.
                logger.exception("! publication of %s by %s", row.aor, row.peer)
                self._postpone(contribution, now + RETRY_AFTER)
        for id, contacts in self._stored.items():
            # Its publication was removed, or could not be read.
            for contact in contacts:
                self._contacts.erase(_key(id, contact), nothing, urgent=False)
        self._stored.clear()

    # How.

    def _take_contact(self, key: str, row: ReportedContact) -> None:
        self._stored.setdefault(key.split("\0", 1)[0], []).append(row)

    def _load(
        self, contribution: Contribution, contacts: Iterable[ReportedContact]
    ) -> None:
        row, table = contribution.row, contribution.table
        table.restore(row.state)
        for contact in contacts:
            table.put(contact)
        contribution.untimed = any(one.contact.expires is None for one in table)

    def _check_room(self, aor: Aor) -> None:
        """
        Check whether there may be one more publication.

        Raises:
            Refusal: 503 with Retry-After.
        """
        room = self._room
        if 0 < room.in_all <= len(self) or 0 < room.per_aor <= self._by_aor[aor]:
            headers = [("Retry-After", FULL_RETRY_AFTER)]
            raise Refusal(503, "Too Many Publications", headers=headers)

    def _update(
        self,
        known: Contribution | None,
        row: ContributionRow,
        document: Reginfo | None,
        now: float,
        wall: float,
    ) -> None:
        origin = self._origin(row)
        contribution = Contribution(row) if known is None else known
        table = contribution.table
        if known is None:
            self._journal.remember(self._take_out, contribution)
            self._add(contribution)
        else:
            self._journal.remember(
                self._restore, contribution, contribution.row, table.state
            )
        news: tuple[News, ...] = ()
        if document is not None:
            # Versions count the documents of a subscription (RFC 3680 §5.1).
            # Publications are ordered by the entity-tag.
            table.restart()
            news = table.take(document, 0, now).news
            self._note(contribution, table.changes)
        row = msgspec.structs.replace(row, state=table.state)
        self._set_row(contribution, row)
        self._rows.put(row.id, row)
        self._wheel.schedule(contribution)
        if document is None:
            if contribution.untimed:
                untimed = [
                    (one.aor, one.contact)
                    for one in table
                    if one.contact.expires is None
                ]
                self._learner.prolong(origin, untimed, now, wall)
            return
        self._learner.learn(origin, document, news, table, now, wall)

    def _note(self, contribution: Contribution, changes: list[RowChange]) -> None:
        """Store the changes of a document."""
        if not changes:
            return
        self._listing.update(contribution, changes)
        self._journal.remember(self._undo, contribution, changes)
        id = contribution.row.id
        for change in changes:
            before, after = change.before, change.after
            if after is not None:
                self._contacts.write(_key(id, after), after, nothing)
                if after.contact.expires is None:
                    contribution.untimed = True
            elif before is not None:
                self._contacts.erase(_key(id, before), nothing)

    def _remove(self, contribution: Contribution, now: float, wall: float) -> None:
        row = contribution.row
        self._journal.remember(self._add, contribution)
        self._take_out(contribution)
        self._rows.drop(row.id)
        for one in contribution.table:
            self._contacts.erase(_key(row.id, one), nothing)
        gone = [
            News(
                row.aor,
                msgspec.structs.replace(
                    one.contact, event=ContactEvent.EXPIRED, expires=0
                ),
                omitted=True,
            )
            for one in contribution.table
        ]
        self._learner.learn_news(self._origin(row), gone, {}, now, wall)

    def _origin(self, row: ContributionRow) -> DocumentOrigin:
        source = str(Source(row.peer, PUBLISHED))
        return DocumentOrigin(row.peer, source, self._location, row.expires_at)

    def _all_listings(self, aor: Aor, uri: Uri, now: float) -> Iterator[Listed]:
        yield from self.listings(aor, uri, now)
        if self.others is not None:
            yield from self.others(aor, uri, now)

    def _has(self, contribution: Contribution) -> bool:
        return self._by_id.get(contribution.row.id) is contribution

    def _add(self, contribution: Contribution) -> None:
        """Add a publication, or restore one that was removed."""
        row = contribution.row
        if row.id not in self._by_id:
            self._by_aor[row.aor] += 1
        self._by_id[row.id] = contribution
        self._by_etag[row.aor, row.peer, row.etag] = contribution
        self._by_request[row.aor, row.peer, *row.request] = contribution
        self._listing.add(contribution, contribution.table)
        contribution.timer_at = row.expires_at
        self._wheel.schedule(contribution)

    def _take_out(self, contribution: Contribution) -> None:
        row = contribution.row
        contribution.timer_at = None
        self._wheel.schedule(contribution)
        if self._by_id.pop(row.id, None) is not None:
            self._by_aor[row.aor] -= 1
            if not self._by_aor[row.aor]:
                del self._by_aor[row.aor]
        self._by_etag.pop((row.aor, row.peer, row.etag), None)
        self._by_request.pop((row.aor, row.peer, *row.request), None)
        self._listing.remove(contribution, contribution.table)

    def _set_row(self, contribution: Contribution, row: ContributionRow) -> None:
        """Replace the stored row of a publication, with its entity-tag."""
        before = contribution.row
        self._by_etag.pop((before.aor, before.peer, before.etag), None)
        self._by_request.pop((before.aor, before.peer, *before.request), None)
        self._by_etag[row.aor, row.peer, row.etag] = contribution
        self._by_request[row.aor, row.peer, *row.request] = contribution
        contribution.row = row
        contribution.timer_at = row.expires_at

    def _restore(
        self, contribution: Contribution, row: ContributionRow, state: TableState
    ) -> None:
        self._set_row(contribution, row)
        contribution.table.restore(state)
        self._wheel.schedule(contribution)

    def _undo(self, contribution: Contribution, changes: list[RowChange]) -> None:
        self._listing.undo(contribution, changes)
        contribution.table.undo(changes)

    def _postpone(self, contribution: Contribution, at: float) -> None:
        contribution.timer_at = at
        self._wheel.schedule(contribution)


def _key(id: str, row: ReportedContact) -> str:
    return f"{id}\0{row.contact.id}"


def _accepted(expires: int, etag: str) -> Response:
    # A publisher that knows the header sends claims from now on.
    headers = [("Expires", str(expires)), ("SIP-ETag", etag), (LINK, VERSION)]
    return Response.of(200, "OK", headers)


def _of(document: Reginfo, aor: Aor) -> Reginfo:
    """
    Return the part of a document about one address-of-record, as a full document.

    Raises:
        RemoteProtocolError: the document is only about others (3903-41).
    """
    registrations = tuple(one for one in document.registrations if one.aor == aor)
    if document.registrations and not registrations:
        raise RemoteProtocolError("the document is about another address-of-record")
    return msgspec.structs.replace(document, full=True, registrations=registrations)
