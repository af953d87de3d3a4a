"""Addresses are numeric, and written as they are read."""

from __future__ import annotations

from reginfo.config.address import SocketAddress, parse_admin


def test_an_address_of_the_api_is_written_as_it_is_read() -> None:
    for text in ("127.0.0.1:8060", "unix:/run/reginfo/admin"):
        assert str(parse_admin(text)) == text
    assert parse_admin("http://127.0.0.1:8060/") == SocketAddress("127.0.0.1", 8060)
