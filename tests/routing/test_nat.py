"""Contacts behind a NAT are reached the way that their REGISTER came."""

from __future__ import annotations

import pytest

from reginfo.routing.nat import Nat, parse_received
from reginfo.sip.flow import Flow, Local
from reginfo.sip.transport import Transport

from ..make import binding

UDP = Local(Transport.UDP, "203.0.113.1", 5060)
TCP = Local(Transport.TCP, "203.0.113.1", 5060)
SECOND = Local(Transport.UDP, "203.0.113.1", 5070)
UDP6 = Local(Transport.UDP, "2001:db8::1", 5060)
NAT = "sip:198.51.100.7:41000"


def reached(
    contact: str, received: str, *, fix: bool = True, path: tuple[str, ...] = ()
) -> Flow | None:
    nat = Nat(fix=fix)
    nat.begin([UDP, TCP, UDP6])
    return nat.flow(binding(contact=contact, received=received, path=path))


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


TLS = Local(Transport.TLS, "203.0.113.1", 5061)
WSS = Local(Transport.WSS, "203.0.113.1", 443)


@pytest.mark.parametrize("fix", [True, False])
@pytest.mark.parametrize(
    ("contact", "received", "local"),
    [
        ("sip:x7@a1b2.invalid;transport=ws", ";transport=wss", WSS),
        ("sip:al@198.51.100.9:5061;transport=tls", ";transport=tls", TLS),
        ("sips:al@198.51.100.9", ";transport=tls", TLS),
        ("sips:al@pc.example.com", ";transport=tls", TLS),
    ],
)
def test_by_tls_and_websocket_only_their_own_connection_reaches_them(
    contact: str, received: str, local: Local, fix: bool
) -> None:
    """7118-07, 5922-04: we could not check a certificate of theirs."""
    nat = Nat(fix=fix)
    nat.begin([UDP, TCP, TLS, WSS])
    flow = nat.flow(
        binding(contact=contact, received=f"{NAT}{received}", listener=str(local))
    )
    assert flow == Flow(local, ("198.51.100.7", 41000))


@pytest.mark.parametrize("contact", ["sips:al@192.168.1.7", "sips:al@pc.example;ob"])
@pytest.mark.parametrize("by", ["", ";transport=tcp"])
def test_a_secure_contact_is_not_reached_by_an_insecure_flow(
    contact: str, by: str
) -> None:
    """5630-01"""
    assert reached(contact, f"{NAT}{by}") is None


def test_a_path_says_itself_where_it_leads() -> None:
    path = ("<sip:edge.example.com;lr>",)
    assert reached("sip:alice@192.168.1.7", NAT, path=path) is None


def test_a_flow_is_of_the_family_of_its_address() -> None:
    flow = reached("sip:alice@[fd00::7]", "sip:[2001:db8::7]:41000")
    assert flow == Flow(UDP6, ("2001:db8::7", 41000))


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("sip:198.51.100.7:41000", ("UDP", ("198.51.100.7", 41000))),
        ("sip:198.51.100.7", ("UDP", ("198.51.100.7", 5060))),
        ("sip:[2001:db8::7]:41000", ("UDP", ("2001:db8::7", 41000))),
        (
            "sip:[2001:db8::7]:41000;transport=tcp",
            ("TCP", ("2001:db8::7", 41000)),
        ),
        # As it was stored by versions that left the brackets out.
        ("sip:::1:41000", ("UDP", ("::1", 41000))),
        ("sip:2001:db8::7:41000;transport=tcp", ("TCP", ("2001:db8::7", 41000))),
        # What a peer's document, or a damaged row, may hold.
        ("sip:phone.example.com:5060", None),
        ("", None),
        ("sip:", None),
        ("sip:1:2:3", None),
        ("sip:::g:5060", None),
        ("tel:+1555", None),
        ("nonsense", None),
        ("sip:[::1", None),
    ],
)
def test_the_source_of_a_register_is_read_or_ignored(
    text: str, source: tuple[str, tuple[str, int]] | None
) -> None:
    assert parse_received(text) == source


