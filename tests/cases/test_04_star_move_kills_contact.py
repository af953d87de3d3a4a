"""A phone that moves from one server to another stays registered everywhere."""

from __future__ import annotations

from reginfo.testing import Wire

from ..simulation import ALICE, CONTACT, configuration, given, register


def test_a_phone_that_moves_within_a_star_stays_registered_at_all_servers() -> None:
    """
    A watches B and C, which both watch A. A phone registers at B for a day, then moves
    to C with its next REGISTER. No datagram is lost and no server restarts.
    """
    wire = Wire()
    a = wire.serve(configuration("a", ["b", "c"]))
    b = wire.serve(configuration("b", ["a"]))
    c = wire.serve(configuration("c", ["a"]))
    wire.pass_time(5)
    register(wire, b, expires=86_400)
    wire.pass_time(30)
    register(wire, c, cseq=2, expires=86_400)
    wire.pass_time(30)
    everywhere = [[CONTACT]] * 3
    given([server.contacts(ALICE) for server in (a, b, c)] == everywhere)
    for _ in range(130):
        wire.pass_time(300)
        assert [server.contacts(ALICE) for server in (a, b, c)] == everywhere
