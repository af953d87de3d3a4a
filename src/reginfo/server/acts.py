"""Actions of an administrator or a script: decided, then applied."""

from __future__ import annotations

from collections.abc import Callable

from ..ledger.turn import Turns
from ..location.claim import Claim
from ..location.place import Place
from ..location.store import LocationStore
from ..reg.document import ContactEvent
from ..roles import administrator
from ..roles.administrator import Act, ActResult
from ..routing.domains import Domains
from ..sip.errors import LocalProtocolError


class Acts:
    """
    Actions of an administrator on the users of this server.

    They are claims and records, so they reach the servers that watch this one.

    Args:
        server_id: the owner of these claims and records.
        has_links: whether other servers may know contacts that are not known here.
        new_id: makes a random token.
    """

    def __init__(
        self,
        store: LocationStore,
        turns: Turns,
        domains: Domains,
        *,
        server_id: str,
        has_links: bool,
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._turns = turns
        self._domains = domains
        self._server_id = server_id
        self._has_links = has_links
        self._new_id = new_id

    def remove(
        self,
        table: str,
        aor: str,
        contact: str | None,
        event: ContactEvent,
        retry_after: int | None,
        is_published: bool = True,
    ) -> ActResult:
        """
        Remove contacts of a user; see :func:`.administrator.remove`.

        Args:
            is_published: whether to publish the change.

        Raises:
            LocalProtocolError, RemoteProtocolError: an argument is invalid.
        """
        place = self._place(table, aor)
        act = administrator.remove(
            self._contacts(place),
            event=event,
            server_id=self._server_id,
            contact=contact,
            retry_after=retry_after,
            call_id=self._new_id() if self._has_links else None,
        )
        return self._apply(place, act, is_published)

    def shorten(
        self,
        table: str,
        aor: str,
        contact: str | None,
        expires: int,
        is_published: bool = True,
    ) -> ActResult:
        """
        Let contacts of a user end in ``expires`` seconds at the latest.

        Raises:
            RemoteProtocolError: an argument is invalid.
        """
        place = self._place(table, aor)
        contacts = self._contacts(place)
        if contact is None and not self._has_links and not contacts.rows:
            return ActResult()  # there is nothing, here or elsewhere
        act = administrator.shorten(
            contacts, expires=expires, server_id=self._server_id, contact=contact
        )
        return self._apply(place, act, is_published)

    def create(
        self,
        table: str,
        aor: str,
        contact: str,
        expires: int,
        q: str | None = None,
        is_published: bool = True,
    ) -> Claim:
        """
        Bind a contact without a REGISTER; return the binding.

        Raises:
            LocalProtocolError: the user is not one of ours, or is barred, or the
                contact is too large.
            RemoteProtocolError, ValueError: ``contact`` or ``q`` is invalid.
        """
        place = self._place(table, aor)
        if not self._domains.serve(place.aor):
            raise LocalProtocolError(f"{place.aor} is not in a domain of this server")
        act = administrator.create(
            self._contacts(place),
            contact,
            expires=min(expires, int(self._store.longest_life)),
            server_id=self._server_id,
            call_id=self._new_id(),
            q=q,
        )
        self._apply(place, act, is_published)
        return act.claims[0]

    def admit(self, table: str, aor: str) -> ActResult:
        """
        Allow a user to register again who was rejected or put on probation.

        Raises:
            RemoteProtocolError: ``aor`` is invalid.
        """
        place = self._place(table, aor)
        act = administrator.admit(self._contacts(place), server_id=self._server_id)
        return self._apply(place, act, is_published=True)

    # How.

    def _place(self, table: str, aor: str) -> Place:
        return Place(table, self._domains.named(aor))

    def _contacts(self, place: Place) -> administrator.Contacts:
        moment = self._turns.moment()
        return self._store.contacts(place, moment.now, moment.wall)

    def _apply(self, place: Place, act: Act, is_published: bool) -> ActResult:
        if not act.claims and not act.records:
            return ActResult()
        changes = self._store.apply(
            place,
            act.claims,
            self._turns.moment().now,
            records=act.records,
            is_published=is_published,
        )
        is_recorded = bool(act.records) or len(act.claims) > len(changes)
        return ActResult(len(changes), is_recorded)
