"""Notifies the watchers of groups that know only RFC 3680, such as Kamailio."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ..events.headers import EventHeader
from ..events.notify import (
    ENDS_SUBSCRIPTION,
    ServedSubscription,
    SubscriptionPolicy,
    accepted,
    check,
    granted,
)
from ..ledger.journal import Journal
from ..ledger.part import Description, Here, Moment
from ..ledger.shelf import Rows, nothing
from ..location.binding import BindingChange
from ..location.keyring import KeyChange
from ..location.place import Aor
from ..location.store import LocationStore
from ..reg import xml
from ..roles.admission import RETRY_AFTER as FULL_RETRY_AFTER
from ..roles.drain import Departure, Drain
from ..roles.row import WatchRow, shifted_row
from ..roles.watch import LONGEST_DOCUMENT, SHORTEST_DOCUMENT
from ..roles.watcher import Dialects, Watcher, instance_of
from ..roles.watches import copy_of, id_of
from ..sip.dialog import Dialog
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.flow import Flow
from ..sip.message import Draft, Request, Response
from ..sip.user import User
from .feed import NEVER
from .group import Group
from .group_watch import GroupWatch
from .roster import FullState, Roster

logger = logging.getLogger("reginfo.notifier")

KIND = "group-watch"
"""The kind of our rows in the journal."""

RETRY_AFTER = 30.0
"""Seconds until a document that could not be committed is due again."""

Send = Callable[[Draft, Flow, User], object]


class GroupNotifier:
    """
    Serves subscriptions to groups whose watchers are not `reginfo` servers.

    For such a watcher, a group is a list of registrations (RFC 3680 §5): the first
    document is the full state, however long, and each later one has the changes. A
    watcher with the profile of Kamailio and OpenSIPS gets one registration in each.

    Args:
        groups: the groups of the configuration.
        send: sends a request by a flow; its last argument receives the response.
        recognise: identifies the sender of a SUBSCRIBE.
        jitter: a random number from 0 to 1.
        datagram_only: whether a flow takes datagrams alone, as far as is known.
    """

    def __init__(
        self,
        store: LocationStore,
        journal: Journal,
        *,
        groups: Sequence[Group],
        send: Send,
        policy: SubscriptionPolicy,
        recognise: Callable[[Request, Flow], Watcher],
        jitter: Callable[[], float],
        datagram_only: Callable[[Flow], bool],
    ) -> None:
        self._store = store
        self._journal = journal
        self._rosters = {group.aor: Roster(store, journal, group) for group in groups}
        self._send = send
        self._policy = policy
        self._recognise = recognise
        self._jitter = jitter
        self._datagram_only = datagram_only
        self._dialects = Dialects(journal)
        self._departure: Departure[GroupWatch] = Departure(FULL_RETRY_AFTER)
        self._watches: dict[str, GroupWatch] = {}
        self._rows: Rows[WatchRow] = Rows(
            journal, KIND, WatchRow, self._take_row, shifted_row
        )
        self.notifies = 0
        "How many NOTIFYs were sent since the start."

    def __len__(self) -> int:
        return len(self._watches)

    @property
    def leaving(self) -> Drain[GroupWatch] | None:
        """The progress of :meth:`drain`; None before it is called."""
        return self._departure.drain

    def takes(self, request: Request, resource: Aor) -> bool:
        """
        Whether a SUBSCRIBE is for a group, or refreshes such a subscription.

        Args:
            resource: what its Request-URI names.
        """
        if request.to.tag:
            return id_of(request.call_id, request.to.tag) in self._watches
        return resource in self._rosters

    # From the network.

    def receive_subscribe(
        self, request: Request, flow: Flow, *, tag: str, resource: Aor, now: float
    ) -> Response:
        """
        Serve a SUBSCRIBE that :meth:`takes` has found to be for a group.

        Args:
            tag: of the dialog that a 2xx makes: the To tag of its response.
            resource: what its Request-URI names.

        Raises:
            Refusal, RemoteProtocolError: it is not served.
        """
        event = check(request, xml.PACKAGE, xml.MEDIA_TYPE)
        if request.to.tag:
            return self._refresh(request, event, flow, now)
        self._departure.check()
        roster = self._rosters[resource]
        watcher = self._recognise(request, flow)
        is_peer = watcher.name is not None
        roster.group.admission.check(request, (resource,), is_peer=is_peer)
        expires = granted(request, self._policy)
        dialog = Dialog.uas(request, tag=tag, contact=f"<{flow.local.uri}>", flow=flow)
        row = WatchRow(
            id=id_of(dialog.call_id, tag),
            aor=resource,
            subscription=ServedSubscription(
                dialog=dialog,
                event=request.headers["Event"][0],
                expires_at=now + expires,
                reason=None if expires else "timeout",
            ),
            min_interval=watcher.min_interval if not is_peer else 0.0,
            profile=self._dialects.of(watcher, request, flow),
            peer=watcher.name,
            instance=instance_of(request),
        )
        watch = GroupWatch(row, self)
        if not watch.is_legacy and self._datagram_only(flow):
            roster.check_fits(row, now)
        self._watches[row.id] = watch
        self._save(watch, self._forget, row.id)
        if expires:
            who = watcher.name or dialog.remote
            self._journal.after(
                logger.info, "= %s watches %s for %d s", who, resource, expires
            )
        return accepted(request, watch.row.subscription.dialog, xml.PACKAGE, expires)

    def receive_response(
        self, watch: GroupWatch, response: Response, moment: Moment
    ) -> None:
        """Receive the response to the NOTIFY under way."""
        status, row = response.status, watch.row
        if status < 200 or row.id not in self._watches:
            return
        if status < 300:
            try:
                row.subscription.dialog.answered(response)
            except RemoteProtocolError:
                pass  # the target that we have is good
            watch.answered()
            self._trim(row.aor)
        elif status in ENDS_SUBSCRIPTION or watch.is_final:
            self._end(watch, f"NOTIFY was answered {status}", is_lost=True)
            return
        else:
            pause = watch.refused(response, moment.now, self._jitter)
            logger.warning(
                "! NOTIFY of %s to %s was answered %d; again in %.1f s",
                row.aor, watch.who, status, pause,
            )  # fmt: skip
        if watch.is_final:
            self._end(watch, row.subscription.reason or "")

    def receive_failure(self, watch: GroupWatch, cause: str, moment: Moment) -> None:
        """Note that a NOTIFY got no response: this ends the watch (§4.2.2)."""
        if watch.row.id in self._watches:
            self._end(watch, f"NOTIFY failed: {cause}", is_lost=True)

    # From the administrator.

    def drain(self, rate: float, now: float) -> None:
        """
        End every watch with `deactivated`, at most ``rate`` per second.

        Each watcher is sent its pending changes, but not the full state. A second call
        changes the rate. RFC 6665 §4.4.2 and §4.1.3.
        """
        self._departure.begin(self._watches.values(), rate, now)

    # From the store.

    def hears(self, change: object) -> None:
        """Note a change; it is sent when the timers are next checked."""
        if not self._watches:
            return
        for aor, roster in self._rosters.items():
            if isinstance(change, BindingChange):
                if roster.note(change):
                    self._owe_all(aor)
            elif isinstance(change, KeyChange):
                roster.note_identities(change)

    # From the clock, and from the storage.

    @property
    def timer_at(self) -> float | None:
        if not self._watches:
            return None
        at = [watch.next_at(self._last(watch)) for watch in self._watches.values()]
        return min([*at, self._departure.timer_at or NEVER])

    def timer_due(self, moment: Moment) -> None:
        """Send or collect the news due; end the watches that were not refreshed."""
        now = moment.now
        self._departure.timer_due(self._journal, now, self._deactivate, RETRY_AFTER)
        for watch in list(self._watches.values()):
            if watch.next_at(self._last(watch)) <= now:
                with self._journal.attempt():
                    self._advance(watch, now)

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        """What is stored; :meth:`begin` continues it."""
        return (self._rows,)

    def begin(self, here: Here, moment: Moment) -> None:
        """
        Continue the watches that were loaded, and send each the full state.

        A watch of a group that is no longer configured ends.
        """
        for watch in list(self._watches.values()):
            dialog = watch.row.subscription.dialog
            if dialog.flow.local not in here.locals:
                dialog.move(here.locals[0])
            if watch.row.aor not in self._rosters:
                self._end(watch, "there is no such group any more")

    def undone(self, moment: Moment) -> None:
        """Retry later the news that was undone before it was sent."""
        for watch in self._watches.values():
            if watch.sent is None:
                watch.quiet_until = max(watch.quiet_until, moment.now + RETRY_AFTER)

    def describe(self) -> Description:
        """Describe how many watch groups, and how many NOTIFYs they were sent."""
        count = len(self)
        line = f"{count} {'watch' if count == 1 else 'watches'} of groups"
        waiting = sum(len(roster.news) for roster in self._rosters.values())
        figures = {
            "watches": count,
            "changes_waiting": waiting,
            "notifies_total": self.notifies,
        }
        return Description("groups", line, figures)

    # How.

    def _last(self, watch: GroupWatch) -> int:
        """The number of the latest news of the group of a watch."""
        return self._rosters[watch.row.aor].news.last

    def _owe_all(self, group: Aor) -> None:
        for watch in self._watches.values():
            if watch.row.aor == group:
                self._journal.remember(watch.restore, *watch.snapshot())
                watch.full_due, watch.building = True, None

    def _advance(self, watch: GroupWatch, now: float) -> None:
        """Do one thing that is due for a watch."""
        subscription = watch.row.subscription
        if now >= subscription.expires_at and not watch.ended:
            self._time_out(watch, now)
            return
        self._journal.remember(watch.restore, *watch.snapshot())
        if watch.full_due:
            news = self._rosters[watch.row.aor].news
            watch.full_due = False
            watch.building = FullState(self._store, news.last)
        if watch.building is not None:
            watch.building.collect(self._rosters[watch.row.aor], watch.row, now)
            if not watch.building.is_complete:
                return
        if watch.is_legacy:
            self._send_registration(watch, now)
        elif watch.building is not None:
            self._send_full(watch, watch.building, now)
        else:
            self._send_changes(watch, now)

    def _send_full(self, watch: GroupWatch, state: FullState, now: float) -> None:
        watch.building = None
        body = self._rosters[watch.row.aor].full(watch.row, state)
        self._notify(watch, body, state.news, now)

    def _send_changes(self, watch: GroupWatch, now: float) -> None:
        row = watch.row
        by_stream = row.subscription.dialog.flow.local.is_reliable
        room = LONGEST_DOCUMENT if by_stream else SHORTEST_DOCUMENT
        roster = self._rosters[row.aor]
        news = roster.news
        items = news.after(watch.told)
        body, to = roster.partial(row, items, watch.told, room, now)
        if not items or to == items[-1].number:
            to = news.last  # what came last may have been taken back
        if body or watch.ended:
            self._notify(watch, body, to, now)
        else:
            watch.told = to  # nothing of it is for this watcher
            self._trim(row.aor)

    def _send_registration(self, watch: GroupWatch, now: float) -> None:
        """Send the next registration to a watcher that understands one at a time."""
        row, news = watch.row, self._rosters[watch.row.aor].news
        if watch.building is not None:
            for aor in watch.building.elements | watch.building.gone:
                watch.put_back(aor, watch.building.gone.get(aor, {}))
            watch.told, watch.building = watch.building.news, None
        watch.owe(news.after(watch.told))
        watch.told = news.last
        while watch.owed:
            aor = next(iter(watch.owed))
            gone = watch.owed.pop(aor)
            self._journal.remember(watch.put_back, aor, gone)
            body, rest = self._rosters[row.aor].one(row, aor, gone.values(), now)
            if rest:
                watch.put_back(aor, {one.key: one for one in rest if not one.active})
            if body:
                self._notify(watch, body, news.last, now)
                return
        self._trim(row.aor)
        if watch.ended or not row.version:
            # Each SUBSCRIBE is followed by a NOTIFY, even without changes.
            self._notify(watch, b"", news.last, now)

    def _notify(self, watch: GroupWatch, body: bytes, to: int, now: float) -> None:
        row, subscription = watch.row, watch.row.subscription
        more = watch.is_legacy and bool(watch.owed)
        watch.is_final = watch.ended and not more
        draft = subscription.notify(xml.MEDIA_TYPE, body, now, more=more)
        watch.goes(to, now)
        self._send(draft, subscription.dialog.flow, watch)
        self.notifies += 1
        row.version += 1
        self._save(watch, nothing)

    def _refresh(
        self, request: Request, event: EventHeader, flow: Flow, now: float
    ) -> Response:
        watch = self._watches[id_of(request.call_id, request.to.tag)]
        subscription = watch.row.subscription
        if (
            watch.ended
            or subscription.dialog.remote_tag != request.from_.tag
            or EventHeader.parse(subscription.event).id != event.id
        ):
            raise Refusal(481, "Subscription Does Not Exist")
        expires = granted(request, self._policy)
        before = copy_of(subscription)
        subscription.dialog.receive(request, flow)
        if expires:
            subscription.expires_at = now + expires
        else:
            subscription.reason = "timeout"
        self._save(watch, self._put_back, watch, before, watch.snapshot())
        watch.owe_full()
        return accepted(request, watch.row.subscription.dialog, xml.PACKAGE, expires)

    def _put_back(
        self, watch: GroupWatch, before: ServedSubscription, snapshot: tuple[Any, ...]
    ) -> None:
        watch.row.subscription = before
        watch.restore(*snapshot)

    def _time_out(self, watch: GroupWatch, now: float) -> None:
        """Send the final NOTIFY of a watch that was not refreshed (§4.2.1.4)."""
        subscription = watch.row.subscription
        if watch.sent is None:
            subscription.reason = subscription.reason or "timeout"
            draft = subscription.notify(xml.MEDIA_TYPE, b"", now)
            self._send(draft, subscription.dialog.flow, watch)
            self.notifies += 1
        self._end(watch, "not refreshed")

    def _deactivate(self, watch: GroupWatch, now: float) -> None:
        """Have a watch end with its next NOTIFY."""
        if watch.ended or watch.row.id not in self._watches:
            return
        subscription = watch.row.subscription
        before = copy_of(subscription)
        subscription.reason = "deactivated"
        self._journal.remember(self._put_back, watch, before, watch.snapshot())
        watch.quiet_until = 0.0

    def _end(self, watch: GroupWatch, why: str, *, is_lost: bool = False) -> None:
        row = watch.row
        if is_lost:
            self._departure.lost()
        self._journal.after(
            logger.info, "= %s no longer watches %s: %s", watch.who, row.aor, why
        )
        self._forget(row.id)
        # No undo: if it is still stored after a restart, its next NOTIFY ends it.
        self._rows.erase(row.id, nothing, urgent=False)
        if row.aor in self._rosters:
            self._trim(row.aor)

    def _forget(self, id: str) -> None:
        self._watches.pop(id, None)

    def _trim(self, aor: Aor) -> None:
        """Forget the news that all watchers have received."""
        told = [one.told for one in self._watches.values() if one.row.aor == aor]
        self._rosters[aor].news.forget(told)

    def _save(
        self, watch: GroupWatch, undo: Callable[..., None], *arguments: Any
    ) -> None:
        # A copy, because the row is encoded when the batch closes.
        subscription = copy_of(watch.row.subscription)
        row = msgspec.structs.replace(watch.row, subscription=subscription)
        self._rows.write(row.id, row, undo, *arguments)

    def _take_row(self, key: str, row: WatchRow) -> None:
        self._watches[key] = GroupWatch(row, self)
