"""The documents of our publications: the full state of what is registered here."""

from __future__ import annotations

import msgspec

from ..location.binding import Binding
from ..location.place import Place
from ..location.store import LocationStore
from ..reg import legacy, xml
from ..reg.document import ContactEvent, RegistrationState, registration_id
from ..reg.legacy import Profile
from .document import contact_of
from .envelope import claim_elements, record_elements, speaker_element
from .published import PublishedState


class PublicationBodies:
    """
    Writes the documents of publications.

    Args:
        server_id: the owner of the contacts that are published.
        table: the location table that is published.
    """

    def __init__(self, store: LocationStore, server_id: str, table: str) -> None:
        self._store = store
        self._server_id = server_id
        self._table = table

    def write(
        self, published: PublishedState, own: dict[str, Binding], now: float
    ) -> bytes:
        """Write the full state of our contacts, including those that have ended."""
        aor = published.aor
        record = self._store.record_of(Place(self._table, aor))
        # The contacts of a user are claimed under its own name, and not for each of
        # its identities.
        published.is_plain = aor == record.aor
        if published.target.takes_claims and published.is_plain:
            published.is_plain = False
            return self._claims(published, record, own, now)
        gone = self._gone(published, record, own, now)
        profile = published.target.speaks
        elements = []
        for binding in [*gone, *own.values()]:
            contact = contact_of(binding, aor, implicit=aor != record.aor)
            expires = registered = None
            if binding.active:
                expires = binding.expires(now)
                registered = max(0, int(now - binding.registered_at))
            if profile is Profile.LEGACY:
                contact = legacy.adapt(contact)
                expires = expires or 0
            parts = xml.contact_parts(contact)
            elements.append(xml.contact_element(parts, expires, registered))
        state = RegistrationState.ACTIVE if own else RegistrationState.TERMINATED
        registration = xml.registration_element(
            aor, registration_id(aor), state, elements
        )
        # Readers accept the placeholder version like any other number, and some servers
        # replace it.
        return legacy.publish_body([registration])

    def _claims(
        self,
        published: PublishedState,
        record: Place,
        own: dict[str, Binding],
        now: float,
    ) -> bytes:
        """
        Write all claims for our contacts, and the records of the user.

        For a `reginfo` server: each claim is complete in itself, and what is not listed
        is not gone.
        """
        store, aor = self._store, published.aor
        keys = dict.fromkeys([*published.told, *published.sent, *own])
        elements = []
        for key in keys:
            elements += claim_elements(store.claims(record, key), aor, now)
        elements += record_elements(store.records(record), now)
        elements.append(speaker_element(self._server_id))
        state = RegistrationState.ACTIVE if own else RegistrationState.TERMINATED
        registration = xml.registration_element(
            aor, registration_id(aor), state, elements
        )
        return xml.reginfo_body(0, True, [registration])

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
