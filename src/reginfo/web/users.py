"""
The part of the API about users with passwords.

``POST /v1/users``   read the users again
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..sip.errors import ReginfoError
from .answers import answer, body, error


class Keeping(Protocol):
    """What this part needs from a server; see :class:`reginfo.server.app.App`."""

    def reload_users(self) -> int: ...


class UsersReading(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/users``: an object without fields."""


class UsersRead(Struct, frozen=True, kw_only=True):
    """The result of a reading."""

    users: int
    "How many users there are."


def user_routes(app: Keeping) -> list[Route]:
    """Return the routes of these requests."""

    async def reading(request: Request) -> Response:
        await body(request, UsersReading)
        try:
            count = app.reload_users()
        except ReginfoError as exc:
            return error(400, str(exc))
        return answer(UsersRead(users=count))

    return [Route("/v1/users", reading, methods=["POST"])]
