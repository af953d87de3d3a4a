"""``reginfo check`` says what a configuration comes to, or all that is wrong."""

from __future__ import annotations

from pathlib import Path

from reginfo.auth.account import new_account
from reginfo.auth.users_file import save_users

from .run import configured, run

WHOLE = """\
listen = ["udp:127.0.0.1:5060", "tcp:[::1]:5070"]
admin = "unix:admin"
[store]
url = "sqlite:db"
[registrar]
max_contacts = 3
[notifier]
allow = ["self", "peers"]
[pua_reginfo]
server_address = "sip:me@127.0.0.1"
publish_to = ["sip:p1.example.com", "sip:p2.example.com"]
[[peer]]
name = "b"
uri = "sip:127.0.0.1:5080"
watch = ["sip:al@example.com", "sip:bo@example.com"]
[[peer]]
name = "c"
match = { address = "192.0.2.9" }
"""


def checked(directory: Path, text: str) -> list[str]:
    result = run("check", "-c", configured(directory, text))
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


def test_a_configuration_is_summed_up(tmp_path: Path) -> None:
    assert checked(tmp_path, WHOLE) == [
        "server     a, registrar of example.com",
        "listens    udp:127.0.0.1:5060",
        "           tcp:[::1]:5070",
        "users      nobody is asked for a password, on addresses of this machine alone",
        f"API        unix:{tmp_path}/admin",
        f"store      sqlite:{tmp_path}/db (synchronous = full)",
        "contacts   for 60 to 86400 s, 3 for each user",
        "watchers   self, peers; at most one NOTIFY every 5 s",
        "script     none",
        "publishes  to sip:p1.example.com",
        "           to sip:p2.example.com",
        "peers      b at sip:127.0.0.1:5080",
        "             subscribed to: sip:al@example.com",
        "             subscribed to: sip:bo@example.com",
        "           c, recognised by its requests only",
    ]


def test_missing_configuration_is_reported(tmp_path: Path) -> None:
    lines = checked(tmp_path, '[store]\nurl = "memory:"\n')
    assert "API        none" in lines
    assert "store      in memory: nothing is kept after the end of the process" in lines
    assert "contacts   for 60 to 86400 s, 10 for each user" in lines
    assert lines[-2].startswith("publishes  nothing: neither publish_to nor")
    assert lines[-1] == "peers      none"


def test_the_presence_servers_are_shown(tmp_path: Path) -> None:
    pua = '[pua_reginfo]\noutbound_proxy = "sip:p.example.com"\n'
    assert "publishes  to sip:p.example.com" in checked(tmp_path, pua)
    off = f"{pua}publish_reginfo = false\n"
    assert checked(tmp_path, off)[-2].startswith("publishes  nothing: pua_reginfo.")


def test_a_probably_unintended_value_is_a_warning(tmp_path: Path) -> None:
    file = configured(
        tmp_path,
        'listen = ["udp:127.0.0.1:5060"]\nadmin = "127.0.0.1:8060"\n'
        '[pua_reginfo]\nserver_address = "sip:me@192.0.2.1"\n',
    )
    result = run("check", "-c", file)
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        f"reginfo: warning: {file}:7: pua_reginfo.server_address: no listener has this"
        " address; answers may not reach this server",
    ]


def test_users_that_lack_a_hash_are_named(tmp_path: Path) -> None:
    """7616-08: and their number is shown"""
    accounts = [
        new_account(f"{name}@example.com", "x", algorithms=algorithms)
        for name, algorithms in (("al", ["MD5"]), ("bo", ["MD5", "SHA-256"]))
    ]
    save_users(tmp_path / "users", {one.name: one for one in accounts})
    auth = '[auth]\nusers = "users"\nalgorithms = ["MD5", "SHA-256"]\n'
    result = run("check", "-c", configured(tmp_path, auth))
    assert result.exit_code == 0
    assert result.stderr == (
        "reginfo: warning: al@example.com has no hash for SHA-256: `reginfo user"
        " password al@example.com` makes it\n"
    )
    assert "users      2 with a password (SHA-256, MD5)" in result.stdout
    assert "watchers   self; at most one NOTIFY every 5 s" in result.stdout
    open_ = configured(tmp_path, f"{auth}required = false\n")
    assert "nobody is asked" in run("check", "-c", open_).stdout


def test_users_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    file = configured(tmp_path, '[auth]\nusers = "users"\n')
    result = run("check", "-c", file)
    assert result.exit_code == 2
    assert f"{tmp_path}/users: No such file" in result.stderr
    result = run("serve", "-c", file)
    assert result.exit_code != 0
    assert f"{tmp_path}/users: No such file" in result.stderr
    result = run("check", "-c", configured(tmp_path, "[auth]\n"))
    assert "auth: needs `users`" in result.stderr


def test_a_configuration_is_checked_against_that_of_a_peer(tmp_path: Path) -> None:
    """3680-148: each server names the other, and only one of them watches."""
    for name, port, other, watch in (
        ("a", 5060, 5070, 'watch = "sip:al@example.com"'),
        ("b", 5070, 5060, ""),
    ):
        (tmp_path / name).mkdir()
        configured(
            tmp_path / name,
            f'listen = ["udp:127.0.0.1:{port}"]\n'
            f'[pua_reginfo]\nserver_address = "sip:me@127.0.0.1:{port}"\n'
            f'[[peer]]\nname = "p"\nuri = "sip:127.0.0.1:{other}"\n{watch}\n',
        )
    a, b = (tmp_path / name / "reginfo.toml" for name in "ab")
    text = b.read_text().replace('id = "a"', 'id = "b"')
    b.write_text(text)
    result = run("check", "-c", a, "--against", b)
    assert result.exit_code == 0
    assert result.stderr == (
        f"reginfo: warning: {a}:10: peer.watch: b names this server, but does not watch"
        " it: contacts that register here are unknown there\n"
    )
    assert run("check", "-c", a).stderr == ""
    assert run("check", "-c", a, "--against", tmp_path / "none").exit_code == 2


def test_all_that_is_wrong_is_said(tmp_path: Path) -> None:
    file = configured(tmp_path, "lisen = 1\n[registrar]\nmin_expires = -1\n")
    result = run("check", "-c", file)
    assert (result.exit_code, result.stdout) == (2, "")
    first, second = result.stderr.splitlines()
    assert first.startswith(f"reginfo: {file}:4: server.lisen: ")
    assert second.startswith(f"reginfo: {file}:6: registrar.min_expires: ")


def test_nothing_is_opened(tmp_path: Path) -> None:
    checked(tmp_path, WHOLE)
    assert [path.name for path in tmp_path.iterdir()] == ["reginfo.toml"]
