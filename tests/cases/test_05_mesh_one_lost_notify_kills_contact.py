"""One lost datagram between servers does not end a registration."""

from __future__ import annotations

from reginfo.testing import Wire
from reginfo.testing.wire import Packet

from ..simulation import ALICE, CONTACT, configuration, given, register


def test_a_notify_that_is_sent_twice_does_not_end_a_registration() -> None:
    """
    Three servers watch each other. A phone moves from B to A. The NOTIFY from A to B is
    lost once and sent again 0.5 s later; B hears of the move from C first.
    """
    wire = Wire()
    a, b, c = (
        wire.serve(configuration(me, sorted({"a", "b", "c"} - {me}))) for me in "abc"
    )
    wire.pass_time(5)
    register(wire, b, expires=86_400)
    wire.pass_time(30)

    def from_a_to_b(packet: Packet) -> bool:
        is_on_link = (packet.source, packet.destination) == (a.address, b.address)
        return is_on_link and packet.data.startswith(b"NOTIFY ")

    wire.lose(from_a_to_b)
    register(wire, a, cseq=2, expires=86_400)
    wire.pass_time(60)
    everywhere = [[CONTACT]] * 3
    given([server.contacts(ALICE) for server in (a, b, c)] == everywhere)
    for _ in range(100):
        wire.pass_time(300)
        assert [server.contacts(ALICE) for server in (a, b, c)] == everywhere
