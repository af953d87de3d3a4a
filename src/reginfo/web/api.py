"""
The administrator's API: what this server knows, as JSON over HTTP.

``GET /v1/health``          how the server is
``GET /v1/aors``            bindings, by address-of-record, page by page
``GET /v1/aors/{aor}``      the bindings of one
"""

from __future__ import annotations

from typing import Annotated, Protocol

import msgspec
from msgspec import Meta, Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..location.binding import Binding
from ..sip.errors import RemoteProtocolError
from ..sip.uri import Uri
from .rows import page

MAX_PAGE = 10_000
"""Addresses-of-record in a page: some megabytes of JSON, made in one go."""


class App(Protocol):
    """What the API asks of a server: :class:`reginfo.server.app.App`."""

    async def bindings(self, aor: str | None = None) -> list[tuple[str, Binding]]: ...
    def now(self) -> float: ...
    def health(self) -> dict[str, object]: ...


class Query(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of ``GET /v1/aors``."""

    q: str = ""
    "Only addresses-of-record that contain this."

    after: str = ""
    "Only those that come after this one in the order of their characters."

    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = 1_000
    "How many addresses-of-record at most; all bindings of each are in the page."


def api(app: App) -> Starlette:
    """The API of ``app``, as an ASGI application."""

    async def aors(request: Request) -> Response:
        try:
            query = msgspec.convert(dict(request.query_params), Query, strict=False)
        except msgspec.ValidationError as exc:
            return _error(400, str(exc))
        found = [
            (aor, binding)
            for aor, binding in await app.bindings()
            if aor > query.after and query.q in aor
        ]
        return _json(page(found, query.limit, app.now()))

    async def one_aor(request: Request) -> Response:
        aor = _canonical(request.path_params["aor"])
        found = await app.bindings(aor)
        if not found:
            return _error(404, f"nobody is registered as {aor}")
        return _json(page(found, 1, app.now()))

    async def health(request: Request) -> Response:
        return _json(app.health())

    return Starlette(
        routes=[
            Route("/v1/aors", aors),
            Route("/v1/aors/{aor:path}", one_aor),
            Route("/v1/health", health),
        ],
        exception_handlers={
            404: lambda request, exc: _error(404, "no such resource"),
            405: lambda request, exc: _error(405, "only GET"),
        },
    )


def _canonical(aor: str) -> str:
    """An address-of-record as the store has it; ``sip:`` may be left out."""
    try:
        return Uri.parse(aor if ":" in aor else f"sip:{aor}").aor or aor
    except RemoteProtocolError:
        return aor


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _error(status: int, reason: str) -> Response:
    return _json({"error": reason}, status)
