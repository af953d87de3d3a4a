"""Relays requests: makes the decision, finds the targets, calls the proxy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ..config.sections import ProxySection
from ..ledger.journal import Journal
from ..ledger.part import Description, Here, Moment
from ..location.place import Aor, Place
from ..sip.endpoint import Endpoint
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.event import AckReceived, AnyServer, Cancelled, RequestReceived, ResponseLost
from ..sip.flow import Flow
from ..sip.message import Request, Response
from ..sip.token import Tokens
from ..sip.uri import Uri
from .context import Context, OnFailure, OnReply
from .decision import Decider, Decision, Onward, UserOf
from .domains import Domains
from .forwarding import Forwarding
from .proxy import Proxy
from .service_routes import ServiceRoutes
from .stateless import StatelessProxy
from .target import Target
from .targets import Targets

logger = logging.getLogger("reginfo.proxy")


class Relaying:
    """
    Relays requests to users of this server, and to other domains.

    Args:
        is_open: whether the connection of a flow is open.
        needs_flow: whether a URI is reachable only by the flow of its message; see
            :meth:`reginfo.routing.nat.Nat.needs_flow`.
        secret: the key of the flow tokens in our URIs.
        now: returns the seconds on the clock.
        table: the location table for lookups without a script.
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
        needs_flow: Callable[[Uri, Flow], bool],
        secret: bytes,
        new_id: Callable[[], str],
        now: Callable[[], float],
        table: str,
    ) -> None:
        self._endpoint = endpoint
        self._domains = domains
        self._targets = targets
        self._service_routes = service_routes
        self._table = table
        self.tokens = tokens = Tokens(secret)
        "Names flows in URIs of ours."

        decider = Decider(
            domains,
            tokens,
            served=targets.served,
            is_open=is_open,
            needs_flow=needs_flow,
        )
        self.decide: Callable[[Request], Decision] = decider.decide
        "Makes the routing decision; see :meth:`Decider.decide`."

        self._forwarding = forwarding = Forwarding(
            is_ours=domains.is_ours,
            needs_flow=needs_flow,
            tokens=tokens,
            record_route=proxy.record_route,
        )
        self.proxy = Proxy(
            endpoint,
            journal,
            forwarding,
            find=targets.find,
            flow=targets.by,
            is_ours=domains.is_ours,
            is_open=is_open,
            timer_c=proxy.timer_c,
            max_branches=proxy.max_branches,
            new_id=new_id,
            now=now,
        )
        self._stateless = StatelessProxy(
            endpoint,
            forwarding,
            find=targets.find,
            flow=targets.by,
            is_ours=domains.is_ours,
            is_open=is_open,
            new_id=new_id,
        )

    @property
    def shelves(self) -> tuple[()]:
        """No rows: a request that is being forwarded does not survive a restart."""
        return ()

    def begin(self, here: Here, moment: Moment) -> None:
        """Set the listening addresses, and the resolver."""
        self._domains.begin(here.locals)
        self.tokens.begin(here.locals)
        self._targets.begin(here.locals, here.names)

    def knows(self, aor: Aor) -> bool:
        """Whether there is a record of a user."""
        return self._targets.knows(Place(self._table, aor))

    # Requests.

    def default(
        self, event: RequestReceived, request: Request, decision: Decision
    ) -> None:
        """
        Relay a request as without a script.

        Raises:
            Refusal, RemoteProtocolError: it is not relayed.
        """
        targets: list[Target] = []
        if isinstance(decision, UserOf):
            # A request is validated (§16.3) before its targets are determined (§16.5).
            self._forwarding.check(request)
            targets = self._contacts(request, decision)
        elif not decision.route and (route := self._service_routes.of(request)):
            targets = [Target(decision.uri, route=route)]
        self.relay(
            event.transaction, request, targets, decision=decision, came_by=event.flow
        )

    def relay(
        self,
        transaction: AnyServer,
        request: Request,
        targets: Sequence[Target],
        *,
        decision: Decision,
        came_by: Flow,
        on_reply: OnReply | None = None,
        on_failure: OnFailure | None = None,
    ) -> Context:
        """
        Relay a request to ``targets``, or by ``decision`` if there are none.

        Raises:
            Refusal, RemoteProtocolError: it is not relayed.
        """
        return self.proxy.relay(
            transaction,
            request,
            targets,
            decision=decision,
            came_by=came_by,
            on_reply=self._learning(request, on_reply),
            on_failure=on_failure,
        )

    def again(
        self,
        context: Context,
        request: Request,
        targets: Sequence[Target],
        *,
        on_reply: OnReply,
        on_failure: OnFailure,
    ) -> None:
        """
        Relay a request whose branches have all failed to other targets.

        Raises:
            Refusal: it cannot be relayed.
        """
        context.request = request
        context.on_reply = self._learning(request, on_reply)
        context.on_failure = on_failure
        self.proxy.again(context, targets)

    def context_of(self, transaction: AnyServer) -> Context | None:
        """Return the response context of a relayed request, until it is answered."""
        return self.proxy.context_of(transaction)

    def conclude(self, context: Context, response: Response) -> None:
        """Forward a final response, and try no other target."""
        self.proxy.conclude(context, response)

    def respond(
        self, transaction: AnyServer, context: Context | None, response: Response
    ) -> None:
        """Answer a request that may have been relayed."""
        if context is not None:
            self.proxy.respond(context, response)
        else:
            self._endpoint.respond(transaction, response)

    # Events.

    def receive(self, event: AckReceived | Cancelled | ResponseLost) -> None:
        """Process an event of a relayed request."""
        if isinstance(event, AckReceived):
            self._receive_ack(event.request, event.flow)
        elif isinstance(event, ResponseLost):
            self._stateless.receive_lost(event.data, event.via)
        elif not self.proxy.receive_cancel(event.transaction):
            # §9.2: its handler is still waiting, and will find it answered.
            self._endpoint.respond(
                event.transaction, Response(487, "Request Terminated")
            )

    @property
    def timer_at(self) -> float | None:
        return self.proxy.timer_at

    def timer_due(self, moment: Moment) -> None:
        """Cancel INVITEs that ring too long (Timer C); send 100 for slow requests."""
        self.proxy.timer_due(moment.now)

    def undone(self, moment: Moment) -> None:
        """Do nothing: forwarded requests are not in the journal."""

    def describe(self) -> Description:
        """Describe the number of requests being forwarded."""
        count = len(self.proxy)
        line = f"requests being forwarded: {count}"
        return Description("proxy", line, {"forwarding": count})

    # How.

    def _receive_ack(self, request: Request, flow: Flow) -> None:
        """Relay the ACK of a 2xx (§16.11): it has no response, so errors are logged."""
        try:
            decision = self.decide(request)
            targets: list[Target] = []
            if isinstance(decision, UserOf):
                # The Contact of the callee is one of our URIs: all of its contacts get
                # the ACK, and those that are not in the dialog ignore it.
                found = self._targets.contacts(Place(self._table, decision.aor))
                targets = [one.target for one in found]
            elif isinstance(decision, Onward):
                if self.tokens.dialog_key is not None and not decision.in_dialog:
                    # It has no challenge, so it shows what it belongs to instead.
                    raise Refusal(403, "Relaying Denied")
                targets = [Target(decision.uri, flow=decision.flow)]
            self._stateless.relay_ack(request, targets, decision.route)
        except (Refusal, RemoteProtocolError) as exc:
            logger.debug("! ACK from %s:%d: %s", *flow.remote, exc)

    def _learning(self, request: Request, then: OnReply | None) -> OnReply | None:
        """Wrap ``then``, to learn from the response to a REGISTER first."""
        if request.method != "REGISTER":
            return then

        def replied(response: Response) -> bool:
            self._service_routes.learn(request, response)
            return then is None or then(response)

        return replied

    def _contacts(self, request: Request, user: UserOf) -> list[Target]:
        """
        Return the targets of a request to a user of this server, without a script
        (§16.5).

        Raises:
            Refusal: 404 or 480 if there are none; 405 if none supports the method.
        """
        place = Place(self._table, user.aor)
        is_secure = user.uri.scheme == "sips"
        found = self._targets.contacts(place, is_secure=is_secure)
        if not found:
            if is_secure and self._targets.contacts(place):
                warning = [("Warning", '380 reginfo "SIPS Not Allowed"')]
                raise Refusal(480, "Temporarily Unavailable", headers=warning)
            if self._targets.knows(place):
                raise Refusal(480, "Temporarily Unavailable")
            raise Refusal(404, "Not Found")
        fitting = [one.target for one in found if one.takes(request.method)]
        if not fitting:
            raise Refusal(405, "Method Not Allowed")
        return fitting
