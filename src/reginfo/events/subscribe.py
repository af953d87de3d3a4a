"""A subscription that we hold, to any event package (RFC 6665 §4.1)."""

from __future__ import annotations

import enum
from collections.abc import Callable

import msgspec

from ..sip.dialog import Dialog, recorded_route
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.flow import Flow
from ..sip.headers import delta_seconds, parse_name_addr
from ..sip.message import Draft, Request, Response
from ..sip.transaction import TIMER_F
from ..sip.uri import Uri
from ..sip.way import way_to
from .headers import EventHeader, SubscriptionState
from .notify import ENDS_SUBSCRIPTION

TIMER_N = TIMER_F
"""Seconds from a SUBSCRIBE within which a NOTIFY must come (§4.1.2.4)."""

SHORTEST = 1.0
"""Seconds between two refreshes, whatever a notifier grants."""

SOON = 30.0
"""A subscription that ends twice within these seconds is not asked for at once."""

BACK_OFF = 2.0
LONGEST_BACK_OFF = 300.0
"""Seconds: the first pause after a failure, doubled each time up to the longest."""

LONGEST_WAIT = 3600.0
"""Seconds for which a Retry-After is obeyed: a peer that is wanted is not given up."""


REDIRECTS = frozenset({300, 301, 302})
"""What is followed; 305 and 380 ask for something else (RFC 3261 §21.3)."""


