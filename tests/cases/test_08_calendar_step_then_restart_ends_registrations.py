"""A step of the calendar changes no registration after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from reginfo.ledger.memory import MemoryStorage
from reginfo.ledger.sqlite import SqliteStorage
from reginfo.ledger.storage import Storage
from reginfo.location.schema import SCHEMA
from reginfo.testing import Wire

from ..simulation import ALICE, configuration, given, is_registered, register


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("step", [7200.0, -7200.0, 86_400.0])
def test_a_step_of_the_calendar_before_a_restart_ends_no_registration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, step: float
) -> None:
    """
    The calendar is set while the server runs; a minute later the process restarts, on
    the same boot of the machine. The boot-time clock says that 70 s have passed.
    """
    wire = Wire()
    database: Storage = (
        MemoryStorage()
        if kind == "memory"
        else SqliteStorage(tmp_path / "a.db", SCHEMA)
    )
    server = wire.serve(configuration("a", []), database)
    given(is_registered(register(wire, server, expires=3600)))
    wire.pass_time(10)
    wire.links.epoch += step
    wire.pass_time(60)
    register(wire, server, "sip:bob@192.0.2.51", aor="sip:bob@example.com")
    given(server.contacts(ALICE))
    wire.kill(server)
    server = wire.serve(configuration("a", []), database)
    left = [binding.expires(wire.now) for binding in server.bindings(ALICE)]
    database.close()
    assert left == [3530]
