"""Splits a long state into several documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from ..sip.clients import LONGEST_DATAGRAM
from ..sip.dialog_flow import dialog_flow
from ..sip.flow import Flow
from ..sip.message import Draft
from ..sip.value import Value
from .watch import SHORTEST_DOCUMENT, Watch

Sized = TypeVar("Sized", bytes, list[bytes])

AROUND = 190
"""The maximum size of a document without its registrations, in octets."""

AROUND_REGISTRATION = 90
"""The maximum size of a registration without address and contacts, in octets."""

AROUND_LEGACY = 300
"""The maximum size of a legacy document without its contacts, in octets."""

VIA = 120
"""The approximate size of the Via of a request, in octets."""


class Written(Value, frozen=True):
    """A document, and whether others must follow because not everything did fit."""

    body: bytes
    more: bool


class DocumentSizes:
    """
    The maximum sizes of documents.

    Args:
        datagram_only: whether a flow is known to support only datagrams.
    """

    def __init__(self, datagram_only: Callable[[Flow], bool]) -> None:
        self._datagram_only = datagram_only

    def takes_streams(self, watch: Watch) -> bool:
        """Whether a watcher can be sent a long document, as far as is known."""
        if watch.longest <= SHORTEST_DOCUMENT:
            return False
        dialog = watch.row.subscription.dialog
        return not self._datagram_only(dialog_flow(dialog.first_uri, dialog.flow))

    def of(self, watch: Watch) -> int:
        """Return the maximum size in octets of a document for a watcher."""
        return watch.longest if self.takes_streams(watch) else SHORTEST_DOCUMENT


def fitting(elements: Iterable[Sized], room: int, *, at_least: int = 1) -> list[Sized]:
    """
    Return the first elements that fit.

    No more are taken than one that does not fit: the others would be written again for
    each of the documents that follow.

    Args:
        elements: texts, or lists of texts.
        room: the space for all of them, in octets.
        at_least: the number of elements that are sent whatever their size.
    """
    fit: list[Sized] = []
    for element in elements:
        if isinstance(element, bytes):
            room -= len(element)
        else:
            room -= sum(map(len, element))
        if room < 0 and len(fit) >= at_least:
            break
        fit.append(element)
    return fit


def is_long(draft: Draft) -> bool:
    """Whether a request is probably too long for a datagram (RFC 3261 §18.1.1)."""
    return len(draft.head) + len(draft.body) + VIA > LONGEST_DATAGRAM
