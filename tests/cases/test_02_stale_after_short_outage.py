"""A server catches up soon after a short outage of the link to its peer."""

from __future__ import annotations

import pytest

from reginfo.ledger.memory import MemoryStorage
from reginfo.testing import Wire

from ..simulation import ALICE, given, register
from ..sync.make import linked


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_two_servers_agree_within_two_minutes_after_an_outage(transport: str) -> None:
    """
    The link between A and B is down for 40 s. Meanwhile a phone unregisters at A, and
    another one registers.
    """
    wire = Wire()
    a = wire.serve(linked("a", "b", transport=transport), MemoryStorage())
    b = wire.serve(linked("b", "a", transport=transport), MemoryStorage())
    wire.pass_time(6)
    register(wire, a, expires=7200)
    wire.pass_time(1)
    given(b.contacts(ALICE))
    wire.cut(a, b)
    wire.pass_time(5)
    register(wire, a, cseq=2, expires=0)
    register(wire, a, "sip:alice@192.0.2.77", call_id="c9", expires=7200)
    wire.pass_time(40)
    given(b.contacts(ALICE) != a.contacts(ALICE))
    wire.heal()
    wire.pass_time(120)
    assert b.contacts(ALICE) == a.contacts(ALICE)
