"""Values that contradict each other are refused."""

from __future__ import annotations

import pytest

from reginfo.config.config import Config, ConfigError
from reginfo.config.sections import LimitsSection

SERVER = '[server]\nid = "a"\ndomains = ["example.com"]\n'


def errors_in(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        Config.parse(text, "f.toml")
    return list(raised.value.errors)


def test_any_free_port_may_be_requested_twice() -> None:
    config = Config.parse(f'{SERVER}listen = ["udp:127.0.0.1:0", "udp:127.0.0.1:0"]')
    assert len(config.server.listen) == 2


def test_limits_must_agree() -> None:
    limits = f"{SERVER}[registrar]\nmin_expires = 90\nmax_expires = "
    assert errors_in(f"{limits}80\n") == [
        "f.toml:6: registrar.max_expires: is less than min_expires, 90",
    ]
    assert errors_in(f"{limits}100\n") == [
        "f.toml:4: registrar.default_expires: "
        "3600 is not within min_expires and max_expires",
    ]
    assert (
        LimitsSection().min_expires
        < LimitsSection().default_expires
        < LimitsSection().max_expires
    )


def test_a_wrong_value_causes_no_second_error() -> None:
    [told] = errors_in(f"{SERVER}[registrar]\nmax_expires = 'x'\nmin_expires = 90000\n")
    assert "registrar.max_expires" in told


def test_a_domain_that_is_left_out_must_be_known() -> None:
    [told] = errors_in(f"{SERVER}[usrloc]\nuse_domain = false\n")
    assert told.startswith("f.toml:5: usrloc.use_domain: ")
    assert "pua_reginfo.default_domain" in told


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ("uri = 'sip:b.example'", "peer.name: is missing"),
        ("name = 'a'\nuri = 'sip:b.example'", '"a" is the name of this server'),
        ("name = 'b'", "neither a `uri` to subscribe at nor a `match`"),
        ("name = 'b'\nwatch = ['sip:x@b.example']", "needs the `uri` of the peer"),
        (
            "name = 'b'\nuri = 'sip:b.example'\nwatch = ['sip:x@b.example']",
            "needs pua_reginfo.server_address",
        ),
        (
            "name = 'b'\nuri = 'sip:b.example;transport=TCP'\nwatch = ['sip:x@a']\n"
            "[pua_reginfo]\nserver_address = 'sip:a@192.0.2.1'",
            'peer.uri: needs a "tcp:" address in server.listen',
        ),
        (
            "name = 'b'\nuri = 'sip:127.0.0.1'",
            "f.toml:6: peer.uri: peer b is this server",
        ),
        (
            "name = 'b'\nuri = 'sip:b.example'\nwatch = ['sip:*@example.com']",
            "or the `uri` of a [[group]]",
        ),
        (
            "name = 'b'\nmatch = {}",
            "needs an `address`, a `from`, a",
        ),
        ("name = 'b'\nmatch = {adress = '192.0.2.1'}", "did you mean address?"),
        (
            "name = 'b'\nmatch = {address = 'b.example'}",
            "not an IPv4 or [IPv6] address",
        ),
    ],
)
def test_a_peer_must_be_whole(lines: str, error: str) -> None:
    assert error in "\n".join(errors_in(f"{SERVER}[[peer]]\n{lines}\n"))


GROUP = 'uri = "sip:allusers@example.com"\ndomains = ["example.com"]\n'


def test_a_group_stands_under_a_uri_for_some_of_our_domains() -> None:
    config = Config.parse(f"{SERVER}[[group]]\n{GROUP}")
    [group] = config.groups
    assert (group.uri, group.domains, group.allow) == (
        "sip:allusers@example.com",
        ("example.com",),
        ("peers",),
    )


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ("domains = ['example.com']", "group.uri: is missing"),
        ("uri = 'sip:allusers@example.com'", "group.domains: is missing"),
        (GROUP.replace("allusers@", ""), "does not name a group"),
        (GROUP.replace("allusers", "*"), "does not name a group"),
        (GROUP.replace("@example.com", "@b.example"), "in none of server.domains"),
        (GROUP.replace('["example.com"]', '["b.example"]'), "b.example: none of"),
        (f"{GROUP}allow = []", "group.allow: the list is empty"),
        (f"{GROUP}[[group]]\n{GROUP}", "group.uri: is the URI of another group"),
    ],
)
def test_a_group_must_be_whole(lines: str, error: str) -> None:
    assert error in "\n".join(errors_in(f"{SERVER}[[group]]\n{lines}\n"))


