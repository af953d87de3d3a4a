"""The notifier: notifies watchers of registrations (RFC 3680 §4)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from ..events.notify import SubscriptionPolicy
from ..ledger.journal import Journal
from ..ledger.part import Description, Here, Moment
from ..ledger.shelf import Rows
from ..location.binding import BindingChange
from ..location.claim import Claim
from ..location.keyring import KeyChange
from ..location.place import Aor, Place
from ..location.source import is_known_by, peer_of
from ..location.store import LocationStore
from ..reg import xml
from ..reg.document import ContactEvent
from ..reg.legacy import Profile
from ..sip.errors import Refusal
from ..sip.flow import Flow
from ..sip.message import Request, Response
from .admission import Admission
from .bodies import Bodies
from .drain import Drain
from .row import WatchRow, is_of_our_kind
from .served import SendNotify, Served
from .watch import Watch
from .watcher import Watcher


class Notifier:
    """
    The `reg` package of all subscriptions that we serve.

    Args:
        send: sends a NOTIFY.
        recognise: identifies the sender of a SUBSCRIBE.
        is_ours: whether an address-of-record is in one of our domains.
        jitter: returns a random number from 0 to 1.
        datagram_only: whether a flow is known to support only datagrams.
        admission: the policy for watchers; by default anybody may watch anybody.
        table: the location table that is watched.
    """

    name = xml.PACKAGE
    media_type = xml.MEDIA_TYPE

    def __init__(
        self,
        store: LocationStore,
        journal: Journal,
        *,
        send: SendNotify,
        policy: SubscriptionPolicy,
        recognise: Callable[[Request, Flow], Watcher],
        is_ours: Callable[[Aor], bool],
        jitter: Callable[[], float] = random.random,
        datagram_only: Callable[[Flow], bool] = lambda flow: False,
        admission: Admission | None = None,
        table: str,
    ) -> None:
        self._store = store
        self._journal = journal
        self._is_ours = is_ours
        self._table = table
        self.bodies = Bodies(store, table)
        self.served = Served(
            journal,
            package=self,
            body=self.bodies.write,
            send=send,
            policy=policy,
            recognise=recognise,
            jitter=jitter,
            datagram_only=datagram_only,
            admission=admission or Admission(),
        )

        self._watches = self.served.watches

    # The subscriptions; see `Served`.

    def __len__(self) -> int:
        return len(self._watches)

    def watches(self) -> Iterator[Watch]:
        """Every watch, oldest first."""
        return iter(self._watches)

    def serves(self, watch: Watch) -> bool:
        """Whether a watch has not ended yet."""
        return self._watches.has(watch)

    @property
    def leaving(self) -> Drain[Watch] | None:
        """The progress of :meth:`drain`; None before it is called."""
        return self.served.leaving

    def drain(self, rate: float, now: float) -> None:
        """End all subscriptions, at most ``rate`` per second."""
        self.served.drain(rate, now)

    def reject(self, watcher: str, now: float) -> int:
        """
        End the subscriptions of a watcher, by its address-of-record, with `rejected`.

        Returns:
            How many have ended.
        """
        theirs = [
            watch
            for watch in self._watches
            if watch.row.peer is None and not watch.ended and watch.aor == watcher
        ]
        for watch in theirs:
            self.served.finish(watch, now, "rejected")
        return len(theirs)

    def receive_subscribe(
        self, request: Request, flow: Flow, *, tag: str, aor: Aor, now: float
    ) -> Response:
        """
        Process a SUBSCRIBE, and send the NOTIFY that must follow (6665-07).

        Args:
            tag: the To tag of the response, for the dialog that a 2xx creates.
            aor: the address-of-record in the Request-URI.

        Raises:
            Refusal, RemoteProtocolError: it is refused.
        """
        return self.served.receive_subscribe(
            request, flow, tag=tag, resource=aor, now=now
        )

    def names(self, resource: Aor) -> tuple[str, ...]:
        """
        Return an address-of-record, and the other identities of its user.

        Raises:
            Refusal: 404; the address is in none of our domains.
        """
        store, place = self._store, Place(self._table, resource)
        if not self._is_ours(resource) and store.named_by(place) is None:
            raise Refusal(404, "Not Found")
        return (resource, *store.identities(store.record_of(place)))

    # From the store.

    def hears(self, change: BindingChange | KeyChange) -> None:
        """Notify the watchers of a change, now or when `min_interval` allows."""
        if not self._watches:
            return
        if type(change) is BindingChange:
            self._tell(change, change.at)
        else:
            assert isinstance(change, KeyChange)
            self._tell_keys(change, change.at)

    def _tell(self, change: BindingChange, now: float) -> None:
        """Notify the watchers of a contact."""
        place, binding = change.place, change.binding
        if place.table != self._table:
            return
        watches = self._watches_of(place)
        if not watches:
            return
        # An identity's own contacts hide those of the record that names it.
        named_by = self._store.named_by(place)
        anew = named_by is not None and named_by != place.aor
        for watch in watches:
            row = watch.row
            # A `reginfo` server is sent claims.
            if watch.ended or row.neutral or is_of_our_kind(row):
                continue
            peer = row.peer
            hidden = peer is not None and is_known_by(
                binding.owner, binding.source, peer
            )
            is_anew = anew and row.aor == place.aor
            if hidden and not is_anew and not watch.waits:
                continue
            if is_anew:
                self._watches.remember(watch)
                watch.owe_anew()
            is_last = not change.more
            if watch.is_pending:
                # A snapshot does not undo a change of the pending report in place.
                undo = watch.withdraw(binding.key) if hidden else watch.tell(binding)
                self._journal.remember(watch.untell, *undo)
                if is_last:
                    self._watches.remember(watch)
            else:
                self._watches.remember(watch)
                if not hidden:
                    watch.tell(binding)
            if is_last:
                self.served.settle(watch, now)

    def hears_claims(self, place: Place, claims: Sequence[Claim], now: float) -> None:
        """
        Send new claims to the `reginfo` servers that watch, except to their source.

        These servers compute the state themselves; the others are notified by
        :meth:`hears`.
        """
        if not self._watches.of_our_kind or place.table != self._table:
            return
        for watch in self._watches_of(place):
            if watch.ended or watch.row.neutral or not is_of_our_kind(watch.row):
                continue
            new = [
                claim
                for claim in claims
                if claim.source is None or peer_of(claim.source) != watch.row.peer
            ]
            if new:
                for claim in new:
                    self._journal.remember(watch.untell, *watch.tell(claim))
                self._watches.remember(watch)
                self.served.settle(watch, now)

    def _tell_keys(self, change: KeyChange, now: float) -> None:
        """Notify watchers of the identities of a user, and peers of the key."""
        if change.place.table != self._table:
            return
        record = change.place
        left = set(change.before).difference(change.after)
        # The user's contacts are still bound, but no longer under a removed identity.
        gone = tuple(
            [
                msgspec.structs.replace(binding, event=ContactEvent.DEACTIVATED)
                for binding in self._store.bindings(record, now)
            ]
        )
        parted = {aor: gone for aor in change.before if aor in left}
        for aor in dict.fromkeys((record.aor, *change.before, *change.after)):
            place = Place(self._table, aor)
            if aor not in change.moved and self._store.record_of(place) not in (
                record,
                place,
            ):
                continue  # it belongs to another record
            for watch in self._watches.of(aor):
                if watch.ended or not _concerns(change, watch.row):
                    continue
                self._watches.remember(watch)
                watch.owe_anew()
                if parted and not is_of_our_kind(watch.row):
                    watch.part(parted)
                self.served.settle(watch, now)

    def update(self, aor: Aor, now: float) -> bool:
        """Send the current state to all watchers; return False if there are none."""
        store = self._store
        record = store.record_of(Place(self._table, aor))
        if not store.is_known(record):
            return False
        for watch in self._watches_of(record):
            if not watch.ended and not watch.row.neutral:
                self._watches.remember(watch)
                watch.owe_anew()
                self.served.settle(watch, now)
        return True

    # From the clock, and from the storage.

    @property
    def timer_at(self) -> float | None:
        return self.served.timer_at

    def timer_due(self, moment: Moment) -> None:
        """Send the NOTIFYs that are due; end watches that were not refreshed."""
        self.served.timer_due(moment.now)

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        """The stored rows; :meth:`begin` continues with them."""
        return self.served.shelves

    def begin(self, here: Here, moment: Moment) -> None:
        """Continue with the watches that were loaded."""
        self.served.begin(here.locals, moment.now)

    def undone(self, moment: Moment) -> None:
        """Retry later the NOTIFYs that were undone before they were sent."""
        self.served.undone(moment.now)

    def describe(self) -> Description:
        """Describe the number of watches, and of NOTIFYs since the start."""
        line = f"watches: {len(self)}"
        if self.leaving is not None:
            line += f", being ended: {self.leaving.total}"
        figures = {"watches": len(self), "notifies_total": self.served.notifies}
        return Description("notifier", line, figures)

    # How.

    def _watches_of(self, record: Place) -> list[Watch]:
        """Return the watches of a record, or of one of its identities."""
        found = self._watches.of(record.aor)
        for identity in self._store.identities(record):
            if identity == record.aor:
                continue
            watches = self._watches.of(identity)
            named = Place(record.table, identity)
            if watches and self._store.record_of(named) == record:
                found += watches
        return found


def _concerns(change: KeyChange, row: WatchRow) -> bool:
    """Whether a watcher is notified of a change of keys."""
    if row.neutral:
        return False
    if is_of_our_kind(row):
        return change.source is None or peer_of(change.source) != row.peer
    if change.before == change.after and row.aor not in change.moved:
        return False
    if row.profile is not Profile.LEGACY:
        return True
    # It is notified of one identity only.
    return row.aor != change.place.aor and (
        row.aor in change.moved
        or (row.aor in change.before) != (row.aor in change.after)
    )
