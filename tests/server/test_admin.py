"""What an administrator asks of a server."""

from __future__ import annotations

import pytest

from reginfo.config.config import Config
from reginfo.sip.errors import ReginfoError
from reginfo.testing import Wire, WireServer

from ..make import ALICE, binding, place

CONFIG = """
[server]
id = "a"
listen = ["udp:192.0.2.1:5060"]
domains = ["example.com"]
[store]
url = "memory:"
[pua_reginfo]
server_address = "sip:reginfo@192.0.2.1"
"""


@pytest.fixture
def server() -> WireServer:
    return Wire().serve(Config.parse(CONFIG))


def test_a_removal_that_makes_no_sense_has_changed_nothing(server: WireServer) -> None:
    server.app.store.apply(place(ALICE), [binding()], 1000.0)
    server.app.turns.settle()
    with pytest.raises(ReginfoError):
        server.app.remove("no address")
    assert server.app.bindings(ALICE)
    assert not server.app.remove("sip:nobody@example.com")


def test_each_part_describes_itself(server: WireServer) -> None:
    server.app.store.apply(place(ALICE), [binding()], 1000.0)
    parts = {part.name: part for part in server.app.health().parts}
    assert (
        parts["store"].figures["users"] == parts["store"].figures["changes_total"] == 1
    )
    assert parts["store"].line == "users: 1"
    assert set(parts) == {
        "proxy", "store", "compositor", "notifier", "subscriber", "publisher",
        "destinations", "requests",
    }  # fmt: skip


def test_ends_that_are_forgotten_early_are_a_problem() -> None:
    """3680-146: counted, shown, and `health` is degraded."""
    text = CONFIG + "[sync]\ntombstones = 1000\n"
    server = Wire().serve(Config.parse(text))
    for number in range(1001):
        aor = f"sip:{number}@example.com"
        server.app.store.apply(place(aor), [binding(1, "unregistered")], 1000.0)
    health = server.app.health()
    assert health.status == "degraded"
    assert health.problems == [
        "store: contacts that have ended are forgotten early: [sync] tombstones is 1000"
    ]
    store = next(part for part in health.parts if part.name == "store")
    assert store.figures["forgotten_early_total"] == 1
    assert "contacts forgotten early: 1" in store.line


def test_a_calendar_that_is_behind_is_a_problem(
    server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = type(server.app._assembly.clock)
    monkeypatch.setattr(clock, "behind", property(lambda self: 3.5))
    health = server.app.health()
    assert health.status == "degraded"
    assert health.problems == ["wall clock: 3.5 s behind the last commit"]
