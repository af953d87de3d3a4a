"""Where a request goes that comes in: to us, to the script, or on to somebody else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ..ledger.journal import Journal, Mark
from ..routing.domains import Domains
from ..routing.relaying import Relaying
from ..script.message import Message
from ..sip.endpoint import Endpoint, RequestReceived
from ..sip.errors import Refusal
from ..sip.flow import Flow, Local
from ..sip.message import Request, Response, request_uri
from ..sip.responding import refused
from .uas import METHODS, Uas

if TYPE_CHECKING:
    from .scripting import Scripting

ALLOW = [("Allow", ", ".join(METHODS))]


class Router:
    """
    Has each request answered, or sent on.

    Args:
        relay: whose requests to other domains are sent on; see `[proxy] relay`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        journal: Journal,
        *,
        uas: Uas,
        domains: Domains,
        relaying: Relaying,
        relay: str,
    ) -> None:
        self._endpoint = endpoint
        self._journal = journal
        self._uas = uas
        self._domains = domains
        self._relaying = relaying
        self._relay = relay
        self._addresses: frozenset[str] = frozenset()
        self.script: Scripting | None = None

    def begin(self, addresses: frozenset[str]) -> None:
        """Take it that ``addresses`` are hosts of ours, as they stand in URIs."""
        self._addresses = addresses

    def receive(self, event: RequestReceived, now: float) -> None:
        """Answer a request, or send it on."""
        request = event.request
        script = self.script
        if script is not None:
            flow = Flow(event.transaction.flow.local, event.source)
            if script.takes(request, flow):
                script.receive(event)
                return
        self._dispatch(event, request, now)

    def default(self, msg: Message, now: float) -> None:
        """The same for a request that has passed the script, and may have changed."""
        event = RequestReceived(msg.transaction, msg.source)
        self._dispatch(event, msg.request, now)

    def _dispatch(self, event: RequestReceived, request: Request, now: float) -> None:
        handler = self._uas.handlers.get(request.method)
        try:
            for_us = handler is not None and self._is_for_us(request)
        except Exception as exc:
            flow = Flow(event.transaction.flow.local, event.source)
            self._endpoint.respond(event.transaction, refused(request, flow, exc))
            return
        if for_us:
            assert handler is not None
            self.answer(event, handler, now)
        else:
            self._send_on(event, request)

    def answer(
        self,
        event: RequestReceived,
        handler: Callable[[RequestReceived, float], Response],
        now: float,
    ) -> None:
        """The one place where an error becomes a response, and nothing has changed."""
        transaction = event.transaction
        if self._endpoint.is_merged(transaction):
            # §8.2.2.2: the same request by two ways is served once.
            self._endpoint.respond(transaction, Response(482, "Loop Detected"))
            return
        mark: tuple[Mark, int] = (self._journal.mark(), self._endpoint.mark())
        try:
            response = handler(event, now)
        except Exception as exc:
            self._journal.roll_back(mark[0])
            self._endpoint.roll_back(mark[1])
            flow = Flow(transaction.flow.local, event.source)
            response = refused(event.request, flow, exc)
        self._endpoint.respond(transaction, response)

    def _is_for_us(self, request: Request) -> bool:
        """Whether a request, of a method that we answer, is answered here."""
        method = request.method
        uri = request_uri(request)
        if "Route" in request.headers and self._relaying.leads_on(request):
            return False
        if method == "NOTIFY":
            return True  # it belongs to a subscription of ours, or is refused
        # Nearly all are for a domain by its name: then nothing more is to be asked.
        by_name = uri.port is None and uri.host in self._domains
        if not by_name and not self._relaying.serves(uri):
            return not self._may_pass(request)
        # §11: who asks a user what it can do is answered by that user's phone.
        return method != "OPTIONS" or not uri.user or uri.host in self._addresses

    def _may_pass(self, request: Request) -> bool:
        """Whether a request to another domain is sent on."""
        if self._relay == "ours":
            return request.from_.parsed.host in self._domains
        return self._relay == "all"

    def _send_on(self, event: RequestReceived, request: Request) -> None:
        transaction = event.transaction
        flow = Flow(transaction.flow.local, event.source)
        try:
            uri = request_uri(request)
            if "Route" in request.headers and self._relaying.leads_on(request):
                pass  # §16.4: whoever has been called by way of us goes on that way
            elif self._relaying.serves(uri):
                if not uri.user and uri.scheme != "tel":
                    raise Refusal(405, "Method Not Allowed", headers=ALLOW)
            elif not self._may_pass(request):
                raise Refusal(403, "Relaying Denied")
            self._relaying.default(event, request)
        except Exception as exc:
            self._endpoint.respond(transaction, refused(request, flow, exc))


def addresses_of(locals: Iterable[Local]) -> frozenset[str]:
    """The hosts of our addresses, as they stand in a URI."""
    return frozenset(local.sent_by.rpartition(":")[0] for local in locals)
