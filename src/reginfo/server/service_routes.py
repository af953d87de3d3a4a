"""Service-Route: the way to the services of who registers elsewhere (RFC 3608)."""

from __future__ import annotations

import logging

from ..location.store import LocationStore
from ..sip.errors import RemoteProtocolError
from ..sip.headers import parse_name_addr, split
from ..sip.message import Request, Response, request_uri
from .clock import Clock
from .domains import Domains

logger = logging.getLogger("reginfo.server")

KEY = "service_route"
"""The key under which it stands in the user's record, as in the header."""


class ServiceRoutes:
    """
    Learns it from the responses to REGISTERs that are sent on, and applies it.

    A record of the user is made for it; the contacts are with the registrar.
    """

    def __init__(
        self, store: LocationStore, *, domains: Domains, clock: Clock, table: str
    ) -> None:
        self._store = store
        self._domains = domains
        self._clock = clock
        self._table = table

    def learn(self, register: Request, response: Response) -> None:
        """
        Take in what a registrar answers: it replaces what was known (§6.1).

        Without a Service-Route, or with no contact left, there is none any more.
        """
        if not 200 <= response.status < 300:
            return
        try:
            if register.to.parsed.host != request_uri(register).host:
                return  # nobody but its own registrar speaks for a user
            aor = self._domains.aor(register.to.parsed)
        except RemoteProtocolError:
            return  # of which nobody can be called
        value = None
        if _binds(response):
            value = ", ".join(response.headers.get("Service-Route", ())) or None
        if value is not None and not _is_route(value):
            logger.warning("! a Service-Route of %s is none: %.80r", aor, value)
            return
        now, wall = self._clock.now(), self._clock.wall()
        self._store.set_key(aor, KEY, value, now, wall, self._table)

    def of(self, request: Request) -> tuple[str, ...]:
        """
        The route set for a request that a user begins; empty if there is none.

        In a dialog the dialog says where it goes.
        """
        if request.to.tag or request.method == "REGISTER":
            return ()
        try:
            aor = self._domains.aor(request.from_.parsed)
        except RemoteProtocolError:
            return ()
        value = self._store.keys(aor, self._table).get(KEY)
        if value is None or not _is_route(value):
            return ()  # it may have been set by a script, or at another server
        return tuple(split(value))


def _is_route(value: str) -> bool:
    if not value.isprintable():
        return False  # a line break would end the header
    try:
        return all(parse_name_addr(one).parsed.host for one in split(value))
    except RemoteProtocolError:
        return False


def _binds(response: Response) -> bool:
    """Whether a 2xx lists a contact that is bound."""
    for line in response.headers.get("Contact", ()):
        for one in split(line):
            try:
                if parse_name_addr(one).params.get("expires") != "0":
                    return True
            except RemoteProtocolError:
                continue
    return False
