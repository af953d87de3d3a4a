"""
The sink of links: receives the changes of whole domains from `reginfo` servers.

This file is long because a link can be lost and restored in many ways, each of which
must lead to the same state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from ..events.states import SubscriberState
from ..events.subscribe import HeldSubscription, Wanted
from ..events.waiting import back_off
from ..events.wanted import FlowTo
from ..ledger.journal import Journal
from ..ledger.part import Description, Here, Moment
from ..ledger.shelf import Rows, Shelf
from ..location.claim import Claim
from ..location.store import LocationStore
from ..reg import xml
from ..sip.demands import check_extensions, understands_body
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.flow import Flow
from ..sip.message import Request, Response
from .cursor import NONE, Cursor, Stretch, advanced
from .envelope import LINK, MIN_RATE, SINCE, VERSION
from .feed import NEVER
from .group import Group
from .held_link import SILENCE, HeldLink, LinkSubscribe
from .intake import Intake
from .reader import LinkDocument, read

logger = logging.getLogger("reginfo.link")

KIND = "link-cursor"
"""The kind of its rows in the journal: one for each link."""

LONGEST_PAUSE = 20.0
"""The maximum time between two attempts to establish a link, in seconds."""

RETRY_AFTER = 5.0
"""Seconds until a due item whose commit failed is retried."""

EMPTY = 5.0
"""Seconds for which an empty server waits for its peers before it accepts REGISTERs."""

SKEWED = 60.0
"""The difference of two wall clocks, in seconds, above which a warning is logged."""

LONGEST_GRANT = 366 * 86_400
"""The maximum interval of a registration that is accepted from any peer, in seconds."""


class LinkSink:
    """
    Holds links: subscriptions to groups at `reginfo` servers.

    Args:
        send: sends a request of a subscription: draft, flow, user.
        new_id: makes a random token.
        jitter: returns a random number from 0 to 1, to spread simultaneous timers.
        close: closes the stream of a flow that brings nothing.
        foreign: called with the peer, URI and flow of a link whose peer is a foreign
            one, which is then watched by plain RFC 3680.
        flow_to: finds the flow to a peer, by its name; None to keep that of
            :meth:`link`.
        own: returns one of our own claims as it was before it was sent.
    """

    def __init__(
        self,
        store: LocationStore,
        journal: Journal,
        *,
        send: Callable[..., object],
        new_id: Callable[[], str],
        jitter: Callable[[], float],
        close: Callable[[Flow], None],
        foreign: Callable[[HeldLink, float], None],
        flow_to: FlowTo | None = None,
        own: Callable[[Claim], Claim],
    ) -> None:
        self._store = store
        self._journal = journal
        self._send = send
        self._new_id = new_id
        self._jitter = jitter
        self._close = close
        self._foreign = foreign
        self._flow_to = flow_to
        self._intake = Intake(store, journal, own)
        self._stored: Shelf[Cursor] = Shelf(journal, KIND, Cursor)
        self._links: dict[str, HeldLink] = {}
        self._by_dialog: dict[tuple[str, str], HeldLink] = {}
        self._empty_until = 0.0
        self.notifies = 0
        "The number of documents processed since the start."

    # Queries.

    def links(self) -> Iterator[HeldLink]:
        """Every link that is wanted."""
        return iter(self._links.values())

    def knows(self, request: Request) -> bool:
        """Whether a NOTIFY belongs to a link."""
        return (request.call_id, request.to.tag) in self._by_dialog

    def problems(self, now: float) -> list[str]:
        """Return the problems, for the health of the server."""
        return [
            f"link to {link.peer}: lost since {now - link.lost_since:.0f} s:"
            f" {link.problem}"
            for link in self._links.values()
            if link.lost_since is not None
        ]

    def check_ready(self, now: float) -> None:
        """
        Check whether REGISTERs can be accepted: a server that has lost its database
        first waits for the state of its peers.

        Raises:
            Refusal: 503 with Retry-After.
        """
        if now < self._empty_until:
            left = max(1, round(self._empty_until - now + 0.5))
            raise Refusal(
                503, "Service Unavailable", headers=[("Retry-After", str(left))]
            )

    # Links.

    def link(
        self, peer: str, group: Group, wanted: Wanted, flow: Flow, now: float
    ) -> None:
        """Establish and keep a link to ``group`` at ``peer``."""
        wanted = msgspec.structs.replace(
            wanted,
            event=f"{xml.PACKAGE};{MIN_RATE}",
            longest_pause=LONGEST_PAUSE,
        )
        subscription = HeldSubscription(wanted=wanted, flow=flow, timer_at=now)
        link = HeldLink(peer, wanted.uri, group, subscription)
        reached = self._stored.get(link.key)
        if reached is not None:
            link.cursor = reached
        link.heard_at = now
        self._links[link.source] = link
        if self.expect(group, now):
            # What it knew, it has lost: perhaps all that it has told, as well.
            link.cursor = None

    def expect(self, group: Group, now: float) -> bool:
        """
        Have an empty server wait for its peers, resolved or not, before it serves.

        Returns:
            Whether it is empty.
        """
        is_empty = not any(True for _ in self._store.aors(group.table))
        if is_empty:
            self._empty_until = now + EMPTY
        return is_empty

    def moved(self, peer: str, flows: Sequence[Flow], now: float) -> None:
        """
        Subscribe again for the links to a peer whose address has changed.

        Args:
            flows: the current flows to it.
        """
        for link in list(self._links.values()):
            if link.peer == peer and link.subscription.flow not in flows:
                self._remember(link)
                self._lose(link, "the peer has another address", now)
                link.subscription.lapse()
                link.subscription.timer_at = now
                self._settle(link)

    # From the network.

    def receive_notify(
        self, request: Request, flow: Flow, now: float, wall: float
    ) -> tuple[str, ...]:
        """
        Process a NOTIFY of a link, its elements and its cursor, atomically.

        Returns:
            The addresses-of-record in it.

        Raises:
            Refusal, RemoteProtocolError: it is refused; nothing has changed.
        """
        link = self._by_dialog[request.call_id, request.to.tag]
        subscription = link.subscription
        state = subscription.check_notify(request, xml.PACKAGE)
        check_extensions(request)
        document = None
        if understands_body(request, xml.MEDIA_TYPE):
            try:
                document = read(
                    request.body,
                    takes=link.group.covers,
                    now=now,
                    source=link.source,
                )
            except RemoteProtocolError as exc:
                link.problem = str(exc)
                raise
        self._remember(link)
        subscription.receive_notify(request, state, flow, now, self._jitter)
        link.heard_at = now
        if document is not None:
            self._take(link, document, now, wall)
        if state.state == "terminated" and not link.is_foreign:
            self._lose(link, f"terminated: {state.reason}", now)
        elif link.lost_since is not None:
            self._journal.after(
                logger.warning,
                "= the link to %s is back after %.0f s",
                link.source,
                now - link.lost_since,
            )
            link.lost_since = None
        self._settle(link)
        return () if document is None else tuple([one.aor for one in document.told])

    def receive_response(self, link: HeldLink, response: Response, now: float) -> None:
        """Receive the response to a SUBSCRIBE."""
        self._remember(link)
        subscription = link.subscription
        current = subscription.dialog
        if current is None or response.header("Call-ID") != current.call_id:
            return
        subscription.receive_response(response, now, self._jitter)
        if response.status >= 300:
            if subscription.state is not SubscriberState.NOTIFY_WAIT:
                why = f"SUBSCRIBE was answered {response.status} {response.reason}"
                self._lose(link, why, now)
            if response.status == 503:  # RFC 3263 §4.3
                self._try_another(link, now)
        elif response.status >= 200 and response.header(LINK) != VERSION:
            version = response.header(LINK)
            what = "is of another kind" if version is None else f"speaks {version:.20}"
            logger.warning(
                "! %s %s, and is watched as RFC 3680 has it", link.source, what
            )
            self._hand_over(link, now)
            return
        self._settle(link)

    def receive_failure(self, link: HeldLink, cause: str, now: float) -> None:
        """Receive the news that a SUBSCRIBE got no response."""
        self._remember(link)
        link.subscription.receive_failure(now, self._jitter)
        if link.subscription.state is SubscriberState.WAITING:
            self._lose(link, f"SUBSCRIBE got no answer: {cause}", now)
            self._try_another(link, now)
        self._settle(link)

    def flow_lost(self, flow: Flow, moment: Moment) -> None:
        """Note that a stream was closed: its links are established again."""
        for link in list(self._links.values()):
            dialog = link.subscription.dialog
            if dialog is not None and dialog.flow == flow and not link.is_foreign:
                self._remember(link)
                self._lose(link, "its stream was closed", moment.now)
                self._ask_anew(link, moment.now, link.subscription.failures)
                self._try_another(link, moment.now)
                self._settle(link)

    # From the clock, and from the storage.

    @property
    def timer_at(self) -> float | None:
        if not self._links:
            return None
        return min(
            [
                min(link.silent_at, link.subscription.timer_at or NEVER)
                for link in self._links.values()
            ]
        )

    def timer_due(self, moment: Moment) -> None:
        """Establish and refresh links, and give up silent ones."""
        now = moment.now
        for link in list(self._links.values()):
            at = link.subscription.timer_at
            if now < link.silent_at and (at is None or now < at):
                continue
            with self._journal.attempt():
                self._remember(link, at=now + RETRY_AFTER)
                self._due(link, now)

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        return (self._stored,)

    def begin(self, here: Here, moment: Moment) -> None:
        """Do nothing: :meth:`link` continues with the stored cursor."""

    def undone(self, moment: Moment) -> None:
        """Do nothing: the undo of an item schedules it again."""

    def describe(self) -> Description:
        """Describe the links that are held."""
        links = list(self._links.values())
        lost = sum(link.lost_since is not None for link in links)
        line = f"links held: {len(links)}"
        if lost:
            line += f", lost: {lost}"
        return Description(
            "sink",
            line,
            {
                "links": len(links),
                "lost": lost,
                "in_sync": sum(link.is_told for link in links),
                "notifies_total": self.notifies,
                "refused_total": sum(link.refused for link in links),
                "drift_total": sum(link.drift for link in links),
            },
        )

    # How.

    def _due(self, link: HeldLink, now: float) -> None:
        subscription = link.subscription
        dialog = subscription.dialog
        if dialog is not None and now >= link.silent_at:
            self._lose(link, f"no NOTIFY for {SILENCE:g} s", now)
            subscription.lapse()
            subscription.timer_at = now
            self._try_another(link, now)
            if dialog.flow.local.is_reliable:
                # Open a new stream, without waiting for the old one.
                self._close(dialog.flow)
        at = subscription.timer_at
        if at is None or now < at:
            return
        link.asked = link.cursor
        subscription.wanted = msgspec.structs.replace(
            subscription.wanted,
            headers=f"{LINK}: {VERSION}\r\n{SINCE}: {link.cursor or NONE}\r\n",
        )
        before = subscription.dialog
        if before is None and self._flow_to is not None:
            subscription.take_flow(self._flow_to(link.peer, None))
        subscription.timer_due(now)
        subscription.due(now, self._new_id, self._jitter)
        if subscription.dialog is not before:
            link.heard_at = now
            link.is_told = False
            link.elements = link.about = 0
        self._settle(link)

    def _lose(self, link: HeldLink, why: str, now: float) -> None:
        link.problem = why
        link.is_told = False
        if link.lost_since is None:
            link.lost_since = now
            logger.warning("! the link to %s is lost: %s", link.source, why)

    def _try_another(self, link: HeldLink, now: float) -> None:
        """Try the next address of a peer that does not answer, at once."""
        flow = link.subscription.flow
        if self._flow_to is not None and flow is not None:
            if self._flow_to(link.peer, flow) is not None:
                link.subscription.timer_at = now

    def _ask_anew(self, link: HeldLink, now: float, failures: int) -> None:
        """Give up the dialog, and begin another one after a delay."""
        subscription = link.subscription
        subscription.lapse()
        pause = back_off(failures, self._jitter, longest=LONGEST_PAUSE)
        subscription.failures = failures + 1
        subscription.timer_at = now + pause

    def _take(
        self, link: HeldLink, document: LinkDocument, now: float, wall: float
    ) -> None:
        """Apply a document, and move the cursor."""
        said = document.said
        is_check = said is not None and said.is_check
        for told in document.told:
            if is_check:
                self._intake.verify(link, told, now, wall)
            else:
                self._intake.apply(link, told, now, wall)
        self.notifies += 1
        if document.refused or document.faults:
            link.refused += document.refused
            link.problem = f"refused: {document.faults[0]}" if document.faults else ""
            for fault in document.faults:
                self._journal.after(
                    logger.warning, "! document of %s: %s", link.source, fault
                )
        if said is not None:
            self._note(link, said, document.elements, wall)

    def _note(self, link: HeldLink, said: Stretch, elements: int, wall: float) -> None:
        """Move the cursor, and note what the other server reports about itself."""
        if not said.is_check:
            link.elements += elements
            link.about = max(said.about, link.elements)
        link.last, link.lag = max(said.last, said.to), said.lag / 1000
        if not said.more:
            link.is_told = True
            self._empty_until = 0.0
        if said.time:
            skew = said.time / 1000 - wall
            if abs(skew) > SKEWED and abs(link.skew) <= SKEWED:
                logger.warning(
                    "! the wall clock of %s differs by %.0f s", link.peer, skew
                )
            link.skew = skew
        self._believe(said.longest)
        cursor = advanced(link.cursor, link.asked, said)
        if cursor is not None and cursor != link.cursor:
            link.cursor = cursor
            self._stored.put(link.key, cursor)

    def _believe(self, longest: int) -> None:
        """Keep tombstones for as long as the longest interval that a server grants."""
        if 0 < longest <= LONGEST_GRANT:
            self._store.hear_longest_life(float(longest))

    def _hand_over(self, link: HeldLink, now: float) -> None:
        """Hand over a peer that does not support links."""
        link.is_foreign = True
        link.subscription.end(now)
        self._settle(link)
        self._links.pop(link.source, None)
        self._foreign(link, now)

    def _settle(self, link: HeldLink) -> None:
        """Send the requests of the subscription."""
        subscription = link.subscription
        dialog = subscription.dialog
        key = None if dialog is None else (dialog.call_id, dialog.local_tag)
        if key != link.found_by:
            self._found(link, key)
        for draft, flow in subscription.drafts_to_send():
            self._send(draft, flow, LinkSubscribe(self, link))

    def _found(self, link: HeldLink, key: tuple[str, str] | None) -> None:
        if link.found_by is not None:
            self._by_dialog.pop(link.found_by, None)
        link.found_by = key
        if key is not None:
            self._by_dialog[key] = link

    def _remember(self, link: HeldLink, at: float | None = None) -> None:
        """
        Note the current state of a link in the undo list.

        Args:
            at: when the restored link is due; by default unchanged.
        """
        subscription = msgspec.structs.replace(link.subscription)
        if at is not None:
            subscription.timer_at = at
        if subscription.dialog is not None:
            subscription.dialog = msgspec.structs.replace(subscription.dialog)
        self._journal.remember(
            self._restore, link, subscription, link.cursor, link.asked, link.lost_since,
            link.is_told,
        )  # fmt: skip

    def _restore(
        self,
        link: HeldLink,
        subscription: HeldSubscription,
        cursor: Cursor | None,
        asked: Cursor | None,
        lost_since: float | None,
        is_told: bool,
    ) -> None:
        link.subscription = subscription
        link.cursor, link.asked = cursor, asked
        link.lost_since, link.is_told = lost_since, is_told
        dialog = subscription.dialog
        self._found(
            link, None if dialog is None else (dialog.call_id, dialog.local_tag)
        )
        self._links[link.source] = link
