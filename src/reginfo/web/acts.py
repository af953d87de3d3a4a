"""
The part of the API that changes something: the actions of an administrator.

``DELETE /v1/aors/{aor}``     remove its contacts, or one of them
``PATCH /v1/aors/{aor}``      let them end soon
``POST /v1/aors/{aor}``       add a contact
``DELETE /v1/barred/{aor}``   let a user register again
"""

from __future__ import annotations

from typing import Annotated, Literal, Protocol

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..location.binding import Binding
from ..location.place import Aor
from ..reg.document import ContactEvent
from ..roles.administrator import ActResult
from ..sip.errors import ReginfoError
from . import bindings
from .answers import Naming, answer, body, error, query, user

Seconds = Annotated[int, Meta(ge=0, le=2**31)]


class Acting(Naming, Protocol):
    """What this part needs from a server; see :class:`reginfo.server.admin.Admin`."""

    def now(self) -> float: ...
    async def committed(self) -> bool: ...
    def remove(
        self,
        aor: Aor,
        *,
        contact: str | None,
        event: ContactEvent,
        retry_after: int | None,
    ) -> ActResult: ...
    def shorten(self, aor: Aor, *, expires: int, contact: str | None) -> ActResult: ...
    def is_bound(self, aor: Aor, contact: str | None) -> bool: ...
    def create(
        self, aor: Aor, contact: str, *, expires: int, q: str | None
    ) -> Binding: ...
    def admit(self, aor: Aor) -> ActResult: ...


class Removal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of ``DELETE /v1/aors/{aor}``."""

    contact: str | None = None
    "Only this contact."

    event: Literal["deactivated", "probation", "rejected", "unregistered"] = (
        "deactivated"
    )
    "The event that watchers are notified of (RFC 3680 §4.7.1)."

    retry_after: Seconds | None = None
    "Seconds until the user agent should register again; only with `probation`."


class RemovalAnswer(Struct, frozen=True, kw_only=True):
    """The result of a removal."""

    removed: int
    "The number of contacts that were removed."


class Shortening(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of ``PATCH /v1/aors/{aor}``."""

    expires: Seconds
    "Seconds after which the contacts end, unless they are refreshed."

    contact: str | None = None
    "Only this contact."


class ShorteningAnswer(Struct, frozen=True, kw_only=True):
    """The result of a shortening."""

    shortened: int
    "The number of contacts, without those that end earlier anyway."


class Addition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/aors/{aor}``."""

    contact: Annotated[str, Meta(min_length=1)]

    expires: Annotated[int, Meta(ge=1, le=2**31)] = 3600
    "The interval in seconds, limited to what the server grants."

    q: Annotated[float, Meta(ge=0, le=1)] | None = None
    "Preference."


class AdmissionAnswer(Struct, frozen=True, kw_only=True):
    """The result of letting a user register again."""

    admitted: str
    "The address-of-record."


NOT_COMMITTED = "the store cannot commit: nothing was changed"


def act_routes(app: Acting) -> list[Route]:
    """Return the routes of these actions."""

    async def removal(request: Request) -> Response:
        aor = user(app, request.path_params["aor"])
        asked = query(request, Removal)
        try:
            result = app.remove(
                aor,
                contact=asked.contact,
                event=ContactEvent(asked.event),
                retry_after=asked.retry_after,
            )
        except ReginfoError as exc:
            return error(400, str(exc))
        if not await app.committed():
            return error(503, NOT_COMMITTED)
        if not result:
            return _nobody(aor, asked.contact)
        return answer(RemovalAnswer(removed=result.contacts))

    async def shortening(request: Request) -> Response:
        aor = user(app, request.path_params["aor"])
        asked = await body(request, Shortening)
        try:
            is_bound = app.is_bound(aor, asked.contact)
            result = app.shorten(aor, expires=asked.expires, contact=asked.contact)
        except ReginfoError as exc:
            return error(400, str(exc))
        if not await app.committed():
            return error(503, NOT_COMMITTED)
        if not result and not is_bound:
            return _nobody(aor, asked.contact)
        return answer(ShorteningAnswer(shortened=result.contacts))

    async def addition(request: Request) -> Response:
        aor = user(app, request.path_params["aor"])
        asked = await body(request, Addition)
        q = None if asked.q is None else f"{asked.q:.3f}"
        try:
            made = app.create(aor, asked.contact, expires=asked.expires, q=q)
        except ReginfoError as exc:
            return error(400, str(exc))
        if not await app.committed():
            return error(503, NOT_COMMITTED)
        return answer(bindings.row(aor, made, app.now()), 201)

    async def admission(request: Request) -> Response:
        aor = user(app, request.path_params["aor"])
        try:
            result = app.admit(aor)
        except ReginfoError as exc:
            return error(400, str(exc))
        if not await app.committed():
            return error(503, NOT_COMMITTED)
        if not result:
            return error(404, f"{aor} is neither rejected nor on probation")
        return answer(AdmissionAnswer(admitted=aor))

    return [
        Route("/v1/aors/{aor:path}", removal, methods=["DELETE"]),
        Route("/v1/aors/{aor:path}", shortening, methods=["PATCH"]),
        Route("/v1/aors/{aor:path}", addition, methods=["POST"]),
        Route("/v1/barred/{aor:path}", admission, methods=["DELETE"]),
    ]


def _nobody(aor: str, contact: str | None) -> Response:
    of = "" if contact is None else f" at {contact}"
    return error(404, f"nobody is registered as {aor}{of}")
