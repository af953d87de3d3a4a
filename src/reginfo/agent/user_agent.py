"""A user agent without its sockets: sends requests, and watches one resource."""

from __future__ import annotations

from collections.abc import Callable

from ..reg import xml
from ..sip.endpoint import Endpoint
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.event import EndpointEvent, RequestFailed, RequestReceived, ResponseReceived
from ..sip.flow import Flow
from ..sip.message import Draft, Request, Response
from ..sip.moment import Moment
from ..sip.reason import phrase_of
from ..sip.user import User
from ..version import __version__
from . import watching
from .errors import NoAnswer, no_answer
from .watching import Watching

METHODS = ("NOTIFY", "OPTIONS")

Done = Callable[[Response | NoAnswer], None]
"""Is called with the final response to a request, or the error if there is none."""

Tell = Callable[[watching.WatchEvent], None]
"""Is called with what happens to a subscription."""


class AskedRequest:
    """The user of one request: its final response, or that there is none, is ``done``.

    See :class:`reginfo.sip.user.User`.
    """

    def __init__(self, method: str, done: Done) -> None:
        self._method = method
        self._done = done

    def receive_response(self, response: Response, moment: Moment) -> None:
        """Receive a response; ignore a provisional one."""
        if response.is_final:
            self._done(response)

    def receive_failure(self, cause: str, moment: Moment) -> None:
        """Receive the news that there is no final response."""
        self._done(no_answer(self._method, cause))

    def never_sent(self) -> None:
        """Do nothing: a user agent keeps nothing on disk, and takes nothing back."""


class SentSubscribe:
    """The user of the SUBSCRIBEs of a subscription (:class:`reginfo.sip.user.User`)."""

    def __init__(self, agent: UserAgent, watching: Watching) -> None:
        self._agent = agent
        self._watching = watching

    def receive_response(self, response: Response, moment: Moment) -> None:
        """Hand the response to the subscription."""
        self._watching.receive_response(response, moment.now)
        self._agent.settle(self._watching)

    def receive_failure(self, cause: str, moment: Moment) -> None:
        """Hand the failure to the subscription."""
        self._watching.receive_failure(cause, moment.now)
        self._agent.settle(self._watching)

    def never_sent(self) -> None:
        """Do nothing: a user agent keeps nothing on disk, and takes nothing back."""


class UserAgent:
    """
    The transaction user of an endpoint: the application of a rim.

    See :class:`reginfo.ledger.turn.Application`. After :meth:`ask`, :meth:`watch` and
    :meth:`stop_watching` the rim must settle.
    """

    def __init__(self, new_id: Callable[[], str]) -> None:
        product = f"reginfo/{__version__}"
        self.endpoint = Endpoint(
            new_id=new_id, methods=METHODS, headers={"User-Agent": product}
        )
        self._product = f"User-Agent: {product}\r\n"
        self._watching: Watching | None = None
        self._tell: Tell = _nobody

    def ask(self, draft: Draft, flow: Flow, done: Done) -> None:
        """Send a request; ``done`` is called once, with the result."""
        self._send(draft, flow, AskedRequest(draft.method, done))

    def watch(self, watching: Watching, tell: Tell, now: float) -> None:
        """Begin a watch; it replaces the previous one."""
        self._watching, self._tell = watching, tell
        watching.begin(now)
        self.settle(watching)

    def stop_watching(self, now: float) -> None:
        """End the subscription; NOTIFYs until then are still reported."""
        if self._watching is not None:
            self._watching.end(now)
            self.settle(self._watching)

    # Called by the rim.

    def handle(self, event: EndpointEvent, moment: Moment) -> None:
        """Answer a request, or pass a response or failure to its sender."""
        if isinstance(event, RequestReceived):
            response = self._answer(event.request, moment.now)
            self.endpoint.respond(event.transaction, response)
            if self._watching is not None:
                self.settle(self._watching)
        elif isinstance(event, ResponseReceived):
            event.transaction.user.receive_response(event.response, moment)
        elif isinstance(event, RequestFailed):
            event.transaction.user.receive_failure(event.cause, moment)
        # Other events are of calls, and of what is forwarded: there is neither here.

    @property
    def timer_at(self) -> float | None:
        return None if self._watching is None else self._watching.timer_at

    def timer_due(self, moment: Moment) -> None:
        """Refresh the subscription, or give it up."""
        if self._watching is not None:
            self._watching.timer_due(moment.now)
            self.settle(self._watching)

    def flow_lost(self, flow: Flow, moment: Moment) -> None:
        """Do nothing: the next request opens a new connection."""

    def undone(self, moment: Moment) -> None:
        """Nothing is kept on disk, so nothing is taken back."""

    def _answer(self, request: Request, now: float) -> Response:
        if request.method == "OPTIONS":
            allow = {"Allow": [", ".join(METHODS)], "Allow-Events": [xml.PACKAGE]}
            return Response(200, "OK", allow)
        watching = self._watching
        try:
            if watching is None or not watching.knows(request):
                # RFC 6665 §4.1.3: a NOTIFY that matches no subscription.
                raise Refusal(481, "Subscription Does Not Exist")
            return watching.receive_notify(request, now)
        except Refusal as refusal:
            return Response.of(refusal.status, refusal.reason, refusal.headers)
        except RemoteProtocolError as exc:
            return Response(exc.status, phrase_of(exc.status))

    def settle(self, watching: Watching) -> None:
        """Send the requests of the subscription, and report its events."""
        for draft, flow in watching.drafts_to_send():
            self._send(draft, flow, SentSubscribe(self, watching))
        for event in watching.events():
            self._tell(event)

    def _send(self, draft: Draft, flow: Flow, user: User) -> None:
        named = Draft(draft.method, draft.uri, draft.head + self._product, draft.body)
        self.endpoint.send_request(named, flow, user)


def _nobody(event: watching.WatchEvent) -> None:
    """Placeholder until there is a watch."""
