"""Reads requests of the API, and writes responses: both JSON."""

from __future__ import annotations

from typing import Protocol, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..location.place import Aor
from ..sip.errors import RemoteProtocolError
from ..sip.text import json_text

T = TypeVar("T")

MAX_BODY = 65_536
"""The default maximum size of a body, in octets; see `[limits] api_body`."""


class WrongRequest(Exception):
    """
    An invalid request of the API.

    Args:
        status: 400 for its values, 413 and 415 for the size and type of its body.
    """

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


def query(request: Request, kind: type[T]) -> T:
    """
    Parse the parameters of a request.

    Raises:
        WrongRequest: one is unknown, or its value is invalid.
    """
    try:
        return msgspec.convert(dict(request.query_params), kind, strict=False)
    except msgspec.ValidationError as exc:
        raise WrongRequest(str(exc)) from exc


async def body(request: Request, kind: type[T]) -> T:
    """
    Parse the body of a request.

    Raises:
        WrongRequest: it is not JSON, or a field is unknown or invalid; 413 for one that
            is too long.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0]
    if content_type.strip().lower() != "application/json":
        # A foreign web page in a browser on this machine can send other types
        # without a preflight request.
        raise WrongRequest("the body must be application/json", 415)
    try:
        return msgspec.json.decode(await _octets(request), type=kind)
    except msgspec.MsgspecError as exc:
        raise WrongRequest(str(exc)) from exc


async def _octets(request: Request) -> bytes:
    """Read a body, as far as it may be long."""
    most: int = getattr(request.app.state, "max_body", MAX_BODY)
    read = bytearray()
    async for piece in request.stream():
        read += piece
        if len(read) > most > 0:
            raise WrongRequest(f"the body is longer than {most} octets", 413)
    return bytes(read)


class Naming(Protocol):
    """What this part needs from a server; see :class:`reginfo.server.admin.Admin`."""

    def named(self, name: str) -> Aor: ...


def user(app: Naming, name: str) -> Aor:
    """
    Return the address-of-record of the user that an operator names.

    Only the server knows it, by `[usrloc] use_domain` and its domains. A name that it
    cannot parse is that of nobody.
    """
    try:
        return app.named(name)
    except RemoteProtocolError:
        return Aor(name)


def answer(value: object, status: int = 200) -> Response:
    """Build a response with ``value`` as JSON."""
    content = json_text(msgspec.json.encode(value))
    return Response(content, status, media_type="application/json")


def error(status: int, reason: str) -> Response:
    """Build an error response."""
    return answer({"error": reason}, status)