def test_an_unusable_source_leaves_the_contact_where_it_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert reached("sip:alice@192.168.1.7", "sip:nonsense:x") is None
    assert "unusable source" in caplog.text


@pytest.mark.parametrize(
    ("listener", "received", "local"),
    [
        ("udp:203.0.113.1:5060", "", UDP),
        ("udp:203.0.113.1:5070", "", SECOND),
        ("udp:203.0.113.1:5070", NAT, SECOND),
        ("tcp:203.0.113.1:5060", f"{NAT};transport=tcp", TCP),
        # Where we no longer listen: by another address of the same kind.
        ("udp:203.0.113.9:5060", NAT, UDP),
        ("", NAT, UDP),
        # Of a contact that was learned, and is where it says, nothing is known.
        ("", "", None),
    ],
)
def test_the_flow_of_a_register_is_that_of_the_address_that_it_came_to(
    listener: str, received: str, local: Local | None
) -> None:
    nat = Nat(fix=True)
    nat.begin([UDP, SECOND, TCP])
    contact = "sip:alice@198.51.100.7:41000"
    origin = nat.origin(binding(contact=contact, received=received, listener=listener))
    expected = None if local is None else Flow(local, ("198.51.100.7", 41000))
    assert origin == expected


def test_a_link_local_source_has_the_scope_of_our_address() -> None:
    local = Local(Transport.UDP, "fe80::1%eth0", 5060)
    nat = Nat(fix=True)
    nat.begin([local])
    bound = binding(
        contact="sip:alice@[fe80::9]",
        received="sip:[fe80::7]:41000",
        listener=str(local),
    )
    assert nat.flow(bound) == Flow(local, ("fe80::7%eth0", 41000))


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_of_equal_link_local_addresses_that_of_the_register_is_used(
    number: int, transport: Transport
) -> None:
    """3261-134: `fe80::1` at three interfaces is three listeners"""
    locals = [Local(transport, f"fe80::1%eth{n}", 5060) for n in range(3)]
    nat = Nat(fix=True)
    nat.begin(locals)
    bound = binding(
        contact="sip:alice@[fe80::9]",
        received=f"sip:[fe80::7]:41000{transport.uri_param}",
        listener=str(locals[number]),
    )
    expected = Flow(locals[number], (f"fe80::7%eth{number}", 41000))
    assert nat.flow(bound) == expected


def test_there_is_no_flow_of_a_transport_that_we_do_not_have() -> None:
    received = "sip:198.51.100.7:41000;transport=ws"
    assert reached("sip:alice@192.168.1.7;transport=ws", received) is None


SOURCE = Flow(UDP, ("192.0.2.66", 5070))


def limited(contact: str, *validated: tuple[str, int]) -> Flow | None:
    """The only flow that reaches a contact that was registered from ``SOURCE``."""
    nat = Nat(fix=False, reaches=lambda flow: flow.remote in validated)
    nat.begin([UDP])
    source = "sip:192.0.2.66:5070"
    return nat.flow(binding(0, contact=contact, received=source, listener=str(UDP)))


def test_a_contact_elsewhere_is_reached_at_the_source_until_it_is_validated() -> None:
    """3261-179: nobody is called because somebody else names that address"""
    elsewhere = "sip:bob@198.51.100.7:5062"
    assert limited(elsewhere) == SOURCE
    assert limited(elsewhere, SOURCE.remote) == SOURCE
    assert limited(elsewhere, ("198.51.100.7", 5062)) is None


def test_a_validated_phone_may_listen_at_another_port() -> None:
    """3261-179"""
    assert limited("sip:bob@192.0.2.66:5062") == SOURCE
    assert limited("sip:bob@192.0.2.66:5062", SOURCE.remote) is None


@pytest.mark.parametrize(
    "contact",
    [
        "sip:bob@192.0.2.66:5070",
        "sip:bob@pbx.example.net",  # a name is resolved first
        "sip:bob@198.51.100.7;transport=tcp",  # who accepts a connection is there
    ],
)
def test_the_limit_itself_is_enough_for_other_contacts(contact: str) -> None:
    """3261-179"""
    assert limited(contact) is None
