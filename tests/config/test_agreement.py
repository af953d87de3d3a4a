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


def test_any_free_port_may_be_asked_for_twice() -> None:
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
        ("name = 'b'\nmatch = {}", "needs an `address`, a `from`, or both"),
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
