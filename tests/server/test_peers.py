"""Limits and names of the configured peers."""

from __future__ import annotations

import pytest

from reginfo.config.sections import PeerMatch, PeerSection
from reginfo.server.peers import IMS_MAX_EXPIRES, Peers
from reginfo.sip.flow import Flow, Local
from reginfo.sip.message import Request
from reginfo.sip.transport import TCP, UDP, Transport


@pytest.mark.parametrize(
    ("peer", "longest"),
    [
        (PeerSection(name="p"), 7200),
        (PeerSection(name="p", profile="legacy"), 7200),
        (PeerSection(name="p", profile="ims"), IMS_MAX_EXPIRES),
        (PeerSection(name="p", profile="ims", max_expires=60), 60),
        (PeerSection(name="p", max_expires=1_000_000), 1_000_000),
        (PeerSection(name="other", max_expires=60), 7200),
    ],
)
def test_a_contact_of_a_peer_lasts_as_long_as_its_configuration_says(
    peer: PeerSection, longest: int
) -> None:
    """
    A contact of a peer lasts at most as long as the peer's configuration allows
    (3680-110).
    """
    assert Peers((peer,), 5.0, 7200).longest("p") == longest


@pytest.mark.parametrize("host", ["fe80::60%eth0", "fe80::60"])
@pytest.mark.parametrize(
    "peer",
    [
        PeerSection(name="p", uri="sip:[fe80::60]"),
        PeerSection(name="p", match=PeerMatch(address=("fe80::60", None))),
    ],
)
def test_a_peer_on_the_link_is_known_by_its_address(
    peer: PeerSection, host: str
) -> None:
    """3261-92: the flow has a scope, and the configuration none."""
    peers = Peers((peer,), 5.0, 7200)
    peers.find({"sip:[fe80::60]": [("fe80::60%eth0", 5060)]})
    flow = Flow(Local(UDP, "fe80::1%eth0", 5060), (host, 5060))
    assert peers.sender(Request("NOTIFY", "sip:a"), flow) is peer
    other = Flow(flow.local, ("fe80::61%eth0", 5060))
    assert peers.sender(Request("NOTIFY", "sip:a"), other) is None


@pytest.mark.parametrize(
    ("local", "host", "via", "is_known"),
    [
        (TCP, "192.0.2.2", "192.0.2.2", True),
        (TCP, "192.0.2.2", "b.example:5060", True),
        (TCP, "192.0.2.2", "192.0.2.2:5070", False),  # another server, or a phone
        (TCP, "192.0.2.3", "192.0.2.2", False),
        (UDP, "192.0.2.2", "192.0.2.2", False),  # a datagram leaves from its port
    ],
)
def test_a_peer_that_opens_a_stream_is_known_by_its_host_and_its_via(
    local: Transport, host: str, via: str, is_known: bool
) -> None:
    """3263-21: also if its requests are too long for a datagram."""
    peer = PeerSection(name="p", uri="sip:192.0.2.2")
    peers = Peers((peer,), 5.0, 7200)
    peers.find({"sip:192.0.2.2": [("192.0.2.2", 5060)]})
    request = Request("NOTIFY", "sip:a")
    request.headers["Via"] = [f"SIP/2.0/{local} {via};branch=z9hG4bK1"]
    flow = Flow(Local(local, "192.0.2.1", 5060), (host, 40_000))
    assert (peers.sender(request, flow) is peer) is is_known


TLS = Local(Transport.TLS, "192.0.2.1", 5061)
HERE = Flow(TLS, ("192.0.2.60", 41000))


ADDRESS, OTHER = ("192.0.2.60", None), ("192.0.2.61", None)


@pytest.mark.parametrize("uri", [None, "sip:192.0.2.60:41000;transport=tls"])
@pytest.mark.parametrize(
    ("match", "shown", "is_known"),
    [
        (PeerMatch(certificate="b.test"), {"b.test", "c.test"}, True),
        (PeerMatch(certificate="b.test"), {"sip.b.test"}, False),
        (PeerMatch(certificate="b.test"), set(), False),
        # Each of several must fit.
        (PeerMatch(certificate="b.test", address=ADDRESS), {"b.test"}, True),
        (PeerMatch(certificate="b.test", address=ADDRESS), set(), False),
        (PeerMatch(certificate="b.test", from_="sip:x@b.test"), {"b.test"}, True),
        (PeerMatch(certificate="b.test", from_="sip:x@b.test"), set(), False),
    ],
)
def test_a_peer_with_a_certificate_is_known_by_it(
    match: PeerMatch, shown: set[str], is_known: bool, uri: str | None
) -> None:
    """5922-06: its certificate is needed even at the address of its URI."""
    peers = Peers((PeerSection(name="b", uri=uri, match=match),), 5.0)
    peers.identities = lambda flow: frozenset(shown) if flow == HERE else frozenset()
    peers.believes = lambda request: True
    if uri is not None:
        peers.find({uri: [HERE.remote]})
    request = Request("NOTIFY", "sip:a")
    request.headers["From"] = ["<sip:x@b.test>;tag=1"]
    request.headers["Via"] = ["SIP/2.0/TLS 192.0.2.60:5061;branch=z9hG4bK1"]
    assert (peers.sender(request, HERE) is not None) is is_known


def test_a_certificate_and_another_address_are_no_peer() -> None:
    """5922-06: the address of a `match` counts as well."""
    match = PeerMatch(certificate="b.test", address=OTHER)
    peers = Peers((PeerSection(name="b", match=match),), 5.0)
    peers.identities = lambda flow: frozenset({"b.test"})
    assert peers.sender(Request("NOTIFY", "sip:a"), HERE) is None
