"""The routing decision, made once from Request-URI and Route (RFC 3261 §16.4)."""

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
    """The request is for this server: its Request-URI names no user."""

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

    @property
    def in_dialog(self) -> bool:
        return False


class UserOf(Value, frozen=True):
    """The request is for a user of ours, whose contacts are its targets."""

    uri: Uri

    aor: Aor
    "The address-of-record, in canonical form."

    is_subscription: bool = False
    "Whether its Route is our Record-Route of a SUBSCRIBE."

    in_dialog: bool = False
    "Whether it is in a dialog that began through us, which a mark of ours shows."

    @property
    def route(self) -> tuple[str, ...]:
        return ()

    @property
    def in_path(self) -> bool:
        return False


class Onward(Value, frozen=True):
    """The request is for somebody else, by its Request-URI or its Route."""

    uri: Uri
    "Its Request-URI, without what led here."

    route: tuple[str, ...]
    "The remaining Route, topmost first."

    flow: Flow | None
    "The flow in the token of our own Route (RFC 5626 §5.3.1)."

    in_path: bool
    """
    Whether a Route led here or leads on: then we are in the path of its dialog, or are
    the outbound proxy of its sender, and no permission is needed.
    """

    is_subscription: bool = False
    "Whether its Route is our Record-Route of a SUBSCRIBE."

    in_dialog: bool = False
    "Whether it is in a dialog that began through us, which a mark of ours shows."


Decision = Ours | UserOf | Onward


class Decider:
    """
    Makes routing decisions.

    Args:
        served: returns the address-of-record of a URI, if it is that of a user of this
            server, in any domain.
        is_open: whether the connection of a flow is open.
        needs_flow: whether a URI is reachable only by the flow of its message; see
            :meth:`reginfo.routing.nat.Nat.needs_flow`.
    """

    def __init__(
        self,
        domains: Domains,
        tokens: Tokens,
        *,
        served: Callable[[Uri], Aor | None],
        is_open: Callable[[Flow], bool],
        needs_flow: Callable[[Uri, Flow], bool],
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
            RemoteProtocolError: its Request-URI or Route cannot be parsed.
        """
        uri = request_uri(request)
        if "Route" not in request.headers and not uri.params:
            return self._by_uri(uri)
        routed = preprocess(request, self._domains.is_ours)
        uri = Uri.parse(routed.uri)
        flow = self._named(routed.token, uri)
        marked = bool(
            routed.mark
            and request.to.tag
            and self._tokens.has_mark(routed.mark, request.call_id)
        )
        if routed.route or flow is not None:
            return Onward(uri, routed.route, flow, True, routed.subscribed, marked)
        return self._by_uri(uri, routed.loose, routed.subscribed, marked)

    def _by_uri(
        self,
        uri: Uri,
        in_path: bool = False,
        subscribed: bool = False,
        marked: bool = False,
    ) -> Decision:
        if not uri.user and uri.aor and self._domains.is_ours(uri):
            return Ours(uri)
        aor = self._served(uri)
        if aor is None:
            return Onward(uri, (), None, in_path, subscribed, marked)
        return UserOf(uri, aor, subscribed, marked)

    def _named(self, token: str, uri: Uri) -> Flow | None:
        """
        Return the flow of one of our tokens; None to follow the URI.

        The flow may be closed, if nothing else leads to the URI.
        """
        flow = self._tokens.read(token) if token else None
        if flow is None or self._is_open(flow):
            return flow
        return flow if self._needs_flow(uri, flow) else None
