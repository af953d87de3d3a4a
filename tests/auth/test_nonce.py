"""Nonces: ours, in time, and each count once."""

from __future__ import annotations

import pytest

from reginfo.auth.nonce import LENGTH, WINDOW, Nonces

NOW = 1000.0


@pytest.fixture
def nonces() -> Nonces:
    return Nonces(b"key", 60.0)


def test_a_nonce_is_taken_once_with_each_count(nonces: Nonces) -> None:
    """8760-05"""
    nonce = nonces.make(NOW)
    assert len(nonce) == LENGTH
    taken = [nonces.take(nonce, count, NOW) for count in (1, 1, 2, 5, 4, 4, 3, 2, 6, 0)]
    assert taken == [True, False, True, True, True, False, True, False, True, False]


def test_a_count_far_behind_is_not_taken(nonces: Nonces) -> None:
    """8760-05"""
    nonce = nonces.make(NOW)
    assert nonces.take(nonce, 1000, NOW)
    assert not nonces.take(nonce, 1000 - WINDOW, NOW)
    assert nonces.take(nonce, 1001 - WINDOW, NOW)
    assert nonces.take(nonce, 0xFFFFFFFF, NOW)
    assert not nonces.take(nonce, 1000, NOW)


def test_a_nonce_ends_with_its_lifetime(nonces: Nonces) -> None:
    """8760-05"""
    nonce = nonces.make(NOW)
    assert nonces.take(nonce, 1, NOW + 60)
    assert not nonces.take(nonce, 2, NOW + 60.01)


def test_nobody_else_can_make_one(nonces: Nonces) -> None:
    """7616-06: nor is one of before a restart taken"""
    assert not nonces.take(Nonces(b"other", 60.0).make(NOW), 1, NOW)
    nonce = nonces.make(NOW)
    for at in range(LENGTH):
        wrong = nonce[:at] + ("A" if nonce[at] != "A" else "B") + nonce[at + 1 :]
        assert not nonces.take(wrong, 1, NOW), at
    for wrong in (
        "",
        "x",
        nonce + "A",
        nonce[:-1],
        "ä" * LENGTH,
        "=" * LENGTH,
        "!" * 36,
    ):
        assert not nonces.take(wrong, 1, NOW)
    assert nonces.take(nonce, 1, NOW)


def test_one_that_is_not_used_takes_no_memory(nonces: Nonces) -> None:
    """7616-06"""
    for _ in range(100):
        nonces.make(NOW)
    assert len(nonces) == 0


def test_memory_is_bounded_and_what_is_forgotten_is_not_taken_again() -> None:
    """7616-06"""
    nonces = Nonces(b"key", 60.0, capacity=10)
    made = [nonces.make(NOW) for _ in range(30)]
    unused = nonces.make(NOW)
    for nonce in made:
        assert nonces.take(nonce, 1, NOW)
    assert len(nonces) == 10
    assert [nonces.take(nonce, 1, NOW) for nonce in made] == [False] * 30
    assert [nonces.take(nonce, 2, NOW) for nonce in made] == [False] * 20 + [True] * 10
    assert nonces.take(unused, 1, NOW)
