"""All watches, found by what they are of, and how they are stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from ..events.notify import ServedSubscription
from ..ledger.journal import Journal
from ..ledger.shelf import Rows, nothing
from ..location.place import Aor
from ..sip.headers import cached_name_addr
from .row import WatchRow, shifted_row
from .watch import Watch, WatchKeeper

KIND = "watch"
PROGRESS = "told"
"""Kinds of our entries in the journal: a watch, and how far it has been notified."""

Progress = tuple[int, int, bool]
"""Version of the next document, CSeq of the last NOTIFY, whether all is confirmed."""


class Watches:
    """
    Every watch that has not ended.

    Args:
        keeper: receives what becomes of the NOTIFYs of watches that are loaded.
    """

    def __init__(self, journal: Journal, keeper: WatchKeeper) -> None:
        self._keeper = keeper
        self._rows: Rows[WatchRow] = Rows(
            journal, KIND, WatchRow, self._take_watch, shifted_row
        )
        # A row of its own: a NOTIFY changes nothing else of a watch.
        self._told: Rows[Progress] = Rows(
            journal, PROGRESS, Progress, self._take_progress
        )
        self._early: dict[str, Progress] = {}
        "Progress that was loaded before its watch."

        self._by_id: dict[str, Watch] = {}
        self._by_resource: dict[str, dict[str, Watch]] = {}
        self._watchers: Counter[str] = Counter()
        self.loading = False
        "Whether watches were loaded, and :meth:`loaded` was not called yet."

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Watch]:
        """Every watch, oldest first."""
        return iter(self._by_id.values())

    def get(self, id: str) -> Watch | None:
        """Return the watch with this id; see :func:`id_of`."""
        return self._by_id.get(id)

    def has(self, watch: Watch) -> bool:
        """Whether a watch has not ended yet."""
        return self._by_id.get(watch.row.id) is watch

    def of(self, resource: Aor) -> list[Watch]:
        """Return the watches of a resource."""
        found = self._by_resource.get(resource)
        return [] if found is None else list(found.values())

    def count_of(self, watcher: str) -> int:
        """How many watches a watcher has; it is named by the URI in its From."""
        return self._watchers[watcher]

    def add(self, watch: Watch) -> None:
        """Add a watch."""
        self._by_id[watch.row.id] = watch
        self._watchers[_watcher(watch)] += 1
        self._by_resource.setdefault(watch.row.aor, {})[watch.row.id] = watch

    def remove(self, watch: Watch) -> None:
        """Remove a watch."""
        if self._by_id.pop(watch.row.id, None) is not None:
            watcher = _watcher(watch)
            self._watchers[watcher] -= 1
            if not self._watchers[watcher]:
                del self._watchers[watcher]
        watches = self._by_resource.get(watch.row.aor, {})
        watches.pop(watch.row.id, None)
        if not watches:
            self._by_resource.pop(watch.row.aor, None)

    # How they are stored.

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        """What is stored; :meth:`loaded` ends the loading."""
        return (self._rows, self._told)

    def loaded(self) -> None:
        """End the loading."""
        self.loading = False
        self._early.clear()

    def save(self, watch: Watch, undo: Callable[..., None], *arguments: Any) -> None:
        """Store a watch; ``undo`` is called with ``arguments`` to take it back."""
        # A copy, for the row is encoded when the batch closes.
        row = msgspec.structs.replace(
            watch.row, subscription=copy_of(watch.row.subscription)
        )
        self._rows.write(row.id, row, undo, *arguments)

    def save_progress(self, watch: Watch, *, urgent: bool = True) -> None:
        """Store how far a watch has been notified."""
        row = watch.row
        row.settled = watch.settled
        value = (row.version, row.subscription.dialog.local_cseq, row.settled)
        self._told.write(row.id, value, nothing, urgent=urgent)

    def erase(self, watch: Watch) -> None:
        """
        Remove a watch from the storage.

        It has no undo: if it is still stored after a restart, its next NOTIFY ends it
        again.
        """
        self._rows.erase(watch.row.id, nothing, urgent=False)
        self._told.erase(watch.row.id, nothing, urgent=False)

    def _take_watch(self, key: str, row: WatchRow) -> None:
        self.loading = True
        self.add(Watch(row, self._keeper))
        progress = self._early.pop(key, None)
        if progress is not None:
            self._take_progress(key, progress)

    def _take_progress(self, key: str, progress: Progress) -> None:
        watch = self._by_id.get(key)
        if watch is None:
            self._early[key] = progress
            return
        version, cseq, settled = progress
        dialog = watch.row.subscription.dialog
        # The watch may have been written later; and the CSeq only grows.
        if cseq >= dialog.local_cseq:
            watch.row.version, watch.row.settled = version, settled
            dialog.local_cseq = cseq
            watch.doubt(not settled)


def id_of(call_id: str, tag: str) -> str:
    """Return the id of a watch: the Call-ID and the local tag of its dialog."""
    return f"{call_id}\0{tag}"


def copy_of(subscription: ServedSubscription) -> ServedSubscription:
    """Return a copy that does not change when the subscription goes on."""
    dialog = msgspec.structs.replace(subscription.dialog)
    return msgspec.structs.replace(subscription, dialog=dialog)


def _watcher(watch: Watch) -> str:
    return cached_name_addr(watch.row.subscription.dialog.remote).uri
