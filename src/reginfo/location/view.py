"""What is known of the contacts of all users: read by everybody, changed elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ..sip.uri import Uri
from .binding import Binding
from .contact_row import ContactIndex, UserContacts
from .contacts import Contacts
from .keyring import Keyring
from .lives import Claims
from .record import Record

TABLE = "location"
"""The table that is meant where none is named."""


class LocationView:
    """
    Contacts and records by table and address-of-record.

    Args:
        identified: whether users can have identities.
    """

    def __init__(self, keyring: Keyring, *, identified: bool) -> None:
        self._records: dict[str, dict[str, UserContacts]] = {}
        self._index = ContactIndex()
        self._keyring = keyring
        self._identified = identified

    def bindings(self, aor: str, now: float, table: str = TABLE) -> list[Binding]:
        """The contacts that ``aor`` is bound to at this moment."""
        user = self._records.get(table, {}).get(aor)
        if user is None:
            return []
        return [
            shown
            for row in user.bound.values()
            if (shown := row.shown) is not None and shown.expires_at > now
        ]

    def binding(
        self, aor: str, key: str, now: float, table: str = TABLE
    ) -> Binding | None:
        """What one contact is bound by at this moment; None if it is not bound."""
        user = self._records.get(table, {}).get(aor)
        row = None if user is None else user.bound.get(key)
        shown = None if row is None else row.shown
        return shown if shown is not None and shown.expires_at > now else None

    def claims(self, aor: str, key: str, table: str = TABLE) -> Claims:
        """All claims kept for one contact, the one that holds first; empty if none."""
        user = self._records.get(table, {}).get(aor)
        row = None if user is None else user.rows.get(key)
        return row.claims if row else ()

    def rows(self, aor: str, table: str = TABLE) -> dict[str, Claims]:
        """The claims for each contact of ``aor``, those that are gone included."""
        user = self._records.get(table, {}).get(aor)
        if user is None:
            return {}
        return {key: row.claims for key, row in user.rows.items()}

    def is_known(self, aor: str, table: str = TABLE) -> bool:
        """Whether anything is kept of ``aor``, be it that a contact has gone."""
        return aor in self._records.get(table, {}) or bool(
            self._keyring.user(table, aor)
        )

    def contacts(
        self, aor: str, now: float, wall: float, table: str = TABLE
    ) -> Contacts:
        """What is known of the contacts of ``aor``, to decide something by."""
        user = self._records.get(table, {}).get(aor)
        rows = {} if user is None else user.bound
        return Contacts(
            rows={key: row.claims for key, row in rows.items()},
            now=now,
            wall=wall,
            standing=self._keyring.standing(table, aor),
            record=partial(self._keyring.record, table, aor),
            past=partial(self.claims, aor, table=table),
        )

    def latest_record(self, aor: str, table: str = TABLE) -> int:
        """The latest stamp of the records that concern the contacts; 0 for none."""
        standing = self._keyring.standing(table, aor)
        return 0 if standing is None else standing.latest

    def aors(self, table: str = TABLE) -> Iterator[str]:
        """Every address-of-record that has a row, in the order in which they came."""
        return iter(self._records.get(table, {}))

    def is_bound(self, aor: str, now: float, table: str = TABLE) -> bool:
        """Whether ``aor`` is bound to any contact at this moment."""
        user = self._records.get(table, {}).get(aor)
        if user is None:
            return False
        for row in user.bound.values():
            if row.shown is not None and row.shown.expires_at > now:
                return True
        return False

    def find(self, aor: str, uri: Uri, table: str = TABLE) -> tuple[str, Claims]:
        """
        Return the key under which a contact is kept, and what is claimed of it.

        Like :meth:`.Contacts.find`, with an index where there are many contacts. Where
        the contact is not known, ``uri.key`` and no claims.
        """
        user = self._records.get(table, {}).get(aor)
        if user is None:
            return uri.key, ()
        row = user.rows.get(uri.key)
        if row is not None:
            return uri.key, row.claims
        row = self._index.find(table, aor, user.rows, uri)
        return (uri.key, ()) if row is None else (row.key, row.claims)

    def identities(self, aor: str, table: str = TABLE) -> tuple[str, ...]:
        """
        The addresses-of-record under which the contacts of ``aor`` are reported.

        Its public identities; where none are known, ``aor`` itself.
        """
        if self._identified and (found := self._keyring.identities(table, aor)):
            return found
        return (aor,)

    def record_of(self, aor: str, table: str = TABLE) -> str:
        """
        The user whose contacts ``aor`` has: its own, or whose identity it is.

        Its own as long as something is bound to it; of several users that name the
        identity, the one that did so last.
        """
        named_by = self.named_by(aor, table)
        if named_by is None:
            return aor
        own = self._records.get(table, {}).get(aor)
        return aor if own is not None and own.bound else named_by

    def named_by(self, aor: str, table: str = TABLE) -> str | None:
        """The user that names ``aor`` as an identity; None if there is none."""
        if not self._identified:
            return None
        return self._keyring.named_by(table, aor)

    def keys(self, aor: str, table: str = TABLE) -> dict[str, str]:
        """The keys of ``aor`` by name."""
        return {
            name: record.value
            for name, record in self._keyring.keys(table, aor).items()
            if record.value is not None
        }

    def records(self, aor: str, table: str = TABLE) -> list[Record]:
        """All records of ``aor``, also what was removed or lifted."""
        return self._keyring.records(table, aor)

    def tables(self) -> list[str]:
        """The tables in which there are contacts."""
        return list(self._records)
