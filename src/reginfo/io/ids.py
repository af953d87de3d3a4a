"""Random tokens: tags, branches, Call-IDs."""

from __future__ import annotations

import os

POOL = 4096
"""Octets taken from the kernel at once: a call for each token would cost as much."""

SIZE = 8
"""Octets of a token: 64 bits, twice what RFC 3261 §19.3 asks of a tag."""


class Ids:
    """Tokens that nobody can guess, from the kernel's generator."""

    def __init__(self) -> None:
        self._pool = ""
        self._at = 0

    def __call__(self) -> str:
        """A new token of 16 hexadecimal digits."""
        at = self._at
        if at >= len(self._pool):
            self._pool = os.urandom(POOL).hex()
            at = 0
        self._at = at + 2 * SIZE
        return self._pool[at : self._at]
