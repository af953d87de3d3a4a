"""A user agent that asks, and that watches one resource: all of it but the sockets."""

from __future__ import annotations

from collections.abc import Callable

from ..sip.endpoint import (
    Endpoint,
    EndpointEvent,
    RequestFailed,
    RequestReceived,
    ResponseReceived,
)
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.flow import Flow
from ..sip.message import Draft, Request, Response
from ..version import __version__
from . import watching
from .errors import NoAnswer
from .watching import PACKAGE, Watching

METHODS = ("NOTIFY", "OPTIONS")

Done = Callable[[Response | NoAnswer], None]
"""Is told the final response to a request, or that none came."""

Tell = Callable[[watching.WatchEvent], None]
"""Is told what happens to a subscription."""


class UserAgent:
    """
    What an endpoint needs to be a user agent: the application of a rim.

    See :class:`reginfo.io.rim.Application`. After :meth:`ask`, :meth:`watch` and
    :meth:`stop_watching` the rim has to settle.
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
        """Send a request; ``done`` is called once, with what becomes of it."""
        self._send(draft, flow, done)

    def watch(self, watching: Watching, tell: Tell, now: float) -> None:
        """Begin to watch, in the place of what was watched before."""
        self._watching, self._tell = watching, tell
        watching.begin(now)
        self._settle(watching)

    def stop_watching(self, now: float) -> None:
        """End the subscription; what is notified until then is told still."""
        if self._watching is not None:
            self._watching.end(now)
            self._settle(self._watching)

    # What the rim drives.

    def handle(self, event: EndpointEvent, now: float) -> None:
        """Answer a request, or take in what became of ours."""
        if isinstance(event, RequestReceived):
            self.endpoint.respond(event.transaction, self._answer(event.request, now))
            if self._watching is not None:
                self._settle(self._watching)
            return
        if not isinstance(event, ResponseReceived | RequestFailed):
            return  # of calls, and of what is passed on: there is neither here
        user = event.transaction.user
        if isinstance(user, Watching):
            if isinstance(event, RequestFailed):
                user.receive_failure(event.cause, now)
            else:
                user.receive_response(event.response, now)
            self._settle(user)
        elif isinstance(event, RequestFailed):
            method = event.transaction.method
            _done(user)(NoAnswer(f"{method} got no answer ({event.cause})"))
        elif event.response.is_final:
            _done(user)(event.response)

    @property
    def timer_at(self) -> float | None:
        return None if self._watching is None else self._watching.timer_at

    def timer_due(self, now: float) -> None:
        if self._watching is not None:
            self._watching.timer_due(now)
            self._settle(self._watching)

    def undone(self, now: float) -> None:
        """Nothing is kept on disk, so nothing is taken back."""

    def _answer(self, request: Request, now: float) -> Response:
        if request.method == "OPTIONS":
            allow = {"Allow": [", ".join(METHODS)], "Allow-Events": [PACKAGE]}
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
            return Response(exc.status, "Bad Request")

    def _settle(self, watching: Watching) -> None:
        """Send what the subscription wants sent, and tell what has happened."""
        for draft, flow in watching.drafts_to_send():
            self._send(draft, flow, watching)
        for event in watching.events():
            self._tell(event)

    def _send(self, draft: Draft, flow: Flow, user: object) -> None:
        named = Draft(draft.method, draft.uri, draft.head + self._product, draft.body)
        self.endpoint.send_request(named, flow, user)


def _done(user: object) -> Done:
    assert callable(user)
    return user


def _nobody(event: watching.WatchEvent) -> None:
    """Is there to tell before anybody watches."""
