"""Long states in pieces: what of it fits into one document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..sip.endpoint import LONGEST_DATAGRAM
from ..sip.message import Draft

AROUND = 190
"""Octets of a document around its registrations, at most."""

AROUND_REGISTRATION = 90
"""Octets of a registration around its address-of-record and its contacts, at most."""

AROUND_LEGACY = 300
"""Octets of a document for Kamailio and OpenSIPS around its contacts, at most."""

VIA = 120
"""Octets that the Via of a request takes, about."""


class Written(NamedTuple):
    """A document, and whether others must follow: it did not have room for all."""

    body: bytes
    more: bool


def fitting(sizes: Sequence[int], room: int, *, at_least: int = 1) -> int:
    """
    Return how many of the first elements fit.

    Args:
        sizes: octets of each element.
        room: octets that there are for all of them.
        at_least: how many are sent however long they are.
    """
    for number, size in enumerate(sizes):
        room -= size
        if room < 0 and number >= at_least:
            return number
    return len(sizes)


def is_long(draft: Draft) -> bool:
    """Whether a request is too long for a datagram (RFC 3261 §18.1.1), about."""
    return len(draft.head) + len(draft.body) + VIA > LONGEST_DATAGRAM
