"""Which addresses can be reached from anywhere (RFC 6890 and its updates)."""

from __future__ import annotations

import pytest

from reginfo.sip.address import numeric


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8:0:0::1]", "2001:db8::1"),
        ("[::ffff:192.0.2.1]", "::ffff:192.0.2.1"),
        ("example.com", ""),
        ("1.2.3", ""),
        ("1.2.3.400", ""),
        ("1.2.3.0400", ""),
        ("[::g]", ""),
        ("::1", ""),  # not as a URI has it
        ("", ""),
    ],
)
def test_a_numeric_host_is_parsed_into_the_form_of_sockets(
    host: str, address: str
) -> None:
    found = numeric(host).address
    assert found == address or (":ffff" in host and found == "::ffff:c000:201")


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255",
        "127.0.0.1", "127.255.0.1", "169.254.1.1", "172.16.0.1", "172.31.255.255",
        "192.0.0.1", "192.0.0.8", "192.0.0.170", "192.168.1.1", "198.18.0.1",
        "198.19.255.255", "224.0.1.75", "239.0.0.1", "240.0.0.1", "255.255.255.255",
        "[::]", "[::1]", "[::ffff:198.51.100.1]", "[64:ff9b:1::1]", "[100::1]",
        "[100:0:0:1::1]", "[2001::1]", "[2001:2::1]", "[2001:10::1]", "[5f00::1]",
        "[fc00::1]", "[fd00::1]", "[fe80::1]", "[fec0::1]", "[ff02::1]",
    ],
)  # fmt: skip
def test_blocks_that_are_not_globally_reachable(host: str) -> None:
    """RFC 6890 §2.2, RFC 8190, RFC 8215, RFC 9602, RFC 9780"""
    assert not numeric(host).is_global


@pytest.mark.parametrize(
    "host",
    [
        "1.1.1.1", "100.63.255.255", "100.128.0.1", "169.253.0.1", "172.15.0.1",
        "172.32.0.1", "192.0.0.9", "192.0.0.10", "192.0.1.1", "192.31.196.1",
        "192.52.193.1", "192.88.99.1", "192.167.0.1", "192.169.0.1", "192.175.48.1",
        "198.17.0.1", "198.20.0.1", "223.255.255.255",
        "[2606:4700::1]", "[64:ff9b::1]", "[2001:1::1]", "[2001:3::1]",
        "[2001:4:112::1]", "[2001:20::1]", "[2001:200::1]", "[2002:c000:204::1]",
        "[2620:4f:8000::1]",
        # Blocks for documentation (RFC 5737, RFC 3849, RFC 9637).
        "192.0.2.1", "198.51.100.1", "203.0.113.1", "[2001:db8::1]", "[3fff::1]",
        "example.com",
    ],
)  # fmt: skip
def test_addresses_that_can_be_reached_from_anywhere(host: str) -> None:
    """RFC 6890 §2.2; the documentation blocks stand for public addresses"""
    assert numeric(host).is_global
