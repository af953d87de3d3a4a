"""The longest interval that any linked server grants, which limits forgetting."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ..ledger.journal import Journal
from ..ledger.shelf import Shelf

logger = logging.getLogger("reginfo.location")

KIND = "longest-life"
"""The kind of its row in the journal."""

MOST = 2**32 - 1
"""Seconds: the greatest value of an Expires header (RFC 3261 §20.19)."""

_HEARD = "heard"


class LongestLife:
    """
    The longest interval that a contact is granted in the whole domain.

    Nothing that arrives late can be older than this. Linked servers report what they
    grant; the greatest reported value is used, and is stored, because a server that
    forgets earlier than others could learn again what it has forgotten.

    Args:
        own: the longest interval that is granted here, in seconds.
    """

    def __init__(self, journal: Journal, own: float) -> None:
        self._own = own
        self._heard: Shelf[float] = Shelf(journal, KIND, float)

    @property
    def seconds(self) -> float:
        """The greatest of our own and of the reported values."""
        heard = self._heard.get(_HEARD)
        return self._own if heard is None or heard < self._own else heard

    def hear(self, seconds: float) -> None:
        """
        Note the longest interval that a linked server reports.

        Raises:
            ValueError: the value is out of range.
        """
        if not 0 < seconds <= MOST:
            raise ValueError(f"longest life: {seconds!r} is not within 1 and {MOST} s")
        if seconds <= self.seconds:
            return
        self._heard.put(_HEARD, float(seconds))
        logger.info("= the longest life of a contact is %d s", seconds)

    @property
    def shelves(self) -> Sequence[Shelf[Any]]:
        """The stored row."""
        return (self._heard,)
