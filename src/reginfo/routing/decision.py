"""Where a request goes, decided once by Request-URI and Route (RFC 3261 §16.4)."""

from __future__ import annotations

from collections.abc import Callable

from ..location.place import Aor
from ..sip.flow import Flow
from ..sip.message import Request, request_uri
from ..sip.route import preprocess
from ..sip.token import Tokens
from ..sip.uri import Uri
from ..sip.value import Value
from .domains import Domains


class Ours(Value, frozen=True):
    """The request is for this server itself: its Request-URI names no user."""

    uri: Uri

    @property
    def route(self) -> tuple[str, ...]:
        return ()

    @property
    def in_path(self) -> bool:
        return False

    @property
    def is_subscription(self) -> bool:
        return False


class UserOf(Value, frozen=True):
    """The request is for a user of ours, whose contacts are its targets."""

    uri: Uri

    aor: Aor
    "The address-of-record, as records have it."

    is_subscription: bool = False
    "Whether its Route is our Record-Route of a SUBSCRIBE."

    @property
    def route(self) -> tuple[str, ...]:
        return ()

    @property
    def in_path(self) -> bool:
        return False


class Onward(Value, frozen=True):
    """The request is for somebody else, or is led there by its Route."""

    uri: Uri
    "Its Request-URI, once what has led here is taken off."

    route: tuple[str, ...]
    "The Route that is left, topmost first."

    flow: Flow | None
    "The flow that our own Route names (RFC 5626 §5.3.1)."

    in_path: bool
    """
    Whether a Route has led it here, or leads it on: we are in the path of its dialog,
    or are the sender's outbound proxy, and nobody needs a permission to pass.
    """

    is_subscription: bool = False
    "Whether its Route is our Record-Route of a SUBSCRIBE."


Decision = Ours | UserOf | Onward


class Decider:
    """
    Decides where requests go.

    Args:
        served: returns the address-of-record that a URI names, if it is of a user of
            ours, in whatever domain.
        is_open: whether the stream of a flow is open.
        needs_flow: whether a URI is reached only by the flow it was heard on; see
            :meth:`reginfo.routing.nat.Nat.needs_flow`.
    """

    def __init__(
        self,
        domains: Domains,
        tokens: Tokens,
        *,
        served: Callable[[Uri], Aor | None],
        is_open: Callable[[Flow], bool],
        needs_flow: Callable[[Uri, str], bool],
    ) -> None:
        self._domains = domains
        self._tokens = tokens
        self._served = served
        self._is_open = is_open
        self._needs_flow = needs_flow

    def decide(self, request: Request) -> Decision:
        """
        Decide where a request goes.

        Raises:
            RemoteProtocolError: its Request-URI or its Route cannot be read.
        """
        uri = request_uri(request)
        if "Route" not in request.headers and not uri.params:
            return self._by_uri(uri)
        routed = preprocess(request, self._domains.is_ours)
        uri = Uri.parse(routed.uri)
        flow = self._named(routed.token, uri)
        if routed.route or flow is not None:
            return Onward(uri, routed.route, flow, True, routed.subscribed)
        return self._by_uri(uri, routed.loose, routed.subscribed)

    def _by_uri(
        self, uri: Uri, in_path: bool = False, subscribed: bool = False
    ) -> Decision:
        if not uri.user and uri.aor and self._domains.is_ours(uri):
            return Ours(uri)
        aor = self._served(uri)
        if aor is None:
            return Onward(uri, (), None, in_path, subscribed)
        return UserOf(uri, aor, subscribed)

    def _named(self, token: str, uri: Uri) -> Flow | None:
        """
        Return the flow that a token of ours names; None to follow the URI.

        It may be closed, if nothing else leads to the URI.
        """
        flow = self._tokens.read(token) if token else None
        if flow is None or self._is_open(flow):
            return flow
        return flow if self._needs_flow(uri, flow.remote[0]) else None
