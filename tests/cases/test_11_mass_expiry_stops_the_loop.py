"""Registrations that expire together are worked off in small slices."""

from __future__ import annotations

from reginfo.ledger.journal import Entry
from reginfo.ledger.memory import MemoryStorage
from reginfo.testing import Wire

from ..simulation import ALICE, configuration, given, is_registered, register

PHONES = 5000


class CountingStorage(MemoryStorage):
    """A storage that knows how many entries each commit had."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def append(self, entries: list[Entry], *, boot: float, wall: float) -> None:
        self.sizes.append(len(entries))
        # Nothing is kept: a copy of all rows for each commit would be slow.
        super().append([], boot=boot, wall=wall)


def test_many_registrations_that_expire_together_take_many_turns() -> None:
    """
    Thousands of phones registered within a second, after a power cut say, and none
    comes back. Between two slices of at most 5 ms other SIP is served.
    """
    wire = Wire()
    database = CountingStorage()
    server = wire.serve(configuration("a", []), database)
    for number in range(PHONES):
        aor = f"sip:u{number}@example.com"
        contact = f"sip:u{number}@192.0.2.50"
        answer = register(wire, server, contact, aor=aor, call_id=f"c{number}")
        given(is_registered(answer))
        wire.packets.clear()
    database.sizes.clear()
    wire.pass_time(610)
    given(sum(database.sizes) >= PHONES)
    given(not server.contacts(ALICE.replace("alice", "u7")))
    assert max(database.sizes) <= PHONES // 2
