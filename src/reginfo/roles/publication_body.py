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
from .pieces import AROUND, AROUND_REGISTRATION, fitting
from .published import PublishedState


class PublicationBodies:
    """
    Writes the documents of publications.

    A PUBLISH replaces the whole state of its publication (RFC 3903 §4.1), so this state
    cannot be sent in pieces as that in NOTIFYs: what does not fit is left out.

    Args:
        server_id: the owner of the contacts that are published.
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
        Write the full state of our contacts, including those that have ended.

        If not all fit, the contacts that were refreshed last are written first, and
        those that have ended last.

        Args:
            own: the contacts that were registered at this server, by their keys.
            room: the maximum length in bytes, unless there is only one contact.

        Returns:
            The body, and which of ``own`` are in it.
        """
        aor = published.aor
        record = self._store.record_of(Place(self._table, aor))
        # The contacts of a user are claimed under its own name, and not for each of
        # its identities.
        is_plain = aor == record.aor
        claims = published.target.takes_claims and is_plain
        published.is_plain = is_plain and not claims
        last: list[bytes] = []
        if claims:
            written = self._claims(published, record, own, now)
            last = record_elements(self._store.records(record), now)
            last.append(speaker_element(self._server_id))
        else:
            written = {
                binding.key: self._element(binding, published, not is_plain, now)
                for binding in [
                    *self._gone(published, record, own, now), *own.values()
                ]
            }  # fmt: skip
        newest = sorted(own, key=lambda key: -own[key].stamp)
        wanted = [*newest, *(key for key in written if key not in own)]
        around = AROUND + AROUND_REGISTRATION + len(aor) + sum(map(len, last))
        number = len(fitting([written[key] for key in wanted], room - around))
        fit = set(wanted[:number])
        elements = [element for key, element in written.items() if key in fit]
        state = RegistrationState.ACTIVE if own else RegistrationState.TERMINATED
        registration = xml.registration_element(
            aor, registration_id(aor), state, elements + last
        )
        if number < len(wanted):
            own = {key: binding for key, binding in own.items() if key in fit}
        if claims:
            return xml.reginfo_body(0, True, [registration]), own
        # Readers accept the placeholder version like any other number, and some servers
        # replace it.
        return legacy.publish_body([registration]), own

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

    def _claims(
        self,
        published: PublishedState,
        record: Place,
        own: dict[str, Binding],
        now: float,
    ) -> dict[str, bytes]:
        """
        Write all claims for our contacts, by the keys of these.

        For a `reginfo` server: each claim is complete in itself, and what is not listed
        is not gone.
        """
        store, aor = self._store, published.aor
        keys = dict.fromkeys([*published.told, *published.sent, *own])
        return {
            key: b"".join(claim_elements(store.claims(record, key), aor, now))
            for key in keys
        }

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
