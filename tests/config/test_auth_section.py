"""``[auth]``: who may use this server."""

from __future__ import annotations

from pathlib import Path

import pytest

from reginfo.config.config import Config, ConfigError

SERVER = '[server]\nid = "a"\ndomains = ["example.com"]\n[auth]\n'


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    """3261-140"""
    file = tmp_path / "f.toml"
    file.write_text(f'{SERVER}users = "users"\nnonce_lifetime = "5m"\n')
    auth = Config.read(file).auth
    assert auth is not None
    assert auth.users == tmp_path / "users"
    assert auth.required
    assert auth.algorithms == ("SHA-256",)
    assert auth.nonce_lifetime == 300.0


def test_a_script_may_know_the_users() -> None:
    """8760-18"""
    auth = Config.parse(f'{SERVER}users = "script"\n').auth
    assert auth is not None
    assert auth.users == "script"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "auth: needs `users`"),
        ('users = "u"\nalgorithms = []', "auth.algorithms: the list is empty"),
        ('users = "u"\nalgorithms = ["SHA-1"]', "auth.algorithms"),
        ('users = "u"\nrealm = "a\\"b"', "auth.realm"),
        ('users = "u"\nnonce_lifetime = 0', "auth.nonce_lifetime"),
        ('users = "u"\nadministrators = ["x"]', "auth.administrators"),
    ],
)
def test_each_error_is_named(text: str, wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.parse(SERVER + text)
    assert wrong in str(caught.value)
