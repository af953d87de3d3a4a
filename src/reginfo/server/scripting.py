"""The operator's script at work: its handlers, and what the server does for them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from ..io.clock import Clock
from ..io.eager import HandlerResult, run
from ..ledger.journal import Journal
from ..location.binding import Binding, BindingChange
from ..location.store import LocationStore
from ..pua_reginfo import PuaReginfo
from ..reg.document import ContactEvent
from ..roles.subscriber import Mirror
from ..routing.domains import Domains
from ..routing.relaying import Relaying
from ..routing.targets import Targets
from ..script.event import ContactChanged, Event, SubscriptionChanged
from ..script.load import line_of, load
from ..script.message import FAILURE, PROTECTED, REPLY, Message
from ..script.route import SUBSCRIPTION, Route
from ..sip.endpoint import Endpoint, RequestReceived
from ..sip.errors import Refusal, ReginfoError, RemoteProtocolError
from ..sip.flow import Flow
from ..sip.message import Request, Response
from ..sip.responding import refused
from .router import Router
from .sending import Sender
from .uas import Uas

logger = logging.getLogger("reginfo.script")

ORDERED = frozenset({"REGISTER", "PUBLISH"})
"""Methods of which one user's pass the script one after the other (RFC 3261 §10.3)."""

CODES = {
    ContactEvent.REGISTERED: 1,
    ContactEvent.REFRESHED: 2,
    ContactEvent.UNREGISTERED: 3,
}
"""What `save` returns for what has happened, as the registrar of Kamailio does."""

Remove = Callable[[str, str, str | None, ContactEvent, int | None], int]


