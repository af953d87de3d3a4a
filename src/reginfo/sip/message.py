"""Requests and responses, read lazily and written from templates (RFC 3261 §7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from . import grammar
from .errors import RemoteProtocolError
from .headers import (
    CSeq,
    NameAddr,
    Via,
    cached_name_addr,
    delta_seconds,
    number,
    parse_cseq,
    parse_name_addr,
    parse_via,
    split,
)
from .uri import Uri
from .value import Value

Headers = dict[str, list[str]]
"""Values as written, by canonical name (:func:`canonical`); one item per line."""

MAX_DATAGRAM = 65_535
"""The maximum size of a UDP datagram, in octets."""

MOST_HOPS = 99_999
"""The maximum of Max-Forwards; §20.22 has 255, which is exceeded in practice."""

COMPACT = {
    "a": "Accept-Contact",
    "c": "Content-Type",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "o": "Event",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
}
"""Compact forms (§7.3.3, RFC 6665 §8.2)."""

_KNOWN = (
    "Accept", "Allow", "Allow-Events", "Authorization", "CSeq", "Call-ID", "Contact",
    "Content-Encoding", "Content-Length", "Content-Type", "Date", "Event", "Expires",
    "From", "Max-Forwards", "Min-Expires", "P-Asserted-Identity", "P-Associated-URI",
    "Path", "Proxy-Authorization", "Proxy-Require", "Record-Route", "Require",
    "Retry-After", "Route", "SIP-ETag", "SIP-If-Match", "Server", "Service-Route",
    "Subscription-State", "Supported", "To", "Unsupported", "User-Agent", "Via",
    "WWW-Authenticate", "Warning",
)  # fmt: skip

# Common spellings; any other is looked up in lower case, which is slower.
NAMES = {
    spelling: name
    for name in _KNOWN
    for spelling in (name, name.lower(), name.upper(), name.title())
} | {s: name for c, name in COMPACT.items() for s in (c, c.upper())}
_LOWER = {name.lower(): name for name in _KNOWN}


class SipMessage:
    """The common base of requests and responses."""

    __slots__ = ("_cseq", "_from", "_to", "_via", "body", "headers")

    def __init__(self, headers: Headers | None = None, body: bytes = b"") -> None:
        self.headers: Headers = {} if headers is None else headers
        self.body = body
        # Header fields that have been parsed.
        self._via: Via | None = None
        self._from: NameAddr | None = None
        self._to: NameAddr | None = None
        self._cseq: CSeq | None = None

    def header(self, name: str) -> str | None:
        """Return the first value of the header ``name`` (canonical); None if none."""
        values = self.headers.get(name)
        return values[0] if values else None

    def values(self, name: str) -> list[str]:
        """Return all elements of a list header, over all its lines."""
        lines = self.headers.get(name)
        if lines is None:
            return []
        if len(lines) == 1:
            return split(lines[0])
        return [value for line in lines for value in split(line)]

    @property
    def via(self) -> Via:
        """The topmost Via."""
        via = self._via
        if via is None:
            line = self._required("Via")
            if "," in line:
                top = split(line)[:1]
                if not top or not line.startswith(top[0]):
                    raise RemoteProtocolError(f"malformed Via: {line[:80]!r}")
                line = top[0]
            via = self._via = parse_via(line)
        return via

    @property
    def call_id(self) -> str:
        return self._required("Call-ID")

    @property
    def cseq(self) -> CSeq:
        cseq = self._cseq
        if cseq is None:
            cseq = self._cseq = parse_cseq(self._required("CSeq"))
        return cseq

    @property
    def from_(self) -> NameAddr:
        from_ = self._from
        if from_ is None:
            from_ = self._from = parse_name_addr(self._required("From"))
        return from_

    @property
    def to(self) -> NameAddr:
        to = self._to
        if to is None:
            to = self._to = cached_name_addr(self._required("To"))
        return to

    @property
    def expires(self) -> int | None:
        """Expires in seconds; None for one that is absent or malformed (§20.19)."""
        values = self.headers.get("Expires")
        return delta_seconds(values[0]) if values else None

    @property
    def user_agent(self) -> str:
        """The value of User-Agent or Server; empty if there is neither."""
        return self.header("User-Agent") or self.header("Server") or ""

    def contact(self) -> NameAddr | None:
        """
        The single Contact of a dialog-forming request or response.

        Raises:
            RemoteProtocolError: there are several, or it is malformed.
        """
        if "Contact" not in self.headers:
            return None
        values = self.values("Contact")
        if len(values) > 1:
            raise RemoteProtocolError("more than one Contact")
        # A dialog has the same one in each of its messages.
        return cached_name_addr(values[0]) if values else None

    def _required(self, name: str) -> str:
        values = self.headers.get(name)
        if not values or not values[0]:
            raise RemoteProtocolError(f"Missing {name} Header Field")
        return values[0]


class Request(SipMessage):
    """A received request."""

    __slots__ = ("_uri", "method", "uri", "user")

    def __init__(self, method: str, uri: str) -> None:
        # Not by `super`: each datagram makes one of these.
        self.headers = {}
        self.body = b""
        self._via = self._from = self._to = self._cseq = None
        self._uri: Uri | None = None
        self.method = method
        self.uri = uri
        self.user = ""
        "Who has shown a password for it, such as `alice@example.com`; empty if nobody."

    def __repr__(self) -> str:
        """As a log names it: ``<Request MESSAGE sip:bob@example.com>``."""
        return f"<Request {self.method} {self.uri}>"

    def check(self) -> None:
        """
        Check the mandatory header fields, before the request is handled (§8.1.1).

        Raises:
            RemoteProtocolError: one is missing or malformed; it has the status to send.
        """
        # Each of these raises on errors, and caches its result.
        _ = self.via, self.from_, self.to, self.call_id
        params = self.to.params
        if params and "tag" in params and not params["tag"]:
            # We would otherwise add a second one (§7.3.1).
            raise RemoteProtocolError("To with an empty tag")
        if self.cseq.method != self.method:
            raise RemoteProtocolError("CSeq of another method")
        hops = self.header("Max-Forwards")
        if hops is not None and not (len(hops) < 5 and hops.isdecimal()):
            _ = self.max_forwards  # not the usual case

    @property
    def max_forwards(self) -> int | None:
        """
        Max-Forwards; None if there is none.

        Raises:
            RemoteProtocolError: it is not a number, or one of more than five digits.
        """
        text = self.header("Max-Forwards")
        if text is None:
            return None
        hops = number(text, MOST_HOPS + 1)
        if hops is None or hops > MOST_HOPS:
            raise RemoteProtocolError("malformed Max-Forwards")
        return hops

    def take_parsed(self, other: Request) -> None:
        """
        Know what ``other`` has read of its Request-URI, Via, From, To and CSeq.

        For a copy, whose headers of these names nobody changes.
        """
        self._via, self._from = other._via, other._from
        self._to, self._cseq = other._to, other._cseq
        self._uri = other._uri
        self.user = other.user

    def write_response(
        self, response: Response, *, to_tag: str, via: str = "", common: str = ""
    ) -> bytes:
        """
        Write ``response`` to this request (§8.2.6.2).

        Args:
            to_tag: the tag to add to To; empty if it has one.
            via: the first Via line, with ``received`` and ``rport``.
            common: header lines of every response of this server.
        """
        headers = self.headers
        vias = headers["Via"]
        top = via or vias[0]
        if len(vias) > 1:
            top = f"{CRLF}Via: ".join([top, *vias[1:]])
        to = headers["To"][0]
        if to_tag:
            to = f"{to};tag={to_tag}"
        own = ""
        for name, values in response.headers.items():
            for value in values:
                own += f"{name}: {value}\r\n"
        if response.status == 100:
            # §8.2.6.1: a Timestamp of the request "MUST be copied".
            for value in headers.get("Timestamp", ()):
                own += f"Timestamp: {value}\r\n"
        body = response.body
        return (
            f"SIP/2.0 {response.status} {response.reason}\r\n"
            f"Via: {top}\r\n"
            f"From: {headers['From'][0]}\r\n"
            f"To: {to}\r\n"
            f"Call-ID: {headers['Call-ID'][0]}\r\n"
            f"CSeq: {headers['CSeq'][0]}\r\n"
            f"{own}{common}Content-Length: {len(body)}\r\n\r\n"
        ).encode("utf-8", "surrogateescape") + body

    def write_forwarded(self, response: Response, *, via: str = "") -> bytes:
        """
        Write a response from downstream, as it is forwarded to the sender of this
        request.

        §16.7 step 9: it is unchanged, except that our topmost Via is removed.

        Args:
            via: as for :meth:`write_response`.
        """
        vias = self.headers["Via"]
        if via:
            vias = [via, *vias[1:]]
        rest = "".join(
            [
                f"{name}: {value}\r\n"
                for name, values in response.headers.items()
                if name != "Via" and name != "Content-Length"
                for value in values
            ]
        )
        body = response.body
        return (
            f"SIP/2.0 {response.status} {response.reason}\r\n"
            f"Via: {f'{CRLF}Via: '.join(vias)}\r\n"
            f"{rest}Content-Length: {len(body)}\r\n\r\n"
        ).encode("utf-8", "surrogateescape") + body


class Response(SipMessage):
    """
    A response, either received or created here.

    A response created here has only the header fields that do not follow from the
    request: :meth:`Request.write_response` adds Via, From, To, Call-ID and CSeq.
    """

    __slots__ = ("reason", "status")

    def __init__(
        self,
        status: int,
        reason: str,
        headers: Headers | None = None,
        body: bytes = b"",
    ) -> None:
        self.headers = {} if headers is None else headers
        self.body = body
        self._via = self._from = self._to = self._cseq = None
        self.status = status
        self.reason = reason

    @classmethod
    def of(
        cls, status: int, reason: str, headers: Iterable[tuple[str, str]]
    ) -> Response:
        """Create a response, with ``headers`` as pairs."""
        response = cls(status, reason)
        for name, value in headers:
            response.headers.setdefault(name, []).append(value)
        return response

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Response)
            and (self.status, self.reason) == (other.status, other.reason)
            and (self.headers, self.body) == (other.headers, other.body)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """As a log names it: without headers, and what a peer has put into them."""
        return f"<Response {self.status} {self.reason}>"

    @property
    def is_final(self) -> bool:
        return self.status >= 200


class Draft(Value, frozen=True):
    """A request to send; the endpoint adds Via."""

    method: str
    uri: str
    "The Request-URI."

    head: str
    "Header lines, each with CRLF, without Via and Content-Length."

    body: bytes = b""

    def write(self, via: str) -> bytes:
        """Write the request, with ``via`` as the first header line."""
        return (
            f"{self.method} {self.uri} SIP/2.0\r\nVia: {via}\r\n{self.head}"
            f"Content-Length: {len(self.body)}\r\n\r\n"
        ).encode("utf-8", "surrogateescape") + self.body


CRLF = "\r\n"


def canonical(name: str) -> str:
    """
    Return the canonical name of a header: the long form, in the usual case.

    Raises:
        RemoteProtocolError: the name is not a token.
    """
    known = NAMES.get(name)
    if known is not None:
        return known
    bare = name.rstrip(" \t")
    if not grammar.token.fullmatch(bare):
        raise RemoteProtocolError(f"malformed header name: {name[:40]!r}")
    lower = bare.lower()
    return COMPACT.get(lower) or _LOWER.get(lower) or lower.title()


def request_uri(request: Request) -> Uri:
    """
    Parse the Request-URI (§7.1, §8.2.2.1).

    Raises:
        RemoteProtocolError: 400 for an invalid URI, 505 for another version, 416 for an
            unsupported scheme.
    """
    known = request._uri
    if known is not None and known.text == request.uri:
        return known
    if " " in request.uri:
        version = request.uri.rpartition(" ")[2]
        if version.upper().startswith("SIP/"):
            raise RemoteProtocolError("Version Not Supported", status=505)
        raise RemoteProtocolError("malformed Request-URI")
    uri = Uri.parse(request.uri)
    if uri.scheme not in ("sip", "sips", "tel"):
        raise RemoteProtocolError("Unsupported URI Scheme", status=416)
    if uri.headers:
        raise RemoteProtocolError("Request-URI with headers")
    request._uri = uri
    return uri


def lines(headers: Mapping[str, str]) -> str:
    """Write header lines for a :class:`Draft`."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
