"""Watches are found by what they are of, and loaded in any order."""

from __future__ import annotations

import pytest

from reginfo.ledger.journal import Journal
from reginfo.roles.watches import KIND, PROGRESS, Watches, id_of
from reginfo.sip.timer import TimerWheel

from ..make import ALICE, BOB, load
from .watched import OLD, PEER_B, Server


def test_a_watch_is_found_until_it_is_removed() -> None:
    server = Server()
    server.subscribe()
    server.subscribe(call_id="other")
    watches = server.notifier.served.watches
    one, two = watches
    assert watches.of(ALICE) == [one, two]
    assert watches.of(BOB) == []
    assert watches.get(id_of(one.row.subscription.dialog.call_id, "tag1")) is one
    assert watches.has(one)
    assert len(watches) == 2
    watches.remove(one)
    watches.remove(one)
    assert (list(watches), watches.of(ALICE)) == ([two], [two])
    assert not watches.has(one)
    watches.remove(two)
    assert watches.of(ALICE) == []


@pytest.mark.parametrize("first", [KIND, PROGRESS])
def test_a_watch_and_its_progress_are_loaded_in_any_order(first: str) -> None:
    server = Server()
    server.subscribe()
    server.settle()
    entries = server.journal.close().entries
    entries.sort(key=lambda entry: entry[0] != first)
    watches = Watches(Journal(), server.notifier.served, TimerWheel())
    assert watches.loading is False
    load(watches.shelves, entries)
    assert watches.loading is True
    watches.loaded()
    assert watches.loading is False
    (watch,) = watches
    (before,) = server.notifier.watches()
    assert watch.row.version == before.row.version == 1
    assert watch.row.settled
    assert watch.keeper is server.notifier.served


def test_progress_of_an_unknown_watch_is_ignored() -> None:
    watches = Watches(Journal(), Server().notifier.served, TimerWheel())
    load(watches.shelves, [(PROGRESS, "nobody", (1, 1, True))])
    watches.loaded()
    assert len(watches) == 0


def test_servers_of_our_kind_are_counted_until_their_watches_end() -> None:
    server = Server(PEER_B)
    for call_id in ("1", "2", "3"):
        server.subscribe(call_id=call_id)
    server.peer = OLD  # of another kind
    server.subscribe(call_id="4")
    watches = server.notifier.served.watches
    assert watches.of_our_kind == 3
    for number, watch in zip((2, 1, 0, 0), list(watches), strict=True):
        watches.remove(watch)
        watches.remove(watch)  # to no effect
        assert watches.of_our_kind == number
    assert (len(watches), watches.of(ALICE)) == (0, [])
