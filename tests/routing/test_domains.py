"""Which URIs lead to us, and which to somebody beside us."""

from __future__ import annotations

import pytest

from reginfo.routing.domains import Domains
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.flow import Local
from reginfo.sip.transport import Transport
from reginfo.sip.uri import Uri


def domains(*names: str) -> Domains:
    made = Domains(names, use_domain=True, default_domain=None)
    made.begin(
        [
            Local(Transport.UDP, "192.0.2.1", 5060),
            Local(Transport.TCP, "192.0.2.1", 5070),
            Local(Transport.UDP, "2001:db8::1", 5060),
        ]
    )
    return made


@pytest.mark.parametrize(
    ("uri", "ours"),
    [
        ("sip:bob@example.com", True),
        ("sip:example.com:5080", True),  # a domain is ours by whatever port
        ("sip:bob@example.net", False),
        ("tel:+15551234", True),
        ("sip:192.0.2.1", True),
        ("sip:bob@192.0.2.1:5060", True),
        ("sip:bob@192.0.2.1:5070", True),
        ("sip:bob@[2001:db8::1]:5060", True),
        # A phone on the host that we run on, say.
        ("sip:bob@192.0.2.1:5080", False),
        ("sip:bob@[2001:db8::1]:5080", False),
        ("sip:192.0.2.2", False),
        # maddr says where a URI leads, whatever its host is (§19.1.1).
        ("sip:bob@example.net;maddr=192.0.2.1", True),
        ("sip:bob@example.net;maddr=example.com", True),
        ("sip:bob@example.net:5080;maddr=192.0.2.1", False),
        ("sip:bob@example.com;maddr=192.0.2.9", False),
        ("sips:bob@example.com", True),
        ("mailto:bob@example.com", False),
    ],
)
def test_a_uri_leads_to_a_domain_or_to_where_we_listen(uri: str, ours: bool) -> None:
    """3261-42, 3261-55, §16.5: what is for another element is not looked up here"""
    assert domains("example.com").is_ours(Uri.parse(uri)) == ours


def test_an_address_that_is_a_domain_of_ours_is_so_by_whatever_port() -> None:
    """Of a server behind a NAT, or behind a load balancer."""
    assert domains("192.0.2.1").is_ours(Uri.parse("sip:bob@192.0.2.1:5080"))


@pytest.mark.parametrize(
    ("uri", "aor"),
    [
        ("sip:bob@example.com", "sip:bob@example.com"),
        ("sip:bob@example.com:5060", "sip:bob@example.com"),
        ("sip:bob@EXAMPLE.com:5070;transport=tcp", "sip:bob@example.com"),
        ("sips:bob@example.com:5061", "sip:bob@example.com"),
        ("sip:bob@192.0.2.1:5060", "sip:bob@192.0.2.1"),
        ("sip:bob@192.0.2.1:5070", "sip:bob@192.0.2.1"),
        ("sip:bob@[2001:DB8::1]:5060", "sip:bob@[2001:db8::1]"),
        ("sip:example.com:5060", "sip:example.com"),
        # Elsewhere a port makes a difference.
        ("sip:bob@192.0.2.1:5080", "sip:bob@192.0.2.1:5080"),
        ("sip:bob@example.net:5060", "sip:bob@example.net:5060"),
    ],
)
def test_users_of_ours_do_not_differ_by_a_port_of_ours(uri: str, aor: str) -> None:
    """3261-55: §10.3 step 5"""
    assert domains("example.com").aor(Uri.parse(uri)) == aor


def test_what_is_advertised_is_ours_as_well() -> None:
    """3261-55"""
    made = Domains(["example.com"], use_domain=True, default_domain=None)
    made.begin([Local(Transport.UDP, "10.0.0.1", 5060, "sip.example.org:5070")])
    for uri, ours in [
        ("sip:sip.example.org:5070", True),
        ("sip:sip.example.org", True),
        ("sip:sip.example.org:5060", False),
        ("sip:10.0.0.1:5060", True),
        ("sip:10.0.0.1:5070", False),
    ]:
        assert made.is_ours(Uri.parse(uri)) == ours, uri


@pytest.mark.parametrize(
    ("uri", "aor"),
    [
        ("sip:bob@example.com", "sip:bob@users.example"),
        ("sip:bob@example.com:5060", "sip:bob@users.example"),
        ("sip:bob@192.0.2.1:5070", "sip:bob@users.example"),
        ("sips:bob@example.com", "sip:bob@users.example"),
        ("sip:example.com", "sip:users.example"),
        ("tel:+15551234", "tel:+15551234"),
        ("sip:bob@example.net", "sip:bob@example.net"),
    ],
)
def test_users_of_all_our_domains_may_be_the_same(uri: str, aor: str) -> None:
    """`use_domain = false`: they have one domain, whichever of ours is written."""
    made = Domains(["example.com"], use_domain=False, default_domain="users.example")
    made.begin([Local(Transport.UDP, "192.0.2.1", 5070)])
    assert made.aor(Uri.parse(uri)) == aor


@pytest.mark.parametrize("uri", ["mailto:bob@example.com", "urn:service:sos"])
def test_a_uri_that_names_no_user_of_sip_has_no_address_of_record(uri: str) -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        domains("example.com").aor(Uri.parse(uri))
    assert raised.value.status == 416


@pytest.mark.parametrize(
    ("name", "default", "aor"),
    [
        ("bob@example.com", None, "sip:bob@example.com"),
        ("sip:bob@example.com", None, "sip:bob@example.com"),
        ("SIPS:bob@example.com", None, "sip:bob@example.com"),
        ("tel:+15551234", None, "tel:+15551234"),
        ("bob", "users.example", "sip:bob@users.example"),
        ("bob@example.net", "users.example", "sip:bob@example.net"),
        # A domain of ours is no user in the default one.
        ("example.com", "users.example", "sip:example.com"),
        ("bob", None, "sip:bob"),
    ],
)
def test_an_operator_names_a_user_without_a_scheme(
    name: str, default: str | None, aor: str
) -> None:
    made = Domains(["example.com"], use_domain=True, default_domain=default)
    assert made.named(name) == aor


def test_an_address_is_one_that_we_listen_at() -> None:
    made = Domains(["example.com"], use_domain=True, default_domain=None)
    made.begin(
        [
            Local(Transport.UDP, "10.0.0.1", 5060, "sip.example.org:5070"),
            Local(Transport.UDP, "2001:db8::1", 5060),
        ]
    )
    assert made.is_address("10.0.0.1") and made.is_address("[2001:db8::1]")
    assert not made.is_address("sip.example.org")
    assert not made.is_address("example.com")
    assert "sip.example.org" in made and "example.com" in made
    assert "10.0.0.2" not in made
