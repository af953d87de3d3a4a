"""Splits a long state into several documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..sip.clients import LONGEST_DATAGRAM
from ..sip.message import Draft

AROUND = 190
"""The maximum size of a document without its registrations, in octets."""

AROUND_REGISTRATION = 90
"""The maximum size of a registration without address and contacts, in octets."""

AROUND_LEGACY = 300
"""The maximum size of a legacy document without its contacts, in octets."""

VIA = 120
"""The approximate size of the Via of a request, in octets."""


class Written(NamedTuple):
    """A document, and whether others must follow because not everything did fit."""

    body: bytes
    more: bool


def fitting(sizes: Sequence[int], room: int, *, at_least: int = 1) -> int:
    """
    Return how many of the first elements fit.

    Args:
        sizes: the size of each element, in octets.
        room: the space for all of them, in octets.
        at_least: the number of elements that are sent whatever their size.
    """
    for number, size in enumerate(sizes):
        room -= size
        if room < 0 and number >= at_least:
            return number
    return len(sizes)


def is_long(draft: Draft) -> bool:
    """Whether a request is probably too long for a datagram (RFC 3261 §18.1.1)."""
    return len(draft.head) + len(draft.body) + VIA > LONGEST_DATAGRAM
