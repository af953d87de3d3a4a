"""
Responses that need no transaction user; turns errors into responses.

An :class:`Endpoint` answers malformed requests and unknown methods with a
:class:`Responder`; an exception during a request becomes a response in
:func:`refused`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from hashlib import blake2s

from .errors import Refusal, RemoteProtocolError
from .flow import Flow, unscoped
from .headers import split
from .message import Request, Response, request_uri
from .parser import Malformed
from .reason import phrase_of
from .transaction import Datagram

RETRY_AFTER = 10
"""Seconds after which a client may try again that there was no room for."""

logger = logging.getLogger("reginfo.sip")


def refused(request: Request, flow: Flow, exc: Exception) -> Response:
    """
    Build the response to a request that failed with ``exc``.

    A `Refusal` or `RemoteProtocolError` has its status. Any other exception is a bug:
    it is logged with its traceback and answered 500, so that one faulty request does
    not stop the service for others.
    """
    if isinstance(exc, Refusal):
        return Response.of(exc.status, exc.reason, exc.headers)
    if isinstance(exc, RemoteProtocolError):
        logger.debug("! %s from %s:%d: %s", request.method, *flow.remote, exc)
        return Response(exc.status, phrase_of(exc.status))
    logger.error("! %s from %s:%d", request.method, *flow.remote, exc_info=exc)
    return Response(500, "Server Internal Error")


class Responder:
    """
    Answers requests without a transaction (§8.2.7).

    Args:
        outbox: receives the responses; shared with the endpoint.
        secret: the key of the To tags, which makes them unpredictable.
        methods: the supported methods, for Allow; None for a proxy.
        common: header lines of every response, such as Server.
    """

    def __init__(
        self,
        outbox: list[Datagram],
        *,
        secret: bytes,
        methods: tuple[str, ...] | None,
        common: str,
    ) -> None:
        self._outbox = outbox
        self._secret = secret[:32]
        self._methods = methods
        self._common = common

    def refuse_malformed(self, error: Malformed, flow: Flow) -> None:
        """Answer a request that could not be parsed, if it has a Via."""
        message = error.message
        if not isinstance(message, Request) or message.method == "ACK":
            return
        headers = message.headers
        # The response needs each of these; missing ones are empty.
        for name in ("From", "To", "Call-ID", "CSeq"):
            headers.setdefault(name, [""])
        text = "".join(
            c if c.isprintable() and c not in '\\"' else "?" for c in str(error)
        )
        warning = ("Warning", f'399 reginfo "{text}"')
        self.answer(message, flow, error.status, phrase_of(error.status), [warning])

    def refuse_method(self, request: Request, flow: Flow) -> None:
        """Answer an unsupported method with 405 (§8.2.1)."""
        allow = [("Allow", ", ".join(self._methods or ()))]
        self.answer(request, flow, 405, "Method Not Allowed", allow)

    def refuse_busy(self, request: Request, flow: Flow) -> None:
        """Answer a request that there is no room for with 503 (§21.5.4)."""
        again = [("Retry-After", str(RETRY_AFTER))]
        self.answer(request, flow, 503, "Too Many Requests", again)

    def refuse_cancel(self, request: Request, flow: Flow) -> None:
        """Answer a CANCEL that matches no transaction with 481 (§9.2)."""
        self.answer(request, flow, 481, "Call/Transaction Does Not Exist")

    def answer(
        self,
        request: Request,
        flow: Flow,
        status: int,
        reason: str,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """
        Answer without a transaction: a retransmission gets the same response.

        If the topmost Via cannot be parsed, it is copied unchanged, and the response
        goes to the source of the request. Without a Via there is no response.
        """
        try:
            back, via = way_back(request, flow)
        except RemoteProtocolError:
            if not _is_answerable(request):
                return
            back, via = flow, ""
        response = Response.of(status, reason, headers)
        try:
            tagged = "tag" in request.to.params
        except RemoteProtocolError:
            tagged = True  # a To that cannot be parsed is copied unchanged
        data = request.write_response(
            response,
            to_tag="" if tagged else self._tag_for(request),
            via=via,
            common=self._common,
        )
        self._outbox.append(Datagram(data, back))

    def _tag_for(self, request: Request) -> str:
        digest = blake2s(key=self._secret, digest_size=8)
        digest.update(request.headers["Via"][0].encode("utf-8", "surrogateescape"))
        digest.update(request.headers["CSeq"][0].encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def _is_answerable(request: Request) -> bool:
    """Whether everything that a response copies can be parsed, apart from the Via."""
    try:
        _ = request.from_, request.to, request.call_id, request.cseq
    except RemoteProtocolError:
        return False
    return bool(request.header("Via"))


def check(request: Request) -> None:
    """
    Validate what every request must have (§8.1.1), and its Request-URI.

    Raises:
        Malformed: something is missing or malformed; it has the request, for the
            response.
    """
    try:
        request.check()
        request_uri(request)
    except RemoteProtocolError as exc:
        raise Malformed(exc, request) from exc


def way_back(request: Request, flow: Flow) -> tuple[Flow, str]:
    """
    Return the flow for responses to ``request``, and their topmost Via line.

    The line is empty if the first Via line of the request is used unchanged (§18.2.1,
    §18.2.2, RFC 3581 §4).

    Raises:
        RemoteProtocolError: the Via is missing or cannot be parsed.
    """
    via = request.via
    host, port = flow.remote
    # The scope of a link-local address means nothing to another host.
    source = unscoped(host) if "%" in host else host
    params = via.params
    if flow.local.is_reliable:
        # §18.2.2: the connection that the request arrived on.
        if via.host.strip("[]") == source and "rport" not in params:
            return flow, ""
        return flow, _received(request, f";received={source}", rport=port)
    if "rport" not in params:
        # A `maddr` is ignored, unlike in §18.2.2: any third party could be named in it.
        port = via.port or flow.local.default_port
        if via.host.strip("[]") == source:
            return (
                flow if port == flow.remote[1] else Flow(flow.local, (host, port))
            ), ""
        return Flow(flow.local, (host, port)), _received(request, f";received={source}")
    # RFC 3581 §4: with rport, received "MUST" be added even if it is redundant.
    return flow, _received(request, f";received={source}", rport=port)


_RPORT = re.compile(r";[ \t]*rport[ \t]*(?:=[^;]*)?(?=;|$)", re.IGNORECASE)
_RECEIVED = re.compile(r";[ \t]*received[ \t]*=[^;]*", re.IGNORECASE)


def _received(request: Request, received: str, rport: int | None = None) -> str:
    """
    Return the request's first Via line with §18.2.1's additions to its first value.

    Args:
        rport: the value of that parameter, if the client requested it.
    """
    line = request.headers["Via"][0]
    top = split(line)[0]
    rest = line[len(top) :]
    if '"' in top:
        return _received_beside_quotes(top, received, rport) + rest
    # A `received` that the client wrote itself could name a third party.
    own = _RECEIVED.sub("", top) if "received" in request.via.params else top
    if rport is not None:
        own = _RPORT.sub(f";rport={rport}", own)
    return own + received + rest


_PARAM = re.compile(r';(?:[^;"]|"(?:[^"\\]|\\.)*+")*+')


def _received_beside_quotes(via: str, received: str, rport: int | None) -> str:
    """Like :func:`_received`, for a Via with quoted strings, which are not changed."""
    kept = [via.partition(";")[0]]
    for param in _PARAM.findall(via):
        name = param[1:].partition("=")[0].strip(" \t").lower()
        if name == "rport" and rport is not None:
            kept.append(f";rport={rport}")
        elif name != "received":
            kept.append(param)
    return "".join(kept) + received
