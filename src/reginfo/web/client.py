"""A client of the API of a running server."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from ..config.address import UnixPath, parse_admin
from ..sip.errors import ReginfoError
from . import acts, peers, users, watchers
from .barred import BarredItem, BarredPage
from .bindings import BindingItem, BindingPage
from .peers import LinkList

TOKEN = "REGINFO_TOKEN"
"""The environment variable with the token of the API."""

TIMEOUT = 10.0  # seconds for each response
PAGE = 5_000  # items per page


class NotFound(ReginfoError):
    """The address-of-record has no such contacts."""


class ApiUnreachable(ReginfoError):
    """The server does not answer, or its answer is not understood."""


class ApiRefusal(ReginfoError):
    """The server refuses a request as invalid."""


class Draining(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a drain."""

    watchers: int
    "The number of watchers when it began."

    left: int
    "The number of watchers that are left."

    gave_up: int
    "The number of watchers that did not answer the last NOTIFY."

    rate: float
    "The maximum number of subscriptions ended per second."


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a server's health that the commands use."""

    status: str
    draining: Draining | None


class _Page(Protocol):
    @property
    def next(self) -> str | None: ...


P = TypeVar("P", bound=_Page)
T = TypeVar("T")


class Client:
    """
    A client of the API at ``address``: ``HOST:PORT`` or ``unix:PATH``.

    Every method raises :exc:`ApiUnreachable` if the server does not answer.

    Raises:
        ValueError: ``address`` is neither.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        where = parse_admin(address)
        unix = str(where.path) if isinstance(where, UnixPath) else None
        # An explicit transport: proxies from the environment do not apply here.
        self._http = httpx2.Client(
            base_url="http://localhost" if unix else f"http://{where}",
            transport=httpx2.HTTPTransport(uds=unix),
            timeout=TIMEOUT,
            headers=_authorization(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def bindings(self, aor: str | None = None) -> list[BindingItem]:
        """
        Fetch the bindings of one address-of-record, or of all.

        Raises:
            NotFound: ``aor`` has none.
        """
        if aor is not None:
            path = f"/v1/aors/{quote(aor, safe='')}"
            return self._ask("GET", path, BindingPage).bindings
        pages = self._pages("/v1/aors", BindingPage)
        return [row for page in pages for row in page.bindings]

    def watchers(self, aor: str | None = None) -> list[watchers.WatcherItem]:
        """Fetch the watchers of one address-of-record, or of all."""
        pages = self._pages("/v1/watchers", watchers.WatcherPage, aor=aor or "")
        return [row for page in pages for row in page.watchers]

    def peers(self, aor: str | None = None) -> list[peers.PeerItem]:
        """
        Fetch the peers and the subscriptions there; only those to ``aor`` if given.
        """
        pages = self._pages("/v1/peers", peers.PeerPage, aor=aor or "")
        return [row for page in pages for row in page.peers]

    def links(self) -> LinkList:
        """Fetch the links that keep whole domains in sync, and the publications."""
        return self._ask("GET", "/v1/links", LinkList)

    def health(self) -> Health:
        """Fetch the health of the server."""
        return self._ask("GET", "/v1/health", Health)

    def remove(
        self,
        aor: str,
        *,
        contact: str | None = None,
        event: str | None = None,
        retry_after: int | None = None,
    ) -> int:
        """
        Remove contacts of ``aor``, and return how many were removed.

        Raises:
            NotFound: there are none.
            ApiRefusal: the server refuses the parameters.
        """
        asked = {"contact": contact, "event": event, "retry_after": retry_after}
        params = {name: value for name, value in asked.items() if value is not None}
        path = f"/v1/aors/{quote(aor, safe='')}"
        return self._ask("DELETE", path, acts.RemovalAnswer, params=params).removed

    def shorten(self, aor: str, *, expires: int, contact: str | None = None) -> int:
        """
        Have contacts of ``aor`` end in ``expires`` seconds; how many were shortened.

        Raises:
            NotFound: there is none.
            ApiRefusal: the server refused the request.
        """
        path = f"/v1/aors/{quote(aor, safe='')}"
        body: dict[str, object] = {"expires": expires}
        if contact is not None:
            body["contact"] = contact
        return self._ask("PATCH", path, acts.ShorteningAnswer, json=body).shortened

    def add(
        self, aor: str, contact: str, *, expires: int, q: float | None = None
    ) -> BindingItem:
        """
        Have a contact bound without a REGISTER, and return it.

        Raises:
            ApiRefusal: the server refused the request.
        """
        path = f"/v1/aors/{quote(aor, safe='')}"
        body: dict[str, object] = {"contact": contact, "expires": expires}
        if q is not None:
            body["q"] = q
        return self._ask("POST", path, BindingItem, json=body)

    def admit(self, aor: str) -> str:
        """
        Have a user register again that is barred; its address-of-record.

        Raises:
            NotFound: it is not barred.
            ApiRefusal: the server refused the request.
        """
        path = f"/v1/barred/{quote(aor, safe='')}"
        return self._ask("DELETE", path, acts.AdmissionAnswer).admitted

    def barred(self, aor: str | None = None) -> list[BarredItem]:
        """Users that are rejected or on probation; only ``aor`` if it is given."""
        pages = self._pages("/v1/barred", BarredPage, aor=aor or "")
        return [row for page in pages for row in page.barred]

    def reload_users(self) -> int:
        """
        Have the server read its users again; how many there are.

        Raises:
            ApiRefusal: they cannot be read.
        """
        return self._ask("POST", "/v1/users", users.UsersRead, json={}).users

    def drain(self, rate: float | None) -> Draining:
        """
        Have the server end all subscriptions that it serves.

        Args:
            rate: the maximum number per second; None for the server's default.
        """
        body = {} if rate is None else {"rate": rate}
        return self._ask("POST", "/v1/drain", Draining, json=body)

    def _pages(self, path: str, kind: type[P], **query: Any) -> list[P]:
        """Fetch all pages of a list."""
        pages: list[P] = []
        after: str | None = ""
        while after is not None:
            params = query | {"limit": PAGE, "after": after}
            pages.append(self._ask("GET", path, kind, params=params))
            after = pages[-1].next
        return pages

    def _ask(self, method: str, path: str, kind: type[T], **others: Any) -> T:
        try:
            response = self._http.request(method, path, **others)
            if response.status_code == 404:
                error = msgspec.json.decode(response.content, type=dict[str, str])
                raise NotFound(error.get("error", "not found"))
            if response.status_code == 400:
                error = msgspec.json.decode(response.content, type=dict[str, str])
                raise ApiRefusal(error.get("error", "invalid request"))
            if response.status_code in (401, 403, 413):
                error = msgspec.json.decode(response.content, type=dict[str, str])
                raise ApiRefusal(error.get("error", "refused"))
            # 503: the server answers, but is not healthy.
            if response.status_code != 503:
                response.raise_for_status()
            return msgspec.json.decode(response.content, type=kind)
        except httpx2.TransportError as exc:
            raise ApiUnreachable(f"no server answers at {self.address}: {exc}") from exc
        except (httpx2.HTTPError, msgspec.MsgspecError) as exc:
            raise ApiUnreachable(
                f"{self.address} is not a reginfo server: {exc}"
            ) from exc


def _authorization() -> dict[str, str]:
    """The header field with our token, if the environment has one."""
    token = os.environ.get(TOKEN)
    return {"Authorization": f"Bearer {token}"} if token else {}
