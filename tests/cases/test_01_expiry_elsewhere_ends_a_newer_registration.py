"""A registration that expires at one server leaves a newer one at another alone."""

from __future__ import annotations

from reginfo.testing import Wire

from ..simulation import ALICE, configuration, given, is_registered, register


def test_a_registration_that_expires_elsewhere_does_not_end_a_newer_one() -> None:
    """
    B watches A. A phone registers at A for 600 s, restarts, and registers the same
    contact at B with another Call-ID for 3600 s. The first registration expires at A.
    """
    wire = Wire()
    a = wire.serve(configuration("a", ["b"], watch=()))
    b = wire.serve(configuration("b", ["a"]))
    wire.pass_time(5)
    register(wire, a, call_id="c1", expires=600)
    wire.pass_time(100)
    given(is_registered(register(wire, b, call_id="c2", expires=3600)))
    before = b.contacts(ALICE)
    given(before)
    wire.pass_time(505)
    assert b.contacts(ALICE) == before
