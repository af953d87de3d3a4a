"""Finds the URIs of a group that equal a given one (RFC 3261 §19.1.4)."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from .uri import Uri

T = TypeVar("T")

COMPARED = 256
"""
The maximum number of differently spelled URIs that one search compares.

Only URIs that were made for it need more: equality is not transitive, and no index can
find all equal URIs among many thousand with arbitrary parameters in a short time.
"""

FEW = 16
"""The number of URIs that are compared one by one, without an index."""


class UriGroup(Generic[T]):
    """
    Items by their URIs, all of which have the same `Uri.base`.

    The URIs are divided by the value of that parameter, the pivot, in which they differ
    most. A search compares those with the same value, and those without the parameter.
    """

    __slots__ = ("_absent", "_divide_at", "_pivot", "_uris", "_with", "compared")

    def __init__(self) -> None:
        # By `Uri.key`; then by the id of the item.
        self._uris: dict[str, tuple[Uri, dict[Hashable, T]]] = {}
        self._pivot = ""
        self._with: dict[str | None, dict[str, None]] = {}
        self._absent: dict[str, None] = {}
        self._divide_at = FEW
        self.compared = 0
        "The number of comparisons so far."

    def __len__(self) -> int:
        """The number of different spellings."""
        return len(self._uris)

    def __iter__(self) -> Iterator[T]:
        for _, items in self._uris.values():
            yield from items.values()

    def add(self, uri: Uri, id: Hashable, item: T) -> None:
        """Add an item, or replace the one with the same URI and id."""
        known = self._uris.get(uri.key)
        if known is not None:
            known[1][id] = item
            return
        self._uris[uri.key] = (uri, {id: item})
        if len(self._uris) > self._divide_at:
            self._divide()
        elif self._pivot:
            self._place(uri)

    def remove(self, uri: Uri, id: Hashable) -> None:
        """Remove an item, if it is there."""
        known = self._uris.get(uri.key)
        if known is None:
            return
        known[1].pop(id, None)
        if known[1]:
            return
        del self._uris[uri.key]
        params = uri.compared_params()
        if self._pivot in params:
            value = params[self._pivot]
            same = self._with.get(value, {})
            same.pop(uri.key, None)
            if not same:
                self._with.pop(value, None)
        else:
            self._absent.pop(uri.key, None)

    def find(self, uri: Uri) -> Iterator[T]:
        """
        Yield the items whose URI equals ``uri``, those with the same spelling first.

        Of very many candidates only the first :data:`COMPARED` are compared.
        """
        known = self._uris.get(uri.key)
        if known is not None:
            yield from known[1].values()
        left = COMPARED
        for key in self._candidates(uri):
            if key == uri.key:
                continue
            if not left:
                return
            left -= 1
            self.compared += 1
            other, items = self._uris[key]
            if uri.matches(other):
                yield from items.values()
                left += 1  # a result, whose number is not the searcher's fault

    def _candidates(self, uri: Uri) -> Iterator[str]:
        params = uri.compared_params() if self._pivot else {}
        if self._pivot not in params:
            yield from self._uris
            return
        yield from self._with.get(params[self._pivot], ())
        yield from self._absent

    def _divide(self) -> None:
        """Choose the pivot, for up to twice as many URIs."""
        self._divide_at = 2 * len(self._uris)
        counts: dict[str, dict[str | None, int]] = {}
        for uri, _ in self._uris.values():
            for name, value in uri.compared_params().items():
                values = counts.setdefault(name, {})
                values[value] = values.get(value, 0) + 1
        most = 0
        self._pivot = ""
        for name, values in counts.items():
            # The pairs of URIs that this parameter tells apart.
            held = sum(values.values())
            apart = held * held - sum(count * count for count in values.values())
            if apart > most:
                self._pivot, most = name, apart
        self._with, self._absent = {}, {}
        if self._pivot:
            for uri, _ in self._uris.values():
                self._place(uri)

    def _place(self, uri: Uri) -> None:
        params = uri.compared_params()
        if self._pivot in params:
            self._with.setdefault(params[self._pivot], {})[uri.key] = None
        else:
            self._absent[uri.key] = None
