"""Which URIs lead to us, and which to somebody beside us."""

from __future__ import annotations

import pytest

from reginfo.routing.domains import Domains
from reginfo.sip.flow import Local
from reginfo.sip.uri import Uri


def domains(*names: str) -> Domains:
    made = Domains(names, use_domain=True, default_domain=None)
    made.add(
        [
            Local("UDP", "192.0.2.1", 5060),
            Local("TCP", "192.0.2.1", 5070),
            Local("UDP", "2001:db8::1", 5060),
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
    ],
)
def test_a_uri_leads_to_a_domain_or_to_where_we_listen(uri: str, ours: bool) -> None:
    """3261-42, §16.5: what is for another element is not looked up here"""
    assert domains("example.com").hold(Uri.parse(uri)) == ours


def test_an_address_that_is_a_domain_of_ours_is_so_by_whatever_port() -> None:
    """Of a server behind a NAT, or behind a load balancer."""
    assert domains("192.0.2.1").hold(Uri.parse("sip:bob@192.0.2.1:5080"))
