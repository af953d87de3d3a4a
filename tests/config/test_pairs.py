"""Peers that are ourselves, and pairs of servers of which one does not hear both."""

from __future__ import annotations

import pytest

from reginfo.config.config import Config
from reginfo.config.pairs import one_way, peers_that_are_us

GROUP = '[[group]]\nuri = "sip:all@example.com"\ndomains = ["example.com"]\n'
WATCHED = 'watch = "sip:all@example.com"\n'


def server(
    me: str = "a",
    listen: str = "192.0.2.1:5060",
    more: str = "",
    peers: str = "",
) -> Config:
    return Config.parse(
        f"""
[server]
id = "{me}"
listen = ["udp:{listen}"]
domains = ["example.com"]
{more}
[pua_reginfo]
server_address = "sip:reginfo@example.com"
{peers}
"""
    )


def peer(uri: str, more: str = "", name: str = "b") -> str:
    return f'[[peer]]\nname = "{name}"\nuri = "{uri}"\n{more}\n'


@pytest.mark.parametrize(
    ("listen", "more", "uri", "told"),
    [
        ("192.0.2.1:5060", 'advertise = "sip.example.net"', "sip:sip.example.net",
         "peer b is this server"),
        ("192.0.2.1:5070", 'advertise = "198.51.100.1:5060"', "sip:198.51.100.1",
         "peer b is this server"),
        ("0.0.0.0:5060", "", "sip:192.0.2.9", "peer b is this server"),
        ("0.0.0.0:5060", "", "sip:localhost", "peer b is this server"),
        ("0.0.0.0:5060", "", "sip:127.0.0.1", "peer b is this server"),
        ("[::]:5060", "", "sip:[::1]", "peer b is this server"),
        ("[::]:5060", "", "sip:[2001:db8::9]", "peer b is this server"),
        ("192.0.2.1:5060", "", "sip:example.com",
         "example.com is one of server.domains: its name may lead to this server"),
        # Without a port, that of the transport.
        ("192.0.2.1:5061", "", "sip:192.0.2.1;transport=tls", "peer b is this server"),
        ("192.0.2.1:5060", "", "sip:192.0.2.1;transport=tls", None),
        ("192.0.2.1:5060", "", "sip:192.0.2.1;transport=tcp", "peer b is this server"),
        ("0.0.0.0:80", "", "sip:192.0.2.9;transport=ws", "peer b is this server"),
        ("192.0.2.1:5060", "", "sip:192.0.2.1;transport=x", "peer b is this server"),
        ("0.0.0.0:5060", "", "sip:192.0.2.9:5070", None),
        ("[::]:5060", "", "sip:192.0.2.9", None),
        ("0.0.0.0:5060", "", "sip:192.0.2.10", None),
        ("192.0.2.1:5060", "", "sip:b.example.com", None),
    ],
)  # fmt: skip
def test_a_peer_that_is_this_server_is_warned_of(
    listen: str, more: str, uri: str, told: str | None
) -> None:
    """3263-23: by an address that others use, by one of the machine, by a domain."""
    config = server(listen=listen, more=more, peers=peer(uri))
    found = list(peers_that_are_us(config, {"192.0.2.9", "2001:db8::9"}))
    assert found == ([] if told is None else [(("peer", 0, "uri"), told)])


A, B = "sip:192.0.2.1", "sip:192.0.2.2"


def warned(of_a: str, of_b: str, groups: tuple[str, str] = (GROUP, GROUP)) -> list[str]:
    """What is said of a, whose peers are ``of_a``, when it is checked against b."""
    a = server(peers=groups[0] + of_a)
    b = server("b", "192.0.2.2:5060", peers=groups[1] + of_b)
    return [message for _, message in one_way(a, b)]


def test_servers_that_watch_each_other_are_not_warned_of() -> None:
    assert warned(peer(B, WATCHED), peer(A, WATCHED, "a")) == []


def test_a_watch_in_one_direction_is_warned_of_on_either_side() -> None:
    """3680-148"""
    assert warned(peer(B, WATCHED), peer(A, name="a")) == [
        "b names this server, but does not watch it: contacts that register here are"
        " unknown there"
    ]
    assert warned(peer(B), peer(A, WATCHED, "a")) == [
        "b watches this server, but is not watched itself: contacts that register there"
        " are unknown here"
    ]


def test_a_server_that_does_not_name_this_one_is_not_warned_of() -> None:
    """3680-148: to watch somebody who does not watch is no mistake by itself."""
    assert warned(peer(B, WATCHED), peer("sip:192.0.2.3", name="c")) == []
    assert warned(peer(B), peer(A, name="a")) == []


@pytest.mark.parametrize("address", ["192.0.2.2", "192.0.2.2:5060"])
def test_a_peer_that_is_recognised_by_its_requests_is_named_too(address: str) -> None:
    known = f'[[peer]]\nname = "b"\nmatch = {{ address = "{address}" }}\n'
    assert len(warned(known, peer(A, WATCHED, "a"))) == 1
    by_from = '[[peer]]\nname = "b"\nmatch = { from = "sip:b@example.com" }\n'
    assert warned(by_from, peer(A, WATCHED, "a")) == []


def test_a_group_that_the_other_server_has_not_is_warned_of() -> None:
    """3680-148"""
    found = warned(peer(B, WATCHED), peer(A, name="a"), (GROUP, ""))
    assert "b has no group sip:all@example.com" in found
    a = server(peers=GROUP + peer(B, WATCHED))
    b = server("b", "192.0.2.2:5060", peers=peer(A, WATCHED, "a"))
    assert list(one_way(a, b)) == [
        (("peer", 0, "watch"), "b has no group sip:all@example.com")
    ]


@pytest.mark.parametrize("address", ["192.0.2.2:5070", "192.0.2.9:5060", "192.0.2.9"])
def test_a_peer_at_another_address_is_not_named(address: str) -> None:
    known = f'[[peer]]\nname = "b"\nmatch = {{ address = "{address}" }}\n'
    assert warned(known, peer(A, WATCHED, "a")) == []
