"""
The administrator's API: JSON over HTTP.

``GET /v1/health``          the health of the server
``GET /v1/aors``            bindings, by address-of-record, in pages
``GET /v1/aors/{aor}``      the bindings of one address-of-record
``GET /v1/barred``          users that are rejected or on probation, in pages
``GET /v1/watchers``        the subscriptions that are served, in pages
``GET /v1/peers``           peers, and the subscriptions held there, in pages
``GET /v1/links``           the links by which whole domains are kept in sync
``POST /v1/drain``          end all subscriptions that are served

`acts.py` has the requests that change registrations, `users.py` those about users.

Only committed state is shown; a response waits for a commit in progress. Errors are
JSON as well: ``{"error": "..."}``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Protocol, TypeVar

from msgspec import Meta, Struct
from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..config.sections import PeerSection
from ..location.binding import Binding
from ..location.place import Aor
from ..location.record import Record
from ..roles.health import ServerHealth
from ..roles.published_item import PublicationItem
from ..roles.subscriber import Mirror
from ..roles.watch import Watch
from ..sync.item import LinkItem
from . import barred, bindings, peers, watchers
from .acts import Acting, act_routes
from .answers import MAX_BODY, WrongRequest, answer, body, error, query, user
from .paging import in_domain, pick, text
from .users import Keeping, user_routes

T = TypeVar("T")

MAX_PAGE = 10_000
"""The most addresses-of-record, watchers or subscriptions in a page: some megabytes."""

Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE)]


class Administration(Acting, Keeping, Protocol):
    """What the API needs from a server; see :class:`reginfo.server.app.App`."""

    def health(self) -> ServerHealth: ...
    def aors(self) -> list[Aor]: ...
    def bindings(self, aor: Aor) -> list[Binding]: ...
    def watches(self) -> list[Watch]: ...
    def serves(self, watch: Watch) -> bool: ...
    def peers(self) -> list[PeerSection]: ...
    def peer_problems(self) -> dict[str, str]: ...
    def mirrors(self) -> list[Mirror]: ...
    def links(self) -> list[LinkItem]: ...
    def publications(self) -> list[PublicationItem]: ...
    def barred(self) -> list[tuple[Aor, Record]]: ...
    def drain(self, rate: float) -> None: ...


class Query(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters that all lists accept."""

    q: str = ""
    "Only addresses-of-record that contain this."

    prefix: str = ""
    "Only addresses-of-record that start with this, such as ``sip:al``."

    domain: str = ""
    "Only addresses-of-record in this domain."

    after: str = ""
    "Only items after this one: the ``next`` of the previous page."

    limit: Limit = 1_000
    "The maximum number of items."

    def has(self, aor: str) -> bool:
        """Whether an address-of-record matches the query."""
        if self.q not in aor or not aor.startswith(self.prefix):
            return False
        return not self.domain or in_domain(aor, self.domain.lower())


class AorQuery(Query, frozen=True, kw_only=True):
    """The parameters of ``GET /v1/aors``."""

    owner: str = ""
    "Only bindings that were registered at this server."

    source: str = ""
    "Only bindings learned from this peer, or from this source."

    def wants(self, binding: Binding) -> bool:
        if self.owner and binding.owner != self.owner:
            return False
        return not self.source or bindings.told_by(binding, self.source)


class UserQuery(Query, frozen=True, kw_only=True):
    """The parameters of ``GET /v1/barred``, and of other lists of users."""

    aor: str = ""
    "Only this address-of-record; ``sip:`` may be omitted."

    def has(self, aor: str) -> bool:
        """Whether an address-of-record matches the query."""
        return (not self.aor or aor == self.aor) and super().has(aor)


class WatcherQuery(UserQuery, frozen=True, kw_only=True):
    """The parameters of ``GET /v1/watchers``."""

    watcher: str = ""
    "Only watchers whose URI contains this."

    peer: str = ""
    "Only subscriptions of this configured peer."

    def wants(self, watch: Watch) -> bool:
        return (
            (not self.peer or watch.row.peer == self.peer)
            and self.has(watch.row.aor)
            and (not self.watcher or self.watcher in watchers.watcher(watch))
        )


class PeerQuery(UserQuery, frozen=True, kw_only=True):
    """The parameters of ``GET /v1/peers``."""

    name: str = ""
    "Only this peer."

    state: str = ""
    "Only subscriptions in this state."

    def wants(self, one: peers.HeldPeer) -> bool:
        if self.name and one.name != self.name:
            return False
        if one.mirror is None:
            return not (self.aor or self.q or self.prefix or self.domain or self.state)
        if self.state and one.mirror.subscription.state != self.state:
            return False
        return self.has(one.aor)


class DrainRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /v1/drain``."""

    rate: Annotated[float, Meta(gt=0, le=100_000)] = 100.0
    "The maximum number of subscriptions to end per second."


Q = TypeVar("Q", bound=UserQuery)


def api(app: Administration, *, max_body: int = MAX_BODY) -> Starlette:
    """Build the API of ``app``, an ASGI application."""

    async def committed(read: Callable[[], T]) -> T:
        """Return what ``read`` returns, once it is on disk."""
        while True:
            found = read()
            if await app.committed():
                return found

    def users(request: Request, kind: type[Q]) -> Q:
        """Parse the parameters of a list of users, whose `aor` becomes canonical."""
        asked = query(request, kind)
        return replace(asked, aor=user(app, asked.aor)) if asked.aor else asked

    async def aors(request: Request) -> Response:
        asked = query(request, AorQuery)

        def shown(aor: Aor) -> list[Binding]:
            return [b for b in app.bindings(aor) if asked.wants(b)]

        def is_wanted(aor: Aor) -> bool:
            return asked.has(aor) and bool(shown(aor))

        picked = await pick(
            app.aors(), text, is_wanted, after=asked.after, limit=asked.limit
        )

        def page() -> bindings.BindingPage:
            now = app.now()
            rows = [
                bindings.row(aor, b, now) for aor in picked.things for b in shown(aor)
            ]
            return bindings.BindingPage(bindings=rows, next=picked.next)

        return answer(await committed(page))

    async def one_aor(request: Request) -> Response:
        aor = user(app, request.path_params["aor"])

        def page() -> bindings.BindingPage:
            now = app.now()
            rows = [bindings.row(aor, binding, now) for binding in app.bindings(aor)]
            return bindings.BindingPage(bindings=rows)

        found = await committed(page)
        if not found.bindings:
            return error(404, f"nobody is registered as {aor}")
        return answer(found)

    async def barring(request: Request) -> Response:
        asked = users(request, UserQuery)
        picked = await pick(
            [aor for aor, _ in app.barred()],
            text,
            asked.has,
            after=asked.after,
            limit=asked.limit,
        )

        def page() -> barred.BarredPage:
            now, known = app.now(), dict(app.barred())
            rows = [
                barred.row(aor, known[aor], now)
                for aor in picked.things
                if aor in known
            ]
            return barred.BarredPage(barred=rows, next=picked.next)

        return answer(await committed(page))

    async def watching(request: Request) -> Response:
        asked = users(request, WatcherQuery)
        picked = await pick(
            app.watches(),
            watchers.key,
            asked.wants,
            after=asked.after,
            limit=asked.limit,
        )

        def page() -> watchers.WatcherPage:
            now = app.now()
            rows = [watchers.row(w, now) for w in picked.things if app.serves(w)]
            return watchers.WatcherPage(watchers=rows, next=picked.next)

        return answer(await committed(page))

    async def peering(request: Request) -> Response:
        asked = users(request, PeerQuery)
        picked = await pick(
            peers.held(app.peers(), app.mirrors(), app.peer_problems()),
            lambda one: one.key,
            asked.wants,
            after=asked.after,
            limit=asked.limit,
        )

        def page() -> peers.PeerPage:
            now = app.now()
            rows = [peers.row(one, now) for one in picked.things]
            return peers.PeerPage(peers=rows, next=picked.next)

        return answer(await committed(page))

    async def linking(request: Request) -> Response:
        def found() -> peers.LinkList:
            published = app.publications()
            return peers.LinkList(links=app.links(), publications=published)

        return answer(await committed(found))

    async def health(request: Request) -> Response:
        found = app.health()
        return answer(found, 200 if found.status == "ok" else 503)

    async def drain(request: Request) -> Response:
        asked = await body(request, DrainRequest)
        app.drain(asked.rate)
        return answer(app.health().draining, 202)

    application = Starlette(
        routes=[
            Route("/v1/aors", aors),
            Route("/v1/aors/{aor:path}", one_aor),
            *act_routes(app),
            *user_routes(app),
            Route("/v1/barred", barring),
            Route("/v1/watchers", watching),
            Route("/v1/peers", peering),
            Route("/v1/links", linking),
            Route("/v1/health", health),
            Route("/v1/drain", drain, methods=["POST"]),
        ],
        exception_handlers={
            WrongRequest: _wrong,
            404: lambda request, exc: error(404, "no such resource"),
            405: _method_not_allowed,
            500: lambda request, exc: error(500, "internal error: see the log"),
        },
    )
    application.state.max_body = max_body
    return application


def _wrong(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, WrongRequest)
    return error(exc.status, str(exc))


def _method_not_allowed(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    allowed = (exc.headers or {}).get("Allow", "GET")
    response = error(405, f"{request.method} is not allowed here: only {allowed}")
    response.headers["Allow"] = allowed
    return response
