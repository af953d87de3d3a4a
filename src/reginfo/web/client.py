"""Asks a running server, by its API."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
import msgspec

from ..server.address import UnixPath, parse_admin
from ..sip.errors import ReginfoError
from .rows import Page, Row

TIMEOUT = 10.0  # seconds for each response
PAGE = 1_000  # addresses-of-record asked for at once


class NotFound(ReginfoError):
    """Nobody is registered under the address-of-record that was asked for."""


class Unreachable(ReginfoError):
    """The server does not answer, or not as we expect."""


class Client:
    """
    A client of the API at ``address``: ``HOST:PORT`` or ``unix:PATH``.

    Raises:
        ValueError: ``address`` is neither.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        where = parse_admin(address)
        unix = str(where.path) if isinstance(where, UnixPath) else None
        # A transport of our own: proxies of the environment are not for this machine.
        self._http = httpx.Client(
            base_url="http://localhost" if unix else f"http://{where}",
            transport=httpx.HTTPTransport(uds=unix),
            timeout=TIMEOUT,
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

    def bindings(self, aor: str | None = None) -> list[Row]:
        """
        The bindings of one address-of-record, or of all.

        Raises:
            NotFound: ``aor`` has none.
            Unreachable: the server does not answer.
        """
        if aor is not None:
            return self._get(f"/v1/aors/{quote(aor, safe='')}").bindings
        page = self._get("/v1/aors", limit=PAGE)
        rows = page.bindings
        while page.next is not None:
            page = self._get("/v1/aors", limit=PAGE, after=page.next)
            rows += page.bindings
        return rows

    def _get(self, path: str, **query: Any) -> Page:
        try:
            response = self._http.get(path, params=query)
            if response.status_code == 404:
                error = msgspec.json.decode(response.content, type=dict[str, str])
                raise NotFound(error.get("error", "not found"))
            response.raise_for_status()
            return msgspec.json.decode(response.content, type=Page)
        except httpx.TransportError as exc:
            raise Unreachable(f"no server answers at {self.address}: {exc}") from exc
        except (httpx.HTTPError, msgspec.MsgspecError) as exc:
            raise Unreachable(f"{self.address} is no reginfo server: {exc}") from exc
