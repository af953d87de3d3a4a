"""What this package raises on purpose."""

from __future__ import annotations

from reginfo.sip.errors import Refusal, RemoteProtocolError


def test_the_peers_error_earns_a_400_if_nothing_else_is_said() -> None:
    assert RemoteProtocolError("x").status == 400
    assert RemoteProtocolError("x", status=505).status == 505


def test_a_refusal_holds_the_response_that_it_becomes() -> None:
    refusal = Refusal(423, "Interval Too Brief", headers=[("Min-Expires", "60")])
    assert (refusal.status, refusal.reason) == (423, "Interval Too Brief")
    assert refusal.headers == (("Min-Expires", "60"),)
    assert str(refusal) == "423 Interval Too Brief"
