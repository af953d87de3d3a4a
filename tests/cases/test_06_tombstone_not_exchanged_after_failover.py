"""A server that was down learns which registrations ended meanwhile."""

from __future__ import annotations

from reginfo.ledger.memory import MemoryStorage
from reginfo.testing import Wire

from ..simulation import ALICE, configuration, given, is_registered, register


def test_a_server_that_was_down_learns_what_has_ended_elsewhere() -> None:
    """
    Three servers watch each other. A phone registers at B. While B is down, it
    registers at C, and unregisters there.
    """
    wire = Wire()
    databases = {me: MemoryStorage() for me in "abc"}
    configurations = {
        me: configuration(me, sorted({"a", "b", "c"} - {me})) for me in "abc"
    }
    servers = {me: wire.serve(configurations[me], databases[me]) for me in "abc"}
    wire.pass_time(5)
    given(is_registered(register(wire, servers["b"], expires=86_400)))
    wire.pass_time(5)
    wire.kill(servers["b"])
    wire.pass_time(60)
    given(is_registered(register(wire, servers["c"], cseq=2, expires=86_400)))
    wire.pass_time(60)
    given(is_registered(register(wire, servers["c"], cseq=3, expires=0)))
    wire.pass_time(400)
    servers["b"] = wire.serve(configurations["b"], databases["b"])
    wire.pass_time(20_000)
    assert [server.contacts(ALICE) for server in servers.values()] == [[]] * 3
