"""Accounts: users with a password."""

from __future__ import annotations

import pytest

from reginfo.auth.account import AccountError, account_name, is_hash, new_account
from reginfo.auth.digest import ha1

ALICE = new_account("sip:alice@Example.COM", "secret", algorithms=["MD5", "SHA-256"])


def test_only_hashes_are_kept() -> None:
    """7616-08: one for each algorithm, strongest first"""
    assert ALICE.hashes == {
        "SHA-256": ha1("SHA-256", "alice", "example.com", "secret"),
        "MD5": ha1("MD5", "alice", "example.com", "secret"),
    }
    assert list(ALICE.hashes) == ["SHA-256", "MD5"]
    assert "secret" not in repr(ALICE)
    assert ALICE.lacks(["SHA-512-256", "MD5"]) == ["SHA-512-256"]
    assert all(is_hash(name, text) for name, text in ALICE.hashes.items())


def test_a_realm_of_its_own_is_hashed() -> None:
    """7616-08"""
    made = new_account("a@example.com", "secret", algorithms=["MD5"], realm="here")
    assert made.hashes == {"MD5": ha1("MD5", "a", "here", "secret")}
    assert made.realm == "here"
    same = new_account("a@b.org", "secret", algorithms=["MD5"], realm="b.org")
    assert same.realm == ""


def test_an_account_owns_its_address_and_its_further_ones() -> None:
    """8760-07"""
    made = new_account(
        "alice@example.com", "x", algorithms=["MD5"], also=["tel:+49301", "ann@b.org"]
    )
    assert (made.username, made.domain) == ("alice", "example.com")
    owned = [made.aor, "tel:+49301", "sip:ann@b.org", "sips:alice@example.com"]
    assert all(made.owns(aor) for aor in owned)
    for aor in (
        "sip:bob@example.com",
        "sip:alice@example.org",
        "sip:ann@example.com",
        "",
    ):
        assert not made.owns(aor)


@pytest.mark.parametrize(
    "name",
    ["", "alice", "@b", "a@", "a b@c", 'a"@b', "a@b@c", "a@b c", "a:b@c", "a\n@b"],
)
def test_what_is_no_user_is_an_error(name: str) -> None:
    with pytest.raises(AccountError):
        account_name(name)


def test_no_password_and_a_wrong_address_are_errors() -> None:
    with pytest.raises(AccountError, match="empty"):
        new_account("a@b", "", algorithms=["MD5"])
    with pytest.raises(AccountError, match="address-of-record"):
        new_account("a@b", "x", algorithms=["MD5"], also=["<>"])
