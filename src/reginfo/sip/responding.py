"""Errors become responses: the one place where they do (RFC 3261 §8.2)."""

from __future__ import annotations

import logging

from .errors import Refusal, RemoteProtocolError
from .flow import Flow
from .message import Request, Response

logger = logging.getLogger("reginfo.server")

REASONS = {400: "Bad Request", 416: "Unsupported URI Scheme", 500: "Server Error"}
"""Reason phrases of the statuses that a `RemoteProtocolError` can have."""


def refused(request: Request, flow: Flow, exc: Exception) -> Response:
    """
    Return the response to a request that has met ``exc``.

    An error that is neither a `Refusal` nor a `RemoteProtocolError` is a bug of ours:
    it is logged with its traceback, and becomes 500.
    """
    if isinstance(exc, Refusal):
        return Response.of(exc.status, exc.reason, exc.headers)
    if isinstance(exc, RemoteProtocolError):
        logger.debug("! %s from %s:%d: %s", request.method, *flow.remote, exc)
        return Response(exc.status, REASONS.get(exc.status, "Bad Request"))
    logger.error("! %s from %s:%d", request.method, *flow.remote, exc_info=exc)
    return Response(500, "Server Internal Error")
