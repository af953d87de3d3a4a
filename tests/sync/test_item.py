"""Links as an administrator sees them."""

from __future__ import annotations

import itertools

import pytest

from reginfo.ledger.memory import MemoryStorage
from reginfo.sync import source
from reginfo.sync.item import LinkItem
from reginfo.testing.wire import WireServer

from ..simulation import LossyWire, register
from .make import GROUP, linked


def item(server: WireServer, role: str) -> LinkItem:
    [found] = [one for one in server.app.links() if one.role == role]
    return found


def test_both_ends_say_how_a_link_is() -> None:
    wire = LossyWire()
    a = wire.serve(linked("a", "b", transport="udp"), MemoryStorage())
    assert item(a, "sink").state == "asking"
    b = wire.serve(linked("b", "a", transport="udp"), MemoryStorage())
    wire.pass_time(6)
    register(wire, a)
    wire.pass_time(1)
    told, tells = item(b, "sink"), item(a, "source")
    assert (told.peer, told.group, told.state) == ("a", GROUP, "in sync")
    assert (tells.peer, tells.state, tells.lag) == ("b", "in sync", None)
    assert (tells.behind, tells.window) == (0, "0 of 1")
    assert told.cursor == tells.cursor
    assert (told.behind, told.lag) == (0, None)
    wire.cut(a, b)
    register(wire, a, cseq=2)
    wire.pass_time(0.5)
    behind = item(a, "source")
    assert (behind.behind, behind.lag, behind.window) == (1, 0.5, "1 of 1")
    wire.pass_time(60)
    lost, suspect = item(b, "sink"), item(a, "source")
    assert lost.state.startswith("lost since ")
    assert lost.problem == "SUBSCRIBE got no answer: timeout" or (
        lost.problem == "no NOTIFY for 30 s"
    )
    assert suspect.state.startswith("suspect since ")
    assert (lost.behind, lost.lag is not None and lost.lag > 30) == (None, True)
    assert suspect.problem == "timeout"


def test_a_sink_knows_how_far_it_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """3680-162: the source says its last change, and since when it is behind."""
    wire = LossyWire()
    a = wire.serve(linked("a", "b", transport="udp"), MemoryStorage())
    b = wire.serve(linked("b", "a", transport="udp"), MemoryStorage())
    wire.pass_time(6)
    register(wire, a)
    wire.pass_time(1)
    # The first NOTIFY is lost; the changes meanwhile do not fit into one document.
    monkeypatch.setattr(source, "LONGEST", 1500)
    numbers = itertools.count(1)
    wire.lose(
        lambda packet: packet.data.startswith(b"NOTIFY ") and next(numbers) in (1, 4),
        times=2,
    )
    for n in range(10):
        register(wire, a, f"sip:u{n}@192.0.2.60", call_id=f"c{n}")
        wire.pass_time(0.03)
    wire.pass_time(0.25)
    wire.cut(a, b)
    told = item(b, "sink")
    assert told.behind is not None and told.behind > 0
    assert told.lag is not None and told.lag >= 0.5
    lag = told.lag
    wire.pass_time(1)
    assert item(b, "sink").lag == pytest.approx(lag + 1, abs=0.01)
    wire.heal(a, b)
    wire.pass_time(30)
    assert (item(b, "sink").behind, item(b, "sink").lag) == (0, None)


def test_a_transfer_says_how_far_it_has_come() -> None:
    wire = LossyWire()
    a = wire.serve(linked("a", "b", transport="udp"), MemoryStorage())
    wire.pass_time(6)
    for n in range(400):
        contact, aor = f"sip:u{n}@192.0.2.60", f"sip:u{n}@example.com"
        register(wire, a, contact, call_id=f"c{n}", aor=aor)
    b = wire.serve(linked("b", "a", transport="udp"), MemoryStorage())
    states = set()
    for _ in range(1000):
        wire.pass_time(0.005)
        states |= {item(b, "sink").state, *(x.state for x in a.app.links())}
    partly = [s for s in states if s.startswith("syncing ")]
    assert partly and all(s.endswith(" of about 400") for s in partly)
    assert item(b, "sink").state == "in sync"
