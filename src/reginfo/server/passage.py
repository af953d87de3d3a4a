"""One request in the script: the server's side of `reginfo.script.call`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from ..io.clock import Clock
from ..ledger.turn import Turns
from ..location.place import Place
from ..reg.document import ContactEvent
from ..roles.document import UnreadableDocument
from ..routing.context import Context
from ..routing.decision import Decision
from ..routing.domains import Domains
from ..routing.relaying import Relaying
from ..routing.target import Target
from ..routing.targets import Targets
from ..script.message import PROTECTED
from ..script.route import Route
from ..sip.endpoint import Endpoint
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.event import AnyServer, RequestReceived
from ..sip.flow import Flow
from ..sip.message import Headers, Request, Response
from .asker import STALE, Asker
from .router import Router
from .uas import Uas

logger = logging.getLogger("reginfo.script")

CODES = {
    ContactEvent.REGISTERED: 1,
    ContactEvent.REFRESHED: 2,
    ContactEvent.UNREGISTERED: 3,
}
"""The return code of `save` for each event, as in the registrar of Kamailio."""


class Hooks(Protocol):
    """Reply and failure routes; see :class:`reginfo.server.scripting.Scripting`."""

    def replied(self, passage: Passage, response: Response) -> bool:
        """Run the reply route; return whether to forward the response."""

    def failed(
        self, passage: Passage, response: Response, done: Callable[[Passage], None]
    ) -> None:
        """Run the failure route, and call ``done`` when it ends."""


class ServerParts(NamedTuple):
    """The parts of the server that a passage uses."""

    asker: Asker
    clock: Clock
    domains: Domains
    endpoint: Endpoint
    relaying: Relaying
    router: Router
    targets: Targets
    turns: Turns
    uas: Uas


class Passage:
    """
    One request in one route of the script; see :class:`reginfo.script.call.Call`.

    Reply and failure routes of the same request have passages of their own, created by
    :meth:`later`.
    """

    __slots__ = (
        "answered", "context", "decided", "flow", "on_failure", "on_reply", "publishes",
        "reason", "refusal", "relayed", "reply_headers", "request", "routes", "targets",
        "stale", "transaction", "var", "_hooks", "_server",
    )  # fmt: skip

    def __init__(
        self,
        server: ServerParts,
        hooks: Hooks,
        transaction: AnyServer,
        flow: Flow,
        routes: Route,
    ) -> None:
        self._server = server
        self._hooks = hooks
        self.transaction = transaction
        self.flow = flow
        self.routes = routes
        "The script when the request arrived: a request uses one version throughout."

        self.request = _copy(transaction.request)
        self.decided: tuple[str, list[str] | None, Decision] | None = None
        "The routing decision, with the Request-URI and the Route that it is based on."

        self.targets: list[Target] = []
        self.on_reply: str | None = None
        self.on_failure: str | None = None
        self.reply_headers: list[tuple[str, str]] = []
        self.answered = False
        self.relayed = False
        self.context: Context | None = None
        "The response context of the proxy, once the request was relayed."

        self.publishes = True
        self.refusal: Response | None = None
        self.reason = ""
        self.stale = False
        "Whether the last :meth:`authorize` found the right password for an old nonce."

        self.var: dict[str, str] = {}
        "Variables of the script; see :attr:`reginfo.script.functions.Functions.var`."

    def later(self) -> Passage:
        """Return a passage of the same request for a later route."""
        passage = Passage(
            self._server, self._hooks, self.transaction, self.flow, self.routes
        )
        passage.request = self.request
        passage.decided = self.decided
        passage.on_reply = self.on_reply
        passage.reply_headers = self.reply_headers
        passage.publishes = self.publishes
        passage.context = self.context
        passage.var = self.var
        return passage

    def decision(self) -> Decision:
        """
        Return the routing decision, made again if the script has changed its input.

        Raises:
            RemoteProtocolError: the Request-URI or the Route cannot be parsed.
        """
        request = self.request
        uri, route = request.uri, request.headers.get("Route")
        if self.decided is None or self.decided[:2] != (uri, route):
            decision = self._server.relaying.decide(request)
            self.decided = (uri, None if route is None else list(route), decision)
        return self.decided[2]

    @property
    def texts(self) -> frozenset[str]:
        """All strings that are written in the script."""
        return self.routes.texts

    # Called by a handler.

    def respond(self, response: Response) -> None:
        self._send(with_headers(response, self.reply_headers))

    def relay(self) -> bool:
        self._server.turns.wake()
        refusal = self._try(self._send_on)
        if refusal is not None:
            self.respond(refusal)
            return False
        self.relayed = True
        return True

    def save(self, table: str) -> int:
        server = self._server
        moment = server.turns.moment()
        saved = server.turns.response_of(
            self.request,
            self.flow,
            lambda: server.uas.register(
                self.request, self.flow, table, moment, self.publishes
            ),
        )
        if isinstance(saved, Response):
            self._respond(saved)
            return -1
        self._respond(saved.response)
        code = 4
        for claim in saved.claims:
            code = min(code, CODES.get(claim.event, 3))
        return code

    def lookup(self, table: str) -> int:
        server = self._server
        try:
            uri = self.decision().uri
            place = Place(table, server.domains.aor(uri))
        except RemoteProtocolError:
            return -1  # not the URI of a user
        found = server.targets.contacts(place, is_secure=uri.scheme == "sips")
        fitting = [one for one in found if one.takes(self.request.method)]
        if not fitting:
            return -2 if found else -1
        self.targets = [one.target for one in fitting]
        return 1

    def handle_subscribe(self) -> bool:
        server, tag = self._server, self.transaction.to_tag
        moment = server.turns.moment()
        return self._serve(
            lambda: server.uas.subscribe(self.request, self.flow, tag, moment)
        )

    def handle_publish(self) -> bool:
        server = self._server
        moment = server.turns.moment()
        return self._serve(lambda: server.uas.publish(self.request, self.flow, moment))

    def handle_notify(self, table: str) -> int:
        server = self._server
        server.turns.wake()
        if self.request.method != "NOTIFY":
            self.reason = f"{self.request.method} is not NOTIFY"
            return -1
        moment = server.turns.moment()
        self.refusal, self.reason = None, ""

        def notify() -> int:
            try:
                return server.uas.notify(self.request, self.flow, table, moment)
            except (Refusal, RemoteProtocolError) as exc:
                self._note(exc)
                raise

        outcome = self._try(notify)
        if isinstance(outcome, Response):
            self.refusal = outcome
            return -1
        return int(outcome)

    def authorize(self, realm: str, status: int) -> int:
        server = self._server
        now = server.turns.moment().now
        code = server.asker.authorize(self.request, self.flow, realm, status, now)
        self.stale = code == STALE
        return code

    def challenge(self, realm: str, status: int, qop: str) -> Response:
        server = self._server
        now = server.turns.moment().now
        refusal = server.asker.challenge(
            self.request, realm, status, qop=qop, now=now, stale=self.stale
        )
        return Response.of(refusal.status, refusal.reason, refusal.headers)

    def consume_credentials(self) -> bool:
        return self._server.asker.consume(self.request)

    def default(self) -> None:
        server = self._server
        server.turns.wake()
        self.relayed = True  # the server answers it, or relays it
        event = RequestReceived(self.transaction, self.flow)
        server.turns.answer(
            event,
            lambda event, moment: server.router.serve(
                event, self.request, self.decision(), moment
            ),
            server.turns.moment(),
        )

    # How.

    def _respond(self, response: Response) -> None:
        """Send a response that the server has made: it can be written."""
        if self.reply_headers:
            response = with_headers(response, self.reply_headers)
        self._send(response)

    def _send(self, response: Response) -> None:
        if self.context is None:
            self.transaction.respond(response)
        else:
            self._server.relaying.respond(self.transaction, self.context, response)
        self.answered = self.answered or response.status >= 200
        self._server.turns.wake()

    def _send_on(self) -> None:
        if self.context is None:
            self._relay()
        else:
            self._relay_again(self.context)

    def _relay(self) -> None:
        relaying = self._server.relaying
        self.context = relaying.relay(
            self.transaction,
            self.request,
            self.targets,
            decision=self.decision(),
            came_by=self.flow,
            on_reply=self._replied,
            on_failure=self._failed,
        )

    def _relay_again(self, context: Context) -> None:
        """Relay from a failure route, within the same response context."""
        targets = self.targets or [Target(self.decision().uri)]
        self._server.relaying.again(
            context,
            self.request,
            targets,
            on_reply=self._replied,
            on_failure=self._failed,
        )

    def _replied(self, response: Response) -> bool:
        return self._hooks.replied(self, response)

    def _failed(self, response: Response) -> bool:
        if self.on_failure is None:
            return False
        relaying = self._server.relaying
        # It may fail at once, before `relay` has returned.
        self.context = relaying.context_of(self.transaction)

        def done(later: Passage) -> None:
            if not later.answered and not later.relayed and later.context is not None:
                relaying.conclude(later.context, response)

        self._hooks.failed(self, response, done)
        return True

    def _serve(self, answer: Callable[[], Response]) -> bool:
        served: Response = self._try(answer)
        self._respond(served)
        return served.status < 300

    def _note(self, exc: Refusal | RemoteProtocolError) -> None:
        """Note the reason why a NOTIFY was refused, for the script and the log."""
        self.reason = str(exc)
        if not isinstance(exc, UnreadableDocument):
            logger.warning(
                "! reginfo_handle_notify: NOTIFY from %s:%d: %s", *self.flow.remote, exc
            )

    def _try(self, act: Callable[[], Any]) -> Any:
        """Return the result of ``act``; or a response, and undo its changes."""
        return self._server.turns.response_of(self.request, self.flow, act)


def with_headers(response: Response, headers: Sequence[tuple[str, str]]) -> Response:
    """
    Return a copy of a response with more header fields, so that the original can be
    reused.

    Raises:
        TypeError, ValueError: it cannot be written.
    """
    if not isinstance(response.body, bytes) or not isinstance(response.status, int):
        raise TypeError("a response needs an int as status, and bytes as body")
    # A received response has those of its own request.
    lines: Headers = {}
    _check_text(response.reason)
    for name, values in response.headers.items():
        if name not in PROTECTED:
            lines[name] = values
            _check_text(name)
            for value in values:
                _check_text(value)
    if not 100 <= response.status < 700:
        raise ValueError(f"not a SIP status code: {response.status}")
    for name, value in headers:
        lines[name] = [*lines.get(name, []), value]
    return Response(response.status, response.reason, lines, response.body)


def _check_text(text: str) -> None:
    if "\n" in text or "\r" in text or "\0" in text:
        raise ValueError(f"no response can be made of {text!r}")
    if not text.isascii():
        text.encode("utf-8", "surrogateescape")


def _copy(request: Request) -> Request:
    """Return a copy whose headers can be changed without changing the request."""
    copy = Request(request.method, request.uri)
    copy.headers = dict(request.headers)
    copy.body = request.body
    copy.take_parsed(request)
    return copy
