"""Dialogs: tags, CSeq and route set (RFC 3261 §12)."""

from __future__ import annotations

from .errors import RemoteProtocolError
from .flow import Flow, Local
from .headers import cached_name_addr
from .message import Draft, Request, Response
from .uri import Uri
from .value import MutableValue


class Dialog(MutableValue, kw_only=True):
    """
    The state of a dialog between two user agents.

    URIs and tags are kept byte for byte, because some phones compare them so.
    """

    call_id: str

    local: str
    "From of our requests, with its tag."

    remote: str
    "To of our requests; with a tag, once the peer has given one."

    local_tag: str
    remote_tag: str

    target: str
    "Remote target: the Request-URI of our requests."

    flow: Flow
    "The flow of the latest message from the peer, by which it can be reached."

    contact: str
    "Contact of our requests, in angle brackets."

    route: tuple[str, ...] = ()
    "Route set, topmost first."

    local_cseq: int = 0
    remote_cseq: int | None = None

    @property
    def id(self) -> tuple[str, str, str]:
        return (self.call_id, self.local_tag, self.remote_tag)

    @classmethod
    def uas(cls, request: Request, *, tag: str, contact: str, flow: Flow) -> Dialog:
        """
        Create the dialog that our 2xx to ``request`` establishes (§12.1.1).

        Raises:
            RemoteProtocolError: its Contact or route set is missing or invalid.
        """
        target = request.contact()
        if target is None:
            raise RemoteProtocolError("Missing Contact Header Field")
        route = recorded_route(request)
        return cls(
            call_id=request.call_id,
            local=f"{request.headers['To'][0]};tag={tag}",
            remote=request.headers["From"][0],
            local_tag=tag,
            remote_tag=request.from_.tag,
            target=_target(target.parsed),
            flow=flow,
            contact=contact,
            route=route,
            remote_cseq=request.cseq.number,
        )

    def draft(self, method: str, headers: str, body: bytes = b"") -> Draft:
        """
        Build the next request of this dialog (§12.2.1.1).

        Args:
            headers: further header lines, each with CRLF.
        """
        self.local_cseq += 1
        uri, route = self.target, ""
        if self.route:
            uri, route = self._routed()
        return Draft(
            method,
            uri,
            f"{route}Max-Forwards: 70\r\n"
            f"From: {self.local}\r\n"
            f"To: {self.remote}\r\n"
            f"Call-ID: {self.call_id}\r\n"
            f"CSeq: {self.local_cseq} {method}\r\n"
            f"Contact: {self.contact}\r\n"
            f"{headers}",
            body,
        )

    def receive(self, request: Request, flow: Flow) -> None:
        """
        Process a request of the peer: its CSeq, its target and its flow.

        Raises:
            RemoteProtocolError: 500 for a CSeq lower than the last one (§12.2.2).
        """
        number = request.cseq.number
        # An equal CSeq lost its transaction in a restart: it is answered again.
        if self.remote_cseq is not None and number < self.remote_cseq:
            raise RemoteProtocolError("CSeq Out Of Order", status=500)
        contact = request.contact()
        if contact is not None:
            self.target = _target(contact.parsed)
        self.remote_cseq = number
        # A message that was too long for a datagram came over a stream (§18.1.1). That
        # does not mean that the peer accepts connections.
        if self.flow.local.is_reliable or not flow.local.is_reliable:
            self.flow = flow

    def move(self, local: Local) -> None:
        """Use another address of ours, because the former one is no longer ours."""
        self.flow = Flow(local, self.flow.remote)
        self.contact = f"<{local.uri}>"

    def answered(self, response: Response) -> None:
        """Take the new target from a 2xx to a target refresh request (§12.2.1.2)."""
        contact = response.contact()
        if contact is not None:
            self.target = _target(contact.parsed)

    @property
    def first_uri(self) -> Uri:
        """The URI to resolve for requests: the first route, or the target."""
        if not self.route:
            return Uri.parse(self.target)
        return hop_to(self.target, Uri.parse(route_uri(self.route[0])))

    def _routed(self) -> tuple[str, str]:
        first = Uri.parse(route_uri(self.route[0]))
        if first.param("lr") is not None:
            return self.target, f"Route: {', '.join(self.route)}\r\n"
        # A strict router (RFC 2543) requires its own URI as Request-URI (§12.2.1.1).
        rest = ", ".join([*self.route[1:], f"<{self.target}>"])
        return _target(first), f"Route: {rest}\r\n"


def recorded_route(request: Request) -> tuple[str, ...]:
    """
    Return the route set recorded in a request, for its recipient (§12.1.1).

    Raises:
        RemoteProtocolError: the route set cannot be used.
    """
    route = tuple(request.values("Record-Route"))
    for value in route:  # checked now, not with each request
        _target(Uri.parse(route_uri(value)))
    return route


def hop_to(target: str, first: Uri) -> Uri:
    """
    Return the URI of a next hop to resolve: `sips:` if the target is.

    Each hop to a `sips:` URI is secure (RFC 5630 §5.3).
    """
    if first.scheme != "sip" or target[:5].lower() != "sips:":
        return first
    return Uri.parse(f"sips{first.text[3:]}")


def route_uri(value: str) -> str:
    """
    Return the URI of a Route, Record-Route, Path or Service-Route value.

    Raises:
        RemoteProtocolError: it is not a name-addr, whose angle brackets are mandatory
            (§25.1, RFC 3327 §4, RFC 3608 §5).
    """
    uri = cached_name_addr(value).uri
    if value.lstrip(" \t").startswith(uri):
        raise RemoteProtocolError(f"route without angle brackets: {value[:80]!r}")
    return uri


def _target(uri: Uri) -> str:
    """
    Return a URI as a request target.

    Raises:
        RemoteProtocolError: its scheme is neither sip nor sips.
    """
    if uri.scheme not in ("sip", "sips"):
        raise RemoteProtocolError(f"Contact of scheme {uri.scheme}")
    # A Request-URI may have no headers (§19.1.1); the user part may contain a "?".
    return uri.text.removesuffix(f"?{uri.headers}") if uri.headers else uri.text
