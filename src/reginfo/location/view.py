"""What is known of the contacts of all users: read by everybody, changed elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from ..sip.uri import Uri
from .binding import Binding
from .contact_row import ContactIndex, UserContacts
from .contacts import Contacts
from .keyring import Keyring
from .lives import Claims
from .place import TABLE, Aor, Place
from .record import Record, RecordKind


class LocationView:
    """
    Contacts and records by user.

    Args:
        identified: whether users can have identities.
    """

    def __init__(self, keyring: Keyring, *, identified: bool) -> None:
        self._records: dict[Place, UserContacts] = {}
        self._index = ContactIndex()
        self._keyring = keyring
        self._identified = identified

    def bindings(self, place: Place, now: float) -> list[Binding]:
        """The contacts that ``place`` is bound to at this moment."""
        user = self._records.get(place)
        if user is None:
            return []
        return [
            shown
            for row in user.bound.values()
            if (shown := row.shown) is not None and shown.expires_at > now
        ]

    def binding(self, place: Place, key: str, now: float) -> Binding | None:
        """What one contact is bound by at this moment; None if it is not bound."""
        user = self._records.get(place)
        row = None if user is None else user.bound.get(key)
        shown = None if row is None else row.shown
        return shown if shown is not None and shown.expires_at > now else None

    def claims(self, place: Place, key: str) -> Claims:
        """All claims kept for one contact, the one that holds first; empty if none."""
        user = self._records.get(place)
        row = None if user is None else user.rows.get(key)
        return row.claims if row else ()

    def rows(self, place: Place) -> dict[str, Claims]:
        """The claims for each contact of ``place``, those that are gone included."""
        user = self._records.get(place)
        if user is None:
            return {}
        return {key: row.claims for key, row in user.rows.items()}

    def is_known(self, place: Place) -> bool:
        """Whether anything is kept of ``place``, be it that a contact has gone."""
        return place in self._records or bool(self._keyring.user(place))

    def contacts(self, place: Place, now: float, wall: float) -> Contacts:
        """What is known of the contacts of ``place``, to decide something by."""
        rows: dict[str, Claims] = {}
        user = self._records.get(place)
        if user is not None:
            for key, row in user.bound.items():
                rows[key] = row.claims
        standing = self._keyring.standing(place)
        return Contacts(rows, now, wall, standing, self, place)

    def record(self, place: Place, kind: RecordKind, name: str = "") -> Record | None:
        """One record of ``place``; None if there is none of that kind and name."""
        return self._keyring.record(place, kind, name)

    def latest_record(self, place: Place) -> int:
        """The latest stamp of the records that concern the contacts; 0 for none."""
        standing = self._keyring.standing(place)
        return 0 if standing is None else standing.latest

    def places(self) -> Iterator[Place]:
        """Every user of whom a contact is kept, in the order in which they came."""
        return iter(self._records)

    def aors(self, table: str) -> Iterator[Aor]:
        """Like :meth:`places`, of one table."""
        return (place.aor for place in self._records if place.table == table)

    def is_bound(self, place: Place, now: float) -> bool:
        """Whether ``place`` is bound to any contact at this moment."""
        user = self._records.get(place)
        if user is None:
            return False
        for row in user.bound.values():
            if row.shown is not None and row.shown.expires_at > now:
                return True
        return False

    def find(self, place: Place, uri: Uri) -> tuple[str, Claims]:
        """
        Return the key under which a contact is kept, and what is claimed of it.

        Like :meth:`.Contacts.find`, with an index where there are many contacts. Where
        the contact is not known, ``uri.key`` and no claims.
        """
        user = self._records.get(place)
        if user is None:
            return uri.key, ()
        row = user.rows.get(uri.key)
        if row is not None:
            return uri.key, row.claims
        row = self._index.find(place, user.rows, uri)
        return (uri.key, ()) if row is None else (row.key, row.claims)

    def identities(self, place: Place) -> tuple[Aor, ...]:
        """
        The addresses-of-record under which the contacts of ``place`` are reported.

        Its public identities; where none are known, ``place`` itself.
        """
        if self._identified and (found := self._keyring.identities(place)):
            return found
        return (place.aor,)

    def record_of(self, place: Place) -> Place:
        """
        The user whose contacts ``place`` has: its own, or whose identity it is.

        Its own as long as something is bound to it; of several users that name the
        identity, the one that did so last.
        """
        named_by = self.named_by(place)
        if named_by is None:
            return place
        own = self._records.get(place)
        if own is not None and own.bound:
            return place
        return Place(place.table, named_by)

    def named_by(self, place: Place) -> Aor | None:
        """The user that names ``place`` as an identity; None if there is none."""
        if not self._identified:
            return None
        return self._keyring.named_by(place)

    def keys(self, place: Place) -> dict[str, str]:
        """The keys of ``place`` by name."""
        return {
            name: record.value
            for name, record in self._keyring.keys(place).items()
            if record.value is not None
        }

    def records(self, place: Place) -> list[Record]:
        """All records of ``place``, also what was removed or lifted."""
        return self._keyring.records(place)

    def barred(self, now: float, table: str = TABLE) -> list[tuple[Aor, Record]]:
        """Users that are rejected or on probation, and the record that says so."""
        found = []
        for user in self._keyring.users():
            standing = user.standing
            if user.place.table != table or standing is None:
                continue
            if standing.bars(now):
                kind = RecordKind.PROBATION
                if standing.rejected:
                    kind = RecordKind.REJECTED
                found.append((user.place.aor, user.records[kind, ""]))
        return found