class Scripting:
    """
    Runs the handlers of a script, and is the server to them.

    What a handler does up to where it first waits is one turn, and belongs to the batch
    that is open: if it fails before it has answered or relayed its request, all of that
    is taken back. What it does later joins the batch that is open then.

    Args:
        remove: removes contacts as the administrator does; how many.
        wake: has the batch closed that is open, soon.
    """

    def __init__(
        self,
        path: Path,
        *,
        store: LocationStore,
        journal: Journal,
        endpoint: Endpoint,
        clock: Clock,
        domains: Domains,
        router: Router,
        relaying: Relaying,
        targets: Targets,
        sender: Sender,
        uas: Uas,
        pua_reginfo: PuaReginfo,
        server_id: str,
        remove: Remove,
        wake: Callable[[], None],
    ) -> None:
        self._path = path
        self._store = store
        self._journal = journal
        self._endpoint = endpoint
        self._clock = clock
        self._domains = domains
        self._router = router
        self._relaying = relaying
        self._targets = targets
        self._sender = sender
        self._uas = uas
        self._pua_reginfo = pua_reginfo
        self._server_id = server_id
        self._remove = remove
        self._wake = wake
        self._tasks: set[asyncio.Task[HandlerResult]] = set()
        self._busy: dict[str, deque[RequestReceived]] = {}
        self._muted = False
        self.route: Route = load(path)

    def reload(self) -> None:
        """
        Take the script as it stands in its file now.

        Raises:
            ScriptError: it is wrong; the one before it stays.
        """
        self.route = load(self._path)
        logger.warning("= the script has been read again: %s", self._path)

    @property
    def waiting(self) -> int:
        """Handlers that wait for something."""
        return len(self._tasks)

    def stop(self) -> None:
        """Let no handler go on."""
        for task in list(self._tasks):
            task.cancel()

    def publishes(self) -> bool:
        """Whether what is being changed is published; see `reginfo_disable_publish`."""
        return not self._muted

    # What comes in.

    def takes(self, request: Request, flow: Flow) -> bool:
        """
        Whether a request enters the script.

        A NOTIFY that belongs to no subscription of ours does not (RFC 6665 §4.1.3).
        """
        if self.route.handler_of(request.method) is None:
            return False
        return (
            request.method != "NOTIFY"
            or self._leads_on(request)
            or self._uas.expects(request, flow)
        )

    def _leads_on(self, request: Request) -> bool:
        try:
            return "Route" in request.headers and self._relaying.leads_on(request)
        except RemoteProtocolError:
            return False

    def receive(self, event: RequestReceived) -> None:
        """Have a request pass the script; those of one user in their order."""
        if event.request.method not in ORDERED:
            self._pass(event, "")
            return
        try:
            aor = self._domains.aor(event.request.to.parsed)
        except RemoteProtocolError:
            aor = ""  # the handler will find out
        if aor in self._busy:
            self._busy[aor].append(event)
            return
        self._pass(event, aor)

    def happened(self, change: BindingChange) -> None:
        """Something has happened to a contact, and is on disk."""
        binding = change.binding
        handler = self.route.events.get(binding.event.value)
        if handler is not None:
            learned = binding.owner != self._server_id
            self._tell(
                handler,
                ContactChanged(self, change.table, change.aor, binding, learned),
            )

    def subscription(self, mirror: Mirror, state: str, reason: str) -> None:
        """A subscription that a script has asked for is in another state."""
        handler = self.route.events.get(SUBSCRIPTION)
        if handler is not None:
            uri = mirror.subscription.wanted.uri
            self._tell(handler, SubscriptionChanged(self, uri, state, reason))

    def listens(self, event: ContactEvent) -> bool:
        """Whether a handler wants to know of an event."""
        return event.value in self.route.events

    # Routes.

    def _pass(self, event: RequestReceived, aor: str) -> None:
        handler = self.route.handler_of(event.request.method)
        if handler is None:  # the script was read again while this one waited
            self._router.receive(event, self._clock.now())
            return
        transaction = event.transaction
        msg = Message(self, transaction, Flow(transaction.flow.local, event.source))
        msg.routes = self.route
        mark = (self._journal.mark(), self._endpoint.mark())
        waited = False

        def ended(end: HandlerResult) -> None:
            self._answered(msg, end, None if waited else mark)
            if waited:
                if aor:
                    self._next(aor)
                self._wake()

        if not run(handler, msg, ended, self._tasks):
            waited = True
            self._endpoint.trying(transaction)  # §17.2.1
            if aor:
                self._busy[aor] = deque()

    def _next(self, aor: str) -> None:
        """Let the requests of a user pass that have waited for the one before them."""
        waiting = self._busy.pop(aor)
        while waiting:
            self._pass(waiting.popleft(), aor)
            if aor in self._busy:
                self._busy[aor] = waiting
                return

    def _answered(self, msg: Message, end: HandlerResult, mark: Any) -> None:
        """See that a request has its answer, now that its handler has ended."""
        error = end.error
        if isinstance(error, SystemExit):
            error = None  # `exit` ends a route, in other scripts
        if error is None:
            if isinstance(end.result, Response) and not msg.answered:
                self._reply(msg, end.result)
            elif end.result is not None and not isinstance(end.result, Response):
                self._complain(msg, f"the handler has returned {end.result!r}")
            if not msg.answered and not msg.relayed:
                self._complain(msg, "the script has not answered")
                self.reply(msg, Response(500, "Server Internal Error"))
            return
        done = msg.answered or msg.relayed
        if mark is not None and not done:
            self._journal.roll_back(mark[0])
            self._endpoint.roll_back(mark[1])
        if not isinstance(error, ReginfoError):
            self._failed(f"{msg.method} of {msg.from_.uri}", error)
        if not done:
            # What was sent in the turns before this one stays sent.
            self._reply(msg, self._response(msg, error))

    def _reply(self, msg: Message, response: Response) -> None:
        """Answer what a handler has returned or raised: 500, if that is no response."""
        try:
            self.reply(msg, response)
        except Exception as exc:
            self._failed(f"{msg.method} of {msg.from_.uri}", exc)
            msg.reply_headers = []
            self.reply(msg, Response(500, "Server Internal Error"))

    def _response(self, msg: Message, error: BaseException) -> Response:
        if isinstance(error, Refusal | RemoteProtocolError):
            try:
                return refused(msg.request, msg.flow, error)
            except (TypeError, ValueError) as exc:  # a refusal that is none
                self._failed(f"{msg.method} of {msg.from_.uri}", exc)
        return Response(500, "Server Internal Error")

    def replied(self, msg: Message, response: Response) -> bool:
        """
        Have a reply to ``msg`` pass its reply route.

        Returns:
            Whether it is passed on: a `Refusal` raised there keeps it back.
        """
        assert msg.routes is not None
        handler = msg.routes.replies.get(msg.on_reply or "")
        if handler is None:
            return True
        view = self._view(msg, REPLY, response)
        kept = False

        def ended(end: HandlerResult) -> None:
            nonlocal kept
            kept = isinstance(end.error, Refusal)
            self._reported(view, end)

        if not run(handler, view, ended, self._tasks):
            return True  # it is passed on as it is now; the handler goes on
        return not kept

    def failed(
        self,
        msg: Message,
        response: Response,
        proceed: Callable[[Message, Response], None],
    ) -> None:
        """
        Have the failure route of ``msg`` called: all its branches have failed.

        Args:
            response: the best of theirs.
            proceed: called when the handler has ended: it has answered, it has relayed
                again, or it leaves it at ``response``.
        """
        assert msg.routes is not None
        handler = msg.routes.failures.get(msg.on_failure or "")
        view = self._view(msg, FAILURE, response)
        msg.on_failure = None  # a second failure has a route if the first asked for it
        if handler is None:
            proceed(view, response)
            return
        view.relayed = False

        def ended(end: HandlerResult) -> None:
            self._reported(view, end)
            if isinstance(end.result, Response) and not view.answered:
                self._reply(view, end.result)
            elif isinstance(end.error, Refusal) and not view.answered:
                self._reply(view, self._response(view, end.error))
            proceed(view, response)
            self._wake()

        run(handler, view, ended, self._tasks)

    def _view(self, msg: Message, kind: str, response: Response) -> Message:
        """The message as another route of the same request sees it."""
        view = Message(
            self, msg.transaction, msg.flow, kind=kind, reply=response, var=msg.var
        )
        view.request = msg.request
        view.routes = msg.routes
        view.on_reply = msg.on_reply
        view.reply_headers = msg.reply_headers
        view.publishes = msg.publishes
        view.context = msg.context
        return view

    def _reported(self, msg: Message, end: HandlerResult) -> None:
        error = end.error
        if error is not None and not isinstance(error, SystemExit | Refusal):
            self._failed(f"{msg.kind} route of {msg.method} of {msg.from_.uri}", error)

    def _tell(self, handler: Callable[[Any], object], event: Event) -> None:
        def ended(end: HandlerResult) -> None:
            if end.error is not None and not isinstance(end.error, SystemExit):
                self._failed(f"event {event.name}", end.error)
            self._wake()

        run(handler, event, ended, self._tasks)

    def _failed(self, what: str, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError):
            return  # we stop
        line = line_of(error.__traceback__, self._path)
        where = self._path.name if line is None else f"{self._path.name}:{line}"
        logger.error(
            "! %s: %s: %s: %s", where, what, type(error).__name__, error,
            exc_info=error,
        )  # fmt: skip

    def _complain(self, msg: Message, what: str) -> None:
        logger.error(
            "! %s: %s of %s: %s", self._path.name, msg.method, msg.from_.uri, what
        )

    # What a handler asks for: see reginfo.script.core.

    def reply(self, msg: Message, response: Response) -> None:
        response = _with(response, msg.reply_headers)
        self._relaying.respond(msg, response)
        msg.answered = msg.answered or response.status >= 200
        self._wake()

    def relay(self, msg: Message) -> bool:
        self._wake()
        try:
            self._relaying.relay(msg, self)
        except (Refusal, RemoteProtocolError) as exc:
            self.reply(msg, refused(msg.request, msg.flow, exc))
            return False
        msg.relayed = True
        return True

    def save(self, msg: Message, table: str) -> int:
        now = self._clock.now()
        self._muted = not msg.publishes
        try:
            saved = self._try(
                msg, lambda: self._uas.register(msg.request, msg.flow, table, now)
            )
        finally:
            self._muted = False
        if isinstance(saved, Response):
            self.reply(msg, saved)
            return -1
        self.reply(msg, saved.response)
        codes = [CODES.get(claim.event, 3) for claim in saved.claims]
        return min(codes, default=4)

    def lookup(self, msg: Message, table: str) -> int:
        aor = self._domains.aor(msg.uri)
        found = self._targets.contacts(aor, table)
        fitting = [one for one in found if one.takes(msg.method)]
        if not fitting:
            return -2 if found else -1
        msg.targets = [one.target for one in fitting]
        return 1

    def handle_subscribe(self, msg: Message) -> bool:
        now, tag = self._clock.now(), msg.transaction.to_tag
        return self._serve(
            msg, lambda: self._uas.subscribe(msg.request, msg.flow, tag, now)
        )

    def handle_publish(self, msg: Message) -> bool:
        now = self._clock.now()
        return self._serve(msg, lambda: self._uas.publish(msg.request, msg.flow, now))

    def handle_notify(self, msg: Message, table: str) -> int:
        self._wake()
        if msg.method != "NOTIFY":
            msg.reginfo_reason = f"{msg.method} is no NOTIFY"
            return -1
        now = self._clock.now()
        mark = (self._journal.mark(), self._endpoint.mark())
        msg.refusal, msg.reginfo_reason = None, ""
        try:
            return self._uas.notify(msg.request, msg.flow, table, now)
        except (Refusal, RemoteProtocolError) as exc:
            self._journal.roll_back(mark[0])
            self._endpoint.roll_back(mark[1])
            msg.refusal = refused(msg.request, msg.flow, exc)
            msg.reginfo_reason = str(exc)
            if isinstance(exc, Refusal) or not exc.is_logged:
                logger.warning(
                    "! reginfo_handle_notify: NOTIFY from %s:%d: %s", *msg.source, exc
                )
            return -1

    def default(self, msg: Message) -> None:
        self._wake()
        msg.relayed = True  # it is taken care of
        self._router.default(msg, self._clock.now())

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

    # How.

    def _serve(self, msg: Message, answer: Callable[[], Response]) -> bool:
        served: Response = self._try(msg, answer)
        self.reply(msg, served)
        return served.status < 300

    def _try(self, msg: Message, act: Callable[[], Any]) -> Any:
        """What ``act`` returns; or a response, and nothing has changed."""
        mark = (self._journal.mark(), self._endpoint.mark())
        try:
            return act()
        except (Refusal, RemoteProtocolError) as exc:
            self._journal.roll_back(mark[0])
            self._endpoint.roll_back(mark[1])
            return refused(msg.request, msg.flow, exc)


def _with(response: Response, headers: Sequence[tuple[str, str]]) -> Response:
    """
    A response with more headers; the script may use the one it has made again.

    Raises:
        TypeError, ValueError: it cannot be written.
    """
    if not isinstance(response.body, bytes) or not isinstance(response.status, int):
        raise TypeError("a response has a status that is a number, and octets for body")
    # One that came from elsewhere has those of its own request.
    lines = {n: v for n, v in response.headers.items() if n not in PROTECTED}
    for text in [
        response.reason,
        *lines,
        *(v for values in lines.values() for v in values),
    ]:
        if any(c in text for c in "\r\n\0"):
            raise ValueError(f"no response can be made of {text!r}")
        text.encode("utf-8", "surrogateescape")
    if not 100 <= response.status < 700:
        raise ValueError(f"no status: {response.status}")
    for name, value in headers:
        lines[name] = [*lines.get(name, []), value]
    return Response(response.status, response.reason, lines, response.body)
