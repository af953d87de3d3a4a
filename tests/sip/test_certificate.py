"""The SIP domains that a certificate is for (RFC 5922 §7)."""

from __future__ import annotations

import pytest

from reginfo.sip.certificate import identities, is_for


@pytest.mark.parametrize(
    ("names", "domains"),
    [
        ([("DNS", "Example.COM")], {"example.com"}),
        ([("DNS", "a.example"), ("DNS", "b.example.")], {"a.example", "b.example"}),
        ([("URI", "sip:example.com")], {"example.com"}),
        ([("URI", "SIP:Example.com:5061")], {"example.com"}),
        # With a SIP URI, the DNS names are for something else.
        ([("DNS", "www.example.com"), ("URI", "sip:example.com")], {"example.com"}),
        # No domains: a user, another scheme, something else.
        ([("URI", "sip:alice@example.com"), ("DNS", "a.example")], {"a.example"}),
        ([("URI", "sips:example.com")], set()),
        ([("URI", "https://example.com")], set()),
        ([("URI", "sip:")], set()),
        ([("email", "alice@example.com")], set()),
        # Addresses, for URIs that have one.
        ([("IP Address", "192.0.2.1")], {"192.0.2.1"}),
        ([("IP Address", "2001:DB8:0:0:0:0:0:1\n")], {"2001:db8::1"}),
        ([("DNS", "a.example"), ("IP Address", "::1")], {"a.example", "::1"}),
    ],
)
def test_the_identities_of_a_certificate(
    names: list[tuple[str, str]], domains: set[str]
) -> None:
    """5922-01, 5922-02"""
    assert identities({"subjectAltName": tuple(names)}) == domains


def test_a_common_name_is_no_identity() -> None:
    """5922-01: §7.1 step 2 permits it, for certificates without any other name."""
    assert identities({"subject": ((("commonName", "example.com"),),)}) == frozenset()
    assert identities({}) == frozenset()


@pytest.mark.parametrize(
    ("name", "certified", "matches"),
    [
        ("example.com", "example.com", True),
        ("EXAMPLE.com.", "example.com", True),
        ("sip.example.com", "example.com", False),
        ("example.com", "sip.example.com", False),
        ("sip.example.com", "*.example.com", False),
        ("example.com.evil.example", "example.com", False),
        ("", "example.com", False),
        ("[2001:db8:0::1]", "2001:db8::1", True),
    ],
)
def test_a_name_matches_in_its_entirety(
    name: str, certified: str, matches: bool
) -> None:
    """5922-03: no suffixes, and no wildcards."""
    assert is_for(name, frozenset({certified})) is matches
