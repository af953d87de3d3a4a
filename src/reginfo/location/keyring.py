"""Records of all users, and the identities that stand under one of their keys."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from ..ledger.journal import Journal
from ..ledger.shelf import Rows, nothing
from ..sip.uri import Uri
from . import identities
from .lives import SLACK
from .longest import LongestLife
from .record import Record, RecordKind, Standing, standing

logger = logging.getLogger("reginfo.location")

KIND = "record"
"""The kind of a record's rows in the journal."""

REMEMBERED = 7 * 86400.0
"""
Seconds for which it is known that a key was removed. A server that was away for longer
may bring it back.
"""

TOMBSTONES = 100_000
"""Removed keys that are remembered at the most, to limit the memory that they take."""


class KeyChange(NamedTuple):
    """A key of a record has been set, or removed."""

    table: str
    aor: str

    before: tuple[str, ...]
    after: tuple[str, ...]
    "By which addresses-of-record the record was told of, and is from now on."

    source: str | None
    "The subscription that told us; None if it happened here."

    moved: tuple[str, ...] = ()
    "Identities that belong to another record than before."

    at: float = 0.0
    "When it happened, in seconds on the server's clock."

    is_published: bool = True
    "Whether presence servers are to hear of it; see `reginfo_disable_publish`."


class UserRecords:
    """The records of one address-of-record."""

    __slots__ = ("aor", "records", "scheduled_at", "standing", "table", "timer_at")

    def __init__(self, table: str, aor: str) -> None:
        self.table = table
        self.aor = aor
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
        numbered: is called with what has changed, a record and what it replaces, to
            keep the index of changes.
        longest: for how long it matters what was said of contacts.
        identities_key: under which key identities stand; None if nowhere.
        canonical: the address-of-record that a URI names; raises `RemoteProtocolError`.
    """

    def __init__(
        self,
        journal: Journal,
        numbered: Callable[[UserRecords, Record | None, Record | None], None],
        longest: LongestLife,
        identities_key: str | None = None,
        canonical: Callable[[Uri], str] | None = None,
    ) -> None:
        self._rows: Rows[Record] = Rows(
            journal, KIND, Record, self._take_loaded, _shifted
        )
        self._numbered = numbered
        self._longest = longest
        self._canonical = canonical or identities.canonical
        self._identities_key = identities_key
        self._users: dict[tuple[str, str], UserRecords] = {}
        # Those that may be forgotten some day, in the order in which they came.
        self._passing: dict[tuple[str, str, RecordKind, str], Record] = {}
        # By table and user; and by table and identity, the users that name it.
        self._identities: dict[tuple[str, str], tuple[str, ...]] = {}
        self._named: dict[tuple[str, str], set[str]] = {}

    def keys(self, table: str, aor: str) -> dict[str, Record]:
        """The keys of a user by name, those that were removed included."""
        user = self._users.get((table, aor))
        if user is None:
            return {}
        return {
            name: record
            for (kind, name), record in user.records.items()
            if kind is RecordKind.KEY
        }

    def records(self, table: str, aor: str) -> list[Record]:
        """All records of a user, also what was removed or lifted."""
        user = self._users.get((table, aor))
        return [] if user is None else list(user.records.values())

    def record(
        self, table: str, aor: str, kind: RecordKind, name: str = ""
    ) -> Record | None:
        user = self._users.get((table, aor))
        return None if user is None else user.records.get((kind, name))

    def users(self) -> list[UserRecords]:
        """Everybody who has a record."""
        return list(self._users.values())

    def user(self, table: str, aor: str) -> UserRecords | None:
        return self._users.get((table, aor))

    def standing(self, table: str, aor: str) -> Standing | None:
        """What the records of a user mean for its contacts; None for nothing."""
        if not self._users:
            return None
        user = self._users.get((table, aor))
        return None if user is None else user.standing

    def identities(self, table: str, aor: str) -> tuple[str, ...]:
        """The identities of a user; empty if it has none."""
        return self._identities.get((table, aor), ())

    def named_by(self, table: str, identity: str) -> str | None:
        """The user that an identity belongs to: of several, whose key is the latest."""
        users = self._named.get((table, identity))
        if users is None:
            return None
        if len(users) == 1:
            return next(iter(users))
        # By what travels with the key, so that it is the same on every server.
        return max(users, key=lambda aor: (self._set_by(table, aor), aor))

    def floor(self, table: str, name: str, value: str | None) -> int:
        """
        A stamp that a new key has to be later than; 0 for any.

        Of users that name one identity the one that did so last has it. So a key with
        identities is later than those of the other users that name them.
        """
        if name != self._identities_key:
            return 0
        named, _ = identities.read(value or "", self._canonical)
        users = {aor for one in named for aor in self._named.get((table, one), ())}
        return max((self._set_by(table, aor)[0] for aor in users), default=0)

    def put(self, table: str, aor: str, record: Record) -> KeyChange | None:
        """
        Set a record, unless a later one is known; None if nothing has changed.

        For a record that is no key, the change says so by naming no identities.
        """
        known = self.record(table, aor, record.kind, record.name)
        if known is not None and not record.outlives(known):
            return None
        is_key = record.kind is RecordKind.KEY
        before = self._identities.get((table, aor), ())
        owners = self._owners(table, before, record)
        self._set(table, aor, record.id, record)
        self._rows.write(
            _entry_key(table, aor, record),
            record,
            self._set, table, aor, record.id, known,
        )  # fmt: skip
        self._forget(record.stamp)
        if not is_key:
            return KeyChange(table, aor, (), (), record.source)
        after = self._identities.get((table, aor), ())
        moved = tuple(
            i for i, owner in owners.items() if owner != self.named_by(table, i)
        )
        return KeyChange(
            table, aor, before or (aor,), after or (aor,), record.source, moved
        )

    def owe(self, table: str, aor: str, record: Record) -> None:
        """Give a record a new number: somebody does not know it who should."""
        self._set(table, aor, record.id, record)
        self._rows.write(_entry_key(table, aor, record), record, nothing)

    def _forget(self, stamp: int) -> None:
        """
        Forget what is too old to matter: two at the most, for each that is set.

        Args:
            stamp: the present time, as of the latest setting.
        """
        for key, record in list(itertools.islice(self._passing.items(), 2)):
            old = record.stamp / 1e6 <= stamp / 1e6 - self._remembered(record)
            if old or len(self._passing) > TOMBSTONES:
                self._erase(key, record)

    def _remembered(self, record: Record) -> float:
        if record.kind is RecordKind.KEY:
            return REMEMBERED
        lasts = 0.0
        if record.until:
            lasts = (record.until - record.stamp) / 1e6
        return max(REMEMBERED, self._longest.seconds + SLACK, lasts + SLACK)

    def _erase(self, key: tuple[str, str, RecordKind, str], record: Record) -> None:
        table, aor = key[:2]
        self._set(table, aor, record.id, None)
        # A crash may lose this: then it is forgotten again.
        self._rows.erase(
            _entry_key(table, aor, record),
            self._set, table, aor, record.id, record, urgent=False,
        )  # fmt: skip

    def _owners(
        self, table: str, before: tuple[str, ...], record: Record
    ) -> dict[str, str | None]:
        if not self._is_identities(record.id):
            return {}
        after, _ = identities.read(record.value or "", self._canonical)
        return {i: self.named_by(table, i) for i in (*before, *after)}

    @property
    def shelves(self) -> Sequence[Rows[Record]]:
        """What is kept in the storage; :meth:`loaded` ends the loading."""
        return (self._rows,)

    def loaded(self, wall: float) -> None:
        """
        Forget what was removed long ago.

        Args:
            wall: seconds since the epoch.
        """
        for key, record in list(self._passing.items()):
            if record.stamp / 1e6 <= wall - self._remembered(record):
                self._erase(key, record)

    def _take_loaded(self, entry: str, record: Record) -> None:
        table, aor = entry.split("\0", 2)[:2]
        self._put_in(table, aor, record.id, record)

    def _set_by(self, table: str, aor: str) -> tuple[int, str]:
        name = self._identities_key or ""
        record = self._users[table, aor].records[RecordKind.KEY, name]
        return record.stamp, record.owner

    def _is_identities(self, id: tuple[RecordKind, str]) -> bool:
        return id == (RecordKind.KEY, self._identities_key)

    def _set(
        self,
        table: str,
        aor: str,
        id: tuple[RecordKind, str],
        record: Record | None,
    ) -> None:
        """Set or remove a record in memory, and keep the index of changes."""
        user = self._users.get((table, aor)) or UserRecords(table, aor)
        known = user.records.get(id)
        self._put_in(table, aor, id, record, user)
        self._numbered(user, known, record)

    def _put_in(
        self,
        table: str,
        aor: str,
        id: tuple[RecordKind, str],
        record: Record | None,
        user: UserRecords | None = None,
    ) -> None:
        user = user or self._users.get((table, aor)) or UserRecords(table, aor)
        kind, name = id
        self._passing.pop((table, aor, kind, name), None)
        if record is None:
            user.records.pop(id, None)
        else:
            user.records[id] = record
            if record.value is None or kind not in (
                RecordKind.KEY,
                RecordKind.REJECTED,
            ):
                self._passing[table, aor, kind, name] = record
        if user.records:
            self._users[table, aor] = user
        else:
            self._users.pop((table, aor), None)
        if kind is not RecordKind.KEY:
            user.standing = standing(user.records.values())
        if self._is_identities(id):
            value = None if record is None else record.value
            self._identify(table, aor, value or "")

    def _identify(self, table: str, aor: str, value: str) -> None:
        for identity in self._identities.pop((table, aor), ()):
            users = self._named[table, identity]
            users.discard(aor)
            if not users:
                del self._named[table, identity]
        found, wrong = identities.read(value, self._canonical)
        for element in wrong:
            logger.warning("! %s: no identity: %.80r", aor, element)
        if found:
            self._identities[table, aor] = found
        for identity in found:
            self._named.setdefault((table, identity), set()).add(aor)


def _shifted(record: Record, by: float) -> Record:
    if not record.expires_at:
        return record
    return msgspec.structs.replace(record, expires_at=record.expires_at + by)


def _entry_key(table: str, aor: str, record: Record) -> str:
    return f"{table}\0{aor}\0{record.kind}\0{record.name}"
