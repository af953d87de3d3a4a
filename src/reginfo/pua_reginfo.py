"""
The functions of the `pua_reginfo` module, under the names that operators know.

Its parameters are in ``[pua_reginfo]`` of the configuration. Scripts call the functions
here; the roles do the work.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from .events.subscribe import Wanted
from .location.place import Aor, Name, Place
from .location.store import LocationStore
from .reg import xml
from .roles.notifier import Notifier
from .roles.publisher import Publisher
from .roles.subscriber import Subscriber
from .sip.errors import RemoteProtocolError
from .sip.flow import Flow
from .sip.message import Request
from .sip.uri import Uri

logger = logging.getLogger("reginfo.pua_reginfo")

UPDATED, GONE = 1, 2
"""Return codes of :meth:`PuaReginfo.handle_notify`; for -1 it raises."""


class PuaReginfo:
    """
    The functions of the module.

    Args:
        aor: returns the address-of-record of a URI, in canonical form.
        owner: returns the owner of the contacts reported for a subscribed URI.
        server_address: the From of our SUBSCRIBEs; None if it is not configured.
        rearm: whether to retry a subscription that was rejected.
    """

    def __init__(
        self,
        store: LocationStore,
        notifier: Notifier,
        publisher: Publisher,
        subscriber: Subscriber,
        *,
        aor: Name,
        owner: Callable[[Uri], str],
        server_address: str | None,
        rearm: bool = True,
    ) -> None:
        self._store = store
        self._notifier = notifier
        self._publisher = publisher
        self._subscriber = subscriber
        self._aor = aor
        self._owner = owner
        self._server_address = server_address
        self._rearm = rearm

    def handle_notify(
        self,
        request: Request,
        flow: Flow,
        location: str,
        *,
        unsolicited: str | None,
        now: float,
        wall: float,
    ) -> int:
        """
        Process a NOTIFY, and update the table ``location``.

        Args:
            unsolicited: the peer that sent the NOTIFY without a subscription, if so.

        Returns:
            1 if a reported user has a contact now, or the NOTIFY has no body; 2 if none
            has.

        Raises:
            Refusal, RemoteProtocolError: the NOTIFY is wrong; nothing has changed.
        """
        if unsolicited is not None and not self._subscriber.knows(request):
            aors = self._subscriber.receive_unsolicited(
                unsolicited, request, now, wall, location
            )
        else:
            aors = self._subscriber.receive_notify(request, flow, now, wall, location)
        for aor in aors:
            if self._store.is_bound(Place(location, aor), now):
                return UPDATED
        return GONE if aors else UPDATED

    def subscribe(self, uri: str, expires: int, now: float) -> bool:
        """
        Subscribe to the registrations of ``uri``; unsubscribe if ``expires`` is 0.

        Returns:
            False if this is not possible; the reason is logged.
        """
        try:
            parsed = Uri.parse(uri)
            if parsed.scheme not in ("sip", "sips"):
                raise RemoteProtocolError(f"not a SIP URI: {uri[:80]!r}")
            aor = self._aor(parsed)
        except RemoteProtocolError as exc:
            logger.warning("! reginfo_subscribe: %s", exc)
            return False
        owner = self._owner(parsed)
        if not expires:
            self._subscriber.cancel(owner, aor, now)
            return True
        if self._server_address is None:
            logger.warning("! reginfo_subscribe needs pua_reginfo.server_address")
            return False
        wanted = Wanted(
            uri=parsed.text,
            local=self._server_address,
            event=xml.PACKAGE,
            accept=xml.MEDIA_TYPE,
            expires=expires,
            rearm=self._rearm,
        )
        if not self._subscriber.request(owner, aor, wanted, now):
            logger.warning("! reginfo_subscribe: too many subscriptions")
            return False
        return True

    def update(self, aor: Aor, now: float) -> bool:
        """Notify and publish the current state of ``aor``; False if there is none."""
        told = self._notifier.update(aor, now)
        published = self._publisher.update(aor, now)
        return told or published
