"""One subscription, and what its NOTIFYs say (RFC 6665 §4.1, RFC 3680 §4.8)."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

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
from .errors import NoAnswer, RequestRefused, WatchEnded

PACKAGE = "reg"

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
    """Something that is not as it should be."""

    error: ReginfoError

    again_in: float | None = None
    "Seconds until the next attempt; None if that is the end."


class Unreadable(Struct, frozen=True):
    """A NOTIFY that makes no sense, and is answered so."""

    error: ReginfoError


WatchEvent = Notification | Trouble | Unreadable


class Watching:
    """
    Watches one resource, until that is over.

    What fails before the first NOTIFY is the end. After it, the subscription is taken
    up again, whatever happens, unless the notifier says that it is not to be.

    Drive it by :meth:`begin`, :meth:`receive_response`, :meth:`receive_failure`,
    :meth:`receive_notify`, :meth:`end` and :meth:`timer_due`; after any of them, send
    what :meth:`drafts_to_send` returns, and look at :meth:`events`.

    Args:
        flow: by which every SUBSCRIBE goes, unless the notifier's Contact names
            another address.
        new_id: makes a random token.
        jitter: a random number from 0 to 1.
    """

    def __init__(
        self,
        wanted: Wanted,
        flow: Flow,
        *,
        new_id: Callable[[], str],
        jitter: Callable[[], float],
    ) -> None:
        self._subscription = HeldSubscription(wanted=wanted, flow=flow)
        self._flow = flow
        self._new_id = new_id
        self._jitter = jitter
        self._table = Table()
        self._was_told = False
        self._events: list[WatchEvent] = []
        self.is_over = False
        "Whether there is no subscription any more, and none will be asked for."

    def begin(self, now: float) -> None:
        """Subscribe; or, with an expiry of 0, ask for the state once."""
        self._subscription.begin(now, self._new_id)

    def end(self, now: float) -> None:
        """Unsubscribe; it is over when the last NOTIFY has come."""
        self._subscription.end(now)
        if self._subscription.dialog is None:
            self.is_over = True

    def knows(self, request: Request) -> bool:
        """Whether a NOTIFY is of this subscription."""
        dialog = self._subscription.dialog
        return dialog is not None and (request.call_id, request.to.tag) == (
            dialog.call_id,
            dialog.local_tag,
        )

    def receive_response(self, response: Response, now: float) -> None:
        """Take in the answer to a SUBSCRIBE."""
        subscription = self._subscription
        if response.status < 200:
            return
        if subscription.state is SubscriberState.ENDED:
            # Of what the notifier does not know, it sends no last NOTIFY.
            self.is_over = self.is_over or response.status >= 300
            return
        subscription.receive_response(response, now, self._jitter)
        if (
            response.status >= 300
            and subscription.state is not SubscriberState.NOTIFY_WAIT
        ):
            self._fail(RequestRefused(response), now)

    def receive_failure(self, cause: str, now: float) -> None:
        """A SUBSCRIBE got no answer."""
        subscription = self._subscription
        ended = subscription.state is SubscriberState.ENDED
        waited = subscription.state is SubscriberState.NOTIFY_WAIT
        subscription.receive_failure(now, self._jitter)
        if ended:
            self.is_over = True
        elif waited:
            self._fail(NoAnswer(f"SUBSCRIBE got no answer ({cause})"), now)

    def receive_notify(self, request: Request, now: float) -> Response:
        """
        Take in a NOTIFY of this subscription; what it is answered.

        Raises:
            Refusal, RemoteProtocolError: it makes no sense, and has changed nothing.
        """
        subscription = self._subscription
        try:
            state = subscription.check_notify(request, PACKAGE)
            document = _document(request)
            # Not the flow that it came by: a long one may have come by a stream that
            # the notifier has opened, where no request of ours is expected.
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
        """Refresh, ask again, or give up waiting for a NOTIFY."""
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
        return self._subscription.drafts_to_send()

    def events(self) -> list[WatchEvent]:
        """What has happened since this was last asked."""
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
