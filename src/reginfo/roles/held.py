"""The subscriptions that we hold: requested, refreshed, resumed after a restart."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from ..events.states import SubscriberState
from ..events.subscribe import HeldSubscription, Wanted
from ..events.wanted import FlowTo
from ..ledger.due import work_off
from ..ledger.journal import Journal
from ..ledger.shelf import Rows, nothing
from ..location.place import Aor
from ..reg.table import TableState
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.flow import Flow, Local
from ..sip.message import Request, Response
from ..sip.timer import TimerWheel
from ..sip.user import Send
from .mirror import HeldRow, Mirror, copy_of, shifted_row
from .package import HeldPackage
from .returning import Returning

logger = logging.getLogger("reginfo.subscriber")

KIND = "held"
"""The kind of its journal entries."""

RETRY_AFTER = 5.0
"""Seconds until a due item whose commit failed is retried."""

SUBSCRIPTIONS = 100_000
"""
The maximum number of subscriptions that a script can request. Each is a dialog that is
kept alive, so a script that subscribes to every URI it sees could fill the memory.
"""

Listener = Callable[[Mirror, str, str], None]
"""A callback that receives a subscription, its state, and the reason."""


class Held:
    """
    The subscriptions that we hold, for any event package.

    Args:
        package: processes the documents.
        send: sends a request on a flow; its last argument is the user of the request.
        new_id: makes a random token.
        jitter: returns a random number from 0 to 1, to spread simultaneous timers.
        locate: finds the flow of a requested subscription, and calls :meth:`located`.
        flow_to: finds the flow of any other one; None to keep that of :meth:`watch`.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        package: HeldPackage,
        send: Send,
        new_id: Callable[[], str],
        jitter: Callable[[], float],
        locate: Callable[[Mirror], None] | None = None,
        flow_to: FlowTo | None = None,
    ) -> None:
        self.listener: Listener | None = None
        "Called with each durable change of a requested subscription."
        self._journal = journal
        self._package = package
        self._send = send
        self._new_id = new_id
        self._jitter = jitter
        self._locate = locate
        self._flow_to = flow_to
        self._wheel = TimerWheel()
        self._returning = Returning()
        self._mirrors: dict[str, Mirror] = {}
        self._by_dialog: dict[tuple[str, str], Mirror] = {}
        self._stored: dict[str, HeldRow] = {}
        self._rows: Rows[HeldRow] = Rows(
            journal, KIND, HeldRow, self._stored.__setitem__, shifted_row
        )

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        """The stored rows; :meth:`watch` and :meth:`resume` continue with them."""
        return (self._rows,)

    def __len__(self) -> int:
        return len(self._mirrors)

    def mirrors(self) -> Iterator[Mirror]:
        """Every subscription that is wanted."""
        return iter(self._mirrors.values())

    # Subscribing.

    def watch(
        self, peer: str, aor: Aor, wanted: Wanted, flow: Flow, now: float
    ) -> None:
        """
        Subscribe to ``aor`` at ``peer``, as the configuration requires.

        A stored subscription is resumed. A second call changes nothing.
        """
        subscription = HeldSubscription(wanted=wanted, timer_at=now)
        mirror = Mirror(peer, aor, subscription, self)
        if mirror.source in self._mirrors:
            return
        subscription.flow = flow
        row = self._stored.pop(mirror.source, None)
        if row is not None:
            known = row.subscription
            self._package.load(mirror, row)
            if known.wanted == wanted:
                mirror.subscription = known
                # A refresh brings what was missed while we were down.
                known.resume(flow, shift=0.0, at=self._returning.reserve(now))
            else:
                mirror.table.restart()
        self._index(mirror)
        self._mirrors[mirror.source] = mirror
        self._wheel.schedule(mirror)

    def request(self, peer: str, aor: Aor, wanted: Wanted, now: float) -> bool:
        """
        Subscribe to ``aor``, as a script requested.

        A second request applies to the same subscription; it may change the interval.

        Args:
            peer: the owner of the contacts that are learned.

        Returns:
            False if there are too many subscriptions.
        """
        subscription = HeldSubscription(wanted=wanted, timer_at=now)
        mirror = Mirror(peer, aor, subscription, self)
        known = self._mirrors.get(mirror.source)
        if known is None:
            if len(self._mirrors) >= SUBSCRIPTIONS:
                return False
            mirror.requested = True
            self._mirrors[mirror.source] = mirror
            self._journal.remember(self._forget, mirror)
        else:
            before = known.subscription.wanted
            if known.subscription.state is SubscriberState.ENDED:
                self.remember(known)
                known.subscription = subscription
                known.table.restart()
            elif before.expires != wanted.expires:
                self.remember(known)
                longer = msgspec.structs.replace(before, expires=wanted.expires)
                known.subscription.wanted = longer
            else:
                return True
            mirror = known
        self.settle(mirror)
        return True

    def cancel(self, peer: str, aor: Aor, now: float) -> bool:
        """End a requested subscription; return False if there is none."""
        mirror = self._mirrors.get(f"{peer}/{aor}")
        if mirror is None or mirror.subscription.state is SubscriberState.ENDED:
            return False
        if not mirror.requested:
            return False  # the configuration requires it
        self.remember(mirror)
        mirror.subscription.end(now)
        self.report(mirror, "ended", "")
        self.settle(mirror)
        return True

    def located(
        self, mirror: Mirror, flow: Flow | None, cause: str, now: float
    ) -> None:
        """
        Send the SUBSCRIBE of a requested subscription on ``flow``.

        Args:
            flow: None if none was found; ``cause`` is the reason.
        """
        subscription = mirror.subscription
        if subscription.state is not SubscriberState.WAITING:
            return
        # If the commit fails, locate it again; nothing else does.
        self.remember(mirror, at=now + RETRY_AFTER)
        if flow is None:
            logger.warning("! SUBSCRIBE for %s: %s", mirror.source, cause)
            mirror.problem = cause
            self.report(mirror, "failed", cause)
            subscription.unreachable(now, self._jitter)
        else:
            mirror.subscription.take_flow(flow)
            subscription.begin(now, self._new_id)
            mirror.table.restart()
        self.settle(mirror)

    def resume(self, locals: Sequence[Local], now: float) -> None:
        """Resume the subscriptions requested before a restart, one after the other."""
        for source, row in list(self._stored.items()):
            if not row.requested:
                continue
            del self._stored[source]
            try:
                with self._journal.attempt():
                    self._resume(source, row, locals, self._returning.reserve(now))
            except Exception:
                # One that cannot be resumed must not stop the others.
                logger.exception("! %s cannot be resumed", source)
                self._mirrors.pop(source, None)

    def stored(self, source: str) -> bool:
        """Whether a subscription is stored or held."""
        return source in self._stored or source in self._mirrors

    def moved(self, peer: str, flows: Sequence[Flow], now: float) -> None:
        """
        Subscribe again at the present addresses of a peer.

        Args:
            flows: those that lead to it at present.
        """
        for mirror in list(self._mirrors.values()):
            subscription = mirror.subscription
            is_there = mirror.requested or subscription.flow in flows
            if mirror.peer != peer or is_there:
                continue
            self.remember(mirror)
            subscription.lapse()
            subscription.timer_at = now
            mirror.table.restart()
            self.settle(mirror)

    # From the network.

    def find(self, request: Request) -> Mirror | None:
        """Return the subscription that a NOTIFY belongs to."""
        return self._by_dialog.get((request.call_id, request.to.tag))

    def expects(self, request: Request) -> bool:
        """Whether a NOTIFY matches a subscription that we hold, and its package."""
        mirror = self.find(request)
        if mirror is None:
            return False
        try:
            mirror.subscription.check_notify(request, self._package.name)
        except Refusal:
            return False
        except RemoteProtocolError:
            pass  # it belongs to the subscription, and is wrong
        return True

    def receive_response(self, mirror: Mirror, response: Response, now: float) -> None:
        """Receive the response to a SUBSCRIBE."""
        self.remember(mirror)
        ended = mirror.subscription.state is SubscriberState.ENDED
        mirror.subscription.receive_response(response, now, self._jitter)
        if response.status >= 300:
            logger.warning("! SUBSCRIBE for %s: %d", mirror.source, response.status)
            why = f"{response.status} {response.reason}"
            mirror.problem = f"SUBSCRIBE: {why}"
            if mirror.subscription.state is SubscriberState.WAITING:
                self.report(mirror, "refused", why)
            elif ended:
                mirror.subscription.timer_at = now  # no NOTIFY follows
        if response.status == 503:
            self._try_another(mirror, now)
        self.settle(mirror)
        for other in self._returning.back(mirror.peer):
            if other.subscription.state is SubscriberState.WAITING:
                other.timer_at = now
                self._wheel.schedule(other)

    def receive_failure(self, mirror: Mirror, cause: str, now: float) -> None:
        """Receive the news that a SUBSCRIBE got no response."""
        self.remember(mirror)
        logger.warning("! SUBSCRIBE for %s got no answer: %s", mirror.source, cause)
        mirror.problem = f"SUBSCRIBE got no answer: {cause}"
        mirror.subscription.receive_failure(now, self._jitter)
        if mirror.subscription.state is SubscriberState.WAITING:
            self.report(mirror, "failed", cause)
            self._returning.failed(mirror)
        self._try_another(mirror, now)
        self.settle(mirror)

    # From the clock.

    @property
    def timer_at(self) -> float | None:
        return self._wheel.timer_at

    def timer_due(self, now: float) -> None:
        """Send the SUBSCRIBEs that are due: new ones, retries and refreshes."""
        work_off(self._wheel, self._journal, now, lambda one: self._due(one, now))

    def _due(self, mirror: Mirror, now: float) -> None:
        subscription = mirror.subscription
        state, dialog = subscription.state, subscription.dialog
        over = state is SubscriberState.ACTIVE and now >= subscription.expires_at
        begins = over or state is SubscriberState.WAITING
        if begins and (at := self._returning.turn(mirror, now)) > now:
            mirror.timer_at = at
            self._wheel.schedule(mirror)
            return
        # If the commit fails, retry only after RETRY_AFTER.
        self.remember(mirror, at=now + RETRY_AFTER)
        if mirror.requested and begins:
            subscription.lapse()
            self.settle(mirror)
            # Located anew each time, because a name may resolve to another address now.
            assert self._locate is not None
            self._locate(mirror)
            return
        if self._flow_to and begins:
            # The name of a peer may lead elsewhere now.
            mirror.subscription.take_flow(self._flow_to(mirror.peer, None))
        subscription.due(now, self._new_id, self._jitter)
        if subscription.dialog is not dialog:
            mirror.table.restart()
        self.settle(mirror)

    def _try_another(self, mirror: Mirror, now: float) -> None:
        """Subscribe at once at the next address of a peer that did not answer."""
        flow, state = mirror.subscription.flow, mirror.subscription.state
        if not self._flow_to or not flow or mirror.requested:
            return
        waits = state is SubscriberState.WAITING
        if waits and self._flow_to(mirror.peer, flow) is not None:
            mirror.subscription.timer_at = now

    # Called by the package.

    def remember(self, mirror: Mirror, at: float | None = None) -> None:
        """
        Note the current state of a subscription in the undo list.

        Args:
            at: when the restored subscription is due; by default unchanged.
        """
        saved = mirror.saved
        if saved is not None and at is None:
            # It has not changed since: no copy is needed to put it back.
            self._journal.remember(self._restore_saved, mirror, saved)
            return
        before = copy_of(mirror.subscription)
        if at is not None:
            before.timer_at = at
        self._journal.remember(
            self._restore, mirror, before, mirror.table.state, mirror.heard_at
        )

    def settle(self, mirror: Mirror) -> None:
        """Send the subscription's requests, store it, and set its timer."""
        self._index(mirror)
        subscription = mirror.subscription
        if subscription.drafts:
            for draft, flow in subscription.drafts_to_send():
                self._send(draft, flow, mirror)
        if subscription.state is SubscriberState.ENDED and subscription.dialog is None:
            self._mirrors.pop(mirror.source, None)
            self._returning.forget(mirror)
            self._rows.erase(mirror.source, self._put_in, mirror)
            self._package.drop(mirror)
            mirror.saved = None
            subscription.timer_at = None
            self._wheel.schedule(mirror)
            return
        # A copy, because the row is encoded when the batch closes.
        row = HeldRow(
            subscription=copy_of(subscription),
            state=mirror.table.state,
            requested=mirror.requested,
            aor=mirror.aor,
            peer=mirror.peer,
            heard_at=mirror.heard_at,
        )
        mirror.saved = row
        self._rows.write(mirror.source, row, nothing)
        self._wheel.schedule(mirror)

    def report(self, mirror: Mirror, state: str, reason: str) -> None:
        """Report the state of a requested subscription, once it is durable."""
        if mirror.requested and self.listener is not None:
            self._journal.after(self.listener, mirror, state, reason)

    # How.

    def _resume(
        self, source: str, row: HeldRow, locals: Sequence[Local], at: float
    ) -> None:
        """Resume one requested subscription, and refresh it at ``at``."""
        subscription = row.subscription
        mirror = Mirror(row.peer, row.aor, subscription, self)
        mirror.requested = True
        self._package.load(mirror, row)
        dialog = subscription.dialog
        flow = subscription.flow if dialog is None else dialog.flow
        if flow is not None and flow.local not in locals:
            flow = Flow(locals[0], flow.remote)
        if subscription.state is SubscriberState.ENDED or flow is None:
            subscription.dialog = None
            subscription.timer_at, subscription.scheduled_at = at, None
        else:
            subscription.resume(flow, shift=0.0, at=at)
        self._mirrors[source] = mirror
        self._index(mirror)
        self._wheel.schedule(mirror)

    def _index(self, mirror: Mirror) -> None:
        dialog = mirror.subscription.dialog
        key = None if dialog is None else (dialog.call_id, dialog.local_tag)
        if key != mirror.found_by:
            if mirror.found_by is not None:
                self._by_dialog.pop(mirror.found_by, None)
            if key is not None:
                self._by_dialog[key] = mirror
            mirror.found_by = key

    def _forget(self, mirror: Mirror) -> None:
        self._mirrors.pop(mirror.source, None)
        mirror.timer_at = None
        self._wheel.schedule(mirror)

    def _put_in(self, mirror: Mirror) -> None:
        self._mirrors[mirror.source] = mirror
        self._package.put_back(mirror)

    def _restore(
        self,
        mirror: Mirror,
        subscription: HeldSubscription,
        state: TableState,
        heard_at: float,
    ) -> None:
        mirror.subscription, mirror.saved = subscription, None
        mirror.heard_at = heard_at
        mirror.table.restore(state)
        self._index(mirror)
        self._wheel.schedule(mirror)

    def _restore_saved(self, mirror: Mirror, saved: HeldRow) -> None:
        subscription = copy_of(saved.subscription)
        self._restore(mirror, subscription, saved.state, saved.heard_at)
        mirror.saved = saved
