"""The tokens of the API."""

from __future__ import annotations

from pathlib import Path

import pytest

from reginfo.auth.account import AccountError
from reginfo.auth.tokens import (
    READ,
    WRITE,
    ApiToken,
    found,
    new_token,
    read_tokens,
    save_tokens,
)

LOOKS, ACTS = new_token("looks", READ, "one"), new_token("acts", WRITE, "two")


def test_only_hashes_are_kept(tmp_path: Path) -> None:
    """8760-19: in a file of mode 0600"""
    path = tmp_path / "tokens"
    assert read_tokens(path) == []
    save_tokens(path, [LOOKS, ACTS])
    assert read_tokens(path) == [LOOKS, ACTS]
    assert path.stat().st_mode & 0o777 == 0o600
    assert "one" not in path.read_text()


def test_a_token_is_found_by_its_secret() -> None:
    """8760-19"""
    assert found([LOOKS, ACTS], "two") == ACTS
    for wrong in ("", "three", LOOKS.hash, "\udcff"):
        assert found([LOOKS, ACTS], wrong) is None


def test_a_scope_is_good_for_what_it_says() -> None:
    """8760-19"""
    allowed = [(one.allows(READ), one.allows(WRITE)) for one in (LOOKS, ACTS)]
    assert allowed == [(True, False), (True, True)]


@pytest.mark.parametrize("text", ["a", "a admin " + 64 * "0", "a read xyz", "\xff"])
def test_a_file_that_cannot_be_used_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"# x\n{text}\n", "latin-1")
    with pytest.raises(AccountError, match="tokens"):
        read_tokens(path)
    with pytest.raises(AccountError):
        new_token("a b", READ, "x")
    assert isinstance(LOOKS, ApiToken)
