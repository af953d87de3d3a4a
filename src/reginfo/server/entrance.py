"""
The entry point of events: passes requests to script or router, responses to users.
"""

from __future__ import annotations

import logging

from ..ledger.turn import Turns
from ..routing.relaying import Relaying
from ..routing.targets import Targets
from ..sip.event import (
    EndpointEvent,
    RequestFailed,
    RequestReceived,
    ResponseReceived,
)
from ..sip.flow import Flow
from ..sip.message import Request, Response
from ..sip.moment import Moment
from ..sip.validation import VALIDATED_FOR
from .gate import Gate
from .peers import Peers
from .router import Router
from .scripting import Scripting

logger = logging.getLogger("reginfo.server")


ASSERTED = ("P-Asserted-Identity", "P-Associated-URI")
"""Header fields that are believed of trusted peers alone."""


class Entrance:
    """Passes each request to the script, if it has a route for it, or to the router."""

    def __init__(
        self,
        turns: Turns,
        *,
        relaying: Relaying,
        targets: Targets,
        router: Router,
        peers: Peers,
    ) -> None:
        self._turns = turns
        self._relaying = relaying
        self._targets = targets
        self._router = router
        self.script: Scripting | None = None
        self.peers = peers
        self.gate: Gate | None = None
        "Asks for passwords; None if everybody may be anybody."

    def handle(self, event: EndpointEvent, moment: Moment) -> None:
        """Handle a request; pass a response or failure to the user of its request."""
        if type(event) is RequestReceived:
            self._turns.answer(event, self._received, moment)
            return
        attempt = self._turns.attempt()
        try:
            self._hand_over(event, moment)
        except Exception:
            attempt.take_back()
            # A bug must not stop the service for others.
            logger.exception("! %s", type(event).__name__)

    def _received(self, event: RequestReceived, moment: Moment) -> Response | None:
        """Make the routing decision, once, and have the request handled."""
        request, script = event.transaction.request, self.script
        headers = request.headers
        if "P-Asserted-Identity" in headers or "P-Associated-URI" in headers:
            self._distrust(request, event.flow)
        decision = self._relaying.decide(request)
        if self.gate is not None and self.gate.check(
            request, event.flow, decision, moment.now
        ):
            self._turns.prove(event.flow, moment.now + VALIDATED_FOR)
        if script is not None and script.takes(request, event.flow, decision):
            script.receive(event, decision)
            return None
        return self._router.serve(event, request, decision, moment)

    def _distrust(self, request: Request, flow: Flow) -> None:
        """
        Remove what only a trusted peer may say about who somebody is (RFC 3325 §5).

        Raises:
            RemoteProtocolError: From cannot be parsed.
        """
        peer = self.peers.sender(request, flow)
        if peer is None or not peer.trusted:
            for name in ASSERTED:
                request.headers.pop(name, None)

    def _hand_over(self, event: EndpointEvent, moment: Moment) -> None:
        if isinstance(event, ResponseReceived):
            self._targets.answered(event.transaction, event.response)
            event.transaction.user.receive_response(event.response, moment)
        elif isinstance(event, RequestFailed):
            self._targets.failed(event.transaction)
            event.transaction.user.receive_failure(event.cause, moment)
        elif not isinstance(event, RequestReceived):
            self._relaying.receive(event)
