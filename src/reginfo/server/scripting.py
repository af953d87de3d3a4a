"""The operator's script at work: which of its routes handles what, and when."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from ..io.eager import HandlerResult, run
from ..ledger.journal import Attempt
from ..location.binding import Binding, BindingChange
from ..location.store import LocationStore
from ..pua_reginfo import PuaReginfo
from ..reg.document import ContactEvent
from ..roles.subscriber import Mirror
from ..routing.decision import Decision
from ..script.event import ContactChanged, Event, SubscriptionChanged
from ..script.load import line_of, load
from ..script.message import FAILURE, REPLY, Message
from ..script.route import SUBSCRIPTION, Route
from ..sip.errors import Refusal, ReginfoError, RemoteProtocolError
from ..sip.event import RequestReceived
from ..sip.flow import Flow
from ..sip.message import Request, Response
from ..sip.responding import refused
from .passage import Passage, ServerParts
from .sending import Sender

logger = logging.getLogger("reginfo.script")

ORDERED = frozenset({"REGISTER", "PUBLISH"})
"""Methods whose requests for one user pass the script one at a time (§10.3)."""

Remove = Callable[[str, str, str | None, ContactEvent, int | None], int]
Waiting = tuple[RequestReceived, Decision]


class Scripting:
    """
    Runs the handlers of a script, and is the server to them.

    What a handler does up to its first wait is one turn, and belongs to the open batch:
    if it fails before it has answered or relayed its request, all of that is taken
    back. What it does later joins the batch that is open then.

    Args:
        server: the parts of the server that requests use.
        remove: removes contacts as an administrator does; returns how many.
    """

    def __init__(
        self,
        path: Path,
        server: ServerParts,
        *,
        store: LocationStore,
        sender: Sender,
        pua_reginfo: PuaReginfo,
        server_id: str,
        remove: Remove,
    ) -> None:
        self._path = path
        self._server = server
        self._clock = server.clock
        self._domains = server.domains
        self._wake = server.wake
        self._store = store
        self._sender = sender
        self._pua_reginfo = pua_reginfo
        self._server_id = server_id
        self._remove = remove
        self._tasks: set[asyncio.Task[HandlerResult]] = set()
        self._busy: dict[str, deque[Waiting]] = {}
        self._muted = False
        self.route: Route = load(path)

    def reload(self) -> None:
        """
        Read the script from its file again.

        Raises:
            ScriptError: it is wrong; the previous one remains.
        """
        self.route = load(self._path)
        logger.warning("= the script has been read again: %s", self._path)

    @property
    def waiting(self) -> int:
        """The number of handlers that wait for something."""
        return len(self._tasks)

    def stop(self) -> None:
        """Cancel all handlers."""
        for task in list(self._tasks):
            task.cancel()

    def publishes(self) -> bool:
        """Whether the present change is published; see `reginfo_disable_publish`."""
        return not self._muted

    def muted(self, act: Callable[[], Any]) -> Any:
        """Return what ``act`` returns; what it changes is not published."""
        self._muted = True
        try:
            return act()
        finally:
            self._muted = False

    # Requests.

    def takes(self, request: Request, flow: Flow, decision: Decision) -> bool:
        """
        Whether a request enters the script.

        A NOTIFY that belongs to no subscription of ours does not (RFC 6665 §4.1.3).
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
            self._pass(event, decision, "")
            return
        try:
            aor = self._domains.aor(event.request.to.parsed)
        except RemoteProtocolError:
            aor = ""  # the handler will find out
        if aor in self._busy:
            self._busy[aor].append((event, decision))
            return
        self._pass(event, decision, aor)

    def _pass(self, event: RequestReceived, decision: Decision, aor: str) -> None:
        request, transaction = event.request, event.transaction
        handler = self.route.handler_of(request.method)
        if handler is None:  # the script was read again while this one waited
            self._server.router.dispatch(
                event, request, lambda: decision, self._clock.now()
            )
            return
        flow = Flow(transaction.flow.local, event.source)
        passage = Passage(self._server, self, transaction, flow, self.route)
        route = request.headers.get("Route")
        copy = None if route is None else list(route)
        passage.decided = (request.uri, copy, decision)
        msg = Message(self, passage, var=passage.var)
        attempt = self._server.journal.attempt()
        waited = False

        def ended(end: HandlerResult) -> None:
            self._answered(passage, end, None if waited else attempt)
            if waited:
                if aor:
                    self._next(aor)
                self._wake()

        if not run(handler, msg, ended, self._tasks):
            waited = True
            self._server.endpoint.trying(transaction)  # §17.2.1
            if aor:
                self._busy[aor] = deque()

    def _next(self, aor: str) -> None:
        """Run the handlers of requests of a user that waited for the one before."""
        waiting = self._busy.pop(aor)
        while waiting:
            event, decision = waiting.popleft()
            self._pass(event, decision, aor)
            if aor in self._busy:
                self._busy[aor] = waiting
                return

    def _answered(
        self, passage: Passage, end: HandlerResult, attempt: Attempt | None
    ) -> None:
        """Make sure that a request has a response, now that its handler has ended."""
        error = end.error
        if isinstance(error, SystemExit):
            error = None  # `exit` ends a route, in other scripts
        if error is None:
            if isinstance(end.result, Response) and not passage.answered:
                self._respond(passage, end.result)
            elif end.result is not None and not isinstance(end.result, Response):
                self._complain(passage, f"the handler has returned {end.result!r}")
            if not passage.answered and not passage.relayed:
                self._complain(passage, "the script has not answered")
                passage.respond(Response(500, "Server Internal Error"))
            return
        done = passage.answered or passage.relayed
        if attempt is not None and not done:
            attempt.take_back()
        if not isinstance(error, Refusal):
            self._failed(_name(passage), error)
        if not done:
            # What was sent in earlier turns remains sent.
            self._respond(passage, self._response(passage, error))

    def _respond(self, passage: Passage, response: Response) -> None:
        """Send what a handler returned or raised: 500, if it cannot be sent."""
        try:
            passage.respond(response)
        except Exception as exc:
            self._failed(_name(passage), exc)
            passage.reply_headers = []
            passage.respond(Response(500, "Server Internal Error"))

    def _response(self, passage: Passage, error: BaseException) -> Response:
        if isinstance(error, Refusal | RemoteProtocolError):
            try:
                return refused(passage.request, passage.flow, error)
            except (TypeError, ValueError) as exc:  # a refusal that cannot be sent
                self._failed(_name(passage), exc)
        return Response(500, "Server Internal Error")

    # Replies and failures.

    def replied(self, passage: Passage, response: Response) -> bool:
        """
        Run the reply route of a relayed request.

        Returns:
            Whether the response is passed on: a `Refusal` raised there stops it.
        """
        handler = passage.routes.replies.get(passage.on_reply or "")
        if handler is None:
            return True
        later = passage.later()
        view = Message(self, later, kind=REPLY, reply=response, var=later.var)
        kept = False

        def ended(end: HandlerResult) -> None:
            nonlocal kept
            kept = isinstance(end.error, Refusal)
            self._reported(view, later, end)

        if not run(handler, view, ended, self._tasks):
            return True  # it is passed on as it is; the handler goes on
        return not kept

    def failed(
        self, passage: Passage, response: Response, done: Callable[[Passage], None]
    ) -> None:
        """
        Run the failure route of a request whose branches have all failed.

        Args:
            response: the best response of the branches.
            done: called with the passage of the failure route when that has ended: it
                has answered, relayed again, or left it at ``response``.
        """
        handler = passage.routes.failures.get(passage.on_failure or "")
        later = passage.later()
        passage.on_failure = None  # a second failure has a route if it is set again
        if handler is None:
            done(later)
            return
        view = Message(self, later, kind=FAILURE, reply=response, var=later.var)

        def ended(end: HandlerResult) -> None:
            self._reported(view, later, end)
            if isinstance(end.result, Response) and not later.answered:
                self._respond(later, end.result)
            elif isinstance(end.error, Refusal) and not later.answered:
                self._respond(later, self._response(later, end.error))
            done(later)
            self._wake()

        run(handler, view, ended, self._tasks)

    def _reported(self, msg: Message, passage: Passage, end: HandlerResult) -> None:
        error = end.error
        if error is not None and not isinstance(error, SystemExit | Refusal):
            self._failed(f"{msg.kind} route of {_name(passage)}", error)

    # Events.

    def happened(self, change: BindingChange) -> None:
        """Run the event route of a change to a contact, which is on disk."""
        binding = change.binding
        handler = self.route.events.get(binding.event.value)
        if handler is not None:
            learned = binding.owner != self._server_id
            self._tell(
                handler,
                ContactChanged(self, change.table, change.aor, binding, learned),
            )

    def subscription(self, mirror: Mirror, state: str, reason: str) -> None:
        """Run the event route of a subscription that a script has asked for."""
        handler = self.route.events.get(SUBSCRIPTION)
        if handler is not None:
            uri = mirror.subscription.wanted.uri
            self._tell(handler, SubscriptionChanged(self, uri, state, reason))

    def listens(self, event: ContactEvent) -> bool:
        """Whether an event of contacts has a route."""
        return event.value in self.route.events

    def _tell(self, handler: Callable[[Any], object], event: Event) -> None:
        def ended(end: HandlerResult) -> None:
            if end.error is not None and not isinstance(end.error, SystemExit):
                self._failed(f"event {event.name}", end.error)
            self._wake()

        run(handler, event, ended, self._tasks)

    # Errors.

    def _failed(self, what: str, error: BaseException) -> None:
        """Log an error with its line in the script; a bug with its traceback, too."""
        if isinstance(error, asyncio.CancelledError):
            return  # the server stops
        line = line_of(error.__traceback__, self._path)
        where = self._path.name if line is None else f"{self._path.name}:{line}"
        if isinstance(error, ReginfoError):
            # The request, not the script, is at fault.
            logger.warning("! %s: %s: %s", where, what, error)
            return
        logger.error(
            "! %s: %s: %s: %s", where, what, type(error).__name__, error,
            exc_info=error,
        )  # fmt: skip

    def _complain(self, passage: Passage, what: str) -> None:
        logger.error("! %s: %s: %s", self._path.name, _name(passage), what)

    # What a handler asks for: see reginfo.script.core.

    def subscribe(self, uri: str, expires: int) -> bool:
        self._wake()
        return self._pua_reginfo.subscribe(uri, expires, self._clock.now())

    def update(self, aor: str) -> bool:
        self._wake()
        return self._pua_reginfo.update(self._domains.named(aor), self._clock.now())

    def remove(
        self,
        table: str,
        aor: str,
        contact: str | None,
        event: ContactEvent,
        retry_after: int | None,
    ) -> int:
        self._wake()
        return self._remove(table, aor, contact, event, retry_after)

    def key(self, table: str, aor: str, key: str) -> str | None:
        return self._store.keys(self._domains.named(aor), table).get(key)

    def set_key(self, table: str, aor: str, key: str, value: str | None) -> bool:
        self._wake()
        return self._store.set_key(
            self._domains.named(aor),
            key,
            value,
            self._clock.now(),
            self._clock.wall(),
            table,
        )

    def bindings(self, aor: str, table: str) -> Sequence[Binding]:
        return self._store.bindings(self._domains.named(aor), self._clock.now(), table)

    def send_request(
        self,
        method: str,
        to: str,
        binding: Binding | None,
        headers: Sequence[tuple[str, str]],
        body: str | bytes,
        from_: str | None,
    ) -> Awaitable[Response]:
        self._wake()
        data = body.encode() if isinstance(body, str) else body
        return self._sender.send(method, to, binding, headers, data, from_)


def _name(passage: Passage) -> str:
    """Name a request in the log: its method, and who sent it."""
    request = passage.request
    sender = request.headers.get("From", ["?"])[0]
    try:
        sender = request.from_.uri
    except RemoteProtocolError:
        sender = repr(sender[:80])
    return f"{request.method} of {sender}"
