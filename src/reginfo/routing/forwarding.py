"""The checks and changes of a proxy in any request (RFC 3261 §16.3, §16.6)."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2s

from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.flow import Flow, Local
from ..sip.headers import MAGIC_COOKIE, cached_name_addr, number, parse_via
from ..sip.message import Headers, Request, request_uri
from ..sip.route import DIALOG, SUBSCRIPTION
from ..sip.token import Tokens
from ..sip.uri import Uri
from .decision import Decision

MAX_FORWARDS = 70
"""Max-Forwards of a request that has none (§16.6 step 3)."""

MAX_BREADTH = 60
"""Max-Breadth of a request that has none (RFC 5393 §5.3.3)."""

DIALOGS = frozenset({"INVITE", "REFER", "SUBSCRIBE"})
"""The dialog-forming methods, whose later requests follow the Record-Route."""

SUBSCRIBING = frozenset({"REFER", "SUBSCRIBE"})
"""Those followed by NOTIFYs, which are record-routed themselves."""


class Forwarding:
    """
    Checks requests before they are forwarded, and writes the headers of a proxy.

    Args:
        is_ours: whether a URI leads to this server, whatever its user part.
        needs_flow: whether a URI is reachable only by the flow of its message.
        tokens: writes the tokens of flows for later requests.
        record_route: whether later requests of a dialog should pass through this
            server.
    """

    def __init__(
        self,
        *,
        is_ours: Callable[[Uri], bool],
        needs_flow: Callable[[Uri, Flow], bool],
        tokens: Tokens,
        record_route: bool,
    ) -> None:
        self._is_ours = is_ours
        self._needs_flow = needs_flow
        self._tokens = tokens
        self._record_route = record_route

    def check(self, request: Request) -> int:
        """
        Check whether a request may be forwarded (§16.3).

        Returns:
            The maximum number of simultaneous branches (RFC 5393 §5.3.3).

        Raises:
            Refusal, RemoteProtocolError: it may not be forwarded.
        """
        if request_uri(request).scheme not in ("sip", "sips", "tel"):
            raise Refusal(416, "Unsupported URI Scheme")
        if request.max_forwards == 0:
            raise Refusal(483, "Too Many Hops")
        for values in request.headers.values():
            if any("\r" in value for value in values):
                # A receiver that ends a line there would see another header.
                raise RemoteProtocolError("a line break in a header")
        if self._loops(request):
            raise Refusal(482, "Loop Detected")
        required = request.values("Proxy-Require")
        if required:
            unsupported = [("Unsupported", ", ".join(required))]
            raise Refusal(420, "Bad Extension", headers=unsupported)
        breadth = request.header("Max-Breadth")
        if breadth is None:
            return MAX_BREADTH
        found = number(breadth, MAX_BREADTH)
        if found is None:
            raise RemoteProtocolError("malformed Max-Breadth")
        if found == 0:
            raise Refusal(440, "Max-Breadth Exceeded")
        return found

    def headers(
        self, request: Request, vias: list[str], route: tuple[str, ...]
    ) -> Headers:
        """Return the headers of a forwarded request (§16.6 steps 3 to 6)."""
        headers = dict(request.headers)
        headers["Via"] = vias
        headers.pop("Route", None)
        if route:
            headers["Route"] = [", ".join(route)]
        hops = request.max_forwards
        headers["Max-Forwards"] = [str(MAX_FORWARDS if hops is None else hops - 1)]
        return headers

    def records(self, request: Request, decision: Decision) -> bool:
        """
        Whether a request is record-routed.

        A NOTIFY is record-routed if and only if its SUBSCRIBE was (RFC 6665 §4.3).
        """
        if not self._record_route:
            return False
        if request.method == "NOTIFY":
            return decision.is_subscription
        return request.method in DIALOGS and not request.to.tag

    def record(
        self, request: Request, came_by: Flow, local: Local, flow: Flow | None
    ) -> list[str]:
        """
        Return our Record-Route values: one, or two that differ (RFC 5658 §3).

        Args:
            request: the request as received.
            local: the local address that it is sent from.
            flow: the only flow that reaches its target; None to follow its URI.
        """
        mark = f";{SUBSCRIPTION}" if request.method in SUBSCRIBING else ""
        if dialog := self._tokens.mark(request.call_id):
            mark += f";{DIALOG}={dialog}"
        onward = self._uri(local, flow, mark)
        back = self._uri(came_by.local, self.caller_flow(request, came_by), mark)
        return [onward] if onward == back else [onward, back]

    def path(self, request: Request, came_by: Flow, local: Local) -> str:
        """
        Return our Path value, so that requests to the user pass here (RFC 3327 §5.1).
        """
        return self._uri(local, self.caller_flow(request, came_by), "")

    def caller_flow(self, request: Request, came_by: Flow) -> Flow | None:
        """
        Return the only flow that reaches the caller; None to follow its Contact.

        A caller on a connection is reached by it as long as it is open, whatever the
        Contact says.
        """
        if len(request.values("Via")) > 1:
            return None  # it came by another proxy, whose URI can be reached
        for value in request.values("Contact"):
            try:
                uri = cached_name_addr(value).parsed
            except RemoteProtocolError:
                continue  # `*`, or not a valid target
            if came_by.local.is_reliable or self._needs_flow(uri, came_by):
                return came_by
        return None

    def _uri(self, local: Local, flow: Flow | None, mark: str) -> str:
        """Return our URI in brackets, with a token for ``flow``."""
        if flow is None:
            return f"<{local.uri};lr{mark}>"
        scheme, _, rest = local.uri.partition(":")
        return f"<{scheme}:{self._tokens.write(flow)}@{rest};lr{mark}>"

    def _loops(self, request: Request) -> bool:
        """
        Whether a request has passed here before, without a change since.

        §16.3 step 4, RFC 5393 §4.2: our branches contain a hash of the routing inputs.
        """
        mark = loop_mark(request)
        for value in request.values("Via"):
            _, dot, known = value.partition(";branch=" + MAGIC_COOKIE)[2].partition(".")
            if dot and known.partition(";")[0] == mark:
                via = parse_via(value)
                if self._is_ours(Uri.parse(f"sip:{via.sent_by}")):
                    return True
        return False


def loop_mark(request: Request) -> str:
    """
    Return a hash of the inputs of the routing decision.

    It distinguishes a loop from a spiral: §16.6 step 8, without the topmost Via (RFC
    5393 §4.2).
    """
    digest = blake2s(digest_size=8)
    parts = [
        request.uri, request.from_.tag, request.to.tag, request.call_id,
        str(request.cseq.number),
    ]  # fmt: skip
    for name in ("Route", "Proxy-Require", "Proxy-Authorization"):
        parts += request.headers.get(name, ())
    for part in parts:
        digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()
