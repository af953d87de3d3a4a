"""Contacts that have ended are not kept without limit."""

from __future__ import annotations

from reginfo.testing import Wire

from ..simulation import ALICE, claims, configuration, given, is_registered, register


def test_contacts_that_have_ended_do_not_pile_up() -> None:
    """A browser phone has another contact URI each time (JsSIP), and unregisters it."""
    wire = Wire()
    extra = "[registrar]\nmax_contacts = 1"
    server = wire.serve(configuration("a", [], extra=extra))
    for number in range(300):
        contact = f"sip:r{number:06x}@192.0.2.50;transport=udp"
        given(
            is_registered(
                register(wire, server, contact, call_id=f"c{number}", expires=86_400)
            )
        )
        register(wire, server, contact, call_id=f"c{number}", cseq=2, expires=0)
        wire.packets.clear()
        wire.pass_time(0.01)
    given(server.contacts(ALICE) == [])
    wire.pass_time(3600)
    assert len(claims(server)) < 100
