"""Random tokens cannot be guessed, and do not repeat."""

from __future__ import annotations

import os

import pytest

from reginfo.io import ids
from reginfo.io.ids import Ids


@pytest.mark.shows("sec-06")
def test_a_token_has_64_bits_from_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 3261 §19.3 asks for 32 bits; tags, branches, Call-IDs and ETags are these."""
    taken = []

    def urandom(size: int) -> bytes:
        taken.append(bytes(range(256)) * (size // 256))
        return taken[-1]

    monkeypatch.setattr(os, "urandom", urandom)
    new_id = Ids()
    tokens = [new_id() for _ in range(ids.POOL // ids.SIZE)]
    assert "".join(tokens) == taken[0].hex()
    assert {len(token) for token in tokens} == {2 * ids.SIZE}
    assert len(taken) == 1
    new_id()
    assert len(taken) == 2


def test_tokens_do_not_repeat() -> None:
    first, second = Ids(), Ids()
    tokens = [new_id() for _ in range(5000) for new_id in (first, second)]
    assert len(set(tokens)) == len(tokens)
