"""The records of all users, and the identities in one of their keys."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from ..ledger.journal import Journal
from ..ledger.shelf import Rows, nothing
from . import identities
from .lives import SLACK
from .longest import LongestLife
from .place import Aor, Name, Place, as_written, place_in, row_key
from .record import Record, RecordKind, Standing, standing
from .stamp import Stamp, wall_at

logger = logging.getLogger("reginfo.location")

KIND = "record"
"""The kind of a record's rows in the journal."""

REMEMBERED = 7 * 86400.0
"""
Seconds for which the removal of a key is remembered. A server that was unreachable for
longer may bring the key back.
"""

TOMBSTONES = 100_000
"""The maximum number of removed keys that are remembered, to limit memory."""


_RecordKey = tuple[Place, RecordKind, str]


class KeyChange(NamedTuple):
    """A change of a key of a record."""

    place: Place

    before: tuple[Aor, ...]
    after: tuple[Aor, ...]
    "The addresses-of-record under which the record was reported before, and is now."

    source: str | None
    "The subscription that it was learned from; None if it was made here."

    moved: tuple[Aor, ...] = ()
    "Identities that now belong to another record."

    at: float = 0.0
    "The time of the change, in seconds on the server's clock."

    is_published: bool = True
    "Whether to publish it; see `reginfo_disable_publish`."


class UserRecords:
    """The records of one address-of-record."""

    __slots__ = ("place", "records", "scheduled_at", "standing", "timer_at")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.records: dict[tuple[RecordKind, str], Record] = {}
        self.standing: Standing | None = None
        # When a probation ends.
        self.timer_at: float | None = None
        self.scheduled_at: float | None = None

    def has_number(self, number: int) -> bool:
        return any(record.number == number for record in self.records.values())

    def timer_due(self, now: float) -> None:
        self.timer_at = None