class SubscriberState(enum.StrEnum):
    """Of a subscription, at its subscriber (§4.1.2, figure 1, shortened)."""

    WAITING = "waiting"  # to be asked for at `timer_at`
    NOTIFY_WAIT = "notify-wait"  # asked for, or refreshed; no NOTIFY since
    ACTIVE = "active"
    ENDED = "ended"  # we no longer want it


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is subscribed to, and by whom."""

    uri: str
    "Request-URI and To."

    local: str
    "From and Contact: a URI."

    contact: str | None = None
    "Contact, where it is not :attr:`local`: the transport stands in it, for one."

    event: str
    accept: str
    expires: int = 3600
    "Seconds asked for each time."


class HeldSubscription(msgspec.Struct, kw_only=True, gc=False):
    """
    One subscription, kept alive until told otherwise.

    Drive it by :meth:`begin`, :meth:`receive_response`, :meth:`receive_failure`,
    :meth:`receive_notify`, :meth:`end` and :meth:`timer_due`; after any of them, send
    what :meth:`drafts_to_send` returns.
    """

    wanted: Wanted

    flow: Flow | None = None
    "By which the first SUBSCRIBE goes; None until it is known."

    state: SubscriberState = SubscriberState.WAITING
    dialog: Dialog | None = None
    "From the first SUBSCRIBE on; its remote tag is that of the first NOTIFY."

    expires_at: float = 0.0
    "When it ends unless it is refreshed, in seconds on the server's clock."

    min_expires: int = 0
    "What a 423 has taught us."

    redirected: bool = False
    "Whether a 3xx has been followed since it was begun: a second one is not."

    failures: int = 0
    began_at: float = float("-inf")
    timer_at: float | None = None
    scheduled_at: float | None = None
    drafts: list[tuple[Draft, Flow]] = []

    @property
    def is_established(self) -> bool:
        """Whether a NOTIFY has made its dialog."""
        return self.dialog is not None and bool(self.dialog.remote_tag)

    def begin(self, now: float, new_id: Callable[[], str]) -> None:
        """Ask for it by :attr:`flow`, in a dialog of its own (§4.1.2.1)."""
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
        # Until the notifier says for how long, in its 200 or its NOTIFY.
        self.expires_at = now + self._expires()
        self._subscribe(now, self._expires())

    def refresh(self, now: float) -> None:
        """Ask for it again, in its dialog: the full state follows (§4.1.2.2)."""
        if self.state is SubscriberState.ACTIVE:
            self._subscribe(now, self._expires())

    def end(self, now: float) -> None:
        """Stop wanting it; the final NOTIFY is still taken (§4.1.2.3)."""
        self.state = SubscriberState.ENDED
        if self.is_established:
            self._subscribe(now, 0)
        elif self.dialog is None:
            self.timer_at = None

    def resume(self, flow: Flow, *, shift: float, at: float) -> None:
        """
        Go on after a restart.

        Args:
            flow: by which a new SUBSCRIBE goes.
            shift: to be added to its times.
            at: when to ask what was missed meanwhile.
        """
        self.flow = flow
        if self.dialog is not None:
            self.dialog.flow = Flow(flow.local, self.dialog.flow.remote)
        self.expires_at += shift
        self.began_at += shift
        if self.state is SubscriberState.NOTIFY_WAIT:
            self.state = (
                SubscriberState.ACTIVE
                if self.is_established
                else SubscriberState.WAITING
            )
        self.timer_at, self.scheduled_at, self.drafts = at, None, []

    def receive_response(
        self, response: Response, now: float, jitter: Callable[[], float]
    ) -> None:
        """Take in the answer to a SUBSCRIBE."""
        status, dialog = response.status, self.dialog
        if status < 200 or dialog is None or self.state is SubscriberState.ENDED:
            return
        if response.header("Call-ID") != dialog.call_id:
            return  # to a SUBSCRIBE of a dialog that is over
        if status < 300:
            expires = response.expires
            if self.state is SubscriberState.ACTIVE:
                # The NOTIFY came first, and its `expires` counts (§4.1.3).
                if expires is not None and now + expires < self.expires_at:
                    self.expires_at = now + expires
                    self._rest(now, jitter)
                return
            if expires is not None:
                self.expires_at = now + expires
            if status == 204:  # RFC 5839 §6.3: no NOTIFY follows
                self._rest(now, jitter)
        elif status == 423 and (least := _min_expires(response)) > self._expires():
            self.min_expires = least
            self._subscribe(now, self._expires())
        elif status in REDIRECTS and self._follow(response):
            self._subscribe(now, self._expires())
        elif self.is_established and status not in ENDS_SUBSCRIPTION:
            self._keep(now, jitter, _retry_after(response))
        else:
            pause = max(self._pause(jitter), _retry_after(response))
            self._retry(now, now + pause)

    def receive_failure(self, now: float, jitter: Callable[[], float]) -> None:
        """A SUBSCRIBE got no answer."""
        if self.state is SubscriberState.ENDED:
            self.timer_at, self.dialog = None, None
        elif self.state is not SubscriberState.NOTIFY_WAIT:
            return  # its NOTIFY has come; or Timer N was first
        elif self.is_established and now < self.expires_at:
            self._keep(now, jitter)
        else:
            self._retry(now, now + self._pause(jitter))

    def unreachable(self, now: float, jitter: Callable[[], float]) -> None:
        """Nobody knows where to ask for it: try again, later."""
        self._retry(now, now + self._pause(jitter))

    def check_notify(self, request: Request, package: str) -> SubscriptionState:
        """
        Look whether a NOTIFY of our dialog is in order, before its body is read.

        Raises:
            Refusal, RemoteProtocolError: it is not, and changes nothing.
        """
        dialog = self.dialog
        event = EventHeader.of(request)
        if event is None or event.package != package:
            raise Refusal(489, "Bad Event", headers=[("Allow-Events", package)])
        if dialog is None or event.id != EventHeader.parse(self.wanted.event).id:
            raise Refusal(481, "Subscription Does Not Exist")
        tag = request.from_.tag
        # RFC 3680 §4.9: of a forked SUBSCRIBE, the first to notify is the one.
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
        """Take in a NOTIFY that :meth:`check_notify` has let pass."""
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
        if state.expires is not None:
            self.expires_at = now + state.expires
        if self.state is not SubscriberState.ENDED:
            self.failures = 0
            self._rest(now, jitter)
        elif first:
            self._subscribe(now, 0)

    def timer_due(self, now: float) -> None:
        """The moment has come for what :meth:`due` then does."""
        self.timer_at = None

    def due(
        self, now: float, new_id: Callable[[], str], jitter: Callable[[], float]
    ) -> None:
        """Ask for it, refresh it, or give up waiting for a NOTIFY."""
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
            f"Expires: {expires}\r\n",
        )
        established = bool(dialog.remote_tag)
        flow = way_to(dialog.next_hop, dialog.flow) if established else dialog.flow
        self.drafts = [*self.drafts, (draft, flow)]
        if self.state is not SubscriberState.ENDED:
            self.state = SubscriberState.NOTIFY_WAIT
        self.timer_at = now + TIMER_N

    def _rest(self, now: float, jitter: Callable[[], float]) -> None:
        """Be content, until it is time to refresh."""
        self.state = SubscriberState.ACTIVE
        left = max(0.0, self.expires_at - now)
        # Ten minutes before the end, or half way there if that is later; spread out,
        # for those that were begun together.
        margin = min(600.0, left / 2) * (1.0 - 0.2 * jitter())
        self.timer_at = max(now + SHORTEST, self.expires_at - margin)

    def _follow(self, response: Response) -> bool:
        """Go where a 3xx says (RFC 3261 §8.1.3.4), once; False if that is nowhere."""
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
        dialog.flow = way_to(uri, dialog.flow)
        return True

    def _keep(
        self, now: float, jitter: Callable[[], float], least: float = 0.0
    ) -> None:
        """A refresh has failed: it goes on until the end that is known (§4.1.2.2)."""
        self.state = SubscriberState.ACTIVE
        self.timer_at = min(self.expires_at, now + max(self._pause(jitter), least))

    def _terminated(
        self, state: SubscriptionState, now: float, jitter: Callable[[], float]
    ) -> None:
        """What to do about each reason (§4.1.3)."""
        if self.state is SubscriberState.ENDED:
            self.timer_at, self.dialog = None, None
            return
        at_once = now - self.began_at > SOON
        match state.reason:
            case "deactivated" | "timeout" if at_once:
                self._retry(now, now)
            case "rejected" | "noresource" | "invariant":
                # "SHOULD NOT" be asked for again; but a peer that is configured is
                # wanted until it is configured no more: seldom, then.
                self._retry(now, now + LONGEST_BACK_OFF * (0.5 + 0.5 * jitter()))
            case _:
                pause = self._pause(jitter)
                if state.retry_after is not None:
                    pause = float(state.retry_after)
                self._retry(now, now + pause)

    def _retry(self, now: float, at: float) -> None:
        """Forget the dialog; ask again at ``at``."""
        self.state, self.dialog = SubscriberState.WAITING, None
        self.timer_at = max(now, at)

    def _pause(self, jitter: Callable[[], float]) -> float:
        pause = min(BACK_OFF * 2.0 ** min(self.failures, 10), LONGEST_BACK_OFF)
        self.failures += 1
        return pause * (0.5 + 0.5 * jitter())


def _min_expires(response: Response) -> int:
    return delta_seconds(response.header("Min-Expires")) or 3600


def _retry_after(response: Response) -> float:
    """For how long not to ask again (RFC 3261 §20.33), in seconds; 0 if not said."""
    value = response.header("Retry-After") or ""
    seconds = delta_seconds(value.partition(";")[0].partition("(")[0])
    return min(float(seconds or 0), LONGEST_WAIT)
