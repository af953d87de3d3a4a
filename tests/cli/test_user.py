"""``reginfo user``: the users of a server, and their passwords."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import Result

from reginfo.auth.account import new_account
from reginfo.auth.login import Login, Tried
from reginfo.auth.users_file import read_users, save_users
from reginfo.cli.password import VARIABLE
from reginfo.sip.message import Response

from ..interop.phone import DOMAIN, Phone, eventually
from ..interop.server import Server
from .run import configured, run, start

AUTH = '[auth]\nusers = "users"\nalgorithms = ["SHA-256", "MD5"]\n'


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "secret")


def user(directory: Path, *arguments: str) -> Result:
    return run("user", *arguments, "-c", configured(directory, AUTH))


def test_users_come_and_go(tmp_path: Path) -> None:
    """7616-08: with hashes of all algorithms, in a file of mode 0600"""
    added = user(tmp_path, "add", "alice@example.com", "--also", "tel:+49301")
    assert (added.exit_code, added.stdout) == (0, "alice@example.com added\n")
    assert user(tmp_path, "add", "sip:alice@example.com").exit_code == 1
    assert (tmp_path / "users").stat().st_mode & 0o777 == 0o600
    before = read_users(tmp_path / "users")["alice@example.com"]
    assert list(before.hashes) == ["SHA-256", "MD5"]
    assert (
        user(tmp_path, "list").stdout == "alice@example.com  SHA-256,MD5  tel:+49301\n"
    )
    file = tmp_path / "password"
    file.write_text("another\n")
    changed = user(
        tmp_path, "password", "alice@example.com", "--password-file", str(file)
    )
    assert changed.exit_code == 0
    after = read_users(tmp_path / "users")["alice@example.com"]
    assert after.hashes != before.hashes
    assert after.also == before.also
    assert user(tmp_path, "lock", "alice@example.com").exit_code == 0
    (row,) = json.loads(user(tmp_path, "list", "--json").stdout)["users"]
    assert row == {
        "user": "alice@example.com",
        "algorithms": ["SHA-256", "MD5"],
        "locked": True,
        "also": ["tel:+49301"],
    }
    unlocked = user(tmp_path, "lock", "--undo", "alice@example.com")
    assert unlocked.stdout == "alice@example.com may log in\n"
    assert read_users(tmp_path / "users")["alice@example.com"] == after
    assert user(tmp_path, "remove", "alice@example.com").exit_code == 0
    for name in ("remove", "lock", "password"):
        assert user(tmp_path, name, "alice@example.com").exit_code == 1
    assert user(tmp_path, "list").stdout == ""
    assert "secret" not in (tmp_path / "users").read_text()


def test_wrong_names_and_files_are_errors(tmp_path: Path) -> None:
    assert user(tmp_path, "add", "alice").exit_code == 2
    assert user(tmp_path, "remove", "alice").exit_code == 2
    assert run("user", "list", "-c", configured(tmp_path)).exit_code == 2
    (tmp_path / "users").write_text("garbage\n")
    done = user(tmp_path, "list")
    assert done.exit_code == 2
    assert f"{tmp_path}/users:1" in done.stderr


def test_a_running_server_knows_at_once(tmp_path: Path) -> None:
    """7616-09: a phone with its password, until the user is locked"""
    file = tmp_path / "a" / "users"
    sections = [f'[auth]\nusers = "{file}"']
    file.parent.mkdir()
    file.write_text("")
    server = Server(tmp_path / "a", sections=sections, name="a")
    alice = f"alice@{DOMAIN}"
    with server, Phone(server.address) as phone:
        config = tmp_path / "a" / "reginfo.toml"
        admin = server.admin.removeprefix("http://")
        text = config.read_text().replace("127.0.0.1:0", admin)
        config.write_text(text)

        def register() -> int:
            login, tried = Login("alice", "secret", lambda: "cnonce"), Tried()
            while True:
                start, _, rest = phone.build_register("alice", expires=600).partition(
                    b"\r\n"
                )
                lines = login.headers("REGISTER", f"sip:{DOMAIN}").encode()
                reply = phone.ask(b"\r\n".join([start, lines + rest]))
                challenges = {"WWW-Authenticate": reply.all("www-authenticate")}
                if not login.receive(Response(reply.status, "", challenges), tried):
                    return reply.status

        assert register() == 401
        assert run("user", "add", alice, "-c", config).exit_code == 0
        assert register() == 200
        assert server.contacts("alice") == {phone.contact("alice")}
        assert run("user", "lock", alice, "-c", config).exit_code == 0
        eventually(lambda: server.contacts("alice") == set())
        assert register() == 401


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_clients_log_in(
    tmp_path: Path, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3903-08, 6665-20, 6665-75: each client, by both transports"""
    file = tmp_path / "a" / "users"
    file.parent.mkdir()
    sections = [f'[auth]\nusers = "{file}"\nadministrators = ["sip:alice@{DOMAIN}"]']
    alice = f"alice@{DOMAIN}"
    account = new_account(alice, "secret", algorithms=["SHA-256"])
    save_users(file, {alice: account})
    with Server(tmp_path / "a", sections=sections, name="a", tcp=True) as server:
        host, port = server.address
        where = ["--server", f"{host}:{port}", "--transport", transport]
        where += ["--user", "alice"]
        contact = "sip:alice@192.0.2.9"
        assert run("register", alice, contact, *where).exit_code == 0
        assert server.contacts("alice") == {contact}
        watch = start("watch", alice, *where, "--expires", "0")
        out, _ = watch.communicate(timeout=20)
        assert contact in out
        published = run("publish", alice, contact, *where)
        assert published.exit_code == 1
        assert "403" in published.stderr  # asked for, and shown; but no publisher
        monkeypatch.setenv(VARIABLE, "wrong")
        refused = run("register", alice, contact, *where)
        assert refused.exit_code == 1
        assert "401 Unauthorized" in refused.stderr
        assert "wrong" not in refused.stderr
    assert (
        run("register", alice, "--server", "x", "--password-file", "y").exit_code == 2
    )
