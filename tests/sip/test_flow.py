"""Where we listen, as others are told."""

from __future__ import annotations

import socket

import pytest

from reginfo.sip.flow import (
    Flow,
    Local,
    family_of,
    is_numeric,
    place_of,
    scoped,
    unscoped,
    uri_host,
    with_scope,
)
from reginfo.sip.transport import Transport


@pytest.mark.parametrize(
    ("local", "uri"),
    [
        (Local(Transport.UDP, "192.0.2.1", 5060), "sip:192.0.2.1:5060"),
        (Local(Transport.TCP, "192.0.2.1", 5061), "sip:192.0.2.1:5061;transport=tcp"),
        (
            Local(Transport.TCP, "2001:db8::1", 5060),
            "sip:[2001:db8::1]:5060;transport=tcp",
        ),
    ],
)
def test_an_address_of_ours_is_a_uri_that_others_can_use(
    local: Local, uri: str
) -> None:
    assert local.uri == uri


@pytest.mark.parametrize(
    ("local", "remote", "written"),
    [
        ("192.0.2.1", "192.0.2.50", "udp:192.0.2.1:5060 to 192.0.2.50:9988"),
        ("2001:db8::1", "2001:db8::5", "udp:[2001:db8::1]:5060 to [2001:db8::5]:9988"),
        (
            "fe80::1%eth0",
            "fe80::5%eth0",
            "udp:[fe80::1%eth0]:5060 to [fe80::5%eth0]:9988",
        ),
    ],
)
def test_a_flow_is_written_with_both_of_its_addresses(
    local: str, remote: str, written: str
) -> None:
    flow = Flow(Local(Transport.UDP, local, 5060), (remote, 9988))
    assert str(flow) == written
    assert repr(flow) == f"<Flow {written}>"


def test_listeners_with_one_address_at_two_interfaces_have_two_names() -> None:
    """3261-134: only what is sent lacks the scope"""
    one, two = (Local(Transport.UDP, f"fe80::1%{name}", 5060) for name in ("a", "b"))
    assert str(one) != str(two)
    assert (one.uri, one.via_start) == (two.uri, two.via_start)
    assert "%" not in one.uri + one.sent_by + one.bound + one.via_start


@pytest.mark.parametrize(
    ("sent_by", "place"),
    [
        ("Example.COM", ("example.com", 5060)),
        ("Example.COM:5070", ("example.com", 5070)),
        ("192.0.2.1", ("192.0.2.1", 5060)),
        ("192.0.2.1:5070", ("192.0.2.1", 5070)),
        ("[2001:DB8:0::1]", ("2001:db8::1", 5060)),
        ("[2001:DB8:0::1]:5070", ("2001:db8::1", 5070)),
        ("example.com:sip", ("example.com:sip", 5060)),
    ],
)
def test_a_sent_by_has_one_spelling_and_always_a_port(
    sent_by: str, place: tuple[str, int]
) -> None:
    """RFC 3261 §18.1.1: without a port, it is 5060."""
    assert place_of(sent_by) == place


@pytest.mark.parametrize(
    ("host", "numeric", "family"),
    [
        ("192.0.2.1", True, socket.AF_INET),
        ("2001:db8::1", True, socket.AF_INET6),
        ("::", True, socket.AF_INET6),
        ("fe80::1%eth0", True, socket.AF_INET6),
        ("example.com", False, None),
        ("192.0.2.256", False, None),
        ("192.0.2", False, None),
        ("[::1]", False, None),
        ("", False, None),
    ],
)
def test_an_address_is_told_from_a_name_and_has_a_family(
    host: str, numeric: bool, family: socket.AddressFamily | None
) -> None:
    assert is_numeric(host) is numeric
    if family is not None:
        assert family_of(host) is family


@pytest.mark.parametrize(
    ("name", "host"),
    [
        (("192.0.2.1", 5060), "192.0.2.1"),
        (("2001:db8::1", 5060, 0, 0), "2001:db8::1"),
        (("fe80::1", 5060, 0, 2), "fe80::1%2"),
        (("fe80::1", 5060, 7, 2), "fe80::1%2"),
        (("fe80::1%eth0", 5060, 0, 2), "fe80::1%eth0"),
    ],
)
def test_the_address_of_a_socket_has_its_scope_once(
    name: tuple[str | int, ...], host: str
) -> None:
    assert with_scope(name) == host


@pytest.mark.parametrize(
    ("host", "bare"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("fe80::1", "fe80::1"),
        ("fe80::1%2", "fe80::1"),
        ("fe80::1%eth%0", "fe80::1"),  # the name of an interface may have one
    ],
)
def test_a_scope_is_not_written_into_a_uri(host: str, bare: str) -> None:
    """3261-92"""
    assert unscoped(host) == bare
    assert uri_host(host) == (f"[{bare}]" if ":" in bare else bare)


@pytest.mark.parametrize(
    ("host", "local", "expected"),
    [
        ("fe80::5", "fe80::1%eth0", "fe80::5%eth0"),
        ("fe80::5", "fe80::1%eth%0", "fe80::5%eth%0"),
        ("fe80::5%eth1", "fe80::1%eth0", "fe80::5%eth1"),
        ("fe80::5", "fe80::1", "fe80::5"),
        ("fe80::5", "::", "fe80::5"),
        ("2001:db8::5", "fe80::1%eth0", "2001:db8::5"),
        ("2001:db8::5", "2001:db8::1", "2001:db8::5"),
        ("192.0.2.5", "192.0.2.1", "192.0.2.5"),
    ],
)
def test_a_link_local_peer_is_reached_in_the_scope_of_the_listener(
    host: str, local: str, expected: str
) -> None:
    """3261-92"""
    ours = Local(Transport.UDP, local, 5060)
    assert scoped((host, 9988), ours) == (expected, 9988)
