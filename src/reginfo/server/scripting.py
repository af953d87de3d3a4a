"""Runs the operator's script: selects its routes, and orders their handlers."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ..io.eager import HandlerResult, Handlers
from ..location.binding import BindingChange
from ..location.place import Aor
from ..reg.document import ContactEvent
from ..roles.subscriber import Mirror
from ..routing.decision import Decision
from ..script.core import Core
from ..script.event import ContactChanged, Event, SubscriptionChanged
from ..script.load import line_of, load
from ..script.message import FAILURE, REPLY, Message
from ..script.route import SUBSCRIPTION, Route
from ..sip.errors import Refusal, ReginfoError, RemoteProtocolError
from ..sip.event import RequestReceived
from ..sip.flow import Flow
from ..sip.message import Request, Response
from ..sip.transaction import TIMER_F
from .passage import Passage, ServerParts

logger = logging.getLogger("reginfo.script")

ORDERED = frozenset({"REGISTER", "PUBLISH"})
"""Methods whose requests for one user are handled one at a time (§10.3)."""

MAX_WAITING = 16
"""The maximum number of requests of one user that wait for a handler; more get 503."""

RETRY_AFTER = "5"
"""Retry-After of these 503s, in seconds."""

GIVEN_UP = TIMER_F
"""Seconds after which the sender of a request has given up (RFC 3261 §17.1.2)."""


class WaitingRequest(NamedTuple):
    """A request that waits for the previous one of the same user."""

    event: RequestReceived
    decision: Decision
    until: float
    "When its sender gives up, on the boot-time clock."


class Scripting:
    """
    Runs the handlers of a script.

    What a handler does from one wait to the next is one turn, and belongs to the batch
    that is open then. If the handler raises, that turn is undone, unless the handler
    has already answered or relayed its request.

    Args:
        server: the parts of the server that requests use.
        core: the functions that need no request.
    """

    def __init__(
        self,
        path: Path,
        server: ServerParts,
        *,
        core: Core,
        server_id: str,
    ) -> None:
        self._path = path
        self._server = server
        self._clock = server.clock
        self._domains = server.domains
        self._wake = server.turns.wake
        self._core = core
        self._server_id = server_id
        self.handlers = Handlers(server.turns.attempt, self._slow)
        self._busy: dict[str, deque[WaitingRequest]] = {}
        self.route: Route = load(path)

    def reload(self) -> None:
        """
        Load the script from its file again.

        Raises:
            ScriptError: it is wrong; the previous one stays in use.
        """
        self.handlers.is_running = True
        try:
            self.route = load(self._path)
        finally:
            self.handlers.is_running = False
        logger.warning("= the script was reloaded: %s", self._path)

    @property
    def waiting(self) -> int:
        """The number of handlers that are waiting."""
        return len(self.handlers)

    def stop(self) -> None:
        """Cancel all handlers."""
        self.handlers.stop()

    # Requests.

    def takes(self, request: Request, flow: Flow, decision: Decision) -> bool:
        """
        Whether the script handles a request.

        It does not handle a NOTIFY that matches no subscription (RFC 6665 §4.1.3).
        """
        if self.route.handler_of(request.method) is None:
            return False
        return (
            request.method != "NOTIFY"
            or decision.in_path
            or self._server.uas.expects(request, flow)
        )

    def receive(self, event: RequestReceived, decision: Decision) -> None:
        """Run the handler of a request; those of one user run in order."""
        if event.request.method not in ORDERED:
            self._pass(event, decision, None)
            return
        aor: Aor | None = None
        try:
            aor = self._domains.aor(event.request.to.parsed)
        except RemoteProtocolError:
            pass  # the handler will get this error
        if aor is not None and aor in self._busy:
            self._wait(self._busy[aor], event, decision)
            return
        self._pass(event, decision, aor)

    def _wait(
        self,
        waiting: deque[WaitingRequest],
        event: RequestReceived,
        decision: Decision,
    ) -> None:
        """Queue a request, unless too many wait; drop those whose senders gave up."""
        now = self._clock.now()
        self._forget_given_up(waiting, now)
        if len(waiting) >= MAX_WAITING:
            busy = Response(503, "Service Unavailable", {"Retry-After": [RETRY_AFTER]})
            self._server.endpoint.respond(event.transaction, busy)
            return
        waiting.append(WaitingRequest(event, decision, now + GIVEN_UP))

    def _forget_given_up(self, waiting: deque[WaitingRequest], now: float) -> None:
        """Drop requests whose senders gave up: they must not take effect unnoticed."""
        while waiting and waiting[0].until <= now:
            self._server.endpoint.abandon(waiting.popleft().event.transaction)

    def _pass(
        self, event: RequestReceived, decision: Decision, aor: Aor | None
    ) -> None:
        request, transaction = event.request, event.transaction
        handler = self.route.handler_of(request.method)
        if handler is None:  # the script was reloaded while the request waited
            turns = self._server.turns
            turns.answer(
                event,
                lambda event, moment: self._server.router.serve(
                    event, request, decision, moment
                ),
                turns.moment(),
            )
            return
        passage = Passage(self._server, self, transaction, event.flow, self.route)
        route = request.headers.get("Route")
        copy = None if route is None else list(route)
        passage.decided = (request.uri, copy, decision)
        msg = Message(self._core, passage, var=passage.var)
        waited = False

        def ended(end: HandlerResult) -> None:
            self._answered(passage, end)
            if waited:
                if aor is not None:
                    self._next(aor)
                self._wake()

        if not self.handlers.run(handler, msg, ended):
            waited = True
            self._server.endpoint.trying(transaction)  # §17.2.1
            if aor is not None:
                self._busy[aor] = deque()

    def _next(self, aor: Aor) -> None:
        """Run the handlers of a user's requests that waited for the previous one."""
        waiting = self._busy.pop(aor)
        while True:
            self._forget_given_up(waiting, self._clock.now())
            if not waiting:
                return
            event, decision, _ = waiting.popleft()
            self._pass(event, decision, aor)
            if aor in self._busy:
                self._busy[aor] = waiting
                return

    def _answered(self, passage: Passage, end: HandlerResult) -> None:
        """Make sure that a request has a response when its handler has ended."""
        error = end.error
        if isinstance(error, SystemExit):
            error = None  # `exit` ends a route, as in Kamailio's scripts
        if error is None:
            if isinstance(end.result, Response) and not passage.answered:
                self._respond(passage, end.result)
            elif end.result is not None and not isinstance(end.result, Response):
                self._complain(passage, f"the handler returned {end.result!r}")
            if not passage.answered and not passage.relayed:
                self._complain(passage, "the script did not answer")
                passage.respond(Response(500, "Server Internal Error"))
            return
        done = passage.answered or passage.relayed
        if not done:
            end.attempt.take_back()
        if not isinstance(error, Refusal):
            self._failed(_name(passage), error)
        if not done:
            # Messages sent in earlier turns cannot be undone.
            self._respond(passage, self._response(passage, error))

    def _respond(self, passage: Passage, response: Response) -> None:
        """Send the response of a handler; 500 if it cannot be sent."""
        try:
            passage.respond(response)
        except Exception as exc:
            self._failed(_name(passage), exc)
            passage.reply_headers = []
            passage.respond(Response(500, "Server Internal Error"))

    def _response(self, passage: Passage, error: BaseException) -> Response:
        if isinstance(error, Refusal | RemoteProtocolError):

            def act() -> Response:
                raise error

            turns = self._server.turns
            try:
                return turns.response_of(passage.request, passage.flow, act)
            except (TypeError, ValueError) as exc:  # the refusal cannot be sent
                self._failed(_name(passage), exc)
        return Response(500, "Server Internal Error")

    # Replies and failures.

    def replied(self, passage: Passage, response: Response) -> bool:
        """
        Run the reply route of a relayed request.

        Returns:
            Whether to forward the response: a `Refusal` suppresses it.
        """
        handler = passage.routes.replies.get(passage.on_reply or "")
        if handler is None:
            return True
        later = passage.later()
        view = Message(self._core, later, kind=REPLY, reply=response, var=later.var)
        kept = False

        def ended(end: HandlerResult) -> None:
            nonlocal kept
            kept = isinstance(end.error, Refusal)
            self._reported(view, later, end)

        if not self.handlers.run(handler, view, ended):
            return True  # forwarded as it is now, while the handler continues
        return not kept

    def failed(
        self, passage: Passage, response: Response, done: Callable[[Passage], None]
    ) -> None:
        """
        Run the failure route of a request whose branches have all failed.

        Args:
            response: the best response of the branches.
            done: called with the passage of the failure route when it ends: it has
                answered, relayed again, or accepted ``response``.
        """
        handler = passage.routes.failures.get(passage.on_failure or "")
        later = passage.later()
        passage.on_failure = None  # must be set again for a second failure
        if handler is None:
            done(later)
            return
        view = Message(self._core, later, kind=FAILURE, reply=response, var=later.var)

        def ended(end: HandlerResult) -> None:
            self._reported(view, later, end)
            if isinstance(end.result, Response) and not later.answered:
                self._respond(later, end.result)
            elif isinstance(end.error, Refusal) and not later.answered:
                self._respond(later, self._response(later, end.error))
            done(later)
            self._wake()

        self.handlers.run(handler, view, ended)

    def _reported(self, msg: Message, passage: Passage, end: HandlerResult) -> None:
        """
        Undo the changes of a reply or failure route that failed, and log the error.
        """
        error = end.error
        if error is None or isinstance(error, SystemExit):
            return
        if not (passage.answered or passage.relayed):
            end.attempt.take_back()
        if error is not None and not isinstance(error, SystemExit | Refusal):
            self._failed(f"{msg.kind} route of {_name(passage)}", error)

    # Events.

    def happened(self, change: BindingChange) -> None:
        """Run the event route for a change of a contact that is on disk."""
        binding = change.binding
        handler = self.route.events.get(binding.event.value)
        if handler is not None:
            learned = binding.owner != self._server_id
            self._tell(
                handler,
                ContactChanged(self._core, change.place, binding, learned),
            )

    def subscription(self, mirror: Mirror, state: str, reason: str) -> None:
        """Run the event route for a subscription that a script requested."""
        handler = self.route.events.get(SUBSCRIPTION)
        if handler is not None:
            uri = mirror.subscription.wanted.uri
            self._tell(handler, SubscriptionChanged(self._core, uri, state, reason))

    def listens(self, event: ContactEvent) -> bool:
        """Whether there is a route for an event of contacts."""
        return event.value in self.route.events

    def _tell(self, handler: Callable[[Any], object], event: Event) -> None:
        def ended(end: HandlerResult) -> None:
            if end.error is not None and not isinstance(end.error, SystemExit):
                end.attempt.take_back()
                self._failed(f"event {event.name}", end.error)
            self._wake()

        self.handlers.run(handler, event, ended)

    # Errors.

    def _slow(self, handler: Callable[[Any], Any], took: float) -> None:
        """Log that a route blocked the server for too long."""
        code = getattr(inspect.unwrap(handler), "__code__", None)
        line = "" if code is None else f":{code.co_firstlineno}"
        logger.warning(
            "! %s%s: %s blocked the server for %.0f ms",
            self._path.name,
            line,
            getattr(handler, "__name__", repr(handler)),
            took * 1000,
        )

    def _failed(self, what: str, error: BaseException) -> None:
        """Log an error with its line in the script; a bug also with its traceback."""
        if isinstance(error, asyncio.CancelledError):
            return  # the server is stopping
        line = line_of(error.__traceback__, self._path)
        where = self._path.name if line is None else f"{self._path.name}:{line}"
        if isinstance(error, ReginfoError):
            # The fault is in the request, not in the script.
            logger.warning("! %s: %s: %s", where, what, error)
            return
        logger.error(
            "! %s: %s: %s: %s", where, what, type(error).__name__, error,
            exc_info=error,
        )  # fmt: skip

    def _complain(self, passage: Passage, what: str) -> None:
        logger.error("! %s: %s: %s", self._path.name, _name(passage), what)


def _name(passage: Passage) -> str:
    """Name a request in the log, by its method and its source."""
    request = passage.request
    sender = request.headers.get("From", ["?"])[0]
    try:
        sender = request.from_.uri
    except RemoteProtocolError:
        sender = repr(sender[:80])
    return f"{request.method} of {sender}"