class Keyring:
    """
    The records of all users.

    Args:
        numbered: called with each changed record and the record that it replaces, to
            maintain the index of changes.
        longest: how long claims about contacts matter, in seconds.
        identities_key: the key that holds identities; None if there is none.
        canonical: returns the address-of-record of a URI, or raises
            `RemoteProtocolError`.
    """

    def __init__(
        self,
        journal: Journal,
        numbered: Callable[[UserRecords, Record | None, Record | None], None],
        longest: LongestLife,
        identities_key: str | None = None,
        canonical: Name | None = None,
    ) -> None:
        self._rows: Rows[Record] = Rows(
            journal, KIND, Record, self._take_loaded, _shifted
        )
        self._numbered = numbered
        self._longest = longest
        self._canonical = canonical or as_written
        self._identities_key = identities_key
        self._users: dict[Place, UserRecords] = {}
        # Records that will be forgotten some day, in the order in which they came.
        self._passing: dict[_RecordKey, Record] = {}
        # The identities of each user; and the users that name each identity.
        self._identities: dict[Place, tuple[Aor, ...]] = {}
        self._named: dict[Place, set[Aor]] = {}

    def keys(self, place: Place) -> dict[str, Record]:
        """Return the keys of a user, by name, including removed ones."""
        user = self._users.get(place)
        if user is None:
            return {}
        return {
            name: record
            for (kind, name), record in user.records.items()
            if kind is RecordKind.KEY
        }

    def records(self, place: Place) -> list[Record]:
        """Return all records of a user, including those that were removed."""
        user = self._users.get(place)
        return [] if user is None else list(user.records.values())

    def record(self, place: Place, kind: RecordKind, name: str = "") -> Record | None:
        user = self._users.get(place)
        return None if user is None else user.records.get((kind, name))

    def users(self) -> list[UserRecords]:
        """Return all users that have a record."""
        return list(self._users.values())

    def user(self, place: Place) -> UserRecords | None:
        return self._users.get(place)

    def standing(self, place: Place) -> Standing | None:
        """Return the effect of a user's records on its contacts; None for no effect."""
        if not self._users:
            return None
        user = self._users.get(place)
        return None if user is None else user.standing

    def identities(self, place: Place) -> tuple[Aor, ...]:
        """Return the identities of a user; empty if it has none."""
        return self._identities.get(place, ())

    def named_by(self, identity: Place) -> Aor | None:
        """Return the user that an identity belongs to: the one with the latest key."""
        users = self._named.get(identity)
        if users is None:
            return None
        if len(users) == 1:
            return next(iter(users))
        # Compared by values that travel with the key, so all servers agree.
        table = identity.table
        return max(users, key=lambda aor: (self._set_by(Place(table, aor)), aor))

    def floor(self, table: str, name: str, value: str | None) -> int:
        """
        Return a stamp that a new key must exceed; 0 for any.

        An identity belongs to the user that named it last. So a key with identities
        must be later than those of the other users that name them.
        """
        if name != self._identities_key:
            return 0
        named, _ = identities.read(value or "", self._canonical)
        users = {aor for one in named for aor in self._named.get(Place(table, one), ())}
        return max((self._set_by(Place(table, aor))[0] for aor in users), default=0)

    def put(self, place: Place, record: Record) -> KeyChange | None:
        """
        Set a record, unless a later one is known; return the change, or None.

        For a record that is not a key, the change names no identities.
        """
        known = self.record(place, record.kind, record.name)
        if known is not None and not record.outlives(known):
            return None
        is_key = record.kind is RecordKind.KEY
        before = self._identities.get(place, ())
        owners = self._owners(place.table, before, record)
        self._set(place, record.id, record)
        self._rows.write(
            _entry_key(place, record), record, self._set, place, record.id, known
        )
        self._forget(record.stamp)
        if not is_key:
            return KeyChange(place, (), (), record.source)
        after = self._identities.get(place, ())
        moved = tuple(
            one
            for one, owner in owners.items()
            if owner != self.named_by(Place(place.table, one))
        )
        own = (place.aor,)
        return KeyChange(place, before or own, after or own, record.source, moved)

    def owe(self, place: Place, record: Record) -> None:
        """Give a record a new number, because a linked server does not know it."""
        self._set(place, record.id, record)
        self._rows.write(_entry_key(place, record), record, nothing)

    def _forget(self, stamp: Stamp) -> None:
        """
        Forget records that are too old to matter; at most two for each one that is set.

        Args:
            stamp: the current time, as the stamp of the latest record.
        """
        for (place, _, _), record in list(itertools.islice(self._passing.items(), 2)):
            old = wall_at(record.stamp) <= wall_at(stamp) - self._remembered(record)
            if old or len(self._passing) > TOMBSTONES:
                self._erase(place, record)

    def _remembered(self, record: Record) -> float:
        if record.kind is RecordKind.KEY:
            return REMEMBERED
        lasts = 0.0
        if record.until:
            lasts = (record.until - record.stamp) / 1e6
        return max(REMEMBERED, self._longest.seconds + SLACK, lasts + SLACK)

    def _erase(self, place: Place, record: Record) -> None:
        self._set(place, record.id, None)
        # If a crash loses this, the record is forgotten again later.
        self._rows.erase(
            _entry_key(place, record),
            self._set, place, record.id, record, urgent=False,
        )  # fmt: skip

    def _owners(
        self, table: str, before: tuple[Aor, ...], record: Record
    ) -> dict[Aor, Aor | None]:
        if not self._is_identities(record.id):
            return {}
        after, _ = identities.read(record.value or "", self._canonical)
        return {one: self.named_by(Place(table, one)) for one in (*before, *after)}

    @property
    def shelves(self) -> Sequence[Rows[Record]]:
        """The stored rows; :meth:`loaded` ends the loading."""
        return (self._rows,)

    def loaded(self, wall: float) -> None:
        """
        Forget keys that were removed long ago.

        Args:
            wall: the time in seconds since the epoch.
        """
        for (place, _, _), record in list(self._passing.items()):
            if wall_at(record.stamp) <= wall - self._remembered(record):
                self._erase(place, record)

    def _take_loaded(self, entry: str, record: Record) -> None:
        self._put_in(place_in(entry), record.id, record)

    def _set_by(self, place: Place) -> tuple[int, str]:
        name = self._identities_key or ""
        record = self._users[place].records[RecordKind.KEY, name]
        return record.stamp, record.owner

    def _is_identities(self, id: tuple[RecordKind, str]) -> bool:
        return id == (RecordKind.KEY, self._identities_key)

    def _set(
        self,
        place: Place,
        id: tuple[RecordKind, str],
        record: Record | None,
    ) -> None:
        """Set or remove a record in memory, and maintain the index of changes."""
        user = self._users.get(place) or UserRecords(place)
        known = user.records.get(id)
        self._put_in(place, id, record, user)
        self._numbered(user, known, record)

    def _put_in(
        self,
        place: Place,
        id: tuple[RecordKind, str],
        record: Record | None,
        user: UserRecords | None = None,
    ) -> None:
        user = user or self._users.get(place) or UserRecords(place)
        kind, name = id
        self._passing.pop((place, kind, name), None)
        if record is None:
            user.records.pop(id, None)
        else:
            user.records[id] = record
            if record.value is None or kind not in (
                RecordKind.KEY,
                RecordKind.REJECTED,
            ):
                self._passing[place, kind, name] = record
        if user.records:
            self._users[place] = user
        else:
            self._users.pop(place, None)
        if kind is not RecordKind.KEY:
            user.standing = standing(user.records.values())
        if self._is_identities(id):
            value = None if record is None else record.value
            self._identify(place, value or "")

    def _identify(self, place: Place, value: str) -> None:
        for identity in self._identities.pop(place, ()):
            named = Place(place.table, identity)
            users = self._named[named]
            users.discard(place.aor)
            if not users:
                del self._named[named]
        found, wrong = identities.read(value, self._canonical)
        for element in wrong:
            logger.warning("! %s: not an identity: %.80r", place, element)
        if found:
            self._identities[place] = found
        for identity in found:
            named = Place(place.table, identity)
            self._named.setdefault(named, set()).add(place.aor)


def _shifted(record: Record, by: float) -> Record:
    if not record.expires_at:
        return record
    return msgspec.structs.replace(record, expires_at=record.expires_at + by)


def _entry_key(place: Place, record: Record) -> str:
    return f"{row_key(place)}\0{record.kind}\0{record.name}"
