"""Contacts of ours, as other servers are told of them."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.routing.learned import OwnerPaths
from reginfo.routing.nat import Nat
from reginfo.sip.dialog import route_uri
from reginfo.sip.flow import Flow, Local
from reginfo.sip.token import Tokens
from reginfo.sip.transport import Transport
from reginfo.sip.uri import Uri

from ..make import binding

UDP, TCP = (
    Local(Transport.UDP, "192.0.2.1", 5060),
    Local(Transport.TCP, "192.0.2.1", 5060),
)
BEHIND_NAT: dict[str, Any] = {
    "contact": "sip:a@10.0.0.5",
    "received": "sip:203.0.113.5:40000",
}
ON_STREAM = {
    "contact": "sip:a@203.0.113.5:40000;transport=tcp", "listener": str(TCP),
}  # fmt: skip


def paths() -> tuple[OwnerPaths, Tokens]:
    nat, tokens = Nat(fix=True), Tokens(b"secret")
    nat.begin([UDP, TCP])
    tokens.begin([UDP, TCP])
    return OwnerPaths("a", nat, tokens, lambda uri: uri.host == "192.0.2.1"), tokens


@pytest.mark.parametrize(
    ("fields", "flow"),
    [
        ({**BEHIND_NAT, "listener": str(UDP)}, Flow(UDP, ("203.0.113.5", 40000))),
        (ON_STREAM, Flow(TCP, ("203.0.113.5", 40000))),
        (
            {"contact": "sip:a@203.0.113.5;ob", "listener": str(UDP)},
            Flow(UDP, ("203.0.113.5", 5060)),
        ),
    ],
)
def test_a_contact_that_only_we_reach_is_reached_through_us(
    fields: dict[str, Any], flow: Flow
) -> None:
    """RFC 5626 §5.3: the token names the flow of its REGISTER."""
    one, tokens = paths()
    claim = binding(1, **fields)
    [value] = one.path_of(claim)
    uri = Uri.parse(route_uri(value))
    assert tokens.read(uri.user) == flow
    assert (uri.host, uri.port, uri.param("lr")) == ("192.0.2.1", 5060, "")


@pytest.mark.parametrize(
    "fields",
    [
        {"listener": str(UDP)},  # anybody can send it a datagram
        {**BEHIND_NAT, "listener": str(UDP), "owner": "b"},  # not ours
        {**BEHIND_NAT, "path": ("<sip:edge.example;lr>",)},  # its edge knows the way
        {**BEHIND_NAT, "received": "nonsense", "listener": str(UDP)},
        {**BEHIND_NAT, "event": "unregistered"},
        {"contact": "sip:a@phone.example", "listener": str(UDP)},
    ],
)
def test_any_other_contact_keeps_its_path(fields: dict[str, Any]) -> None:
    claim = binding(1, **{"event": "registered", **fields})
    assert paths()[0].path_of(claim) == claim.path


def test_what_comes_back_is_as_it_was() -> None:
    """It is never stored here, or compared."""
    one, _ = paths()
    claim = binding(1, **BEHIND_NAT, listener=str(UDP))
    sent = binding(1, **BEHIND_NAT, path=one.path_of(claim))
    assert one.own(sent).path == ()


@pytest.mark.parametrize(
    "path",
    [(), ("<sip:edge.example;lr>",), ("<sip:flow.x@192.0.2.2;lr>",), ("<nonsense",)],
)
def test_the_path_of_somebody_else_is_left_alone(path: tuple[str, ...]) -> None:
    claim = binding(1, path=path)
    assert paths()[0].own(claim) is claim
