"""Where `reginfo user` keeps the users."""

from __future__ import annotations

from pathlib import Path

from reginfo.auth.account import new_account
from reginfo.auth.users_file import read_users
from reginfo.cli.users import Users
from reginfo.config.config import Config

from .run import configured

ALICE = new_account("alice@example.com", "secret", algorithms=["SHA-256"])


def users(directory: Path) -> Users:
    config = Config.read(configured(directory, '[auth]\nusers = "users"\n'))
    assert config.auth is not None
    return Users(config, config.auth)


def test_what_is_put_is_there_and_what_is_dropped_is_not(tmp_path: Path) -> None:
    """7616-09: the file keeps what a server that does not run has to end"""
    assert users(tmp_path).all() == []
    users(tmp_path).put(ALICE)
    assert users(tmp_path).all() == [ALICE]
    assert users(tmp_path).get(ALICE.name) == ALICE
    users(tmp_path).drop(ALICE.name)
    assert users(tmp_path).all() == []
    assert users(tmp_path).get(ALICE.name) is None
    assert read_users(tmp_path / "users")[ALICE.name].removed
    users(tmp_path).put(ALICE)
    assert read_users(tmp_path / "users") == {ALICE.name: ALICE}
