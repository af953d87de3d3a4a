"""Keys of records, and the identities that stand under one of them."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..ledger.journal import Journal
from ..ledger.shelf import Rows, nothing
from ..sip.uri import Uri
from . import identities
from .key import Key

logger = logging.getLogger("reginfo.location")

KIND = "key"
"""The kind of our entries in the journal."""

REMEMBERED = 7 * 86400.0
"""
Seconds for which it is known that a key was removed. A server that has been away for
longer may bring it back.
"""

TOMBSTONES = 100_000
"""Removed keys that are known, at the most: they must not fill the memory."""


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


class Keyring:
    """
    The keys of all records.

    Args:
        identities_key: under which key identities stand; None if nowhere.
        canonical: the address-of-record that a URI names; raises `RemoteProtocolError`.
    """

    def __init__(
        self,
        journal: Journal,
        identities_key: str | None = None,
        canonical: Callable[[Uri], str] | None = None,
    ) -> None:
        self._rows: Rows[Key] = Rows(journal, KIND, Key, self._take_loaded)
        self._canonical = canonical or identities.canonical
        self._identities_key = identities_key
        self._keys: dict[tuple[str, str], dict[str, Key]] = {}
        # Those that were removed, in the order in which that became known.
        self._removed: dict[tuple[str, str, str], Key] = {}
        # By table and record; and by table and identity, the records that name it.
        self._identities: dict[tuple[str, str], tuple[str, ...]] = {}
        self._records: dict[tuple[str, str], set[str]] = {}

    def keys(self, table: str, aor: str) -> dict[str, Key]:
        """The keys of a record, those that were removed included."""
        return dict(self._keys.get((table, aor), {}))

    def has(self, table: str, aor: str) -> bool:
        """Whether a record has a key that was not removed."""
        keys = self._keys.get((table, aor))
        return keys is not None and any(k.value is not None for k in keys.values())

    def identities(self, table: str, aor: str) -> tuple[str, ...]:
        """The identities of a record; empty if it has none."""
        return self._identities.get((table, aor), ())

    def named_by(self, table: str, identity: str) -> str | None:
        """The record that an identity belongs to: of several, whose key is the last."""
        records = self._records.get((table, identity))
        if records is None:
            return None
        if len(records) == 1:
            return next(iter(records))
        # By what travels with the key: so it is the same everywhere, and later.
        return max(records, key=lambda aor: (self._set_by(table, aor), aor))

    def put(self, table: str, aor: str, name: str, key: Key) -> KeyChange | None:
        """Set a key, if nothing later is known; None if something is."""
        keys = self._keys.get((table, aor), {})
        known = keys.get(name)
        if known is not None and not key.outlives(known):
            return None
        before = self._identities.get((table, aor), ())
        owners = self._owners(table, before, name, key)
        self._set(table, aor, name, key)
        self._rows.write(
            f"{table}\0{aor}\0{name}", key, self._set, table, aor, name, known
        )
        self._forget(key.stamp)
        after = self._identities.get((table, aor), ())
        moved = tuple(
            i for i, owner in owners.items() if owner != self.named_by(table, i)
        )
        return KeyChange(
            table, aor, before or (aor,), after or (aor,), key.source, moved
        )

    def _forget(self, stamp: int) -> None:
        """
        Forget that keys were removed: two at the most, for each that is set.

        Args:
            stamp: what the time is, as the latest setting has it.
        """
        for (table, aor, name), key in list(itertools.islice(self._removed.items(), 2)):
            old = key.stamp / 1e6 <= stamp / 1e6 - REMEMBERED
            if old or len(self._removed) > TOMBSTONES:
                self._set(table, aor, name, None)
                # A crash may lose this: then it is forgotten again.
                self._rows.erase(
                    f"{table}\0{aor}\0{name}",
                    self._set, table, aor, name, key, urgent=False,
                )  # fmt: skip

    def _owners(
        self, table: str, before: tuple[str, ...], name: str, key: Key
    ) -> dict[str, str | None]:
        if name != self._identities_key:
            return {}
        after, _ = identities.read(key.value or "", self._canonical)
        return {i: self.named_by(table, i) for i in (*before, *after)}

    @property
    def shelves(self) -> Sequence[Rows[Key]]:
        """What is kept in the storage; :meth:`loaded` ends the loading."""
        return (self._rows,)

    def loaded(self, wall: float) -> list[int]:
        """
        Forget keys whose removal was long ago.

        Args:
            wall: seconds since the epoch.

        Returns:
            The stamps of all keys that were loaded.
        """
        stamps = [key.stamp for keys in self._keys.values() for key in keys.values()]
        for (table, aor, name), key in list(self._removed.items()):
            if key.stamp / 1e6 <= wall - REMEMBERED:
                self._set(table, aor, name, None)
                self._rows.erase(f"{table}\0{aor}\0{name}", nothing, urgent=False)
        return stamps

    def _take_loaded(self, entry: str, key: Key) -> None:
        table, aor, name = entry.split("\0", 2)
        self._set(table, aor, name, key)

    def _set_by(self, table: str, aor: str) -> tuple[int, str]:
        key = self._keys[table, aor][self._identities_key or ""]
        return key.stamp, key.owner

    def _set(self, table: str, aor: str, name: str, key: Key | None) -> None:
        record = (table, aor)
        self._removed.pop((table, aor, name), None)
        if key is not None and key.value is None:
            self._removed[table, aor, name] = key
        keys = self._keys.setdefault(record, {})
        if key is None:
            keys.pop(name, None)
            if not keys:
                del self._keys[record]
        else:
            keys[name] = key
        if name == self._identities_key:
            value = None if key is None else key.value
            self._identify(table, aor, value or "")

    def _identify(self, table: str, aor: str, value: str) -> None:
        for identity in self._identities.pop((table, aor), ()):
            records = self._records[table, identity]
            records.discard(aor)
            if not records:
                del self._records[table, identity]
        found, wrong = identities.read(value, self._canonical)
        for element in wrong:
            logger.warning("! %s: no identity: %.80r", aor, element)
        if found:
            self._identities[table, aor] = found
        for identity in found:
            self._records.setdefault((table, identity), set()).add(aor)
