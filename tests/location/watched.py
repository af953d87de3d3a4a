"""A location store, what it has announced, and what it has on disk."""

from __future__ import annotations

from typing import Any

import msgspec

from reginfo.ledger.journal import Journal
from reginfo.location.binding import Binding, BindingChange
from reginfo.location.claim import KIND
from reginfo.location.keyring import KeyChange
from reginfo.location.place import TABLE
from reginfo.location.store import LocationStore

from ..make import ALICE, NOW, binding, here, load, moment, place

CYCLE = [
    binding(5, call_id="a", stamp=10),
    binding(4, call_id="a", stamp=20),
    binding(1, call_id="b", stamp=15),
]
"""Each would beat the next, by CSeq if the Call-ID is equal and by time if not."""


class Watched:
    """A store, and what it has announced."""

    def __init__(self, server_id: str = "a") -> None:
        self.journal = Journal()
        self.store = LocationStore(server_id, self.journal)
        self.store.listener = self.listen
        self.changes: list[BindingChange] = []

    def listen(self, change: BindingChange | KeyChange) -> None:
        if isinstance(change, BindingChange):
            self.changes.append(change)

    def apply(self, *claims: Binding, now: float = NOW, aor: str = ALICE) -> None:
        self.store.apply(place(aor), claims, now)

    def events(self) -> list[str]:
        events = [change.binding.event.value for change in self.changes]
        self.changes.clear()
        return events

    def pass_time(self, until: float) -> None:
        while (at := self.store.timer_at) is not None and at <= until:
            self.store.timer_due(moment(at))

    def view(self) -> Any:
        """All that is claimed, and what is bound."""
        store = self.store
        return {
            aor: (
                {
                    k: [c.order for c in claims]
                    for k, claims in store.rows(place(aor)).items()
                },
                sorted(b.order for b in store.bindings(place(aor), NOW)),
            )
            for aor in store.aors(TABLE)
        }

    def numbers(self) -> list[int]:
        return [number for number, _ in self.store.changes.after(0)]


def disk(watched: Watched) -> dict[str, Any]:
    """What is on disk once the open batch is."""
    rows: dict[str, Any] = {}
    for kind, key, value in watched.journal.close().entries:
        assert kind == KIND
        rows[key] = None if value is None else msgspec.to_builtins(value)
    return {key: value for key, value in rows.items() if value is not None}


def restart(watched: Watched, now: float, shift: float = 0.0) -> Watched:
    after = Watched()
    entries = [(KIND, key, value) for key, value in disk(watched).items()]
    load(after.store.shelves, entries, shift)
    after.store.begin(here(), moment(now))
    return after
