"""By which flow a URI is reached."""

from __future__ import annotations

import pytest

from reginfo.sip.dialog_flow import dialog_flow
from reginfo.sip.flow import Flow, Local
from reginfo.sip.transport import Transport
from reginfo.sip.uri import Uri

from .messages import FLOW, SERVER


@pytest.mark.parametrize(
    ("uri", "remote"),
    [
        ("sip:a@198.51.100.1", ("198.51.100.1", 5060)),
        ("sip:a@198.51.100.1:5070", ("198.51.100.1", 5070)),
        ("sip:a@198.51.100.1;transport=UDP", ("198.51.100.1", 5060)),
        ("sip:a@192.0.2.1:9988", FLOW.remote),
        ("sip:a@192.0.2.1:5060", ("192.0.2.1", 5060)),
        ("sip:a@172.32.0.1", ("172.32.0.1", 5060)),
        ("sip:a@192.169.0.1", ("192.169.0.1", 5060)),
        ("sip:a@100.128.0.1", ("100.128.0.1", 5060)),
        ("sip:a@169.253.0.1", ("169.253.0.1", 5060)),
        # The way that it came: RFC 5626, other transports, names, the other family ...
        ("sip:a@198.51.100.1;ob", FLOW.remote),
        ("sip:a@198.51.100.1;transport=tcp", FLOW.remote),
        ("sip:a@host.example.com", FLOW.remote),
        ("sip:a@[2001:db8::1]", FLOW.remote),
        ("sip:a@1.2.3", FLOW.remote),
        ("sip:a@1.2.3.400", FLOW.remote),
        ("sip:a@1.2.3.0400", FLOW.remote),
        # ... what is behind a NAT ...
        ("sip:a@10.1.1.1:4540", FLOW.remote),
        ("sip:a@172.16.0.1", FLOW.remote),
        ("sip:a@172.31.0.1", FLOW.remote),
        ("sip:a@192.168.1.1", FLOW.remote),
        ("sip:a@100.64.0.1", FLOW.remote),
        # ... and what is no host but ours, or every host.
        ("sip:a@127.0.0.1", FLOW.remote),
        ("sip:a@0.0.0.0", FLOW.remote),
        ("sip:a@169.254.1.1", FLOW.remote),
        ("sip:a@224.0.1.75", FLOW.remote),
        ("sip:a@255.255.255.255", FLOW.remote),
    ],
)
def test_a_request_goes_where_the_peer_can_be_reached(
    uri: str, remote: tuple[str, int]
) -> None:
    assert dialog_flow(Uri.parse(uri), FLOW) == Flow(SERVER, remote)


@pytest.mark.parametrize("host", ["10.1.1.1", "127.0.0.1", "192.168.1.1"])
def test_a_private_address_that_is_the_source_is_where_it_says(host: str) -> None:
    flow = Flow(SERVER, (host, 40_000))
    assert dialog_flow(Uri.parse(f"sip:a@{host}:5070"), flow) == Flow(
        SERVER, (host, 5070)
    )


SIX = Flow(Local(Transport.UDP, "2001:db8::9", 5060), ("2001:db8::1", 40_000))


@pytest.mark.parametrize(
    ("uri", "remote"),
    [
        ("sip:a@[2001:db8::1]:40000", SIX.remote),
        ("sip:a@[2001:DB8:0::1]:5070", ("2001:db8::1", 5070)),
        ("sip:a@[2001:db8::2]", ("2001:db8::2", 5060)),
        # The way that it came.
        ("sip:a@198.51.100.1", SIX.remote),
        ("sip:a@[2001:db8::2];ob", SIX.remote),
        ("sip:a@[2001:db8::2];transport=tcp", SIX.remote),
        ("sip:a@[::]", SIX.remote),
        ("sip:a@[::1]", SIX.remote),
        ("sip:a@[::ffff:198.51.100.1]", SIX.remote),
        ("sip:a@[fd00::1]", SIX.remote),
        ("sip:a@[fe80::1]", SIX.remote),
        ("sip:a@[ff02::1]", SIX.remote),
    ],
)
def test_ipv6_is_no_different(uri: str, remote: tuple[str, int]) -> None:
    assert dialog_flow(Uri.parse(uri), SIX) == Flow(SIX.local, remote)


def test_a_private_ipv6_address_that_is_the_source_is_where_it_says() -> None:
    flow = Flow(SIX.local, ("::1", 40_000))
    assert dialog_flow(Uri.parse("sip:a@[::1]:5070"), flow).remote == ("::1", 5070)


@pytest.mark.parametrize("transport", Transport)
def test_without_a_port_it_is_that_of_the_transport(transport: Transport) -> None:
    """RFC 3261 §19.1.2: the default port depends on the transport."""
    flow = Flow(Local(transport, "192.0.2.2", 5060), ("198.51.100.1", 40_000))
    found = dialog_flow(Uri.parse("sip:a@198.51.100.2"), flow)
    assert found.remote == ("198.51.100.2", transport.default_port)
