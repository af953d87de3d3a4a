"""The file of users."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from reginfo.auth.account import Account, AccountError, new_account
from reginfo.auth.users_file import parse_users, read_users, save_users, write_users

ALICE = new_account("alice@example.com", "a", algorithms=["SHA-256", "MD5"])
BOB = new_account(
    "bob@example.com",
    "b",
    algorithms=["SHA-512-256"],
    realm="here",
    also=["tel:+49301", "sip:rob@example.com"],
)
GONE = Account("carol@example.com", {}, removed=True)
LOCKED = msgspec.structs.replace(BOB, locked=True)


def test_what_is_written_is_read_again() -> None:
    """7616-08"""
    for accounts in ([], [ALICE], [ALICE, LOCKED, GONE]):
        text = write_users(accounts)
        assert parse_users(text) == {account.name: account for account in accounts}


def test_all_errors_are_listed_with_their_lines() -> None:
    line = write_users([ALICE]).splitlines()[1]
    text = f"# x\n\n{line}\n{line}\nbob\nbob@x MD5:12\nbob@x hunter2\n"
    with pytest.raises(AccountError) as caught:
        parse_users(text, "f")
    lines = str(caught.value).splitlines()
    assert [one.split(": ")[0] for one in lines] == ["f:4", "f:5", "f:6", "f:7"]
    assert "hunter2" not in str(caught.value)


def test_only_its_owner_can_read_the_file(tmp_path: Path) -> None:
    """7616-08: mode 0600, whatever the umask and the mode before"""
    path = tmp_path / "users"
    path.write_text("")
    path.chmod(0o644)
    save_users(path, {"alice@example.com": ALICE})
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_users(path) == {"alice@example.com": ALICE}
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AccountError, match="No such file"):
        read_users(tmp_path / "none")
    (tmp_path / "users").write_bytes(b"\xff")
    with pytest.raises(AccountError, match="UTF-8"):
        read_users(tmp_path / "users")
    with pytest.raises(AccountError):
        save_users(tmp_path / "none" / "users", {})
    (tmp_path / "directory").mkdir()
    with pytest.raises(AccountError):
        save_users(tmp_path / "directory", {})
    assert len(list(tmp_path.iterdir())) == 2
