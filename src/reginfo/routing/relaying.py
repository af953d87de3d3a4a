"""Requests that are sent on: the proxy, the location service and the script at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..config.sections import ProxySection
from ..ledger.journal import Journal
from ..ledger.part import Description, Here, Moment
from ..script.message import Message
from ..sip.endpoint import (
    AckReceived,
    Cancelled,
    Endpoint,
    RequestReceived,
    ResponseLost,
)
from ..sip.errors import Refusal
from ..sip.flow import Flow
from ..sip.message import Request, Response
from ..sip.token import Tokens
from ..sip.uri import Uri
from .context import OnReply
from .domains import Domains
from .proxy import Proxy
from .service_routes import ServiceRoutes
from .target import Target
from .targets import Targets

if TYPE_CHECKING:
    from ..server.scripting import Scripting


class Relaying:
    """
    Sends requests to users of ours, and to whom they name.

    Args:
        is_open: whether the stream of a flow is there still.
        hides: whether who came from a host is not reached by the URI of its contact.
        secret: with which names of flows are made that nobody else can make.
        now: seconds on the clock.
        table: the location table in which users are looked up without a script.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        journal: Journal,
        targets: Targets,
        *,
        domains: Domains,
        service_routes: ServiceRoutes,
        proxy: ProxySection,
        is_open: Callable[[Flow], bool],
        hides: Callable[[Uri, str], bool],
        secret: bytes,
        new_id: Callable[[], str],
        now: Callable[[], float],
        table: str,
    ) -> None:
        self._endpoint = endpoint
        self._targets = targets
        self._domains = domains
        self._service_routes = service_routes
        self._table = table
        self.proxy = Proxy(
            endpoint,
            journal,
            find=targets.find,
            flow=targets.by,
            is_ours=domains.is_ours,
            is_open=is_open,
            hides=hides,
            tokens=Tokens(secret),
            record_route=proxy.record_route,
            timer_c=proxy.timer_c,
            new_id=new_id,
            now=now,
        )

    @property
    def shelves(self) -> tuple[()]:
        """Nothing: a request that is being forwarded does not outlive the process."""
        return ()

    def begin(self, here: Here, moment: Moment) -> None:
        """Set the addresses that we listen at, and how URIs are resolved."""
        self._domains.begin(here.locals)
        self._targets.begin(here.locals, here.names)

    def leads_on(self, request: Request) -> bool:
        """
        Whether the Route of a request leads to somebody else, or has led it here.

        A Route of ours alone, and a Request-URI of ours, are what a phone sends that
        has us for its outbound proxy.
        """
        routed = self.proxy.preprocess(request)
        if routed.route or self.proxy.way(routed) is not None:
            return True
        return routed.loose and not self._domains.is_ours(Uri.parse(routed.uri))

    def serves(self, uri: Uri) -> bool:
        """Whether a URI is of a user of ours, in whatever domain."""
        return self._targets.served(uri) is not None

    # With a script, and without.

    def default(self, event: RequestReceived, request: Request) -> None:
        """
        Send a request to the contacts of the user that it is for, or on its way.

        Raises:
            Refusal, RemoteProtocolError: it is not sent.
        """
        targets = self._looked_up(request)
        if not targets and (route := self._service_routes.of(request)):
            if not self.proxy.preprocess(request).route:
                targets = [Target(Uri.parse(request.uri), route=route)]
        self.proxy.relay(
            event.transaction,
            request,
            targets,
            source=event.source,
            on_reply=self._learning(request, None),
        )

    def relay(self, msg: Message, script: Scripting) -> None:
        """
        Send a message of a script to its targets.

        Raises:
            Refusal, RemoteProtocolError: it is not sent.
        """

        def replied(response: Response) -> bool:
            return script.replied(msg, response)

        on_reply = self._learning(msg.request, replied)
        if msg.context is not None:
            # In a failure route: the request goes on being the one that it was.
            msg.context.request = msg.request
            msg.context.on_reply = on_reply
            msg.context.on_failure = self._failure(msg, script)
            if not self.proxy.again(msg.context, msg.targets or [Target(msg.uri)]):
                raise Refusal(430, "Flow Failed")
            return
        msg.context = self.proxy.relay(
            msg.transaction,
            msg.request,
            msg.targets,
            source=msg.source,
            on_reply=on_reply,
            on_failure=self._failure(msg, script),
        )

    def respond(self, msg: Message, response: Response) -> None:
        """Answer a message of a script."""
        if msg.context is not None:
            self.proxy.respond(msg.context, response)
        else:
            self._endpoint.respond(msg.transaction, response)

    # What comes in.

    def receive(self, event: AckReceived | Cancelled | ResponseLost) -> None:
        """Take in what has to do with requests that were sent on."""
        if isinstance(event, AckReceived):
            self.proxy.receive_ack(event.request, event.flow)
        elif isinstance(event, ResponseLost):
            self.proxy.receive_lost(event.data, event.via)
        elif not self.proxy.receive_cancel(event.transaction):
            # §9.2: it is with a handler that waits, which will find it answered.
            self._endpoint.respond(
                event.transaction, Response(487, "Request Terminated")
            )

    @property
    def timer_at(self) -> float | None:
        return self.proxy.timer_at

    def timer_due(self, moment: Moment) -> None:
        """Cancel what rings for too long; send 100 for what takes long (Timer C)."""
        self.proxy.timer_due(moment.now)

    def hears(self, change: object) -> None:
        """Ignore it: targets are looked up when they are needed."""

    def undone(self, moment: Moment) -> None:
        """Do nothing: what is forwarded is not in the journal."""

    def describe(self) -> Description:
        """Describe how many requests are being forwarded."""
        count = len(self.proxy)
        line = f"{count} requests being forwarded"
        return Description("proxy", line, {"forwarding": count})

    # How.

    def _learning(self, request: Request, then: OnReply | None) -> OnReply | None:
        """What is done with replies, and before that what a REGISTER's teach."""
        if request.method != "REGISTER":
            return then

        def replied(response: Response) -> bool:
            self._service_routes.learn(request, response)
            return then is None or then(response)

        return replied

    def _failure(self, msg: Message, script: Scripting) -> Callable[[Response], bool]:
        def failed(response: Response) -> bool:
            if msg.on_failure is None:
                return False
            # It may have failed at once, and :meth:`Proxy.relay` not have returned yet.
            msg.context = self.proxy.context_of(msg.transaction)
            script.failed(msg, response, done)
            return True

        def done(view: Message, response: Response) -> None:
            if not view.answered and not view.relayed and view.context is not None:
                self.proxy.conclude(view.context, response)

        return failed

    def _looked_up(self, request: Request) -> list[Target]:
        """
        The targets of a request without a script (§16.5): none to follow its URI.

        Raises:
            Refusal: 480 or 404, nobody is there.
        """
        if "Route" in request.headers and self.leads_on(request):
            return []
        aor = self._targets.served(Uri.parse(request.uri))
        if aor is None:
            return []
        found = self._targets.contacts(aor, self._table)
        if not found:
            if self._targets.knows(aor, self._table):
                raise Refusal(480, "Temporarily Unavailable")
            raise Refusal(404, "Not Found")
        fitting = [one.target for one in found if one.takes(request.method)]
        if not fitting:
            raise Refusal(405, "Method Not Allowed")
        return fitting
