"""
The file of users: one line each, which the server reads and `reginfo user` writes.

A line is the name of the user, a hash for each algorithm, and options::

    alice@example.com SHA-256:5d6f… MD5:90ab… also=sip:+4930123@example.com
    bob@example.com SHA-256:77c1… locked
    carol@example.com removed
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from .account import Account, AccountError, account_name, is_hash
from .digest import ALGORITHMS

HEAD = "# Written by `reginfo user`. Whoever reads these hashes can log in with them.\n"

MODE = 0o600
"""The mode of the file: who can read a hash can log in with it."""


def parse_users(text: str, where: str = "users") -> dict[str, Account]:
    """
    Read the text of a file of users: accounts by name.

    Raises:
        AccountError: it has errors; all are listed, each with its line.
    """
    accounts: dict[str, Account] = {}
    errors = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            account = _account(words)
            if account.name in accounts:
                raise AccountError(f"{account.name} is listed twice")
        except AccountError as exc:
            errors.append(f"{where}:{number}: {exc}")
        else:
            accounts[account.name] = account
    if errors:
        raise AccountError("\n".join(errors))
    return accounts


def _account(words: list[str]) -> Account:
    hashes: dict[str, str] = {}
    realm, locked, removed, also = "", False, False, []
    for word in words[1:]:
        algorithm, colon, text = word.partition(":")
        name, equals, value = word.partition("=")
        if word == "locked":
            locked = True
        elif word == "removed":
            removed = True
        elif equals and name == "also":
            also.append(value)
        elif equals and name == "realm":
            realm = value
        elif colon and algorithm in ALGORITHMS:
            if not is_hash(algorithm, text):
                raise AccountError(f"not a hash of {algorithm}")
            hashes[algorithm] = text
        else:
            # The word may be a password: it is not repeated.
            raise AccountError("a word that is neither ALGORITHM:HASH nor an option")
    return Account(account_name(words[0]), hashes, realm, locked, removed, tuple(also))


def write_users(accounts: Iterable[Account]) -> str:
    """Write the text of a file of users, sorted by name."""
    return HEAD + "".join(
        f"{_line(account)}\n" for account in sorted(accounts, key=lambda one: one.name)
    )


def _line(account: Account) -> str:
    words = [account.name]
    words += [f"{name}:{text}" for name, text in account.hashes.items()]
    if account.realm:
        words.append(f"realm={account.realm}")
    words += ["locked"] * account.locked + ["removed"] * account.removed
    return " ".join([*words, *(f"also={aor}" for aor in account.also)])


def read_users(path: Path) -> dict[str, Account]:
    """
    Read a file of users.

    Raises:
        AccountError: it cannot be read, or has errors.
    """
    try:
        return parse_users(path.read_text("utf-8"), str(path))
    except UnicodeDecodeError as exc:
        raise AccountError(f"{path}: not UTF-8") from exc
    except OSError as exc:
        raise AccountError(f"{path}: {exc.strerror}") from exc


def save_users(path: Path, accounts: Mapping[str, Account]) -> None:
    """
    Replace a file of users.

    Raises:
        AccountError: it cannot be written.
    """
    save_private(path, write_users(accounts.values()))


def save_private(path: Path, text: str) -> None:
    """
    Replace a file of secrets: whoever reads it sees the old one or the new one.

    Raises:
        AccountError: it cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(handle, "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), MODE)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as exc:
        raise AccountError(f"{path}: {exc.strerror}") from exc
