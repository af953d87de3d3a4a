"""Addresses are numeric, and written as they are read."""

from __future__ import annotations

import pytest

from reginfo.config.address import AdvertisedAddress, SocketAddress, parse_admin


def test_an_address_of_the_api_is_written_as_it_is_read() -> None:
    for text in ("127.0.0.1:8060", "unix:/run/reginfo/admin"):
        assert str(parse_admin(text)) == text
    assert parse_admin("http://127.0.0.1:8060/") == SocketAddress("127.0.0.1", 8060)
    assert parse_admin("127.0.0.1:65535") == SocketAddress("127.0.0.1", 65535)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("127.0.0.1", "'127.0.0.1' is not HOST:PORT"),
        ("127.0.0.1:sip", "'127.0.0.1:sip' is not HOST:PORT"),
        ("127.0.0.1:65536", "port 65536 is out of range (0 to 65535)"),
        ("localhost:8060", "'localhost' is not an IPv4 or [IPv6] address"),
        ("::1:8060", "'::1' is not an IPv4 or [IPv6] address"),
        ("[::1:8060", "'[::1' is not an IPv4 or [IPv6] address"),
        ("::1]:8060", "'::1]' is not an IPv4 or [IPv6] address"),
        ("[127.0.0.1]:8060", "'[127.0.0.1]' is not an IPv4 or [IPv6] address"),
        ("http://127.0.0.1:8060/x", "'127.0.0.1:8060/x' is not HOST:PORT"),
        ("127.0.0.1:8060X", "'127.0.0.1:8060X' is not HOST:PORT"),
        ("unix:", "unix: needs a path"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_admin(text)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("text", "address", "written"),
    [
        ("sip.example.com", AdvertisedAddress("sip.example.com"), "sip.example.com:7"),
        (
            "sip.example.com:5080",
            AdvertisedAddress("sip.example.com", 5080),
            "sip.example.com:5080",
        ),
        ("192.0.2.1", AdvertisedAddress("192.0.2.1"), "192.0.2.1:7"),
        (
            "[2001:db8::1]:5060",
            AdvertisedAddress("[2001:db8::1]", 5060),
            "[2001:db8::1]:5060",
        ),
    ],
)
def test_an_advertised_host_has_a_port_of_its_own_or_that_of_the_listener(
    text: str, address: AdvertisedAddress, written: str
) -> None:
    assert AdvertisedAddress.parse(text) == address
    assert address.at(7) == written
    assert AdvertisedAddress("").at(7) == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is neither HOST nor HOST:PORT"),
        ("a@sip.example.com", "'a@sip.example.com' is neither HOST nor HOST:PORT"),
        ("h.example;lr", "'h.example;lr' is neither HOST nor HOST:PORT"),
        ("h.example?a=b", "'h.example?a=b' is neither HOST nor HOST:PORT"),
        ("h.example:x", "'h.example:x' is neither HOST nor HOST:PORT"),
        ("0.0.0.0:5060", "'0.0.0.0:5060' is no address that others can reach"),
        ("[::]", "'[::]' is no address that others can reach"),
    ],
)
def test_an_invalid_advertised_address_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        AdvertisedAddress.parse(text)
    assert str(error.value) == message
