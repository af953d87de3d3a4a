"""Every key is read, and a wrong value is refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from reginfo.config.address import ListenAddress, SocketAddress
from reginfo.config.config import Config, ConfigError
from reginfo.config.sections import NatSection, PeerSection, ProxySection
from reginfo.sip.transport import Transport

FULL = """\
[server]
id      = "a"                           # this server's name among its peers
listen  = ["udp:127.0.0.1:5060"]
domains = ["Example.com"]
admin   = "127.0.0.1:8060"              # HTTP, JSON; or "unix:PATH"
script  = "routes.py"
[store]
url = "sqlite:reginfo.db"               # or "memory:"
synchronous = "normal"
[registrar]
min_expires = 30
max_expires = 7200
default_expires = 1800
max_contacts = 5
[usrloc]
use_domain = 0
[notifier]
min_interval = 2
[presence_reginfo]
default_expires = 3600
aggregate_presentities = 1
[pua_reginfo]
server_address = "sip:reginfo@192.0.2.1"
default_domain = "example.com"
publish_reginfo = 0
ul_domain = "location2"
ul_identities_key = "identities"
[proxy]
record_route = 0
timer_c = 200
relay = "none"
[nat]
fix = 0
ping = "options"
ping_interval = 20
ping_all = 1
ping_from = "sip:pinger@example.com"
ping_failures = 2
ping_failed = "expired"
[dns]
servers = ["192.0.2.53", "192.0.2.54:5353", "[2001:db8::53]"]
timeout = 2
[[peer]]
name = "b"
uri = "sip:127.0.0.1:5070"
watch = ["sip:alice@example.com"]
profile = "standard"
min_interval = 0.5
match = { address = "127.0.0.1:5070", from = "sip:reginfo@b.example.com" }
[[peer]]
name = "c"
[peer.match]
address = "192.0.2.7"
"""

SERVER = '[server]\nid = "a"\ndomains = ["example.com"]\n'


def errors_in(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        Config.parse(text, "f.toml")
    return list(raised.value.errors)


def test_every_key_is_read() -> None:
    config = Config.parse(FULL, directory=Path("/etc/reginfo"))
    assert config.server.id == "a"
    assert config.server.listen == (ListenAddress("127.0.0.1", 5060),)
    assert config.server.domains == ("example.com",)
    assert config.server.admin == SocketAddress("127.0.0.1", 8060)
    assert config.store.path == Path("/etc/reginfo/reginfo.db")
    assert config.store.synchronous == "normal"
    assert config.registrar.min_expires == 30
    assert config.registrar.max_expires == 7200
    assert config.registrar.default_expires == 1800
    assert config.registrar.max_contacts == 5
    assert config.usrloc.use_domain is False
    assert config.notifier.min_interval == 2.0
    assert config.presence_reginfo.default_expires == 3600
    assert config.presence_reginfo.aggregate_presentities is True
    assert config.pua_reginfo.server_address == "sip:reginfo@192.0.2.1"
    assert config.pua_reginfo.default_domain == "example.com"
    assert config.pua_reginfo.publish_reginfo is False
    assert config.pua_reginfo.ul_domain == "location2"
    assert config.server.script == Path("/etc/reginfo/routes.py")
    assert config.pua_reginfo.ul_identities_key == "identities"
    assert config.proxy == ProxySection(record_route=False, timer_c=200.0, relay="none")
    assert config.nat == NatSection(
        fix=False,
        ping="options",
        ping_interval=20.0,
        ping_all=True,
        ping_from="sip:pinger@example.com",
        ping_failures=2,
        ping_failed="expired",
    )
    assert config.dns.servers == (
        SocketAddress("192.0.2.53", 53),
        SocketAddress("192.0.2.54", 5353),
        SocketAddress("2001:db8::53", 53),
    )
    assert config.dns.timeout == 2.0
    b, c = config.peers
    assert (b.name, b.uri, b.watch, b.profile, b.min_interval) == (
        "b", "sip:127.0.0.1:5070", ("sip:alice@example.com",), "standard", 0.5
    )  # fmt: skip
    assert b.match is not None and c.match is not None
    assert b.match.address == ("127.0.0.1", 5070)
    assert b.match.from_ == "sip:reginfo@b.example.com"
    assert c.match.address == ("192.0.2.7", None)


def test_little_is_required() -> None:
    config = Config.parse(SERVER)
    assert config.server.listen == (ListenAddress("127.0.0.1", 5060),)
    assert config.server.admin is None
    assert config.store.path == Path("reginfo.db")
    assert config.store.url == "sqlite:reginfo.db"
    assert config.store.synchronous == "full"
    assert config.registrar.max_expires == 86_400
    assert config.registrar.default_expires == 3_600
    assert config.presence_reginfo.default_expires == 3_761
    assert config.notifier.min_interval == 5.0
    assert config.usrloc.use_domain is True
    assert config.pua_reginfo.publish_reginfo is True
    assert config.pua_reginfo.ul_domain == "location"
    assert config.peers == ()


def test_a_peer_is_notified_at_once_unless_configured_otherwise() -> None:
    assert PeerSection(name="b").min_interval == 0.0


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("[notifier]\nmax_contacts = 1", "it is one of [registrar]"),
        ("[notifier]\nzzz = 1", "known here: min_interval"),
        ("zzz = 1", "unknown section; known here: server, store"),
        ("registrar = 1", "a table is needed, not 1"),
        ("[peer]\nname = 'b'", "write [[peer]]"),
        ("[registrar]\nmin_expires = true", "a whole number"),
        ("[registrar]\nmin_expires = -1", "a whole number of at least 0"),
        ("[notifier]\nmin_interval = inf", "a number of seconds"),
        ("[notifier]\nmin_interval = true", "a number of seconds"),
        ("[notifier]\nmin_interval = -0.1", "a number of seconds"),
        ("[usrloc]\nuse_domain = 2", "true or false"),
        ('[usrloc]\nuse_domain = "yes"', "true or false"),
        ('[store]\nurl = "mysql://x"', '"sqlite:PATH" or "memory:"'),
        ('[store]\nurl = "sqlite:"', '"sqlite:PATH" or "memory:"'),
        ('[store]\nsynchronous = "off"', '"full" or "normal"'),
        ('[pua_reginfo]\nserver_address = "reginfo"', "not a SIP URI"),
        ('[pua_reginfo]\nserver_address = "tel:+15551234"', "not a SIP URI"),
        ('[pua_reginfo]\npublish_to = "p.example"', "is not a SIP URI"),
        ("[pua_reginfo]\npublish_to = ['sip:p.example', 5]", "a string is needed"),
        ('[pua_reginfo]\nul_identities_key = "a b"', "is not a token"),
        ("[proxy]\ntimer_c = 180", "is not more than 180 seconds"),
        ('[proxy]\nrelay = "some"', '"ours" or "all" or "none"'),
        ('[nat]\nping = "stun"', '"none" or "options" or "crlf"'),
        ("[nat]\nping_interval = 0.5", "is less than a second"),
        ("[nat]\nping_failures = 0", "a whole number of at least 1"),
        ('[nat]\nping_failed = "rejected"', '"keep" or "deactivated" or "expired"'),
        ('[nat]\nping_from = "me"', "not a SIP URI"),
        ('[dns]\nservers = ["ns.example"]', "not an IPv4"),
        ('[dns]\nservers = ["192.0.2.1:x"]', "is not HOST:PORT"),
        ("[dns]\ntimeout = 0", "is not more than 0 seconds"),
        ('[pua_reginfo]\noutbound_proxy = "p.example"', "is not a SIP URI"),
        ("[pua]\nmin_expires = 90\nmax_expires = 80", "is less than min_expires, 90"),
        ('[pua_reginfo]\nul_domain = ""', "a string is needed"),
        ('[pua_reginfo]\ndefault_domain = "a..b"', "not a host name"),
    ],
)
def test_a_wrong_value_is_told(line: str, error: str) -> None:
    # What has no section stands before the first one.
    text = f"{SERVER}{line}\n" if line.startswith("[") else f"{line}\n{SERVER}"
    [told] = errors_in(text)
    assert error in told


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('listen = ["sctp:127.0.0.1:5060"]', '"udp:HOST:PORT" or "tcp:HOST:PORT" or'),
        ('listen = ["127.0.0.1:5060"]', '"udp:HOST:PORT" or "tcp:HOST:PORT" or'),
        ('listen = ["udp:[::x]:5060"]', "'[::x]' is not an IPv4 or [IPv6] address"),
        ('listen = ["udp:127.0.0.1"]', "is not HOST:PORT"),
        ('listen = ["udp:127.0.0.1:65536"]', "port 65536 is out of range (0 to 65535)"),
        ('listen = "udp:127.0.0.1:5060"', "a list is needed"),
        ("listen = []", "the list is empty"),
        (
            'listen = ["udp:127.0.0.1:1", "udp:127.0.0.1:1"]',
            "an address is listed twice",
        ),
        ('admin = "localhost:80"', "not an IPv4 or [IPv6] address"),
        ('admin = "unix:"', "needs a path"),
    ],
)
def test_a_wrong_address_is_told(line: str, error: str) -> None:
    [told] = errors_in(f"{SERVER}{line}\n")
    assert told.startswith(f"f.toml:4: server.{line.split()[0]}: ")
    assert error in told


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    listen = 'listen = ["udp:[::1]:5060", "tcp:[0:0::1]:5061", "TCP:127.0.0.1:0"]'
    addresses = Config.parse(SERVER + listen).server.listen
    assert addresses == (
        ListenAddress("::1", 5060, Transport.UDP),
        ListenAddress("::1", 5061, Transport.TCP),
        ListenAddress("127.0.0.1", 0, Transport.TCP),
    )
    assert str(addresses[0]) == "udp:[::1]:5060"


@pytest.mark.parametrize("value", ['"sip:p.example"', '["sip:p.example"]'])
def test_publish_to_is_one_or_several(value: str) -> None:
    config = Config.parse(f"{SERVER}[pua_reginfo]\npublish_to = {value}")
    assert config.pua_reginfo.publish_to == ("sip:p.example",)


def test_watchers_are_allowed_by_word_domain_or_uri() -> None:
    values = '["self", "peers", "Example.org", "sip:bob@example.com"]'
    config = Config.parse(f"{SERVER}[notifier]\nallow = {values}")
    assert config.notifier.allow == (
        "self",
        "peers",
        "example.org",
        "sip:bob@example.com",
    )


@pytest.mark.parametrize("value", ["[]", '["ev ery"]', '["sip:"]', '"all"'])
def test_who_may_watch_is_a_list_of_those(value: str) -> None:
    (error,) = errors_in(f"{SERVER}[notifier]\nallow = {value}")
    assert "notifier.allow" in error


def test_a_peer_may_watch_nobody() -> None:
    config = Config.parse(f"{SERVER}[[peer]]\nname='b'\nuri='sip:b.example'\nwatch=[]")
    assert config.peers[0].watch == ()


@pytest.mark.parametrize("value", ['"sip:all@b.example"', '["sip:all@b.example"]'])
def test_a_peer_is_watched_for_one_uri_or_several(value: str) -> None:
    config = Config.parse(
        f"{SERVER}[pua_reginfo]\nserver_address='sip:a@192.0.2.1'\n"
        f"[[peer]]\nname='b'\nuri='sip:b.example'\nwatch={value}"
    )
    assert config.peers[0].watch == ("sip:all@b.example",)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [('"1d"', 86_400), ('"12h"', 43_200), ('"5m"', 300), ('"30s"', 30), ("90.5", 90.5)],
)
def test_a_duration_is_a_number_or_has_a_unit(value: str, seconds: float) -> None:
    assert Config.parse(f"{SERVER}[sync]\nverify={value}").sync.verify == seconds
    assert Config.parse(SERVER).sync.verify == 86_400


@pytest.mark.parametrize("value", ['"1w"', '""', '"d"', '"-1d"', "-1", "true", "[]"])
def test_a_duration_without_a_unit_that_is_known_is_refused(value: str) -> None:
    (error,) = errors_in(f"{SERVER}[sync]\nverify={value}")
    assert "sync.verify" in error


def test_tombstones_are_counted_by_the_thousand() -> None:
    assert Config.parse(SERVER).sync.tombstones == 1_000_000
    (error,) = errors_in(f"{SERVER}[sync]\ntombstones=10")
    assert "at least 1000" in error
