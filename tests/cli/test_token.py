"""``reginfo token``: who may use the API of a server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reginfo.web.client import TOKEN

from ..interop.server import Server
from .run import configured, run


def test_tokens_come_and_go(tmp_path: Path) -> None:
    """8760-19: a secret is shown once"""
    file = configured(tmp_path, 'tokens = "tokens"\n')
    secret = run("token", "add", "ops", "--scope", "write", "-c", file).stdout.strip()
    assert len(secret) > 40
    assert secret not in (tmp_path / "tokens").read_text()
    assert run("token", "add", "ops", "-c", file).exit_code == 1
    assert run("token", "add", "a b", "-c", file).exit_code == 2
    assert run("token", "list", "-c", file).stdout == "ops  write\n"
    assert run("token", "remove", "ops", "-c", file).exit_code == 0
    assert run("token", "remove", "ops", "-c", file).exit_code == 1
    assert run("token", "list", "-c", file).stdout == ""
    (tmp_path / "tokens").write_text("garbage\n")
    assert run("token", "list", "-c", file).exit_code == 2
    assert run("token", "list", "-c", configured(tmp_path)).exit_code == 2


def test_a_running_server_asks_for_them_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8760-19: of each command that uses the API"""
    monkeypatch.setenv(TOKEN, "")
    monkeypatch.delenv(TOKEN)
    with Tokened(tmp_path / "a") as server:
        config = tmp_path / "a" / "reginfo.toml"
        assert run("show", "--admin", server.admin).exit_code == 0
        secret = run("token", "add", "looks", "-c", config).stdout.strip()
        refused = run("show", "--admin", server.admin)
        assert refused.exit_code != 0
        assert "a token is needed" in refused.stderr
        assert run("--token", secret, "show", "--admin", server.admin).exit_code == 0
        assert os.environ.pop(TOKEN) == secret
        monkeypatch.setenv(TOKEN, secret)
        assert run("show", "--admin", server.admin).exit_code == 0
        drained = run("drain", "--admin", server.admin)
        assert drained.exit_code != 0
        assert "may only read" in drained.stderr
        assert secret not in server.log


class Tokened(Server):
    """A server whose API has tokens."""

    def configuration(self) -> str:
        return (
            super()
            .configuration()
            .replace(
                'admin = "127.0.0.1:0"', 'admin = "127.0.0.1:0"\ntokens = "tokens"'
            )
        )
