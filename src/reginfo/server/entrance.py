"""Where requests come in: to the script, or to what the server does without one."""

from __future__ import annotations

from ..routing.decision import Decision
from ..routing.relaying import Relaying
from ..sip.endpoint import Endpoint
from ..sip.event import RequestReceived
from ..sip.flow import Flow
from ..sip.responding import refused
from .router import Router
from .scripting import Scripting


class Entrance:
    """Gives each request to the script, if it has a route for it, or to the router."""

    def __init__(
        self, endpoint: Endpoint, *, relaying: Relaying, router: Router
    ) -> None:
        self._endpoint = endpoint
        self._relaying = relaying
        self._router = router
        self.script: Scripting | None = None

    def receive(self, event: RequestReceived, now: float) -> None:
        """Decide where a request goes, once, and have it handled."""
        request, script = event.request, self.script
        flow = Flow(event.transaction.flow.local, event.source)
        try:
            decision: Decision = self._relaying.decide(request)
            taken = script is not None and script.takes(request, flow, decision)
        except Exception as exc:
            self._endpoint.respond(event.transaction, refused(request, flow, exc))
            return
        if taken:
            assert script is not None
            script.receive(event, decision)
        else:
            self._router.dispatch(event, request, lambda: decision, now)
