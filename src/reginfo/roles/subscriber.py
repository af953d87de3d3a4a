"""The subscriber: learns the contacts that peers notify (RFC 3680 §4.8, §5.2)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from ..events.states import SubscriberState
from ..events.subscribe import Wanted
from ..events.wanted import FlowTo
from ..ledger.journal import Journal
from ..ledger.part import Description, Here, Moment
from ..ledger.shelf import Rows, nothing
from ..location.claim import Claim
from ..location.contact_row import ContactRow
from ..location.foreign import GRACE
from ..location.place import Aor, Name, as_written
from ..location.store import LocationStore
from ..reg.document import Reginfo
from ..reg.table import ReportedContact, RowChange, shifted
from ..reg.xml import PACKAGE
from ..sip.errors import Refusal
from ..sip.flow import Flow
from ..sip.message import Request
from ..sip.uri import Uri
from ..sip.user import Send
from .document import MayTell, anything, read_document
from .held import Held
from .held import Listener as Listener
from .learner import Learner
from .listing import Listed, Listing, Listings
from .mirror import HeldRow
from .mirror import Mirror as Mirror
from .naming import users_of
from .origin import DocumentOrigin
from .unsolicited import Unsolicited

logger = logging.getLogger("reginfo.subscriber")


ENDED = SubscriberState.ENDED

CONTACT_KIND = "held-contact"
"""The kind of the rows of a table, one for each contact."""


class Subscriber:
    """
    The `reg` package of all subscriptions that we hold.

    Args:
        send: sends a request on a flow; its last argument is the user of the request.
        new_id: makes a random token.
        jitter: returns a random number from 0 to 1, to spread simultaneous timers.
        max_expires: the longest interval accepted for a contact, in seconds.
        longest: the same for individual peers, by name.
        locate: finds the flow of a requested subscription, and calls :meth:`located`.
        location: the location table to update.
        name: returns the address-of-record of a URI.
    """

    name = PACKAGE

    def __init__(
        self,
        store: LocationStore,
        journal: Journal,
        *,
        send: Send,
        new_id: Callable[[], str],
        jitter: Callable[[], float],
        max_expires: int,
        longest: Callable[[str], int] | None = None,
        locate: Callable[[Mirror], None] | None = None,
        flow_to: FlowTo | None = None,
        location: str,
        name: Name = as_written,
    ) -> None:
        self._name = name
        self._location = location
        self._journal = journal
        self._jitter = jitter
        self._listing: Listing[Mirror] = Listing()
        self._stored: dict[str, list[ReportedContact]] = {}
        self._contacts: Rows[ReportedContact] = Rows(
            journal, CONTACT_KIND, ReportedContact, self._take_contact, shifted
        )
        self._longest = longest or (lambda peer: max_expires)
        self.may_tell: MayTell = anything
        self.others: Listings | None = None
        "Returns who else lists a contact, such as publishers."

        self._learner = Learner(
            store, longest=self._longest, listings=self._all_listings
        )
        self.held = Held(
            journal,
            package=self,
            send=send,
            new_id=new_id,
            jitter=jitter,
            locate=locate,
            flow_to=flow_to,
        )
        self._unsolicited = Unsolicited(
            journal,
            self._learner,
            package=PACKAGE,
            longest=self._longest,
            location=location,
            name=name,
            may_tell=lambda peer, aor: self.may_tell(peer, aor),
        )

    # Subscribing; see `Held`.

    def mirrors(self) -> Iterator[Mirror]:
        """Every subscription that is wanted."""
        return self.held.mirrors()

    def watch(
        self, peer: str, aor: Aor, wanted: Wanted, flow: Flow, now: float
    ) -> None:
        """Subscribe to ``aor`` at ``peer``, as the configuration requires."""
        self.held.watch(peer, aor, wanted, flow, now)

    def request(self, peer: str, aor: Aor, wanted: Wanted, now: float) -> bool:
        """Subscribe to ``aor``, as a script requested."""
        return self.held.request(peer, aor, wanted, now)

    def cancel(self, peer: str, aor: Aor, now: float) -> bool:
        """End a requested subscription; return False if there is none."""
        return self.held.cancel(peer, aor, now)

    def moved(self, peer: str, flows: Sequence[Flow], now: float) -> None:
        """Subscribe again at the present addresses of a peer."""
        self.held.moved(peer, flows, now)

    def located(
        self, mirror: Mirror, flow: Flow | None, cause: str, now: float
    ) -> None:
        """Send the SUBSCRIBE of a requested subscription on ``flow``."""
        self.held.located(mirror, flow, cause, now)

    def begin(self, here: Here, moment: Moment) -> None:
        """Resume the subscriptions that a script requested before a restart."""
        self.held.resume(here.locals, moment.now)
        for source in [s for s in self._stored if not self.held.stored(s)]:
            # Its subscription is gone or could not be read; the table starts empty.
            for row in self._stored.pop(source):
                self._contacts.erase(_key(source, row), nothing, urgent=False)

    # From the network.

    def receive_notify(
        self,
        request: Request,
        flow: Flow,
        now: float,
        wall: float,
        location: str | None = None,
    ) -> tuple[Aor, ...]:
        """
        Process a NOTIFY: check its dialog, then its package, then parse its body.

        Args:
            location: the location table, if not the default one.

        Returns:
            The addresses-of-record that it lists; none if it has no body.

        Raises:
            Refusal, RemoteProtocolError: it matches no subscription, or is wrong;
                nothing has changed.
        """
        held = self.held
        mirror = held.find(request)
        if mirror is None:
            # RFC 6665 §4.1.3: a NOTIFY that matches no subscription.
            raise Refusal(481, "Subscription Does Not Exist")
        subscription = mirror.subscription
        state = subscription.check_notify(request, PACKAGE)
        document = read_document(
            request,
            mirror.source,
            self._name,
            self._longest(mirror.peer),
            partial(self.may_tell, mirror.peer),
        )
        held.remember(mirror)
        first = not subscription.is_established
        subscription.receive_notify(request, state, flow, now, self._jitter)
        missed = False
        if document is not None:
            number = request.cseq.number
            missed = self._take(mirror, document, number, now, wall, location)
            if missed:
                self._journal.after(
                    logger.info, "= a NOTIFY of %s was lost", mirror.source
                )
                subscription.refresh(now)
        self._journal.after(mirror.notified, state, missed, now)
        if state.state == "terminated":
            if subscription.state is not ENDED:
                held.report(mirror, "terminated", state.reason or "")
        elif first:
            held.report(mirror, "active", "")
        held.settle(mirror)
        if document is None:
            return ()
        return users_of(document) or (mirror.aor,)

    def receive_unsolicited(
        self,
        peer: str,
        request: Request,
        now: float,
        wall: float,
        location: str | None = None,
    ) -> tuple[Aor, ...]:
        """Process a NOTIFY without a subscription; see `Unsolicited`."""
        return self._unsolicited.receive_notify(peer, request, now, wall, location)

    def knows(self, request: Request) -> bool:
        """Whether a NOTIFY matches a subscription that we hold."""
        return self.held.find(request) is not None

    def expects(self, request: Request) -> bool:
        """Whether a NOTIFY matches a subscription that we hold, and its package."""
        return self.held.expects(request)

    def listings(self, aor: Aor, uri: Uri, now: float) -> Iterator[Listed]:
        """Return which peers list a contact as bound, in a NOTIFY."""
        for mirror, row in self._listing.find(aor, uri):
            subscription = mirror.subscription
            if row.contact.claim is not None:
                continue  # a `reginfo` server: its claims are in the store
            if subscription.state is ENDED:
                continue
            ends = row.expires_at
            if ends is None:
                ends = subscription.expires_at + GRACE
            if now < ends:
                yield Listed(mirror.peer, mirror.source, aor, row.contact, ends)
        yield from self._unsolicited.listings(aor, uri, now)

    def prolonged(self, row: ContactRow, now: float, wall: float) -> Claim | None:
        """Return the claim that continues a contact which a peer lists for longer."""
        return self._learner.prolonged(row, now, wall)

    # From the clock, and from the storage.

    @property
    def timer_at(self) -> float | None:
        return self.held.timer_at

    def timer_due(self, moment: Moment) -> None:
        """Send the SUBSCRIBEs that are due: new ones, retries and refreshes."""
        self.held.timer_due(moment.now)

    def undone(self, moment: Moment) -> None:
        """Do nothing: the undo of an item schedules it again."""

    def describe(self) -> Description:
        """Describe the number of subscriptions held at peers."""
        held = len(self.held)
        return Description("subscriber", f"subscriptions: {held}", {"held": held})

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        """The stored rows; :meth:`begin` and :meth:`watch` continue with them."""
        return (*self.held.shelves, self._contacts)

    # The package, as `Held` calls it.

    def load(self, mirror: Mirror, row: HeldRow) -> None:
        table = mirror.table
        table.restore(row.state)
        for contact in self._stored.pop(mirror.source, ()):
            table.put(contact)
        mirror.heard_at = row.heard_at
        self._listing.add(mirror, table)

    def drop(self, mirror: Mirror) -> None:
        self._listing.remove(mirror, mirror.table)
        for row in mirror.table:
            self._contacts.erase(_key(mirror.source, row), nothing)

    def put_back(self, mirror: Mirror) -> None:
        self._listing.add(mirror, mirror.table)

    # How.

    def _take(
        self,
        mirror: Mirror,
        document: Reginfo,
        cseq: int,
        now: float,
        wall: float,
        location: str | None,
    ) -> bool:
        """Apply a document; return whether an earlier one was lost."""
        table, source = mirror.table, mirror.source
        # The changes in the first document of a dialog may be as old as the last
        # document before it; or of any age, if there was none.
        since = None
        is_first = not mirror.heard_at
        if table.state.version is None:
            since = mirror.heard_at or wall - self._longest(mirror.peer)
        mirror.heard_at = wall
        taken = table.take(document, cseq, now)
        changes = table.changes
        if changes:
            self._listing.update(mirror, changes)
            self._journal.remember(self._undo, mirror, changes)
            for change in changes:
                key = f"{source}\0{change.aor}\0{change.id}"
                if change.after is not None:
                    self._contacts.write(key, change.after, nothing)
                elif change.before is not None:
                    self._contacts.erase(key, nothing)
        origin = DocumentOrigin(
            mirror.peer,
            source,
            location or self._location,
            mirror.subscription.expires_at,
            since,
        )
        self._learner.learn(origin, document, taken.news, table, now, wall)
        if is_first and table.is_full and not table.has_claims:
            self._learner.forget_others(origin, mirror.aor, table, now, wall)
        return taken.missed

    def _undo(self, mirror: Mirror, changes: list[RowChange]) -> None:
        self._listing.undo(mirror, changes)
        mirror.table.undo(changes)

    def _take_contact(self, key: str, row: ReportedContact) -> None:
        source = key.split("\0", 1)[0]
        self._stored.setdefault(source, []).append(row)

    def _all_listings(self, aor: Aor, uri: Uri, now: float) -> Iterator[Listed]:
        yield from self.listings(aor, uri, now)
        if self.others is not None:
            yield from self.others(aor, uri, now)


def _key(source: str, row: ReportedContact) -> str:
    return f"{source}\0{row.aor}\0{row.contact.id}"
