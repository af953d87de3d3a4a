"""Files that only their owner can read."""

from __future__ import annotations

import os

MODE = 0o600


def private(path: str, flags: int) -> int:
    """Open a file, for `open(..., opener=private)`; a new one has the mode 0600."""
    return os.open(path, flags, MODE)
