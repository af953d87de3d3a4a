"""Configurations of OpenSIPS and Kamailio are converted; the rest is listed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.config.config import Config
from reginfo.config.stance import exposed
from reginfo.moving.move import NO_LIMIT, Dialect, Moved, dialect_of, move
from reginfo.moving.parameters import PARAMETERS, Equivalent
from reginfo.moving.source import MODULES, read

KAMAILIO, OPENSIPS = Dialect.KAMAILIO, Dialect.OPENSIPS


def moved(text: str, dialect: Dialect = KAMAILIO) -> tuple[Config, list[str]]:
    """The converted configuration, parsed by our server; and what is left."""
    result = of(text, dialect)
    return Config.parse(result.toml), [str(left) for left in result.left]


def of(text: str, dialect: Dialect = KAMAILIO) -> Moved:
    return move(read(text, lambda name: None), dialect, "their.cfg")


OPEN = (
    "[auth]: nobody was asked for a password, as far as this was read: set `users`, or"
    " `required = false`, or the server listens on loopback alone"
)

WHOLE = """\
listen=udp:192.0.2.1:5060
listen=tcp:192.0.2.1:5061
alias="example.com"
loadmodule "pua_reginfo.so"
modparam("usrloc", "use_domain", 1)
modparam("registrar", "max_contacts", 5)
modparam("registrar", "max_expires", 0)
modparam("presence_reginfo", "default_expires", 3600)
modparam("presence_reginfo", "aggregate_presentities", 1)
modparam("presence", "max_expires", 7200)
modparam("pua", "min_expires", 0)
modparam("pua", "outbound_proxy", "sip:other@192.0.2.8")
modparam("pua_reginfo", "default_domain", "example.com")
modparam("pua_reginfo", "publish_reginfo", 1)
modparam("pua_reginfo", "outbound_proxy", "sip:proxy@192.0.2.9")
modparam("pua_reginfo", "server_address", "sip:reginfo@192.0.2.1")
modparam("pua_reginfo", "ul_domain", "location")
modparam("pua_reginfo", "ul_identities_key", "identities")
"""


@pytest.mark.parametrize("dialect", Dialect)
def test_every_parameter_of_the_module_is_carried_over(dialect: Dialect) -> None:
    config, left = moved(WHOLE, dialect)
    assert left == [OPEN]
    server, pua_reginfo = config.server, config.pua_reginfo
    assert [str(a) for a in server.listen] == [
        "udp:192.0.2.1:5060", "tcp:192.0.2.1:5061",
    ]  # fmt: skip
    assert server.domains == ("example.com",)
    assert pua_reginfo.default_domain == "example.com"
    assert pua_reginfo.publish_reginfo
    assert pua_reginfo.outbound_proxy == "sip:proxy@192.0.2.9"
    assert pua_reginfo.server_address == "sip:reginfo@192.0.2.1"
    assert pua_reginfo.ul_domain == "location"
    assert pua_reginfo.ul_identities_key == "identities"
    assert config.usrloc.use_domain
    assert config.registrar.max_contacts == 5
    assert config.registrar.max_expires == NO_LIMIT  # 0 is no limit there
    assert config.presence_reginfo.default_expires == 3600
    assert config.presence_reginfo.max_expires == 7200
    assert config.pua.min_expires == 1


@pytest.mark.parametrize(
    "asks",
    [
        'loadmodule "auth_db.so"',
        'modparam("auth", "nonce_expire", 300)',
        'route { if (!www_authorize("", "subscriber")) { www_challenge("", "0"); } }',
        "route[AUTH] {\n  if (!pv_www_authenticate($fd, $var(x), 0)) { exit; }\n}",
    ],
)
def test_a_registrar_that_asks_for_passwords_goes_on_to_ask(asks: str) -> None:
    """8760-15"""
    config, left = moved(f"listen=udp:192.0.2.1:5060\n{asks}\n")
    assert config.auth is not None
    assert config.auth.required
    assert config.auth.users == Path("users")
    assert config.auth.algorithms == ("MD5",)
    assert any(one.startswith("passwords: users are in a file") for one in left)
    assert exposed(config) is None


def test_one_that_asked_nobody_does_not_become_open_without_a_word() -> None:
    """8760-15: it does not start before somebody has said what is meant"""
    config, left = moved("listen=udp:192.0.2.1:5060\n")
    assert exposed(config)
    assert OPEN in left
    config, left = moved("listen=udp:127.0.0.1:5060\n")
    assert not exposed(config)
    assert OPEN not in left


def test_each_key_says_where_it_is_from() -> None:
    lines = of(WHOLE).toml.splitlines()
    assert lines[lines.index("max_contacts = 5") - 1] == "# registrar, line 6"


def test_what_is_not_said_is_as_it_was_there() -> None:
    text = 'loadmodule "pua_reginfo.so"\nalias="a.example"\n'
    assert moved(text, KAMAILIO)[0].pua_reginfo.publish_reginfo
    assert not moved(text, OPENSIPS)[0].pua_reginfo.publish_reginfo
    default = 'modparam("pua_reginfo", "default_domain", "a.example")'
    assert not moved(default)[0].usrloc.use_domain
    config, left = moved(text)
    assert config.usrloc.use_domain
    assert left == [
        "usrloc use_domain: false needs pua_reginfo.default_domain, which is not set"
    ]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            'modparam("usrloc", "db_url", "mysql://root:secret@localhost/x")',
            "line 1: usrloc db_url: all durable state is in one file, see [store]",
        ),
        (
            'modparam("pua", "frobnicate", 1)',
            "line 1: pua frobnicate: unknown parameter",
        ),
        (
            'modparam("registrar", "max_expires", "soon")',
            "line 1: registrar max_expires: 'soon' is not a number",
        ),
        (
            'modparam("pua_reginfo", "server_address", "bob")',
            'line 1: pua_reginfo server_address: "bob" is not a SIP URI',
        ),
        (
            "listen=tls:192.0.2.1:5061",
            "line 1: tls:192.0.2.1:5061: needs [tls] certificate: see docs/tls.md",
        ),
        (
            "listen=tls:192.0.2.1",
            "line 1: tls:192.0.2.1:5061: needs [tls] certificate: see docs/tls.md",
        ),
        (
            "listen=wss:192.0.2.1:443",
            "line 1: wss:192.0.2.1:443: needs [tls] certificate and [websocket]"
            " origins: see docs/tls.md",
        ),
        (
            "listen=sctp:192.0.2.1:5060",
            "line 1: sctp:192.0.2.1:5060: only numeric addresses, with UDP or TCP,"
            " are supported",
        ),
        (
            "listen=udp:192.0.2.1 advertise 203.0.113.1:5060",
            "line 1: advertise 203.0.113.1:5060: see [server] advertise",
        ),
        ('alias="_"', "line 1: _: not a domain name"),
        (
            'route {\n  reginfo_subscribe("$ru");\n}',
            "line 2: reginfo_subscribe(): in a routing script:"
            " msg.reginfo_subscribe(...)",
        ),
        ('modparam("tm", "x", 1)', "tm: parameters of other modules are ignored"),
        (
            'modparam("registrar", "min_expires", 7200)',
            None,  # our own default is moved to fit
        ),
        (
            'modparam("pua", "min_expires", 7200)',
            None,  # our default of max_expires is 3600
        ),
        (
            'modparam("registrar", "default_expires", 5)\n'
            'modparam("registrar", "min_expires", 60)',
            "registrar.default_expires: 5 is outside the other limits: 60 is used",
        ),
    ],
)
def test_items_that_are_not_carried_over_are_listed_with_their_lines(
    text: str, left: str | None
) -> None:
    _, listed = moved(text)
    if left is not None:
        assert left in listed
        assert f"# {left}" in of(text).toml


def test_no_password_is_written() -> None:
    secret = '"mysql://root:secret@localhost/x"'
    for module in MODULES:
        for name in (*PARAMETERS[module], "unknown"):
            result = of(f'modparam("{module}", "{name}", {secret})')
            assert "secret" not in result.toml + "".join(map(str, result.left))
    assert "secret" not in of(f"listen=udp:{secret}").toml


@pytest.mark.parametrize(
    ("line", "addresses"),
    [
        ("listen=192.0.2.1", ["udp:192.0.2.1:5060", "tcp:192.0.2.1:5060"]),
        ("listen=udp:[2001:db8::1]", ["udp:[2001:db8::1]:5060"]),
        ("listen=udp:2001:db8::1", ["udp:[2001:db8::1]:5060"]),
        ("socket=UDP:192.0.2.1:5070 use_workers 4", ["udp:192.0.2.1:5070"]),
    ],
)
def test_an_address_has_its_transports_and_its_port(
    line: str, addresses: list[str]
) -> None:
    assert [str(one) for one in moved(line)[0].server.listen] == addresses


@pytest.mark.parametrize(
    ("text", "name", "dialect"),
    [
        ("#!KAMAILIO", "opensips.cfg", KAMAILIO),
        ('loadmodule "kex.so"', "x.cfg", KAMAILIO),
        ("socket=udp:192.0.2.1:5060", "x.cfg", OPENSIPS),
        ('loadmodule "proto_udp.so"', "x.cfg", OPENSIPS),
        ("", "opensips.cfg", OPENSIPS),
        ("", "x.cfg", KAMAILIO),
    ],
)
def test_whose_it_is(text: str, name: str, dialect: Dialect) -> None:
    assert dialect_of(read(text, lambda _: None), name) is dialect


MODULE = st.sampled_from(sorted(MODULES))
NAMES = sorted({name for names in PARAMETERS.values() for name in names})
VALUE = st.one_of(
    st.integers(-(10**20), 10**20).map(str), st.text(max_size=40), st.just("sip:a@b")
)
LINE = st.one_of(
    st.builds(
        lambda module, name, value: f'modparam("{module}", "{name}", "{value}")',
        MODULE,
        st.sampled_from(NAMES),
        VALUE,
    ),
    st.builds(lambda name, value: f"{name}={value}", st.sampled_from(
        ["listen", "socket", "alias"]), VALUE),
    st.text(max_size=60),
)  # fmt: skip


@given(st.lists(LINE, max_size=8).map("\n".join), st.sampled_from(Dialect))
def test_whatever_it_is_ours_can_be_loaded(text: str, dialect: Dialect) -> None:
    Config.parse(of(text, dialect).toml)


def test_every_key_of_ours_that_is_named_is_one() -> None:
    for names in PARAMETERS.values():
        for ours in names.values():
            if isinstance(ours, Equivalent):
                section = getattr(Config.parse(of("").toml), ours.section)
                assert hasattr(section, ours.key)
