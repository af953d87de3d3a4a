"""A configuration is read whole, and all its errors are reported at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reginfo.config.address import UnixPath
from reginfo.config.config import Config, ConfigError

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

    file.write_text(f'{SERVER}[store]\nurl = "sqlite:/var/x.db"')
    assert Config.read(file).store.path == Path("/var/x.db")

    file.write_text(f'{SERVER}[store]\nurl = "memory:"')
    assert Config.read(file).store.path is None


def test_a_file_that_cannot_be_read_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="x.toml: No such file"):
        Config.read(tmp_path / "x.toml")
    (tmp_path / "y.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="y.toml: not UTF-8"):
        Config.read(tmp_path / "y.toml")
