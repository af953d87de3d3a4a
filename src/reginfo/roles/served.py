"""The subscriptions that we serve: accepted, notified, refreshed, ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from ..events.headers import EventHeader
from ..events.notify import (
    ENDS_SUBSCRIPTION,
    ServedSubscription,
    SubscriptionPolicy,
    check,
    granted,
)
from ..ledger.due import work_off, work_on
from ..ledger.journal import Journal
from ..ledger.shelf import Rows
from ..location.place import Aor
from ..sip.dialog import Dialog
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.flow import Flow, Local
from ..sip.message import Draft, Request, Response
from ..sip.timer import TimerWheel
from .admission import RETRY_AFTER as FULL_RETRY_AFTER
from .admission import Admission
from .drain import Drain
from .pace import Pace
from .package import ServedPackage
from .pieces import DocumentSizes, Written, is_long
from .row import WatchRow
from .watch import Owed, Watch
from .watcher import Dialects, Watcher, instance_of
from .watches import Watches, copy_of, id_of
from .window import Window

logger = logging.getLogger("reginfo.notifier")

RETRY_AFTER = 30.0
"""Seconds until a due item whose commit failed is retried."""

RESTART_RATE = 100.0
"""The maximum number of watchers notified per second after a restart."""

SendNotify = Callable[[Draft, Watch], object]
"""Sends a NOTIFY in the dialog of a watch, which receives the response."""

Body = Callable[[Watch, Owed, Callable[[Watch], int], float], Written]
"""Writes the body of a NOTIFY; the third argument returns its maximum size."""


class Served:
    """
    The subscriptions that we serve, for any event package.

    Args:
        package: knows the resources that can be watched.
        body: writes the body of a NOTIFY.
        send: sends a NOTIFY.
        recognise: identifies the sender of a SUBSCRIBE.
        jitter: returns a random number from 0 to 1.
        datagram_only: whether a flow is known to support only datagrams.
        admission: the policy for watchers.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        package: ServedPackage,
        body: Body,
        send: SendNotify,
        policy: SubscriptionPolicy,
        recognise: Callable[[Request, Flow], Watcher],
        jitter: Callable[[], float],
        datagram_only: Callable[[Flow], bool],
        admission: Admission,
    ) -> None:
        self._journal = journal
        self._package = package
        self._media_type = package.media_type
        self._body = body
        self._send = send
        self._policy = policy
        self._recognise = recognise
        self._jitter = jitter
        self._sizes = DocumentSizes(datagram_only)
        self._admission = admission
        self._wheel = TimerWheel()
        self.watches = Watches(journal, self, self._wheel)
        self._dialects = Dialects(journal)
        self._window = Window()
        self._drain: Drain[Watch] | None = None
        self._resuming: Pace[Watch] | None = None
        self.notifies = 0
        "The number of NOTIFYs sent since the start."

    @property
    def leaving(self) -> Drain[Watch] | None:
        """The progress of :meth:`drain`; None before it is called."""
        return self._drain

    # From the network.

    def receive_subscribe(
        self, request: Request, flow: Flow, *, tag: str, resource: Aor, now: float
    ) -> Response:
        """
        Process a SUBSCRIBE, and send the NOTIFY that must follow (6665-07).

        Args:
            tag: the To tag of the response, for the dialog that a 2xx creates.
            resource: the resource in the Request-URI.

        Raises:
            Refusal, RemoteProtocolError: it is refused.
        """
        event = check(request, self._package.name, self._media_type)
        if request.to.tag:
            return self._refresh(request, event, flow, now)
        if self._drain is not None:
            # RFC 3263 §4.3: after a 503 the watcher tries another server.
            again = [("Retry-After", FULL_RETRY_AFTER)]
            raise Refusal(503, "Service Unavailable", headers=again)
        names = self._package.names(resource)
        peer = self._recognise(request, flow)
        is_peer = peer.name is not None
        neutral = not self._admission.check(request, names, is_peer=is_peer)
        expires = granted(request, self._policy)
        if expires:
            watches = self.watches
            self._admission.check_room(
                len(watches),
                0 if is_peer else watches.count_of(request.from_.uri),
                0 if is_peer else watches.count_at(resource),
            )
            for lost in self.watches.lost_by(request, event, resource):
                self._time_out(lost)
                self._advance(lost, now)
        contact = f"<{flow.local.uri}>"
        dialog = Dialog.uas(request, tag=tag, contact=contact, flow=flow)
        row = WatchRow(
            id=id_of(dialog.call_id, tag),
            aor=resource,
            subscription=ServedSubscription(
                dialog=dialog,
                event=request.headers["Event"][0],
                expires_at=now + expires,
                # Outside of a dialog, this fetches the state once (§4.4.3).
                reason=None if expires else "timeout",
            ),
            min_interval=peer.min_interval,
            profile=self._dialects.of(peer, request, flow),
            peer=peer.name,
            instance=instance_of(request),
            neutral=neutral,
        )
        watch = Watch(row, self)
        self.watches.add(watch)
        self.watches.save(watch, self._remove, watch)
        watch.owe_full()
        self._advance(watch, now, asked=True)
        if expires:
            how = "is told nothing of" if neutral else "watches"
            line = f"= %s {how} %s for %d s"
            self._journal.after(logger.info, line, watch.watcher, resource, expires)
        return self._accepted(expires, dialog, *request.headers.get("Record-Route", ()))

    def receive_response(self, watch: Watch, response: Response, now: float) -> None:
        """Receive the response to the unanswered NOTIFY."""
        status = response.status
        if status < 200:
            return
        if status < 300:
            try:
                if "Contact" in response.headers:
                    watch.row.subscription.dialog.answered(response)
            except RemoteProtocolError:
                pass  # keep the current target
            watch.answered()
            self.watches.save_progress(watch, urgent=False)
        elif status == 513 and watch.shorten():  # Message Too Large (§21.5.14)
            self.watches.save_progress(watch)
        elif status in ENDS_SUBSCRIPTION or (watch.ended and not watch.waits):
            # §4.2.2. A final NOTIFY is not retried.
            self._lose(watch, f"NOTIFY was answered {status}", now)
            return
        else:
            delay = watch.refused(response, now, self._jitter)
            message = "! NOTIFY of %s to %s was answered %d; retry in %.1f s"
            logger.warning(message, watch.row.aor, watch.watcher, status, delay)
        if watch.ended and watch.settled:
            self._end(watch, watch.row.subscription.reason or "", now)
            return
        self._send_next(watch, now)
        if watch.waits:
            self._advance(watch, now)

    def receive_failure(self, watch: Watch, cause: str, now: float) -> None:
        """Note that a NOTIFY got no response: a timeout ends the watch (§4.2.2)."""
        long = watch.is_long and watch.shorten()
        if long or (cause != "timeout" and watch.unreachable(now, self._jitter)):
            logger.info("= NOTIFY to %s failed, will retry: %s", watch.watcher, cause)
            self._send_next(watch, now)
            self._advance(watch, now)
            return
        self._lose(watch, f"NOTIFY failed: {cause}", now)

    # Called by the package.

    def settle(self, watch: Watch, now: float) -> None:
        """Send the pending report of a watcher, now or when it is due."""
        if not self.watches.loading:  # otherwise `begin` does it
            self._send_due(watch, now)
        if watch.row.settled and watch.waits:
            # A restart must know that a change waits.
            self.watches.save_progress(watch)

    # From the administrator.

    def drain(self, rate: float, now: float) -> None:
        """
        End every subscription with `deactivated`, so that watchers subscribe elsewhere.

        New subscriptions are refused from now on. A second call changes the rate.

        RFC 6665 §4.4.2 and §4.1.3.

        Args:
            rate: the maximum number of subscriptions to end per second.
        """
        if self._drain is not None:
            self._drain.pace(rate, now)
            return
        going_on = [watch for watch in self.watches if not watch.ended]
        self._drain = Drain(going_on, rate=rate, total=len(self.watches), now=now)

    # From the clock.

    @property
    def timer_at(self) -> float | None:
        at = self._wheel.timer_at
        for paced in (self._drain, self._resuming):
            if paced is not None and paced.timer_at is not None:
                at = paced.timer_at if at is None else min(at, paced.timer_at)
        return at

    def timer_due(self, now: float) -> None:
        """Send the NOTIFYs that are due; end watches that were not refreshed."""
        if self._resuming is not None:
            self._resuming.work_off(self._journal, now, self._resume, RETRY_AFTER)
        if self._drain is not None:
            self._drain.work_off(self._journal, now, self.finish, RETRY_AFTER)

        def act(watch: Watch) -> None:
            if not watch.ended and now >= watch.row.subscription.expires_at:
                self._time_out(watch)
            self._advance(watch, now)

        work_off(self._wheel, self._journal, now, act)

    # From the storage.

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        """The stored rows; :meth:`begin` continues with them."""
        return self.watches.shelves

    def begin(self, locals: Sequence[Local], now: float) -> None:
        """
        Resume the loaded watches.

        A watcher that has answered all NOTIFYs is not notified of a restart. The others
        are notified again, at most :data:`RESTART_RATE` per second.
        """
        for watch in self.watches:
            dialog = watch.row.subscription.dialog
            if dialog.flow.local not in locals:
                dialog.move(locals[0])
        self.watches.loaded()
        news = []
        for watch in self.watches:
            row = watch.row
            if (
                watch.waits
                or watch.ended
                or not row.settled
                or now >= row.subscription.expires_at
            ):
                news.append(watch)
            else:
                self._wheel.schedule(watch)
        self._resuming = Pace(news, rate=RESTART_RATE, now=now) if news else None

    def undone(self, now: float) -> None:
        """Retry later the NOTIFYs that were undone before they were sent."""
        at = now + RETRY_AFTER
        for pace in (self._drain, self._resuming):
            if pace is not None:
                pace.pause(at)
        for watch in self.watches.restored():
            if watch.stalled or now >= watch.row.subscription.expires_at:
                watch.timer_at = at
                self._wheel.schedule(watch)

    # How.

    def _refresh(
        self, request: Request, event: EventHeader, flow: Flow, now: float
    ) -> Response:
        watch = self.watches.get(id_of(request.call_id, request.to.tag))
        if (
            watch is None
            or watch.ended
            or watch.row.subscription.dialog.remote_tag != request.from_.tag
            or EventHeader.parse(watch.row.subscription.event).id != event.id
        ):
            raise Refusal(481, "Subscription Does Not Exist")
        subscription, expires = watch.row.subscription, granted(request, self._policy)
        if watch.row.neutral:
            self._admit(request, watch)
        before = copy_of(subscription)
        subscription.dialog.receive(request, flow)
        undo = (watch, before, watch.snapshot())
        if expires:
            subscription.expires_at = now + expires
        else:
            subscription.reason = "timeout"
        watch.owe_full()
        self.watches.save(watch, self._put_back, *undo)
        self._advance(watch, now, asked=True)
        return self._accepted(expires, subscription.dialog)

    def _admit(self, request: Request, watch: Watch) -> None:
        """Let a watch have true documents, if the policy has changed meanwhile."""
        row, names = watch.row, self._package.names(watch.row.aor)
        self._journal.remember(setattr, row, "neutral", True)
        is_peer = row.peer is not None
        row.neutral = not self._admission.check(request, names, is_peer=is_peer)

    def _accepted(self, expires: int, dialog: Dialog, *route: str) -> Response:
        headers = {"Expires": [str(expires)], "Contact": [dialog.contact]}
        # §4.4.4: those dialog-forming responses list all packages.
        headers["Allow-Events"] = [self._package.name]
        if route:  # RFC 3261 §12.1.1: MUST be copied
            headers["Record-Route"] = [*route]
        return Response(200, "OK", headers)

    def _resume(self, watch: Watch, now: float) -> None:
        """Report changes made while we were down, and reports that may be lost."""
        if not self.watches.has(watch):
            return
        if now >= watch.row.subscription.expires_at and not watch.ended:
            self._time_out(watch)
        elif watch.ended:
            watch.owe_full()
        self._advance(watch, now)

    def _time_out(self, watch: Watch) -> None:
        """Prepare the final NOTIFY to a watcher that did not refresh (§4.2.1.4)."""
        subscription = watch.row.subscription
        before = copy_of(subscription)
        self._journal.remember(self._put_back, watch, before, watch.snapshot())
        subscription.reason = "timeout"
        watch.owe_full()

    def finish(self, watch: Watch, now: float, reason: str = "deactivated") -> None:
        """Send the final NOTIFY of a subscription that we end (§4.2.2, §4.1.3)."""
        if watch.ended or not self.watches.has(watch):
            return
        subscription = watch.row.subscription
        undo = (watch, copy_of(subscription), watch.snapshot())
        subscription.reason = reason
        watch.owe_full()
        # Otherwise a restart would resume it, although the watcher has ended it.
        self.watches.save(watch, self._put_back, *undo)
        self._advance(watch, now)

    def _put_back(
        self, watch: Watch, subscription: ServedSubscription, snapshot: tuple[Any, ...]
    ) -> None:
        """Undo the changes of a watch."""
        watch.row.subscription = subscription
        at = subscription.expires_at
        if watch.timer_at is not None:
            at = min(at, watch.timer_at)
        self.watches.restore(watch, snapshot, at)

    def _advance(self, watch: Watch, now: float, *, asked: bool = False) -> None:
        """Send a NOTIFY if one is due, and set the timer."""
        self.watches.remember(watch)
        self._send_due(watch, now, asked)

    def _send_due(self, watch: Watch, now: float, asked: bool = False) -> None:
        # The NOTIFY that answers a SUBSCRIBE must follow immediately (§4.2.1.2).
        if not (asked or watch.row.peer is None or self._window.admits(watch)):
            watch.wait()
        elif (owed := watch.take(now)) is not None:
            self._notify(watch, owed, now)
        self._wheel.schedule(watch)

    def _notify(self, watch: Watch, owed: Owed, now: float) -> None:
        row = watch.row
        written = self._body(watch, owed, self._sizes.of, now)
        body = written.body
        draft = row.subscription.notify(self._media_type, body, now, more=written.more)
        watch.is_long = is_long(draft) and self._sizes.takes_streams(watch)
        self._send(draft, watch)
        self._window.sent(watch)
        self.notifies += 1
        if body:
            row.version += 1
        self.watches.save_progress(watch)

    def _send_next(self, watch: Watch, now: float) -> None:
        """Let other watches of a peer send: a NOTIFY of ``watch`` is over."""
        while (other := self._window.next_after(watch)) is not None:
            if not self.watches.has(other):
                continue
            if not work_on(other, self._journal, lambda one: self._advance(one, now)):
                other.timer_at = now + RETRY_AFTER
                self._wheel.schedule(other)

    def _lose(self, watch: Watch, why: str, now: float) -> None:
        """End a watch whose watcher could not be notified."""
        if self._drain is not None:
            self._drain.gave_up += 1
        self._end(watch, why, now)

    def _end(self, watch: Watch, why: str, now: float) -> None:
        end = "= %s no longer watches %s: %s"
        self._journal.after(logger.info, end, watch.watcher, watch.row.aor, why)
        self._remove(watch)
        self.watches.erase(watch)
        self._send_next(watch, now)

    def _remove(self, watch: Watch) -> None:
        watch.timer_at = None
        self._wheel.schedule(watch)
        self.watches.remove(watch)
