"""Tokens that name a flow (RFC 5626 §5.2)."""

from __future__ import annotations

import pytest

from reginfo.sip.flow import Flow, Local
from reginfo.sip.token import SIZE, Tokens
from reginfo.sip.transport import Transport
from reginfo.sip.uri import Uri

FLOW = Flow(Local(Transport.UDP, "192.0.2.1", 5060), ("198.51.100.7", 41_000))


@pytest.mark.parametrize(
    "flow",
    [
        FLOW,
        Flow(Local(Transport.TCP, "192.0.2.1", 5060), ("198.51.100.7", 41_000)),
        Flow(Local(Transport.UDP, "2001:db8::1", 5060), ("2001:db8::7", 5060)),
    ],
)
def test_a_token_is_read_by_who_has_written_it(flow: Flow) -> None:
    """5626-04"""
    tokens = Tokens(b"secret")
    tokens.begin([flow.local])
    token = tokens.write(flow)
    assert tokens.read(token) == flow
    # It stands in a URI as it is: no escapes, and nothing that ends a user part.
    assert Uri.parse(f"sip:{token}@192.0.2.1:5060;lr").user == token
    assert token.replace(".", "").replace("-", "").replace("_", "").isalnum()


def test_nobody_else_can_make_one() -> None:
    """5626-04: the hash is keyed, and is of all that the token says"""
    tokens = Tokens(b"secret")
    tokens.begin([FLOW.local])
    assert tokens.read(tokens.write(FLOW)) == FLOW
    assert tokens.read(Tokens(b"guess").write(FLOW)) is None
    other = tokens.write(Flow(FLOW.local, ("10.0.0.1", 22)))
    hashed = len("flow.") + SIZE * 8 // 6
    assert tokens.read(tokens.write(FLOW)[:hashed] + other[hashed:]) is None


@pytest.mark.parametrize(
    "text", ["", "bob", "flow.", "flow.A", "flow.%41", "flow.ä", "flow.AAAA", "flow.=="]
)
def test_an_invalid_token_names_no_flow(text: str) -> None:
    assert Tokens(b"secret").read(text) is None


def test_a_token_of_an_address_that_we_no_longer_listen_at_names_nothing() -> None:
    tokens = Tokens(b"secret")
    token = tokens.write(FLOW)
    tokens.begin([Local(Transport.UDP, "192.0.2.77", 5060)])
    assert tokens.read(token) is None


@pytest.mark.parametrize("port", [5, 50, 506, 5060, 50_600])
@pytest.mark.parametrize(
    "host", ["192.0.2.7", "192.0.2.77", "198.51.100.7", "fe80::1%e"]
)
def test_a_token_of_any_length_is_read(host: str, port: int) -> None:
    """5626-04: Base64 without padding"""
    tokens = Tokens(b"secret")
    tokens.begin([FLOW.local])
    flow = Flow(FLOW.local, (host, port))
    token = tokens.write(flow)
    assert "=" not in token
    assert tokens.read(token) == flow


def test_before_the_listeners_are_known_every_token_is_invalid() -> None:
    tokens = Tokens(b"secret")
    assert tokens.read(tokens.write(FLOW)) is None


@pytest.mark.parametrize("name", ["", "example.com"])
def test_the_name_of_a_certificate_is_part_of_a_token(name: str) -> None:
    """5922-04: a later request uses the connection that was checked for that name."""
    local = Local(Transport.TLS, "192.0.2.1", 5061)
    tokens = Tokens(b"secret")
    tokens.begin([local])
    flow = Flow(local, ("192.0.2.7", 5061), name)
    assert tokens.read(tokens.write(flow)) == flow
