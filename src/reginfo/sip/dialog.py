"""Dialogs: tags, CSeq and route set (RFC 3261 §12)."""

from __future__ import annotations

from .errors import RemoteProtocolError
from .message import Draft, Request, Response
from .transaction import Flow
from .uri import Uri
from .value import Record


class Dialog(Record, kw_only=True):
    """
    What two user agents share while a subscription lasts.

    URIs and tags are kept byte for byte: there are handsets that compare them so.
    """

    call_id: str

    local: str
    "From of our requests, tag and all."

    remote: str
    "To of our requests; with a tag, once the peer has given one."

    local_tag: str
    remote_tag: str

    target: str
    "Remote target: the Request-URI of our requests."

    flow: Flow
    "By which the peer was last heard, and so can be reached."

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
        The dialog that our 2xx to ``request`` makes (§12.1.1).

        Raises:
            RemoteProtocolError: it has no Contact or route that can be read.
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
        The next request of this dialog (§12.2.1.1).

        Args:
            headers: header lines of its own, each with CRLF.
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
        Take in a request of the peer: its CSeq, its target, the way it came.

        Raises:
            RemoteProtocolError: 500 for a CSeq that was overtaken (§12.2.2).
        """
        number = request.cseq.number
        # An equal one has lost its transaction, by a restart: it is answered again.
        if self.remote_cseq is not None and number < self.remote_cseq:
            raise RemoteProtocolError("CSeq Out Of Order", status=500)
        contact = request.contact()
        if contact is not None:
            self.target = _target(contact.parsed)
        self.remote_cseq = number
        self.flow = flow

    def answered(self, response: Response) -> None:
        """Take the new target from a 2xx to a target refresh request (§12.2.1.2)."""
        contact = response.contact()
        if contact is not None:
            self.target = _target(contact.parsed)

    @property
    def next_hop(self) -> Uri:
        """The URI that says where requests go: the first route, or the target."""
        if not self.route:
            return Uri.parse(self.target)
        return Uri.parse(route_uri(self.route[0]))

    def _routed(self) -> tuple[str, str]:
        first = Uri.parse(route_uri(self.route[0]))
        if first.param("lr") is not None:
            return self.target, f"Route: {', '.join(self.route)}\r\n"
        # A strict router (RFC 2543) wants itself in the Request-URI (§12.2.1.1).
        rest = ", ".join([*self.route[1:], f"<{self.target}>"])
        return _target(first), f"Route: {rest}\r\n"


def recorded_route(request: Request) -> tuple[str, ...]:
    """
    The route set that a request records, for the one who receives it (§12.1.1).

    Raises:
        RemoteProtocolError: nothing can be sent by it.
    """
    route = tuple(request.values("Record-Route"))
    if route:
        _target(Uri.parse(route_uri(route[0])))  # now, and not at each request
    return route


def route_uri(value: str) -> str:
    """The URI of a Route or Record-Route value."""
    return value[value.find("<") + 1 : value.rfind(">")] if "<" in value else value


def _target(uri: Uri) -> str:
    """
    A URI that requests can be sent to.

    Raises:
        RemoteProtocolError: its scheme is not one of SIP's.
    """
    if uri.scheme not in ("sip", "sips"):
        raise RemoteProtocolError(f"Contact of scheme {uri.scheme}")
    # No header of the URI may be in a request (§19.1.1); its user may well have a "?".
    return uri.text.removesuffix(f"?{uri.headers}") if uri.headers else uri.text


def way_to(uri: Uri, flow: Flow) -> Flow:
    """
    The flow to ``uri``, for a request in a dialog that came by ``flow``.

    A numeric address is where it says; but the peer is reached only by the way it came
    if it asks for that (`;ob`, RFC 5626 §5.3), or names a private address from behind a
    NAT. A host name is reached by the way it came, too.
    """
    host = uri.host
    transport = uri.param("transport")
    if (
        not _is_ipv4(host)
        or uri.param("ob") is not None
        or (transport is not None and transport.upper() != flow.local.transport)
        or (_is_private(host) and host != flow.remote[0])
    ):
        return flow
    address = (host, uri.port or 5060)
    return flow if address == flow.remote else Flow(flow.local, address)


def _is_ipv4(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and all(
        p.isdecimal() and len(p) < 4 and int(p) < 256 for p in parts
    )


def _is_private(host: str) -> bool:
    """
    RFC 1918, and RFC 6598, which carriers use the same way; and what is not the address
    of any other host: this one, its link, all of them.
    """
    first, second = (int(part) for part in host.split(".")[:2])
    return (
        first in (0, 10, 127)
        or first >= 224
        or (first == 169 and second == 254)
        or (first == 172 and 16 <= second < 32)
        or (first == 192 and second == 168)
        or (first == 100 and 64 <= second < 128)
    )
