"""Answers a request, or relays it (RFC 3261 §16.3 to §16.5)."""

from __future__ import annotations

from ..routing.decision import Decision, Onward, Ours, UserOf
from ..routing.domains import Domains
from ..routing.relaying import Relaying
from ..sip.endpoint import Endpoint
from ..sip.errors import Refusal
from ..sip.event import RequestReceived
from ..sip.message import Request, Response
from ..sip.moment import Moment
from .uas import METHODS, Uas

ALLOW = [("Allow", ", ".join(METHODS))]


class Router:
    """
    Has each request answered by this server, or relayed.

    Args:
        relay: who may send requests to other domains; see `[proxy] relay`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        uas: Uas,
        domains: Domains,
        relaying: Relaying,
        relay: str,
    ) -> None:
        self._endpoint = endpoint
        self._uas = uas
        self._domains = domains
        self._relaying = relaying
        self._relay = relay

    def serve(
        self,
        event: RequestReceived,
        request: Request,
        decision: Decision,
        moment: Moment,
    ) -> Response | None:
        """
        Answer a request, or relay it, as without a script.

        Args:
            request: the request, with the changes of the script.
            decision: the routing decision for it.

        Returns:
            The response; None if the request was relayed.

        Raises:
            Refusal, RemoteProtocolError: it is refused.
        """
        handler = self._uas.handlers.get(request.method)
        if handler is None or not (
            type(decision) is Ours or self._is_for_us(event, request, decision)
        ):
            self._relay_on(event, request, decision)
            return None
        transaction = event.transaction
        if transaction.merged is None and self._endpoint.is_merged(transaction):
            # §8.2.2.2: a request that arrives by two paths is processed once.
            return Response(482, "Loop Detected")
        return handler(event, moment)

    def _is_for_us(
        self, event: RequestReceived, request: Request, decision: Decision
    ) -> bool:
        """Whether a request with a method that we support is answered here."""
        method = request.method
        if decision.in_path:
            return False
        if method == "NOTIFY":
            return not self._is_for_a_phone(event, decision)
        if isinstance(decision, Onward):
            # A stranger gets our usual answer to such a request.
            return not self._may_pass(request)
        # §11: the user's phone answers OPTIONS to a user.
        uri = decision.uri
        return method != "OPTIONS" or self._domains.is_address(uri.host)

    def _is_for_a_phone(self, event: RequestReceived, decision: Decision) -> bool:
        """
        Whether a NOTIFY is for a subscription of a phone, and not of this server.

        Any other NOTIFY is for this server, which may refuse it.
        """
        request = event.request
        if not isinstance(decision, UserOf) or not request.to.tag:
            return False
        return self._relaying.knows(decision.aor) and not self._uas.expects(
            request, event.flow
        )

    def _may_pass(self, request: Request) -> bool:
        """Whether a request to another domain is relayed."""
        if self._relay == "ours":
            return request.from_.parsed.host in self._domains
        return self._relay == "all"

    def _relay_on(
        self, event: RequestReceived, request: Request, decision: Decision
    ) -> None:
        """
        Relay a request, if this is allowed.

        Raises:
            Refusal, RemoteProtocolError: it is not relayed.
        """
        if type(decision) is Ours:
            raise Refusal(405, "Method Not Allowed", headers=ALLOW)
        # §16.4: later requests of a dialog that began through us pass through us.
        is_onward = isinstance(decision, Onward) and not decision.in_path
        if is_onward and not self._may_pass(request):
            raise Refusal(403, "Relaying Denied")
        self._relaying.default(event, request, decision)
