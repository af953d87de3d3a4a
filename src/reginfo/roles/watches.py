"""All watches: an index by resource, and their storage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from ..events.headers import EventHeader
from ..events.notify import ServedSubscription
from ..ledger.journal import Journal
from ..ledger.shelf import Rows, nothing
from ..location.place import Aor
from ..sip.headers import cached_name_addr
from ..sip.message import Request
from ..sip.timer import TimerWheel
from .row import WatchRow, is_of_our_kind, shifted_row
from .watch import Watch, WatchKeeper
from .watcher import instance_of

KIND = "watch"
PROGRESS = "told"
"""The kinds of its journal entries: a watch, and its progress."""

Progress = tuple[int, int, bool]
"""Version of the next document, CSeq of the last NOTIFY, whether all are answered."""


class Watches:
    """
    Every watch that has not ended.

    Args:
        keeper: receives the responses to the NOTIFYs of loaded watches.
        wheel: has their timers.
    """

    def __init__(
        self, journal: Journal, keeper: WatchKeeper, wheel: TimerWheel
    ) -> None:
        self._journal = journal
        self._keeper = keeper
        self._wheel = wheel
        self._rows: Rows[WatchRow] = Rows(
            journal, KIND, WatchRow, self._take_watch, shifted_row
        )
        # A row of its own, because a NOTIFY changes nothing else in a watch.
        self._told: Rows[Progress] = Rows(
            journal, PROGRESS, Progress, self._take_progress
        )
        self._early: dict[str, Progress] = {}
        "Progress rows that were loaded before their watch."

        self._by_id: dict[str, Watch] = {}
        self._by_resource: dict[str, dict[str, Watch]] = {}
        self._watchers: Counter[str] = Counter()
        self._resources: Counter[str] = Counter()
        self._restored: dict[str, Watch] = {}
        "Those whose report an undo has restored, by id."

        self.of_our_kind = 0
        "The number of watches of `reginfo` servers."

        self.loading = False
        "Whether watches are being loaded: :meth:`loaded` has not been called."

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

    def lost_by(
        self, request: Request, event: EventHeader, resource: Aor
    ) -> list[Watch]:
        """
        Return older watches that the device of a SUBSCRIBE has lost, for example by a
        restart.

        A device may have two subscriptions, so only those with an unanswered NOTIFY
        count.
        """
        instance = instance_of(request)
        if not instance:
            return []
        return [
            watch
            for watch in self.of(resource)
            if watch.row.instance == instance
            and not watch.ended
            and watch.unanswered
            and watch.is_of_same(request, event)
        ]

    def count_of(self, watcher: str) -> int:
        """Count the watches of a watcher, by the URI in its From."""
        return self._watchers[watcher]

    def count_at(self, resource: Aor) -> int:
        """Count the watches of a resource, without those of peers."""
        return self._resources[resource]

    def add(self, watch: Watch) -> None:
        """Add a watch."""
        if watch.row.peer is None:
            self._resources[watch.row.aor] += 1
        if is_of_our_kind(watch.row):
            self.of_our_kind += 1
        self._by_id[watch.row.id] = watch
        self._watchers[_watcher(watch)] += 1
        self._by_resource.setdefault(watch.row.aor, {})[watch.row.id] = watch

    def remove(self, watch: Watch) -> None:
        """Remove a watch."""
        self._restored.pop(watch.row.id, None)
        if self._by_id.pop(watch.row.id, None) is not None:
            if is_of_our_kind(watch.row):
                self.of_our_kind -= 1
            if watch.row.peer is None:
                self._resources[watch.row.aor] -= 1
                if not self._resources[watch.row.aor]:
                    del self._resources[watch.row.aor]
            watcher = _watcher(watch)
            self._watchers[watcher] -= 1
            if not self._watchers[watcher]:
                del self._watchers[watcher]
        watches = self._by_resource.get(watch.row.aor, {})
        watches.pop(watch.row.id, None)
        if not watches:
            self._by_resource.pop(watch.row.aor, None)

    # Undo.

    def remember(self, watch: Watch) -> None:
        """Have an undo restore the report and the timer of a watch, as they are now."""
        self._journal.remember(self.restore, watch, watch.snapshot(), watch.timer_at)

    def restore(
        self, watch: Watch, snapshot: tuple[Any, ...], timer_at: float | None
    ) -> None:
        """Restore the report and the timer of a watch."""
        watch.restore(snapshot)
        if self.has(watch):
            self._restored[watch.row.id] = watch
            watch.timer_at = timer_at
            self._wheel.schedule(watch)

    def restored(self) -> list[Watch]:
        """Return the watches that were restored since the last call."""
        watches = list(self._restored.values())
        self._restored.clear()
        return watches

    # Storage.

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        """The stored rows; :meth:`loaded` ends the loading."""
        return (self._rows, self._told)

    def loaded(self) -> None:
        """End the loading."""
        self.loading = False
        self._early.clear()

    def save(self, watch: Watch, undo: Callable[..., None], *arguments: Any) -> None:
        """Store a watch; to undo it, ``undo`` is called with ``arguments``."""
        # A copy, because the row is encoded when the batch closes.
        row = msgspec.structs.replace(
            watch.row, subscription=copy_of(watch.row.subscription)
        )
        self._rows.write(row.id, row, undo, *arguments)

    def save_progress(self, watch: Watch, *, urgent: bool = True) -> None:
        """Store the progress of a watch."""
        row = watch.row
        row.settled = watch.settled
        value = (row.version, row.subscription.dialog.local_cseq, row.settled)
        self._told.write(row.id, value, nothing, urgent=urgent)

    def erase(self, watch: Watch) -> None:
        """
        Remove a watch from the storage.

        There is no undo: if the watch is still stored after a restart, its next NOTIFY
        ends it again.
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
        # The watch may have been written later; the CSeq only grows.
        if cseq >= dialog.local_cseq:
            watch.row.version, watch.row.settled = version, settled
            dialog.local_cseq = cseq
            watch.doubt(not settled)


def id_of(call_id: str, tag: str) -> str:
    """Return the id of a watch: the Call-ID and the local tag of its dialog."""
    return f"{call_id}\0{tag}"


def copy_of(subscription: ServedSubscription) -> ServedSubscription:
    """Return a copy that does not change with the subscription."""
    dialog = msgspec.structs.replace(subscription.dialog)
    return msgspec.structs.replace(subscription, dialog=dialog)


def _watcher(watch: Watch) -> str:
    return cached_name_addr(watch.row.subscription.dialog.remote).uri
