"""The transport protocols, and which of them a URI names."""

from __future__ import annotations

import msgspec
import pytest

from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.transport import PREFERRED, TCP, UDP, Transport, asked_for
from reginfo.sip.uri import Uri


def uri(params: str) -> Uri:
    return Uri.parse(f"sip:alice@example.com{params}")


@pytest.mark.parametrize(
    ("transport", "port", "secure", "reliable"),
    [
        (Transport.UDP, 5060, False, False),
        (Transport.TCP, 5060, False, True),
        (Transport.TLS, 5061, True, True),
        (Transport.WS, 80, False, True),
        (Transport.WSS, 443, True, True),
    ],
)
def test_each_has_its_port_and_its_properties(
    transport: Transport, port: int, secure: bool, reliable: bool
) -> None:
    """RFC 3261 §18 and §19.1.2; RFC 7118 §4 and §5."""
    assert transport.default_port == port
    assert (transport.is_secure, transport.is_reliable) == (secure, reliable)
    assert transport.sent_protocol == f"SIP/2.0/{transport}"


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize("spelled", [str.upper, str.lower, str.title])
def test_a_name_is_known_in_any_case(transport: Transport, spelled: object) -> None:
    """RFC 3261 §19.1.1: parameters of a URI are case-insensitive."""
    assert callable(spelled)
    assert Transport.named(spelled(transport.value)) is transport


@pytest.mark.parametrize(
    ("transport", "service", "srv"),
    [
        (Transport.UDP, "SIP+D2U", "_sip._udp"),
        (Transport.TCP, "SIP+D2T", "_sip._tcp"),
        (Transport.TLS, "SIPS+D2T", "_sips._tcp"),
    ],
)
def test_each_is_found_by_its_service_in_the_dns(
    transport: Transport, service: str, srv: str
) -> None:
    """RFC 3263 §4.1 and §4.2"""
    assert (transport.service, transport.srv) == (service, srv)
    assert len({one.service for one in Transport}) == len(Transport)


def test_a_name_that_is_not_known_is_no_transport() -> None:
    assert Transport.named("sctp") is Transport.named("") is None


@pytest.mark.parametrize("transport", Transport)
def test_the_parameter_of_a_uri_leads_to_its_transport(transport: Transport) -> None:
    """RFC 3261 §19.1.2: without the parameter it is UDP."""
    # RFC 7118 §5.2: `ws` with sips: is WSS.
    scheme = "sips" if transport is Transport.WSS else "sip"
    with_param = Uri.parse(f"{scheme}:alice@example.com{transport.uri_param}")
    assert Transport.of(with_param) is transport
    assert (transport.uri_param == "") is (transport is UDP)


def test_a_uri_without_a_transport_is_served_by_any() -> None:
    assert UDP.serves(uri("")) and TCP.serves(uri(""))
    assert TCP.serves(uri(";transport=TcP")) and not UDP.serves(uri(";transport=tcp"))
    assert Transport.of(uri(";transport=sctp")) is None
    assert not any(one.serves(uri(";transport=sctp")) for one in Transport)


def test_what_a_uri_asks_for_has_to_be_there() -> None:
    assert asked_for(uri(";transport=tcp"), PREFERRED) is TCP
    assert asked_for(uri(""), ()) is None


@pytest.mark.parametrize(
    ("text", "transport"),
    [
        ("sips:a@b", Transport.TLS),
        ("sips:a@b;transport=tcp", Transport.TLS),
        ("sips:a@b;transport=TLS", Transport.TLS),
        ("sips:a@b;transport=ws", Transport.WSS),
        ("sip:a@b;transport=wss", Transport.WSS),
        ("sips:a@b;transport=udp", None),
        ("sips:a@b;transport=sctp", None),
    ],
)
def test_sips_names_a_secure_transport_or_none(
    text: str, transport: Transport | None
) -> None:
    """5630-01: nothing that is not secure serves a sips: URI."""
    parsed = Uri.parse(text)
    assert Transport.of(parsed) is transport
    for one in Transport:
        if not one.is_secure:
            assert not one.serves(parsed)
    assert transport is None or transport.serves(parsed)


def test_websocket_has_one_parameter_with_and_without_tls() -> None:
    """7118-05"""
    assert Transport.WS.serves(uri(";transport=ws"))
    assert Transport.WSS.serves(uri(";transport=ws"))
    assert not Transport.WS.serves(uri(";transport=wss"))


@pytest.mark.parametrize("name", ["ws", "sctp"])
def test_a_transport_that_we_do_not_have_is_an_error(name: str) -> None:
    """RFC 3263 §4.1: a client uses a transport that it supports."""
    with pytest.raises(
        RemoteProtocolError, match=f"{name.upper()} is not supported"
    ) as it:
        asked_for(uri(f";transport={name}"), PREFERRED)
    assert it.value.status == 503


@pytest.mark.parametrize("transport", Transport)
def test_it_is_stored_as_its_name(transport: Transport) -> None:
    """Flows of dialogs are on disk: a database of an earlier version is read."""
    stored = msgspec.msgpack.encode(transport)
    assert stored == msgspec.msgpack.encode(transport.name)
    assert msgspec.msgpack.decode(stored, type=Transport) is transport
