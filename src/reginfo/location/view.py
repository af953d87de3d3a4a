"""Read access to the contacts and records of all users."""

from __future__ import annotations

from collections.abc import Iterator

from ..sip.uri import Uri
from .binding import Binding
from .contact_row import ContactIndex, UserContacts
from .contacts import Contacts
from .keyring import Keyring
from .lives import Claims
from .place import Aor, Place
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
        """Return the bindings of ``place`` now."""
        user = self._records.get(place)
        if user is None:
            return []
        return [
            shown
            for row in user.bound.values()
            if (shown := row.shown) is not None and shown.expires_at > now
        ]

    def binding(self, place: Place, key: str, now: float) -> Binding | None:
        """Return the claim that binds one contact now; None if it is not bound."""
        user = self._records.get(place)
        row = None if user is None else user.bound.get(key)
        shown = None if row is None else row.shown
        return shown if shown is not None and shown.expires_at > now else None

    def claims(self, place: Place, key: str) -> Claims:
        """Return the stored claims about one contact; the claim that holds first."""
        user = self._records.get(place)
        row = None if user is None else user.rows.get(key)
        return row.claims if row else ()

    def rows(self, place: Place) -> dict[str, Claims]:
        """Return the claims about each contact of ``place``, including tombstones."""
        user = self._records.get(place)
        if user is None:
            return {}
        return {key: row.claims for key, row in user.rows.items()}

    def is_known(self, place: Place) -> bool:
        """Whether anything is stored about ``place``, even if only tombstones."""
        return place in self._records or bool(self._keyring.user(place))

    def contacts(self, place: Place, now: float, wall: float) -> Contacts:
        """Return a snapshot of the contacts of ``place``, as input of a decision."""
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
        """Return the latest stamp of the records that affect contacts; 0 for none."""
        standing = self._keyring.standing(place)
        return 0 if standing is None else standing.latest

    def places(self) -> Iterator[Place]:
        """Yield every user with a stored contact, in the order of their first one."""
        return iter(self._records)

    def aors(self, table: str) -> Iterator[Aor]:
        """Like :meth:`places`, for one table."""
        return (place.aor for place in self._records if place.table == table)

    def is_bound(self, place: Place, now: float) -> bool:
        """Whether ``place`` has a binding now."""
        user = self._records.get(place)
        if user is None:
            return False
        for row in user.bound.values():
            if row.shown is not None and row.shown.expires_at > now:
                return True
        return False

    def find(self, place: Place, uri: Uri) -> tuple[str, Claims]:
        """
        Return the key of a contact, and the claims about it.

        Like :meth:`.Contacts.find`, with an index if there are many contacts. For an
        unknown contact, it returns ``uri.key`` and no claims.
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
        Return the addresses-of-record under which the contacts of ``place`` are
        reported.

        These are its public identities; by default, ``place`` itself.
        """
        if self._identified and (found := self._keyring.identities(place)):
            return found
        return (place.aor,)

    def record_of(self, place: Place) -> Place:
        """
        Return the user whose contacts are reported for ``place``.

        This is ``place`` itself as long as it has bindings; otherwise the user that
        named it last as an identity.
        """
        named_by = self.named_by(place)
        if named_by is None:
            return place
        own = self._records.get(place)
        if own is not None and own.bound:
            return place
        return Place(place.table, named_by)

    def named_by(self, place: Place) -> Aor | None:
        """
        Return the user that names ``place`` as an identity; None if there is none.
        """
        if not self._identified:
            return None
        return self._keyring.named_by(place)

    def keys(self, place: Place) -> dict[str, str]:
        """Return the keys of ``place``, by name."""
        return {
            name: record.value
            for name, record in self._keyring.keys(place).items()
            if record.value is not None
        }

    def records(self, place: Place) -> list[Record]:
        """Return all records of ``place``, including those that were removed."""
        return self._keyring.records(place)

    def barred(self, table: str, now: float) -> list[tuple[Aor, Record]]:
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
