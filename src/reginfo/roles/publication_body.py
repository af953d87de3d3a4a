"""The bodies of our PUBLISHes: what is registered here, as far as there is room."""

from __future__ import annotations

import msgspec

from ..location.binding import Binding
from ..location.place import Place
from ..location.store import LocationStore
from ..reg import legacy, xml
from ..reg.document import ContactEvent, RegistrationState, registration_id
from ..reg.legacy import Profile
from .document import contact_of
from .pieces import AROUND, AROUND_REGISTRATION, fitting
from .published import PublishedState


class PublicationBodies:
    """
    Writes the full state that one publication of ours is.

    A PUBLISH replaces the whole state of its publication (RFC 3903 §4.1), so it cannot
    be sent in pieces as the state in NOTIFYs is: what does not fit is left out.

    Args:
        table: the location table that is published.
    """

    def __init__(self, store: LocationStore, server_id: str, table: str) -> None:
        self._store = store
        self._server_id = server_id
        self._table = table

    def write(
        self,
        published: PublishedState,
        own: dict[str, Binding],
        now: float,
        room: int,
    ) -> tuple[bytes, dict[str, Binding]]:
        """
        Write the full state of our contacts, and how those went that are gone.

        If not all fit, those that were refreshed last are written, and then those that
        are gone.

        Args:
            own: the contacts that were registered at this server, by their keys.
            room: octets that the body may have, unless it has one contact.

        Returns:
            The body, and which of ``own`` are in it.
        """
        aor = published.aor
        record = self._store.record_of(Place(self._table, aor))
        gone = self._gone(published, record, own, now)
        implicit = aor != record.aor
        written = {
            binding.key: self._element(binding, published, implicit, now)
            for binding in [*gone, *own.values()]
        }
        newest = sorted(own.values(), key=lambda binding: -binding.stamp)
        wanted = [binding.key for binding in newest] + [one.key for one in gone]
        sizes = [len(written[key]) for key in wanted]
        number = fitting(sizes, room - AROUND - AROUND_REGISTRATION - len(aor))
        fit = set(wanted[:number])
        elements = [element for key, element in written.items() if key in fit]
        state = RegistrationState.ACTIVE if own else RegistrationState.TERMINATED
        registration = xml.registration_element(
            aor, registration_id(aor), state, elements
        )
        # Readers take the placeholder version as any other number, and some servers
        # replace it by their own.
        body = legacy.publish_body([registration])
        if number < len(wanted):
            own = {key: binding for key, binding in own.items() if key in fit}
        return body, own

    def _element(
        self, binding: Binding, published: PublishedState, implicit: bool, now: float
    ) -> bytes:
        """Write one contact."""
        contact = contact_of(binding, published.aor, implicit=implicit)
        expires = registered = None
        if binding.active:
            expires = binding.expires(now)
            registered = max(0, int(now - binding.registered_at))
        if published.target.speaks is Profile.LEGACY:
            contact = legacy.adapt(contact)
            expires = expires or 0
        return xml.contact_element(xml.contact_parts(contact), expires, registered)

    def _gone(
        self,
        published: PublishedState,
        record: Place,
        own: dict[str, Binding],
        now: float,
    ) -> list[Binding]:
        """Return published contacts that are no longer ours, with their last events."""
        told = {**published.told, **published.sent}
        rows = self._store.rows(record)
        is_told = published.aor in self._store.identities(record)
        gone = []
        for key, last in told.items():
            if key in own:
                continue
            in_doubt = now < published.publication.unheard_until
            if not is_told or not rows or (in_doubt and key not in rows):
                # The identity was removed; or the store has forgotten a contact that
                # the presence server may still list.
                over = last.expires_at <= now
                event = ContactEvent.EXPIRED if over else ContactEvent.DEACTIVATED
                gone.append(msgspec.structs.replace(last, event=event))
            elif key in rows:
                holds = rows[key][0]
                # A contact that has moved to another server is reported by that one.
                if holds.owner == self._server_id:
                    event = ContactEvent.DEACTIVATED if holds.active else holds.event
                    gone.append(msgspec.structs.replace(holds, event=event))
        return gone
