"""A publication that may have arrived is taken back until that is certain."""

from __future__ import annotations

from ..simulation import ALICE, LossyWire, configuration, given, register


def test_a_contact_that_was_published_without_an_answer_is_taken_back() -> None:
    """
    A publishes to C, whose answers are lost. A phone registers at A and unregisters;
    the PUBLISH that says so is lost. Then the link works again (RFC 3903 §4.5).
    """
    wire = LossyWire()
    extra = 'publish_to = "sip:192.0.2.3"'
    a = wire.serve(configuration("a", ["c"], watch=(), extra=extra))
    c = wire.serve(configuration("c", ["a"], watch=()))
    wire.pass_time(5)
    wire.cut_one_way(c.address, a.address)
    register(wire, a, expires=86_400)
    given(c.contacts(ALICE))
    wire.pass_time(5)
    register(wire, a, cseq=2, expires=0)
    wire.cut_one_way(a.address, c.address)
    wire.pass_time(120)
    wire.mend()
    wire.pass_time(7200)
    assert c.contacts(ALICE) == a.contacts(ALICE) == []
