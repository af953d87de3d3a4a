"""Service-Route of users that register at another server through us (RFC 3608)."""

from __future__ import annotations

import logging

from ..io.clock import Clock
from ..location.place import Place
from ..location.store import LocationStore
from ..sip.dialog import route_uri
from ..sip.errors import RemoteProtocolError
from ..sip.headers import delta_seconds, parse_name_addr, split
from ..sip.message import Request, Response, request_uri
from ..sip.uri import Uri
from .domains import Domains

logger = logging.getLogger("reginfo.server")

KEY = "service_route"
"""The key in the user's record that holds it, in the form of the header."""


UNTIL = "service_route_until"
"""The key that holds the end of the registration, in seconds since the epoch."""

DEFAULT = 3600
"""The interval of a registration without Expires, in seconds."""


class ServiceRoutes:
    """
    Learns Service-Routes from the responses to forwarded REGISTERs, and applies them.

    They are stored in a record of the user; the contacts are stored at the registrar.
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
        Learn from the response of a registrar, which replaces the stored value (§6.1).

        The value is removed if there is no Service-Route, or no contact is left.
        """
        if not 200 <= response.status < 300:
            return
        try:
            if register.to.parsed.host != request_uri(register).host:
                return  # only the registrar of a user may set its route
            place = Place(self._table, self._domains.aor(register.to.parsed))
        except RemoteProtocolError:
            return  # not the URI of a user
        value = until = None
        now, wall = self._clock.now(), self._clock.wall()
        lasts = _lasts(response)
        if lasts:
            value = ", ".join(response.headers.get("Service-Route", ())) or None
        if value is not None:
            if not _is_route(value):
                logger.warning("! invalid Service-Route of %s: %.80r", place, value)
                return
            until = str(int(wall) + lasts)
        for key, text in ((KEY, value), (UNTIL, until)):
            self._store.set_key(place, key, text, now, wall)

    def of(self, request: Request) -> tuple[str, ...]:
        """
        Return the route set for a request that a user originates; empty if there is
        none.

        In-dialog requests follow the route set of the dialog.
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
            return ()  # a script or another server may have set it
        if until.isdecimal() and int(until) <= self._clock.wall():
            return ()  # the registration has ended
        return tuple(split(value))


def _is_route(value: str) -> bool:
    if not value.isprintable():
        return False  # a line break would end the header
    try:
        return all(Uri.parse(route_uri(one)).host for one in split(value))
    except RemoteProtocolError:
        return False


def _lasts(response: Response) -> int:
    """Return the longest interval of the contacts in a 2xx; 0 if there are none."""
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
