"""A subscription that we hold, to any event package (RFC 6665 §4.1)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ..sip.dialog import Dialog, recorded_route
from ..sip.dialog_flow import dialog_flow
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.flow import Flow
from ..sip.headers import delta_seconds, parse_name_addr
from ..sip.message import Draft, Request, Response
from ..sip.transaction import TIMER_F
from ..sip.uri import Uri
from .headers import EventHeader, SubscriptionState
from .notify import ENDS_SUBSCRIPTION
from .states import SUBSCRIBER_TRANSITIONS, SubscriberCause, SubscriberState
from .waiting import (
    LONGEST_BACK_OFF,
    SHORTEST_WAIT,
    back_off,
    bounded_wait,
    wait_asked,
)
from .wanted import Wanted as Wanted
from .wanted import contact_by

TIMER_N = TIMER_F
"""Seconds from a SUBSCRIBE within which a NOTIFY must come (§4.1.2.4)."""

SLACK = 2.0
"""Seconds by which two statements of the same end differ: they are whole seconds."""

SOON = 30.0
"""A subscription that ends twice within these seconds is not renewed at once."""

LONGEST_ASKED = 604_800
"""Seconds: the longest time that a 423 can make us ask for."""

REDIRECTS = frozenset({300, 301, 302})
"""Redirections that are followed; 305 and 380 are not (RFC 3261 §21.3)."""

ACTIVE, ENDED = SubscriberState.ACTIVE, SubscriberState.ENDED
Cause = SubscriberCause
NOTIFIED = SubscriberCause.NOTIFY


class HeldSubscription(msgspec.Struct, kw_only=True, gc=False):
    """
    One subscription, kept alive until :meth:`end`.

    Drive it by :meth:`begin`, :meth:`receive_response`, :meth:`receive_failure`,
    :meth:`receive_notify`, :meth:`end` and :meth:`timer_due`; after any of them, send
    what :meth:`drafts_to_send` returns.
    """

    wanted: Wanted

    flow: Flow | None = None
    "The flow that the first SUBSCRIBE takes; None until it is known."

    state: SubscriberState = SubscriberState.WAITING
    dialog: Dialog | None = None
    "From the first SUBSCRIBE on; its remote tag is that of the first NOTIFY."

    expires_at: float = 0.0
    "When it ends unless it is refreshed, in seconds on the server's clock."

    refresh_at: float = 0.0
    "When it is to be refreshed, while it is active; a NOTIFY does not postpone this."

    asked: int = 0
    "Seconds that the last SUBSCRIBE asked for; no grant is longer."

    end_before: float | None = None
    """
    What :attr:`expires_at` was before the last SUBSCRIBE, until its 2xx has come.

    A NOTIFY that states this end was sent before the notifier got the SUBSCRIBE.
    """

    is_granted: bool = False
    "Whether the notifier has stated a time since the last SUBSCRIBE."

    min_expires: int = 0
    "The minimum that a 423 has stated."

    redirected: bool = False
    "Whether a 3xx has been followed since :meth:`begin`; a second one is not."

    failures: int = 0
    began_at: float = float("-inf")
    timer_at: float | None = None
    scheduled_at: float | None = None
    drafts: list[tuple[Draft, Flow]] = []

    def __repr__(self) -> str:
        """As a log names it: ``<HeldSubscription sip:alice@example.com, active>``."""
        return f"<HeldSubscription {self.wanted.uri}, {self.state.value}>"

    @property
    def is_established(self) -> bool:
        """Whether a NOTIFY has made its dialog."""
        return self.dialog is not None and bool(self.dialog.remote_tag)

    def take_flow(self, flow: Flow | None) -> None:
        """Begin the next dialog on ``flow``; None leaves the flow as it is."""
        if flow is not None and flow != self.flow:
            self.flow = flow
            by = contact_by(self.wanted.local, flow)
            self.wanted = msgspec.structs.replace(self.wanted, contact=by)

    def begin(self, now: float, new_id: Callable[[], str]) -> None:
        """Send the first SUBSCRIBE of a new dialog by :attr:`flow` (§4.1.2.1)."""
        assert self.flow is not None
        tag, wanted = new_id(), self.wanted
        self.dialog = Dialog(
            call_id=new_id(),
            local=f"<{wanted.local}>;tag={tag}",
            remote=f"<{wanted.uri}>",
            local_tag=tag,
            remote_tag="",
            target=wanted.uri,
            flow=self.flow,
            contact=f"<{wanted.contact or wanted.local}>",
        )
        self.began_at = now
        self.redirected = False
        self._subscribe(now, self._expires())
        # Until the notifier states a time, in its 200 or its NOTIFY.
        self.expires_at = now + self.asked

    def refresh(self, now: float) -> None:
        """Send a SUBSCRIBE in the dialog; the full state follows (§4.1.2.2)."""
        if self.state is ACTIVE:
            self._subscribe(now, self._expires())

    def end(self, now: float) -> None:
        """Unsubscribe; the final NOTIFY is still accepted (§4.1.2.3)."""
        self._enter(Cause.UNWANTED)
        if self.is_established:
            self._subscribe(now, 0)
        elif self.dialog is None:
            self.timer_at = None

    def lapse(self) -> None:
        """Give up the dialog, so that a new one is begun."""
        if self.state is not ENDED:
            self._enter(Cause.LOST)
            self.dialog = None

    def resume(self, flow: Flow, *, shift: float, at: float) -> None:
        """
        Continue after a restart.

        Args:
            flow: the flow of a new SUBSCRIBE.
            shift: to be added to all times.
            at: when to refresh it, to learn what was missed.
        """
        self.flow = flow
        if self.dialog is not None:
            remote = self.dialog.flow.remote
            self.dialog.flow = Flow(flow.local, remote, flow.name)
        self.expires_at += shift
        self.began_at += shift
        self.end_before = None
        if self.state is SubscriberState.NOTIFY_WAIT:
            self._enter(Cause.KEPT if self.is_established else Cause.LOST)
        elif self.state is SubscriberState.REFUSED:
            # The operator may have restarted us because the peer was mended.
            self._enter(Cause.LOST)
        self.refresh_at = at
        self.timer_at, self.scheduled_at, self.drafts = at, None, []

    def receive_response(
        self, response: Response, now: float, jitter: Callable[[], float],
        *, is_answered: bool = False,
    ) -> None:  # fmt: skip
        """Process the response to a SUBSCRIBE: also a challenge that is answered."""
        status, dialog = response.status, self.dialog
        if status < 200 or dialog is None or self.state is ENDED:
            return
        if response.header("Call-ID") != dialog.call_id:
            return  # to a SUBSCRIBE of a dialog that is over
        if status < 300:
            self._accepted(response, now, jitter)
        elif is_answered:
            self._subscribe(now, self.asked)
        elif status == 423 and (least := _min_expires(response)) > self._expires():
            self.min_expires = least
            self._subscribe(now, self._expires())
        elif status in REDIRECTS and self._follow(response):
            self._subscribe(now, self._expires())
        elif self.is_established and status not in ENDS_SUBSCRIPTION:
            self._keep(now, jitter, wait_asked(response) or 0.0)
        else:
            pause = max(self._pause(jitter), wait_asked(response) or 0.0)
            self._retry(now, now + pause)

    def receive_failure(self, now: float, jitter: Callable[[], float]) -> None:
        """Process that a SUBSCRIBE got no answer."""
        if self.state is ENDED:
            self.timer_at, self.dialog = None, None
        elif self.state is not SubscriberState.NOTIFY_WAIT:
            return  # its NOTIFY has come; or Timer N was first
        elif self.is_established and now < self.expires_at:
            self._keep(now, jitter)
        else:
            self._retry(now, now + self._pause(jitter))

    def unreachable(self, now: float, jitter: Callable[[], float]) -> None:
        """Process that no address was found for the SUBSCRIBE: try again later."""
        self._retry(now, now + self._pause(jitter))

    def check_notify(self, request: Request, package: str) -> SubscriptionState:
        """
        Check a NOTIFY of our dialog, before its body is read.

        Raises:
            Refusal, RemoteProtocolError: it is refused, and changes nothing.
        """
        dialog = self.dialog
        event = EventHeader.of(request)
        if event is None or event.package != package:
            raise Refusal(489, "Bad Event", headers=[("Allow-Events", package)])
        if dialog is None or event.id != EventHeader.parse(self.wanted.event).id:
            raise Refusal(481, "Subscription Does Not Exist")
        tag = request.from_.tag
        # RFC 3680 §4.9: of a forked SUBSCRIBE, the first notifier is the one.
        if dialog.remote_tag and dialog.remote_tag != tag:
            raise Refusal(481, "Subscription Does Not Exist")
        if dialog.remote_cseq is not None and request.cseq.number < dialog.remote_cseq:
            raise RemoteProtocolError("CSeq Out Of Order", status=500)
        return SubscriptionState.of(request)

    def receive_notify(
        self,
        request: Request,
        state: SubscriptionState,
        flow: Flow,
        now: float,
        jitter: Callable[[], float],
    ) -> None:
        """Process a NOTIFY that :meth:`check_notify` has accepted."""
        dialog = self.dialog
        assert dialog is not None
        first = not dialog.remote_tag
        # These may raise: nothing is changed before.
        route = recorded_route(request) if first else ()
        dialog.receive(request, flow)
        if first:
            # §4.4.1: this, and not the 200, makes the dialog.
            dialog.remote_tag = request.from_.tag
            dialog.remote = request.headers["From"][0]
            dialog.route = route
        if state.state == "terminated":
            self._terminated(state, now, jitter)
            return
        if self.state is not ENDED:
            self._notified(state.expires, now, jitter)
        elif first:
            self._subscribe(now, 0)

    def timer_due(self, now: float) -> None:
        """Note that the timer has fired; :meth:`due` then acts on it."""
        self.timer_at = None

    def due(
        self, now: float, new_id: Callable[[], str], jitter: Callable[[], float]
    ) -> None:
        """Subscribe, refresh, or give up waiting for a NOTIFY."""
        match self.state:
            case SubscriberState.WAITING:
                self.begin(now, new_id)
            case SubscriberState.NOTIFY_WAIT:  # Timer N
                self._retry(now, now + self._pause(jitter))
            case SubscriberState.ACTIVE if now < self.expires_at:
                self.refresh(now)
            case SubscriberState.ACTIVE:
                self.begin(now, new_id)
            case SubscriberState.ENDED:
                self.dialog = None

    def drafts_to_send(self) -> list[tuple[Draft, Flow]]:
        drafts, self.drafts = self.drafts, []
        return drafts

    def _enter(self, cause: SubscriberCause) -> None:
        self.state = SUBSCRIBER_TRANSITIONS[self.state, cause]

    def _expires(self) -> int:
        return max(self.wanted.expires, self.min_expires)

    def _subscribe(self, now: float, expires: int) -> None:
        dialog = self.dialog
        assert dialog is not None
        wanted = self.wanted
        draft = dialog.draft(
            "SUBSCRIBE",
            f"Event: {wanted.event}\r\n"
            f"Accept: {wanted.accept}\r\n"
            f"Expires: {expires}\r\n{wanted.headers}",
        )
        established = bool(dialog.remote_tag)
        flow = (
            dialog_flow(dialog.first_uri, dialog.flow) if established else dialog.flow
        )
        self.drafts = [*self.drafts, (draft, flow)]
        self._enter(Cause.SUBSCRIBE)
        self.asked, self.is_granted = expires, False
        self.end_before = self.expires_at if established else 0.0
        self.timer_at = now + TIMER_N

    def _accepted(
        self, response: Response, now: float, jitter: Callable[[], float]
    ) -> None:
        """Process a 2xx: it states the time, unless a NOTIFY did so before (§4.1.3)."""
        if self.end_before is None:
            return  # a second one, to the same SUBSCRIBE
        self.end_before = None
        expires = response.expires
        if expires is None:
            # A 2xx must state it; we go by what we asked, but ask again soon.
            if not self.is_granted:
                self.expires_at = max(self.expires_at, now + self.asked)
        else:
            until = now + min(expires, self.asked)
            if not self.is_granted:
                self.expires_at = until
            elif until > self.expires_at - SLACK:
                return  # the NOTIFY that came first has stated it
            else:
                self.expires_at = until
            self.is_granted = True
        if response.status == 204:  # RFC 5839 §6.3: no NOTIFY follows
            self._enter(Cause.KEPT)
            self._plan(now, jitter)
        elif self.state is ACTIVE and self.is_granted:
            self._plan(now, jitter)

    def _notified(
        self, expires: int | None, now: float, jitter: Callable[[], float]
    ) -> None:
        """Process a NOTIFY of a subscription that goes on (§4.1.3)."""
        was_active, was_granted = self.state is ACTIVE, self.is_granted
        before, is_open = self.expires_at, self.end_before is not None
        self._enter(NOTIFIED)
        if expires is not None:
            until = now + min(expires, self.asked)
            # One that crossed the SUBSCRIBE says nothing of what that was granted.
            if self.end_before is None or abs(until - self.end_before) > SLACK:
                self.is_granted = True
            self.expires_at = until
        if (
            not was_active
            or self.is_granted is not was_granted
            or (is_open and self.expires_at > before + SLACK)
        ):
            self._plan(now, jitter)
            return
        # A planned refresh is not postponed: else frequent NOTIFYs would do so until
        # the subscription ends.
        planned = self.refresh_at
        if self.expires_at < before - SLACK:
            self._plan(now, jitter)
        self.timer_at = self.refresh_at = min(self.refresh_at, planned)

    def _plan(self, now: float, jitter: Callable[[], float]) -> None:
        """Plan the next refresh, by the time that was granted."""
        left = self.expires_at - now
        if self.is_granted and left > SHORTEST_WAIT:
            self.failures = 0
            # Ten minutes before the end, or half way there if that is later; spread
            # out, for those that were begun together.
            margin = min(600.0, left / 2) * (1.0 - 0.2 * jitter())
            at = max(now + SHORTEST_WAIT, self.expires_at - margin)
        else:
            at = now + self._pause(jitter)
        self.timer_at = self.refresh_at = at

    def _follow(self, response: Response) -> bool:
        """Follow a 3xx (RFC 3261 §8.1.3.4), once; False if it leads nowhere."""
        dialog = self.dialog
        contacts = response.values("Contact")
        if dialog is None or self.is_established or self.redirected or not contacts:
            return False
        try:
            uri = parse_name_addr(contacts[0]).parsed
        except RemoteProtocolError:
            return False
        if uri.scheme not in ("sip", "sips") or uri.matches(Uri.parse(dialog.target)):
            return False
        self.redirected = True
        dialog.target = uri.text
        dialog.flow = dialog_flow(uri, dialog.flow)
        return True

    def _keep(
        self, now: float, jitter: Callable[[], float], least: float = 0.0
    ) -> None:
        """A refresh has failed: it goes on until the end that is known (§4.1.2.2)."""
        self._enter(Cause.KEPT)
        self.end_before = None
        self.refresh_at = min(self.expires_at, now + max(self._pause(jitter), least))
        self.timer_at = self.refresh_at

    def _terminated(
        self, state: SubscriptionState, now: float, jitter: Callable[[], float]
    ) -> None:
        """Act on the reason of the end (§4.1.3)."""
        if self.state is ENDED:
            self.timer_at, self.dialog = None, None
            return
        at_once = now - self.began_at > SOON
        match state.reason:
            case "deactivated" | "timeout" if at_once:
                self._retry(now, now)
            case "rejected" | "noresource" | "invariant":
                if self.wanted.rearm:
                    pause = back_off(0, jitter, first=LONGEST_BACK_OFF)
                    self._retry(now, now + pause)
                else:
                    self._enter(Cause.REFUSED)
                    self.timer_at, self.dialog = None, None
            case _:
                pause = self._pause(jitter)
                if state.retry_after is not None:
                    pause = bounded_wait(state.retry_after)
                self._retry(now, now + pause)

    def _retry(self, now: float, at: float) -> None:
        """Forget the dialog; subscribe again at ``at``."""
        self._enter(Cause.LOST)
        self.dialog = None
        self.timer_at = max(now, at)

    def _pause(self, jitter: Callable[[], float]) -> float:
        pause = back_off(self.failures, jitter, longest=self.wanted.longest_pause)
        self.failures += 1
        return pause


def _min_expires(response: Response) -> int:
    return min(delta_seconds(response.header("Min-Expires")) or 3600, LONGEST_ASKED)
