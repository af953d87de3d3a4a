"""One subscription and its NOTIFYs (RFC 6665 §4.1, RFC 3680 §4.8)."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from ..auth.login import Login, Tried
from ..events.headers import SubscriptionState
from ..events.states import SubscriberState
from ..events.subscribe import HeldSubscription, Wanted
from ..reg import xml
from ..reg.document import Reginfo
from ..reg.table import News, Table
from ..sip.demands import check_extensions, understands_body
from ..sip.errors import Refusal, ReginfoError, RemoteProtocolError
from ..sip.flow import Flow
from ..sip.message import Draft, Request, Response
from .errors import NoAnswer, RequestRefused, WatchEnded, no_answer

FOR_GOOD = frozenset({"rejected", "noresource", "invariant"})
"""Reasons after which a subscriber should not ask again (RFC 6665 §4.1.3)."""


class Notification(Struct, frozen=True, kw_only=True):
    """One NOTIFY."""

    cseq: int
    state: SubscriptionState
    document: Reginfo | None
    "None if the NOTIFY has no body."

    news: tuple[News, ...] = ()
    "What the document changes in what is known."

    missed: bool = False
    "Whether an earlier NOTIFY never came; the full state has been requested."

    @property
    def omitted(self) -> tuple[News, ...]:
        """Contacts that a full document no longer lists, and does not terminate."""
        return tuple(one for one in self.news if one.omitted)


class Trouble(Struct, frozen=True):
    """A failure of the subscription."""

    error: ReginfoError

    again_in: float | None = None
    "Seconds until the next attempt; None if there is none."


class Unreadable(Struct, frozen=True):
    """A NOTIFY that was refused."""

    error: ReginfoError


WatchEvent = Notification | Trouble | Unreadable


class Watching:
    """
    The watch of one resource.

    A failure before the first NOTIFY ends it. After that, the subscription is made
    again after any failure, unless the notifier refuses further subscriptions.

    Drive it with :meth:`begin`, :meth:`receive_response`, :meth:`receive_failure`,
    :meth:`receive_notify`, :meth:`end` and :meth:`timer_due`; after any of them, send
    what :meth:`drafts_to_send` returns, and read :meth:`events`.

    Args:
        flow: the flow of every SUBSCRIBE, unless the Contact of the notifier has
            another address.
        new_id: makes a random token.
        jitter: returns a random number from 0 to 1.
        login: answers challenges; None if nobody can.
    """

    def __init__(
        self,
        wanted: Wanted,
        flow: Flow,
        *,
        new_id: Callable[[], str],
        jitter: Callable[[], float],
        login: Login | None = None,
    ) -> None:
        self._login = login
        self._tried: Tried = set()
        self._subscription = HeldSubscription(wanted=wanted, flow=flow)
        self._flow = flow
        self._new_id = new_id
        self._jitter = jitter
        self._table = Table()
        self._was_told = False
        self._events: list[WatchEvent] = []
        self.is_over = False
        "Whether there is no subscription, and none will be requested."

    def begin(self, now: float) -> None:
        """Subscribe; or, with an expiry of 0, ask for the state once."""
        self._subscription.begin(now, self._new_id)

    def end(self, now: float) -> None:
        """Unsubscribe; the watch is over after the last NOTIFY."""
        self._subscription.end(now)
        if self._subscription.dialog is None:
            self.is_over = True

    def knows(self, request: Request) -> bool:
        """Whether a NOTIFY belongs to this subscription."""
        dialog = self._subscription.dialog
        return dialog is not None and (request.call_id, request.to.tag) == (
            dialog.call_id,
            dialog.local_tag,
        )

    def receive_response(self, response: Response, now: float) -> None:
        """Process the response to a SUBSCRIBE."""
        subscription = self._subscription
        if response.status < 200:
            return
        login = self._login
        is_answered = login is not None and login.receive(response, self._tried)
        if not is_answered:
            self._tried = set()
        if subscription.state is SubscriberState.ENDED:
            # For a subscription that it does not know, a notifier sends no NOTIFY.
            self.is_over = self.is_over or response.status >= 300
            return
        subscription.receive_response(
            response, now, self._jitter, is_answered=is_answered
        )
        if (
            response.status >= 300
            and subscription.state is not SubscriberState.NOTIFY_WAIT
        ):
            self._fail(RequestRefused(response), now)

    def receive_failure(self, cause: str, now: float) -> None:
        """Process that a SUBSCRIBE got no answer."""
        subscription = self._subscription
        ended = subscription.state is SubscriberState.ENDED
        waited = subscription.state is SubscriberState.NOTIFY_WAIT
        subscription.receive_failure(now, self._jitter)
        if ended:
            self.is_over = True
        elif waited:
            self._fail(no_answer("SUBSCRIBE", cause), now)

    def receive_notify(self, request: Request, now: float) -> Response:
        """
        Process a NOTIFY of this subscription, and return the response.

        Raises:
            Refusal, RemoteProtocolError: it is refused, and has changed nothing.
        """
        subscription = self._subscription
        try:
            state = subscription.check_notify(request, xml.PACKAGE)
            document = _document(request)
            # Not the flow of the NOTIFY: a long one may come over a connection that
            # the notifier opened, where it expects no requests.
            subscription.receive_notify(request, state, self._flow, now, self._jitter)
        except (Refusal, RemoteProtocolError) as exc:
            self._events.append(Unreadable(exc))
            raise
        news: tuple[News, ...] = ()
        missed = False
        if document is not None:
            news, missed = self._table.take(document, request.cseq.number, now)
        self._was_told = True
        self._events.append(
            Notification(
                cseq=request.cseq.number,
                state=state,
                document=document,
                news=news,
                missed=missed,
            )
        )
        if state.state == "terminated":
            self._terminated(state.reason, now)
        elif missed:
            subscription.refresh(now)
        return Response(200, "OK")

    @property
    def timer_at(self) -> float | None:
        return None if self.is_over else self._subscription.timer_at

    def timer_due(self, now: float) -> None:
        """Refresh, subscribe again, or give up waiting for a NOTIFY."""
        at = self.timer_at
        if at is None or now < at:
            return
        subscription = self._subscription
        state, dialog = subscription.state, subscription.dialog
        subscription.timer_due(now)
        subscription.due(now, self._new_id, self._jitter)
        if state is SubscriberState.ENDED:
            self.is_over = True
        elif state is SubscriberState.NOTIFY_WAIT:
            self._fail(NoAnswer("SUBSCRIBE was accepted, but no NOTIFY came"), now)
        if subscription.dialog is not dialog:
            self._table.restart()

    def drafts_to_send(self) -> list[tuple[Draft, Flow]]:
        drafts = self._subscription.drafts_to_send()
        login = self._login
        if login is None:
            return drafts
        return [(login.signed(draft), flow) for draft, flow in drafts]

    def events(self) -> list[WatchEvent]:
        """Return what has happened since the last call."""
        events, self._events = self._events, []
        return events

    def _terminated(self, reason: str | None, now: float) -> None:
        subscription = self._subscription
        if (
            subscription.state is SubscriberState.ENDED
            or not subscription.wanted.expires
        ):
            self.is_over = True
        elif reason in FOR_GOOD:
            self.is_over = True
            self._events.append(Trouble(WatchEnded(reason)))
        else:
            self._fail(WatchEnded(reason), now)

    def _fail(self, error: ReginfoError, now: float) -> None:
        if not self._was_told:
            self.is_over = True
            self._events.append(Trouble(error))
            return
        again_at = self._subscription.timer_at
        assert again_at is not None
        self._events.append(Trouble(error, max(0.0, again_at - now)))


def _document(request: Request) -> Reginfo | None:
    """
    The body of a NOTIFY; None if there is none.

    Raises:
        Refusal: 415 for a body that is not understood, 420 for an extension.
        RemoteProtocolError: it cannot be read.
    """
    check_extensions(request)
    if not understands_body(request, xml.MEDIA_TYPE):
        return None
    return xml.parse(request.body)
