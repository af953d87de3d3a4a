"""Service-Route of users who register elsewhere by way of us (RFC 3608)."""

from __future__ import annotations

import logging

from ..io.clock import Clock
from ..location.place import Place
from ..location.store import LocationStore
from ..sip.errors import RemoteProtocolError
from ..sip.headers import delta_seconds, parse_name_addr, split
from ..sip.message import Request, Response, request_uri
from .domains import Domains

logger = logging.getLogger("reginfo.server")

KEY = "service_route"
"""The key under which it stands in the user's record, as in the header."""


UNTIL = "service_route_until"
"""The same for when the registration ends, in seconds since the epoch."""

DEFAULT = 3600
"""Seconds of a registration of which nobody says how long it lasts."""


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
            place = Place(self._table, self._domains.aor(register.to.parsed))
        except RemoteProtocolError:
            return  # of which nobody can be called
        value = until = None
        now, wall = self._clock.now(), self._clock.wall()
        lasts = _lasts(response)
        if lasts:
            value = ", ".join(response.headers.get("Service-Route", ())) or None
        if value is not None:
            if not _is_route(value):
                logger.warning("! a Service-Route of %s is none: %.80r", place, value)
                return
            until = str(int(wall) + lasts)
        for key, text in ((KEY, value), (UNTIL, until)):
            self._store.set_key(place, key, text, now, wall)

    def of(self, request: Request) -> tuple[str, ...]:
        """
        The route set for a request that a user begins; empty if there is none.

        In a dialog the dialog says where it goes.
        """
        if request.to.tag or request.method == "REGISTER":
            return ()
        try:
            place = Place(self._table, self._domains.aor(request.from_.parsed))
        except RemoteProtocolError:
            return ()
        keys = self._store.keys(place)
        value, until = keys.get(KEY), keys.get(UNTIL, "")
        if value is None or not _is_route(value):
            return ()  # it may have been set by a script, or at another server
        if until.isdecimal() and int(until) <= self._clock.wall():
            return ()  # the registration is over
        return tuple(split(value))


def _is_route(value: str) -> bool:
    if not value.isprintable():
        return False  # a line break would end the header
    try:
        return all(parse_name_addr(one).parsed.host for one in split(value))
    except RemoteProtocolError:
        return False


def _lasts(response: Response) -> int:
    """For how many seconds a 2xx binds a contact, at the longest; 0 if it has none."""
    general = response.expires
    longest = 0
    for line in response.headers.get("Contact", ()):
        for one in split(line):
            try:
                expires = parse_name_addr(one).params.get("expires")
                seconds = delta_seconds(expires) if expires else general
            except RemoteProtocolError:
                continue
            longest = max(longest, DEFAULT if seconds is None else seconds)
    return longest
