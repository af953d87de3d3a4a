"""A configuration is read whole, and all its errors are reported at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reginfo.config.address import UnixPath
from reginfo.config.config import Config, ConfigError
from reginfo.config.stance import exposed

SERVER = '[server]\nid = "a"\ndomains = ["example.com"]\n'


def errors_in(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        Config.parse(text, "f.toml")
    assert str(raised.value) == "\n".join(raised.value.errors)
    return list(raised.value.errors)


def test_all_errors_are_reported_with_their_lines() -> None:
    assert errors_in(
        """\
[server]
id = "a b"
listen = [
    "udp:127.0.0.1:5060",
    "udp:localhost:5061",
]
# no domains

[registrar]
min_expire = 60
max_expires = "long"

[registar]
min_expires = 60

[[peer]]
name = "b"
uri = "sip:192.0.2.1"

[[peer]]
name = "b"
uri = "sip:192.0.2.1"
pofile = "standard"
"""
    ) == [
        "f.toml:1: server.domains: is missing",
        'f.toml:2: server.id: "a b" is not a token (RFC 3261 §25.1)',
        "f.toml:3: server.listen: 'localhost' is not an IPv4 or [IPv6] address",
        "f.toml:10: registrar.min_expire: unknown key; did you mean min_expires?",
        "f.toml:11: registrar.max_expires: "
        'a whole number of at least 1 is needed, not "long"',
        "f.toml:13: registar: unknown section; did you mean registrar?",
        'f.toml:21: peer.name: "b" is the name of another peer',
        "f.toml:23: peer.pofile: unknown key; did you mean profile?",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[server\nid = 1\n", 1),
        ('[server]\nid = "a"\nid = "b"\n', 3),
        ("[server]\n\nlisten = [\n", 3),
    ],
)
def test_a_syntax_error_is_reported_with_its_line(text: str, line: int) -> None:
    [told] = errors_in(text)
    assert re.match(rf"f\.toml:{line}: \w", told)
    assert "(at " not in told


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "reginfo.toml"
    file.write_text(f'{SERVER}admin = "unix:run/admin"\n[store]\nurl = "sqlite:x.db"')
    config = Config.read(file)
    assert config.store.path == tmp_path / "x.db"
    assert config.server.admin == UnixPath(tmp_path / "run/admin")

    file.write_text(
        f'{SERVER}[auth]\nusers = "run/users"\n'
        '[tls]\ncertificate = ["a.pem", "/b.pem"]\nkey = ["a.key", "/b.key"]\n'
    )
    config = Config.read(file)
    assert config.auth is not None and config.auth.users == tmp_path / "run/users"
    assert config.tls.certificate == (tmp_path / "a.pem", Path("/b.pem"))
    assert config.tls.key == (tmp_path / "a.key", Path("/b.key"))
    assert config.tls.ca is None

    file.write_text(f'{SERVER}[store]\nurl = "sqlite:/var/x.db"')
    assert Config.read(file).store.path == Path("/var/x.db")

    file.write_text(f'{SERVER}[store]\nurl = "memory:"')
    assert (store := Config.read(file).store).path is None
    assert store.url == "memory:"


def test_a_file_that_cannot_be_read_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="x.toml: No such file"):
        Config.read(tmp_path / "x.toml")
    (tmp_path / "y.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="y.toml: not UTF-8"):
        Config.read(tmp_path / "y.toml")


NOBODY = "no listener has this address; answers may not reach this server"


@pytest.mark.parametrize(
    ("listen", "address", "warned"),
    [
        ("udp:192.0.2.1:5060", "sip:reginfo@192.0.2.1", False),
        ("udp:192.0.2.1:5060", "sip:reginfo@192.0.2.1:5070", False),
        ("udp:192.0.2.1:5060", "sip:reginfo@192.0.2.2", True),
        ("udp:0.0.0.0:5060", "sip:reginfo@192.0.2.2", False),
        ("udp:0.0.0.0:5060", "sip:reginfo@[2001:db8::1]", True),
        ("udp:[::]:5060", "sip:reginfo@[2001:db8::1]", False),
        ("udp:[::]:5060", "sip:reginfo@192.0.2.2", True),
        ("udp:[2001:db8::1]:5060", "sip:reginfo@[2001:db8::1]", False),
        ("udp:[2001:db8::1]:5060", "sip:reginfo@[2001:db8::2]", True),
        ("udp:192.0.2.1:5060", "sip:reginfo@example.com", False),
    ],
)
def test_an_address_that_no_listener_has_is_warned_of(
    tmp_path: Path, listen: str, address: str, warned: bool
) -> None:
    file = tmp_path / "f.toml"
    file.write_text(
        f'{SERVER}listen = ["{listen}"]\n[pua_reginfo]\nserver_address = "{address}"'
    )
    message = f"{file}:6: pua_reginfo.server_address: {NOBODY}"
    assert Config.read(file).warnings(file) == [message] * warned


@pytest.mark.parametrize(
    ("admin", "warned"),
    [
        ("127.0.0.1:80", False),
        ("[::1]:80", False),
        ("unix:run/admin", False),
        ("192.0.2.1:80", True),
        ("0.0.0.0:80", True),
    ],
)
def test_an_api_that_others_reach_is_refused(admin: str, warned: bool) -> None:
    """8760-20"""
    problem = exposed(Config.parse(f'{SERVER}\nadmin = "{admin}"'))
    assert (problem is not None) is warned
    assert problem is None or problem.startswith(f"the API at {admin} is reached")


def test_what_does_not_fit_a_peer_or_the_machine_is_warned_of(tmp_path: Path) -> None:
    """All of it, each with the line of its key."""
    here, there = tmp_path / "a.toml", tmp_path / "b.toml"
    head = (
        '[server]\nid = "{}"\ndomains = ["example.com"]\nlisten = ["udp:{}:5060"]\n'
        '[pua_reginfo]\nserver_address = "sip:reginfo@example.com"\n'
        '[[peer]]\nname = "{}"\nuri = "sip:{}"\n'
    )
    watch = 'watch = ["sip:x@example.com"]\n'
    here.write_text(
        head.format("a", "192.0.2.1", "b", "192.0.2.2")
        + watch
        + '[[peer]]\nname = "c"\nuri = "sip:192.0.2.9"\n'
    )
    there.write_text(head.format("b", "192.0.2.2", "a", "192.0.2.1"))
    ours, theirs = Config.read(here), Config.read(there)
    assert ours.warnings(here) == []
    (told,) = ours.warnings(here, others=[theirs])
    assert told.startswith(f"{here}:10: peer.watch: b names this server,")
    everywhere = here.read_text().replace("udp:192.0.2.1", "udp:0.0.0.0")
    here.write_text(everywhere)
    (us,) = Config.read(here).warnings(here, machine=["192.0.2.9"])
    assert us.startswith(f"{here}:13: ") and us.endswith("peer c is this server")


def test_a_script_has_to_be_there(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text(f'{SERVER}\nscript = "routes.py"')
    with pytest.raises(ConfigError) as raised:
        Config.read(file).require_script(file)
    script = tmp_path / "routes.py"
    assert list(raised.value.errors) == [
        f"{file}:5: server.script: {script} does not exist"
    ]
    script.touch()
    config = Config.read(file)
    config.require_script(file)
    assert config.server.script == script
    file.write_text(SERVER)
    Config.read(file).require_script(file)


def test_a_peer_that_is_known_by_its_from_alone_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    peer = '[[peer]]\nname = "{}"\nmatch = {{ {} }}\n'
    file.write_text(
        SERVER
        + peer.format("b", 'address = "192.0.2.2"')
        + peer.format("c", 'from = "sip:c@example.com"')
        + peer.format("d", 'from = "sip:d@example.com", address = "192.0.2.4"')
        + '[[peer]]\nname = "e"\nuri = "sip:192.0.2.5"\n'
    )
    (told,) = Config.read(file).warnings(file)
    assert told.startswith(f"{file}:9: peer.match: c is known by its From alone")
    assert told.endswith("add an `address`")


def test_an_error_names_its_file(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text("[server]\nid = 'a b'\ndomains = ['example.com']\n")
    with pytest.raises(ConfigError) as raised:
        Config.read(file)
    (told,) = raised.value.errors
    assert told.startswith(f"{file}:2: server.id: ")


def test_a_peer_that_is_reached_by_udp_needs_no_listener_of_its_own() -> None:
    """Only by a stream does a NOTIFY have to come by the same transport."""
    text = (
        f'{SERVER}listen = ["tcp:192.0.2.1:5060"]\n'
        '[pua_reginfo]\nserver_address = "sip:reginfo@example.com"\n'
        '[[peer]]\nname = "b"\nuri = "sip:192.0.2.2;transport={}"\n'
        'watch = ["sip:x@example.com"]\n'
    )
    for transport in ("udp", "tcp"):
        assert Config.parse(text.format(transport)).peers[0].watch


@pytest.mark.parametrize(
    ("advertise", "found"),
    [
        ("[]", ["", ""]),
        ('["sip.example.net"]', ["sip.example.net:5060", "sip.example.net:5070"]),
        ('["a.example", "b.example:5080"]', ["a.example:5060", "b.example:5080"]),
        ('["", "b.example:5080"]', ["", "b.example:5080"]),
    ],
)
def test_a_listener_advertises_its_own_address_or_that_of_all(
    advertise: str, found: list[str]
) -> None:
    """docs/configuration.md: one value for all of `listen`, or one for each."""
    config = Config.parse(
        f'{SERVER}listen = ["udp:192.0.2.1:5060", "udp:192.0.2.1:5070"]\n'
        f"advertise = {advertise}\n"
    )
    server = config.server
    told = [server.advertised(at, port) for at, port in enumerate((5060, 5070))]
    assert told == found
