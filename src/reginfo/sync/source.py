"""
The source of links: sends the changes of whole domains to `reginfo` servers.

This file is long because a link can be interrupted and ended in many ways, each of
which must leave its position right.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..events.headers import EventHeader
from ..events.notify import (
    ENDS_SUBSCRIPTION,
    RETRY_FIRST,
    RETRY_LONGEST,
    ServedSubscription,
    SubscriptionPolicy,
    accepted,
    check,
    granted,
)
from ..events.waiting import back_off, wait_asked
from ..ledger.journal import Journal
from ..ledger.part import Description, Here, Moment
from ..ledger.shelf import Rows
from ..location.claim import Claim
from ..location.place import Aor
from ..location.store import LocationStore
from ..reg import xml
from ..roles.drain import Departure, Drain
from ..roles.watcher import Watcher
from ..sip.dialog import Dialog
from ..sip.dialog_flow import dialog_flow
from ..sip.errors import Refusal
from ..sip.flow import Flow
from ..sip.message import Request, Response
from .collect import Collected, collect
from .cursor import LAST, Stretch, read_since
from .envelope import (
    LINK,
    LONGEST,
    MIN_RATE,
    SHORTEST,
    SINCE,
    VERSION,
    document,
)
from .epochs import Epoch, Epochs
from .feed import NEVER, WINDOW, Feed
from .group import Group
from .served_link import LinkNotify, ServedLink

logger = logging.getLogger("reginfo.link")

RENEWED = 2**30
"""The version of a document at which the dialog ends, and another one begins."""

RETRY_AFTER = 5.0
"""Seconds until a link whose end could not be sent is ended."""

AGAIN = "20"
"""Retry-After, in seconds, for a sink that subscribes at a server that is drained."""

Send = Callable[..., object]
"""See :meth:`reginfo.sip.endpoint.Endpoint.send_request`."""


class LinkSource:
    """
    Serves links: subscriptions to groups, of `reginfo` servers.

    They are not stored: after a restart the other server subscribes again.

    Args:
        groups: the groups by URI, in the form of addresses-of-record.
        send: sends a request on a flow; its last argument is the user of the request.
        recognise: identifies the sender of a SUBSCRIBE.
        is_open: whether the connection of a flow is open.
        datagram_only: whether a flow is known to support only datagrams.
        path_of: returns the route set to a contact, as reported to another server.
        verify: seconds from one verification to the next; 0 for none.
    """

    def __init__(
        self,
        store: LocationStore,
        journal: Journal,
        *,
        server_id: str,
        groups: Sequence[Group],
        send: Send,
        new_id: Callable[[], str],
        jitter: Callable[[], float],
        policy: SubscriptionPolicy,
        recognise: Callable[[Request, Flow], Watcher],
        is_open: Callable[[Flow], bool],
        datagram_only: Callable[[Flow], bool],
        path_of: Callable[[Claim], tuple[str, ...]],
        verify: float,
    ) -> None:
        self._store = store
        self._journal = journal
        self._server_id = server_id
        self._groups = {group.aor: group for group in groups}
        self._send = send
        self._new_id = new_id
        self._jitter = jitter
        self._policy = policy
        self._recognise = recognise
        self._is_open = is_open
        self._datagram_only = datagram_only
        self._path_of = path_of
        self._verify = verify
        self._epochs = Epochs(journal)
        self._open: dict[str, Epoch] = {}
        self._links: dict[tuple[str, str], ServedLink] = {}
        self._by_dialog: dict[tuple[str, str], ServedLink] = {}
        self._departure: Departure[ServedLink] = Departure(AGAIN)
        self._final: set[LinkNotify] = set()
        "The final NOTIFYs of a drain that are not answered yet."

        self.notifies = 0
        self.elements = 0
        "The numbers of documents, and of their elements, sent since the start."

    # Queries.

    def __len__(self) -> int:
        """Count the links, and those whose end was not confirmed."""
        return len(self._links) + len(self._final)

    @property
    def leaving(self) -> Drain[ServedLink] | None:
        """The progress of :meth:`drain`; None before it is called."""
        return self._departure.drain

    def links(self) -> Iterator[ServedLink]:
        """Every link that is served."""
        return iter(self._links.values())

    def takes(self, request: Request, resource: Aor) -> bool:
        """
        Whether a SUBSCRIBE is for a link.

        Args:
            resource: what its Request-URI names.
        """
        if request.to.tag:
            return (request.call_id, request.to.tag) in self._by_dialog
        return resource in self._groups and request.header(LINK) == VERSION

    # From the network.

    def receive_subscribe(
        self, request: Request, flow: Flow, *, tag: str, resource: Aor, now: float
    ) -> Response:
        """
        Process a SUBSCRIBE for a link, as found by :meth:`takes`.

        Args:
            tag: the To tag of the response, for the dialog that a 2xx creates.
            resource: the resource in its Request-URI.

        Raises:
            Refusal, RemoteProtocolError: it is refused.
        """
        event = check(request, xml.PACKAGE, xml.MEDIA_TYPE)
        if request.to.tag:
            return self._refresh(request, event, flow, now)
        self._departure.check()
        group = self._groups[resource]
        peer = self._recognise(request, flow)
        group.admission.check(request, (resource,), is_peer=peer.name is not None)
        expires = granted(request, self._policy)
        dialog = Dialog.uas(request, tag=tag, contact=f"<{flow.local.uri}>", flow=flow)
        subscription = ServedSubscription(
            dialog=dialog,
            event=request.headers["Event"][0],
            expires_at=now + expires,
            reason=None if expires else "timeout",
        )
        link = ServedLink(group, peer.name, subscription)
        link.feed = Feed(WINDOW if flow.local.is_reliable else 1, self._verify)
        self._resume(link, request, now)
        older = self._links.get(link.key)
        if older is not None:
            self._remove(older)
            self._journal.remember(self._add, older)
        self._add(link)
        self._journal.remember(self._remove, link)
        told = "from the beginning"
        if link.feed.told:
            told = f"what follows {request.header(SINCE)}"
        self._journal.after(
            logger.info, "= %s is linked to %s: %s", link.name, group.uri, told
        )
        return self._accepted(link, expires, request)

    def receive_response(
        self, notify: LinkNotify, response: Response, now: float
    ) -> None:
        """Receive the response to a NOTIFY."""
        link, status = notify.link, response.status
        if status >= 200:
            self._confirm(notify, status < 300)
        if status < 200 or link.is_over:
            return
        if status < 300:
            link.feed.answered(notify.flight, self._store.changes.last)
            link.problem = ""
        elif status in ENDS_SUBSCRIPTION:  # §4.2.2
            self._end(link, f"NOTIFY was answered {status}")
        else:
            pause = wait_asked(response)
            if pause is None:
                count, jitter = link.feed.failures, self._jitter
                pause = back_off(
                    count, jitter, first=RETRY_FIRST, longest=RETRY_LONGEST
                )
            if link.feed.failed(notify.flight, now + pause):
                link.problem = f"NOTIFY was answered {status}"
                logger.warning(
                    "! NOTIFY of %s to %s was answered %d; retry in %.1f s",
                    link.group.uri, link.name, status, pause,
                )  # fmt: skip

    def receive_failure(self, notify: LinkNotify, cause: str, now: float) -> None:
        """Note that a NOTIFY got no response: wait until the sink subscribes again."""
        link = notify.link
        self._confirm(notify, False)
        if link.is_over:
            return
        if notify.is_long:
            # There is no stream: send documents that fit into datagrams.
            link.room = SHORTEST
            link.feed.failed(notify.flight, now)
        else:
            self._suspend(link, cause, now)

    def flow_lost(self, flow: Flow, moment: Moment) -> None:
        """Note that a stream was closed: its sink will subscribe again."""
        for link in list(self._links.values()):
            if link.subscription.dialog.flow == flow:
                self._suspend(link, "its stream was closed", moment.now)

    # From the administrator.

    def drain(self, rate: float, now: float) -> None:
        """
        End every link with `deactivated`, and refuse new ones.

        Each sink is sent what it was not sent yet, and keeps its cursor. A second call
        changes the rate. RFC 6665 §4.4.2 and §4.1.3.

        Args:
            rate: the maximum number of links to end per second.
        """
        self._departure.begin(self._links.values(), rate, now)

    # From the clock, and from the storage.

    @property
    def timer_at(self) -> float | None:
        if not self._links:
            return None
        last = self._store.changes.last
        at = min(
            [
                min(link.feed.next_at(last), link.subscription.expires_at)
                for link in self._links.values()
            ]
        )
        at = min(at, self._departure.timer_at or NEVER)
        return None if at == NEVER else at

    def timer_due(self, moment: Moment) -> None:
        """Send one document on each due link; end links that were not refreshed."""
        now, last = moment.now, self._store.changes.last
        self._departure.timer_due(self._journal, now, self._deactivate, RETRY_AFTER)
        for link in list(self._links.values()):
            subscription = link.subscription
            if now >= subscription.expires_at:
                self._time_out(link, moment)
            elif link.feed.next_at(last) <= now:
                with self._journal.attempt():
                    self._send_due(link, last, moment)

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        return self._epochs.shelves

    def begin(self, here: Here, moment: Moment) -> None:
        """Open an epoch for each group, before it is sent."""
        for group in self._groups.values():
            self._open[group.aor] = self._epochs.open(
                group.aor, group.definition, self._store.changes.last, self._new_id
            )

    def undone(self, moment: Moment) -> None:
        """Do nothing: the journal's undo list restores the feeds."""

    def describe(self) -> Description:
        """Describe the links that are served."""
        links = list(self._links.values())
        suspect = sum(link.feed.suspect_since is not None for link in links)
        last = self._store.changes.last
        line = f"links served: {len(links)}"
        if suspect:
            line += f", suspect: {suspect}"
        behind = max((last - link.feed.told for link in links), default=0)
        return Description(
            "source",
            line,
            {
                "links": len(links),
                "suspect": suspect,
                "behind": behind,
                "notifies_total": self.notifies,
                "elements_total": self.elements,
            },
        )

    # How.

    def _resume(self, link: ServedLink, request: Request, now: float) -> None:
        """Set the position of a link from the cursor of its SUBSCRIBE."""
        changes = self._store.changes
        since = read_since(request.header(SINCE))
        at = self._epochs.resume(link.group.aor, since, changes.last)
        about = len(changes) if not at else min(len(changes), changes.last - at)
        link.epoch = self._open[link.group.aor].id
        link.feed.resume(at, changes.last, about, now)

    def _refresh(
        self, request: Request, event: EventHeader, flow: Flow, now: float
    ) -> Response:
        link = self._by_dialog[request.call_id, request.to.tag]
        subscription = link.subscription
        if (
            subscription.dialog.remote_tag != request.from_.tag
            or EventHeader.parse(subscription.event).id != event.id
        ):
            raise Refusal(481, "Subscription Does Not Exist")
        expires = granted(request, self._policy)
        undo = (subscription.expires_at, subscription.reason)
        subscription.dialog.receive(request, flow)
        self._journal.remember(self._put_back, link, *undo)
        if expires:
            subscription.expires_at = now + expires
        else:
            subscription.reason = "timeout"
        if link.feed.suspect_since is not None:
            self._resume(link, request, now)
        link.feed.owe()
        return self._accepted(link, expires, request)

    def _accepted(self, link: ServedLink, expires: int, request: Request) -> Response:
        response = accepted(request, link.subscription.dialog, xml.PACKAGE, expires)
        response.headers[LINK] = [VERSION]
        return response

    def _send_due(self, link: ServedLink, last: int, moment: Moment) -> None:
        """Send a due document, if it has changes for this link."""
        now, feed = moment.now, link.feed
        dialog = link.subscription.dialog
        if dialog.flow.local.is_reliable and not self._is_open(dialog.flow):
            self._suspend(link, "its stream was closed", now)
            return
        feeds = feed.seen < last or feed.is_quiet(now)
        after = feed.seen if feeds else feed.check_from(now)
        if after is None:
            return
        room = LONGEST
        if not dialog.flow.local.is_reliable and (
            link.room != LONGEST or self._datagram_only(dialog.flow)
        ):
            room = SHORTEST
        found = collect(
            self._store,
            link.group,
            after=after,
            until=last if feeds else feed.told,
            # A verification covers everything, whatever its source.
            kept_back=feed.kept_back if feeds else LAST,
            peer=link.peer,
            room=room,
            now=now,
            path_of=self._path_of,
            is_check=not feeds,
        )
        if not found.elements and feeds and not feed.is_quiet(now):
            feed.passes(found.to, now)
            return
        self._notify(link, found, feeds, moment)

    def _notify(
        self, link: ServedLink, found: Collected, feeds: bool, moment: Moment
    ) -> None:
        feed, subscription, now = link.feed, link.subscription, moment.now
        dialog = subscription.dialog
        self._journal.remember(link.restore, link.version, dialog.local_cseq)
        after, since = feed.sent, feed.behind_since
        if feeds:
            flight = feed.sends(found.to, found.elements, now)
        else:
            flight = feed.checks(found.to, not found.more, now)
        said = Stretch(
            link.epoch,
            after,
            feed.sent,
            more=feeds and found.more,
            about=feed.about if feed.is_syncing else 0,
            is_check=not feeds,
            server=self._server_id,
            time=int(moment.wall * 1000),
            longest=int(self._store.longest_life),
            last=self._store.changes.last,
            lag=0 if since is None else round((now - since) * 1000),
        )
        body = document(link.version, found.registrations, said)
        state = f"active;expires={subscription.expires(now)};{MIN_RATE}"
        if link.version >= RENEWED:
            subscription.reason = "deactivated"
        is_last = subscription.reason is not None and not said.more
        if is_last:
            state = f"terminated;reason={subscription.reason}"
        headers = f"Event: {subscription.event}\r\nSubscription-State: {state}\r\n"
        headers += f"Content-Type: {xml.MEDIA_TYPE}\r\n"
        draft = dialog.draft("NOTIFY", headers, body)
        link.version += 1
        self.notifies += 1
        self.elements += found.elements
        flow = dialog.flow
        if not flow.local.is_reliable:
            flow = dialog_flow(dialog.first_uri, flow)
        is_long = not flow.local.is_reliable and len(body) > SHORTEST
        user = LinkNotify(self, link, flight, is_long)
        self._send(draft, flow, user, is_divisible=is_long and found.elements > 1)
        if is_last:
            if self._departure.drain is not None:
                self._final.add(user)
                self._journal.remember(self._final.discard, user)
            self._journal.remember(self._add, link)
            self._remove(link)

    def _time_out(self, link: ServedLink, moment: Moment) -> None:
        """Send the final NOTIFY of a link that was not refreshed (§4.2.1.4)."""
        if link.feed.suspect_since is None:
            link.subscription.reason = "timeout"
            nothing = Collected([], 0, link.feed.sent, False)
            self._notify(link, nothing, True, moment)
        self._end(link, "not refreshed")

    def _deactivate(self, link: ServedLink, now: float) -> None:
        """Have the next document of a link be its last, or end it if there is none."""
        subscription = link.subscription
        if link.is_over or subscription.reason is not None:
            return
        if link.feed.suspect_since is not None:
            self._departure.lost()
            self._journal.remember(self._add, link)
            self._end(link, "drained")
            return
        self._journal.remember(
            self._put_back, link, subscription.expires_at, subscription.reason
        )
        subscription.reason = "deactivated"
        link.feed.owe()

    def _confirm(self, notify: LinkNotify, is_ok: bool) -> None:
        """Note that a NOTIFY was answered, or cannot be any more."""
        if notify in self._final:
            self._final.discard(notify)
            if not is_ok:
                self._departure.lost()

    def _suspend(self, link: ServedLink, cause: str, now: float) -> None:
        if link.subscription.reason is not None:
            # Its sink has unsubscribed, or was to be told that this is the end.
            self._departure.lost()
            self._end(link, cause)
            return
        if link.feed.suspect_since is None:
            link.problem = cause
            logger.warning(
                "! %s, linked to %s, is lost: %s", link.name, link.group.uri, cause
            )
        link.feed.suspend(now)

    def _end(self, link: ServedLink, why: str) -> None:
        self._remove(link)
        self._journal.after(
            logger.warning, "! %s is no longer linked to %s: %s",
            link.name, link.group.uri, why,
        )  # fmt: skip

    def _add(self, link: ServedLink) -> None:
        dialog = link.subscription.dialog
        link.is_over = False
        self._links[link.key] = link
        self._by_dialog[dialog.call_id, dialog.local_tag] = link

    def _remove(self, link: ServedLink) -> None:
        dialog = link.subscription.dialog
        link.is_over = True
        if self._links.get(link.key) is link:
            del self._links[link.key]
        self._by_dialog.pop((dialog.call_id, dialog.local_tag), None)

    def _put_back(
        self, link: ServedLink, expires_at: float, reason: str | None
    ) -> None:
        link.subscription.expires_at, link.subscription.reason = expires_at, reason
