"""The accounts of a server."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from reginfo.auth.account import Account, AccountError, new_account
from reginfo.auth.directory import Directory

ALICE = new_account("alice@example.com", "a", algorithms=["MD5"])
BOB = new_account("bob@example.com", "b", algorithms=["MD5", "SHA-256"])


def named(*accounts: Account) -> Mapping[str, Account]:
    return {account.name: account for account in accounts}


def test_who_cannot_log_in_any_more_is_told() -> None:
    """7616-09"""
    states = iter(
        [
            named(ALICE, BOB),
            named(msgspec.structs.replace(ALICE, locked=True), BOB),
            named(msgspec.structs.replace(ALICE, locked=True)),
            named(ALICE),
        ]
    )
    directory = Directory(lambda: next(states))
    assert directory.find(ALICE.name) is None
    changes = [directory.load() for _ in range(4)]
    out = [[one.name for one in change.out] for change in changes]
    assert out == [[], [ALICE.name], [BOB.name], []]
    back = [[one.name for one in change.back] for change in changes]
    assert back == [[], [], [], [ALICE.name]]
    assert directory.find(ALICE.name) == ALICE
    assert directory.find(BOB.name) is None
    assert len(directory) == 1


def test_at_the_start_all_are_told_that_are_out() -> None:
    """7616-09: what they were before the server did not run is unknown"""
    gone = Account("carol@example.com", {}, removed=True)
    locked = msgspec.structs.replace(BOB, locked=True)
    directory = Directory(lambda: named(ALICE, locked, gone))
    assert directory.load() == ([locked, gone], [])
    assert len(directory) == 2
    assert directory.lacking(["SHA-256"]) == {ALICE.name: ["SHA-256"]}
    assert directory.load() == ([], [])


def test_what_cannot_be_read_changes_nothing() -> None:
    states = iter([named(ALICE)])

    def read() -> Mapping[str, Account]:
        for state in states:
            return state
        raise AccountError("gone")

    directory = Directory(read)
    directory.load()
    with pytest.raises(AccountError):
        directory.load()
    assert directory.find(ALICE.name) == ALICE


def test_who_lacks_a_hash_is_named() -> None:
    """7616-08"""
    directory = Directory(lambda: named(ALICE, BOB))
    directory.load()
    assert directory.lacking(["SHA-256", "MD5"]) == {ALICE.name: ["SHA-256"]}