TWO = 'listen = ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060", "udp:127.0.0.2:5060"]'


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (
            "listen = ['udp:127.0.0.1:5060', 'udp:127.0.0.1:5060']",
            "f.toml:4: server.listen: an address is listed twice",
        ),
        (
            f"{TWO}\nadvertise = ['a.example', 'b.example']",
            "f.toml:5: server.advertise: needs one value, or one for each of the 3 in"
            " listen",
        ),
        (
            "[pua]\nmin_expires = 900\nmax_expires = 800",
            "f.toml:6: pua.max_expires: is less than min_expires, 900",
        ),
        (
            "[proxy]\ntimer_c = 180",
            "f.toml:5: proxy.timer_c: is not more than 180 seconds",
        ),
        (
            "[nat]\nping_interval = 0.5",
            "f.toml:5: nat.ping_interval: is less than a second",
        ),
        ("[dns]\ntimeout = 0.0", "f.toml:5: dns.timeout: is not more than 0 seconds"),
        (
            "[usrloc]\nuse_domain = false",
            "f.toml:5: usrloc.use_domain: false needs pua_reginfo.default_domain, the"
            " domain of all users",
        ),
        (
            "[[group]]\nuri = 'sip:all@example.com'\ndomains = ['example.com']\n"
            "[[group]]\nuri = 'sip:all@EXAMPLE.com'\ndomains = ['example.com']",
            "f.toml:8: group.uri: is the URI of another group",
        ),
        (
            "[[group]]\nuri = 'sip:all@example.net'\ndomains = ['example.com']",
            "f.toml:5: group.uri: is in none of server.domains: example.com,"
            " example.org",
        ),
        (
            "[[group]]\nuri = 'sip:all@example.com'\n"
            "domains = ['example.net', 'example.com', 'a.example']",
            "f.toml:6: group.domains: example.net, a.example: none of server.domains:"
            " example.com, example.org",
        ),
        (
            "[[peer]]\nname = 'a'\nuri = 'sip:b.example'",
            'f.toml:5: peer.name: "a" is the name of this server',
        ),
        (
            "[[peer]]\nname = 'b'\nuri = 'sip:b.example'\n"
            "[[peer]]\nname = 'b'\nuri = 'sip:c.example'",
            'f.toml:8: peer.name: "b" is the name of another peer',
        ),
        (
            "[[peer]]\nname = 'b'\nuri = 'sip:127.0.0.1:5060'",
            "f.toml:6: peer.uri: peer b is this server",
        ),
        (
            "listen = ['ws:127.0.0.1:80']\n[websocket]\norigins = ['*']\n"
            "[[peer]]\nname = 'b'\nuri = 'sip:127.0.0.1;transport=ws'",
            "f.toml:9: peer.uri: peer b is this server",
        ),
        (
            "[[peer]]\nname = 'b'\nmatch = {address = '192.0.2.1'}\n"
            "watch = 'sip:x@b.example'",
            "f.toml:7: peer.watch: needs the `uri` of the peer, to subscribe there",
        ),
        (
            "[[peer]]\nname = 'b'",
            "f.toml:4: peer: has neither a `uri` to subscribe at nor a `match` to"
            " recognise it by",
        ),
        (
            "[[peer]]\nname = 'b'\nuri = 'sip:b.example'\nwatch = 'sip:x@b.example'",
            "f.toml:7: peer.watch: needs pua_reginfo.server_address, the From of"
            " SUBSCRIBE",
        ),
        (
            "[pua_reginfo]\nserver_address = 'sip:a@192.0.2.1'\n[[peer]]\n"
            "name = 'b'\nuri = 'sip:b.example;transport=tcp'\n"
            "watch = 'sip:x@b.example'",
            'f.toml:8: peer.uri: needs a "tcp:" address in server.listen: a peer that'
            " is reached by TCP sends NOTIFY by TCP",
        ),
        (
            "[[peer]]\nname = 'b'\n[peer.match]",
            "f.toml:6: peer.match: needs an `address`, a `from`, a `certificate`, or"
            " several of them",
        ),
    ],
)
def test_a_contradiction_is_reported_with_its_line(lines: str, error: str) -> None:
    """One error for each contradiction: file, line, key, and what is wrong."""
    server = SERVER.replace('"example.com"', '"example.com", "example.org"')
    assert errors_in(server + lines + "\n") == [error]


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        (f"{TWO}\nadvertise = 5", "server.advertise"),
        ("listen = 5\nadvertise = ['a.example', 'b.example']", "server.listen"),
        ("[registrar]\nmin_expires = 'x'\nmax_expires = 50", "registrar.min_expires"),
        (
            "[registrar]\nmax_expires = 'x'\nmin_expires = 90000",
            "registrar.max_expires",
        ),
        (
            "[registrar]\ndefault_expires = 'x'\nmin_expires = 4000",
            "registrar.default_expires",
        ),
        ("[pua]\nmin_expires = 'x'\nmax_expires = 5", "pua.min_expires"),
        ("[pua]\nmax_expires = 'x'\nmin_expires = 90000", "pua.max_expires"),
        ("[proxy]\ntimer_c = 'x'", "proxy.timer_c"),
        ("[nat]\nping_interval = 'x'", "nat.ping_interval"),
        ("[dns]\ntimeout = 'x'", "dns.timeout"),
        (
            "[usrloc]\nuse_domain = false\n[pua_reginfo]\ndefault_domain = 5",
            "pua_reginfo.default_domain",
        ),
        ("[[peer]]\nname = 'b'\nuri = 5\nwatch = 'sip:x@b.example'", "peer.uri"),
        ("[[peer]]\nname = 'b'\nmatch = 5", "peer.match"),
        (
            "[[peer]]\nname = 'b'\nuri = 'sip:b.example'\nwatch = 'sip:x@b'\n"
            "[pua_reginfo]\nserver_address = 5",
            "pua_reginfo.server_address",
        ),
        (
            "[[peer]]\nname = 'b'\nmatch = {address = 5}",
            "peer.match.address",
        ),
        ("[[peer]]\nname = 'b'\nmatch = {from = 5}", "peer.match.from"),
        (
            "[[group]]\nuri = 5\ndomains = ['example.com']",
            "group.uri",
        ),
        ("[[group]]\nuri = 'sip:all@example.com'\ndomains = 5", "group.domains"),
    ],
)
def test_a_key_of_a_wrong_type_contradicts_no_other(lines: str, key: str) -> None:
    """What depends on a wrong value is not judged: one fault is one error."""
    [told] = errors_in(f"{SERVER}{lines}\n")
    assert f": {key}: " in told


