"""Contacts behind a NAT are reached the way that their REGISTER came."""

from __future__ import annotations

import pytest

from reginfo.routing.nat import Reach
from reginfo.sip.flow import Flow, Local

from ..make import binding

UDP = Local("UDP", "203.0.113.1", 5060)
TCP = Local("TCP", "203.0.113.1", 5060)
UDP6 = Local("UDP", "2001:db8::1", 5060)
NAT = "sip:198.51.100.7:41000"


def reached(
    contact: str, received: str, *, fix: bool = True, path: tuple[str, ...] = ()
) -> Flow | None:
    reach = Reach(fix=fix)
    reach.begin([UDP, TCP, UDP6])
    return reach.flow(binding(contact=contact, received=received, path=path))


def test_a_private_contact_is_reached_where_its_register_came_from() -> None:
    flow = reached("sip:alice@192.168.1.7", NAT)
    assert flow == Flow(UDP, ("198.51.100.7", 41000))


def test_by_the_transport_that_it_came_by() -> None:
    flow = reached("sip:alice@10.0.0.7;transport=tcp", f"{NAT};transport=tcp")
    assert flow == Flow(TCP, ("198.51.100.7", 41000))


@pytest.mark.parametrize(
    ("contact", "received"),
    [
        ("sip:alice@192.168.1.7", ""),  # it is where it says
        ("sip:alice@198.51.100.7", NAT),  # a public address: RFC 3261 §16.6 step 7
        ("sip:alice@192.168.1.7:5062", "sip:192.168.1.7:5090"),  # in our own network
        ("sip:alice@phone.example.com", NAT),
        ("sip:alice@[2001:db8::7]", NAT),
    ],
)
def test_others_are_where_they_say(contact: str, received: str) -> None:
    assert reached(contact, received) is None


def test_who_asks_for_it_is_reached_by_its_flow_in_any_case() -> None:
    """RFC 5626 §5.3, `;ob`"""
    flow = Flow(UDP, ("198.51.100.7", 41000))
    assert reached("sip:alice@198.51.100.9;ob", NAT) == flow
    assert reached("sip:alice@198.51.100.9;ob", NAT, fix=False) == flow


def test_without_fix_private_addresses_are_believed() -> None:
    assert reached("sip:alice@192.168.1.7", NAT, fix=False) is None


def test_a_path_says_itself_where_it_leads() -> None:
    path = ("<sip:edge.example.com;lr>",)
    assert reached("sip:alice@192.168.1.7", NAT, path=path) is None


def test_a_flow_is_of_the_family_of_its_address() -> None:
    flow = reached("sip:alice@[fd00::7]", "sip:[2001:db8::7]:41000")
    assert flow == Flow(UDP6, ("2001:db8::7", 41000))


def test_there_is_no_flow_of_a_transport_that_we_do_not_have() -> None:
    received = "sip:198.51.100.7:41000;transport=ws"
    assert reached("sip:alice@192.168.1.7;transport=ws", received) is None
