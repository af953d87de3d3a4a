"""Stored rows of one kind: written to the journal, undone, loaded at the start."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, ValuesView
from typing import Any, Generic, TypeVar

import msgspec

from .journal import Journal
from .storage import Storage, StoredRow

logger = logging.getLogger("reginfo.store")

V = TypeVar("V")


class Rows(Generic[V]):
    """
    Stored rows of one kind, whose values their owner keeps in memory.

    Args:
        kind: the name of these rows in the journal.
        type_: the type to decode values as.
        take: called with the key and the value of each loaded row. If it raises, only
            that row is left out.
        shifted: returns a value with a number of seconds added to each time in it.
    """

    def __init__(
        self,
        journal: Journal,
        kind: str,
        type_: Any,
        take: Callable[[str, V], None],
        shifted: Callable[[V, float], V] | None = None,
    ) -> None:
        self.kind = kind
        self._journal = journal
        self._take = take
        self._shifted = shifted
        self._msgpack = msgspec.msgpack.Decoder(type_)
        self._json = msgspec.json.Decoder(type_)

    def write(
        self,
        key: str,
        value: V,
        undo: Callable[..., None],
        *arguments: Any,
        urgent: bool = True,
    ) -> None:
        """
        Write a row with the current batch.

        Args:
            value: must not change afterwards, because it is encoded when the batch
                closes.
            undo: called with ``arguments`` to undo it.
            urgent: False if a crash may lose this, at the cost of repeated work only.
        """
        self._journal.put((self.kind, key, value), (undo, arguments), urgent)

    def erase(
        self,
        key: str,
        undo: Callable[..., None],
        *arguments: Any,
        urgent: bool = True,
    ) -> None:
        """Remove a row with the current batch; see :meth:`write`."""
        self._journal.put((self.kind, key, None), (undo, arguments), urgent)

    def load(self, row: StoredRow) -> None:
        """
        Load a row of the storage.

        A row that cannot be used is left out and logged, because it must not prevent
        the start. It stays in the storage.
        """
        try:
            value: V
            if row.is_json:
                value = self._json.decode(row.value)
            elif isinstance(row.value, bytes):
                value = self._msgpack.decode(row.value)
            else:
                raise TypeError("msgpack is not text")
            if row.shift and self._shifted is not None:
                value = self._shifted(value, row.shift)
            self._take(row.key, value)
        except Exception as exc:
            logger.error(
                "! stored row %s %.200r cannot be used, left out: %s",
                self.kind, row.key, exc,
            )  # fmt: skip


class Shelf(Rows[V]):
    """
    A mapping that is stored on disk.

    Values must not be changed in place. The undo of a change restores the previous
    value.

    Args:
        restored: called with a key after an undo has restored its value.
    """

    def __init__(
        self,
        journal: Journal,
        kind: str,
        type_: Any,
        shifted: Callable[[V, float], V] | None = None,
        restored: Callable[[str], None] | None = None,
    ) -> None:
        self._values: dict[str, V] = {}
        self._restored = restored
        super().__init__(journal, kind, type_, self._values.__setitem__, shifted)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __getitem__(self, key: str) -> V:
        return self._values[key]

    def get(self, key: str) -> V | None:
        return self._values.get(key)

    def values(self) -> ValuesView[V]:
        return self._values.values()

    def put(self, key: str, value: V, *, urgent: bool = True) -> None:
        """Set the value of ``key``."""
        self.write(key, value, self._put_back, key, self.get(key), urgent=urgent)
        self._values[key] = value

    def drop(self, key: str, *, urgent: bool = True) -> None:
        """Remove ``key``, if present."""
        before = self._values.pop(key, None)
        if before is not None:
            self.erase(key, self._put_back, key, before, urgent=urgent)

    def _put_back(self, key: str, value: V | None) -> None:
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = value
        if self._restored is not None:
            self._restored(key)


def load(
    storage: Storage,
    shelves: Iterable[Rows[Any]],
    *,
    boot: float,
    wall: float,
    boot_id: str,
) -> None:
    """
    Load all rows of ``storage``, each with the shelf of its kind.

    Rows of unknown kinds are ignored.

    Args:
        boot, wall, boot_id: as for :meth:`Storage.load`.

    Raises:
        StoreError: the storage is damaged.
    """
    by_kind = {shelf.kind: shelf for shelf in shelves}
    for row in storage.load(boot=boot, wall=wall, boot_id=boot_id):
        shelf = by_kind.get(row.kind)
        if shelf is not None:
            shelf.load(row)


def nothing(*_: Any) -> None:
    """Undo nothing: the undo of an earlier entry restores this as well."""
