"""Random tokens: tags, branches, Call-IDs."""

from __future__ import annotations

import os

POOL = 4096
"""The number of octets read from the kernel at once, to save a call for each token."""

SIZE = 8
"""
The size of a token in octets: 64 bits, twice what RFC 3261 §19.3 requires of a tag.
"""


class Ids:
    """Unpredictable tokens, from the kernel's random generator."""

    def __init__(self) -> None:
        self._pool = ""
        self._at = 0

    def __call__(self) -> str:
        """Return a new token of 16 hexadecimal digits."""
        at = self._at
        if at >= len(self._pool):
            self._pool = os.urandom(POOL).hex()
            at = 0
        self._at = at + 2 * SIZE
        return self._pool[at : self._at]