@pytest.mark.parametrize("server", ["domains = 5", "domains = ['EXAMPLE.com', 7]"])
def test_groups_are_not_judged_by_domains_that_are_wrong(server: str) -> None:
    text = f"[server]\nid = 'a'\n{server}\n[[group]]\nuri = 'sip:all@example.com'\n"
    told = errors_in(text + "domains = ['example.com']\n")
    assert all(": server.domains" in one for one in told) and told


@pytest.mark.parametrize(
    "lines",
    [
        f"{TWO}\nadvertise = ['a.example']",
        f"{TWO}\nadvertise = ['a.example', 'b.example', 'c.example']",
        f"{TWO}\nadvertise = []",
        "[registrar]\nmin_expires = 90\nmax_expires = 90\ndefault_expires = 90",
        "[registrar]\nmin_expires = 90\nmax_expires = 100\ndefault_expires = 90",
        "[registrar]\nmin_expires = 90\nmax_expires = 100\ndefault_expires = 100",
        "[pua]\nmin_expires = 90\nmax_expires = 90",
        "[proxy]\ntimer_c = 180.5",
        "[nat]\nping_interval = 1",
        "[dns]\ntimeout = 0.5",
        "[usrloc]\nuse_domain = false\n[pua_reginfo]\ndefault_domain = 'example.com'",
    ],
)
def test_values_at_the_limit_agree(lines: str) -> None:
    Config.parse(f"{SERVER}{lines}\n", "f.toml")
