"""What is kept for one contact does not grow with its REGISTERs."""

from __future__ import annotations

from reginfo.testing import Wire

from ..simulation import claims, configuration, given, is_registered, register


def test_a_contact_registered_with_many_call_ids_is_kept_once() -> None:
    """A phone that uses another Call-ID for each REGISTER (RFC 3261 §10.2.4)."""
    wire = Wire()
    extra = "[registrar]\nmax_contacts = 1"
    server = wire.serve(configuration("a", [], extra=extra))
    for number in range(300):
        answer = register(wire, server, call_id=f"c{number}", expires=3600)
        given(is_registered(answer))
        wire.packets.clear()
        wire.pass_time(0.01)
    assert len(claims(server)) < 100
