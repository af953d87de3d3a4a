"""
The numbered index of changes: "everything after N", each item once.

Each claim and each record has the number of its last change. An item that changes again
leaves a hole under its old number. So the size of the index is that of the stored data,
not of its history, and a link needs only a number to know what it must send.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Protocol

CHUNK = 2048
"""The maximum number of entries in a piece: compacting it takes less than 1 ms."""

SMALL = 64
"""The minimum number of entries at which a piece is compacted."""


class Numbered(Protocol):
    """An item that may have been changed under several numbers."""

    def has_number(self, number: int) -> bool:
        """Whether its change ``number`` is still current."""


class _Piece:
    """Some consecutive entries; numbers ascend."""

    __slots__ = ("items", "live", "numbers")

    def __init__(self) -> None:
        self.numbers = array("q")
        self.items: list[Numbered] = []
        self.live = 0

    def compact(self) -> None:
        numbers: list[int] = []
        items: list[Numbered] = []
        for number, item in zip(self.numbers.tolist(), self.items, strict=True):
            if item.has_number(number):
                numbers.append(number)
                items.append(item)
        self.numbers, self.items = array("q", numbers), items
        self.live = len(items)


class ChangeIndex:
    """
    The changed items, in the order of their last changes.

    The cost of adding does not depend on the size; a number is found by bisection. The
    index is divided into pieces, so that it is never compacted as a whole.
    """

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []
        self._first: list[int] = []
        self.last = 0
        "The number of the last change."

    def __len__(self) -> int:
        """Count the current changes: one for each stored claim and record."""
        return sum(piece.live for piece in self._pieces)

    def next_number(self) -> int:
        """Return a new number."""
        self.last += 1
        return self.last

    def note(self, item: Numbered) -> int:
        """Note that ``item`` is changed now; return the number of the change."""
        self.last = number = self.last + 1
        self.add(number, item)
        return number

    def add(self, number: int, item: Numbered) -> None:
        """Add a change of ``item`` under ``number``, the latest number."""
        pieces = self._pieces
        if not pieces or len(pieces[-1].items) >= CHUNK:
            pieces.append(_Piece())
            self._first.append(number)
        piece = pieces[-1]
        piece.numbers.append(number)
        piece.items.append(item)
        piece.live += 1

    def drop(self, number: int) -> None:
        """
        Drop the change under ``number``, which is no longer current.

        :meth:`Numbered.has_number` of the item must already return False.
        """
        at = bisect_right(self._first, number) - 1
        if at < 0:
            return
        piece = self._pieces[at]
        where = bisect_left(piece.numbers, number)
        if where == len(piece.numbers) or piece.numbers[where] != number:
            return  # already compacted, when several numbers were dropped
        piece.live -= 1
        if piece.live * 2 < len(piece.items) and (
            not piece.live or len(piece.items) >= SMALL
        ):
            self._compact(at)

    def after(self, number: int) -> Iterator[tuple[int, Numbered]]:
        """
        Yield everything that was changed after ``number``, in order, each item once.

        The index must not change during the iteration.
        """
        at = max(0, bisect_right(self._first, number) - 1)
        for index in range(at, len(self._pieces)):
            piece = self._pieces[index]
            start = bisect_right(piece.numbers, number) if index == at else 0
            for i in range(start, len(piece.items)):
                item = piece.items[i]
                if item.has_number(piece.numbers[i]):
                    yield piece.numbers[i], item

    def _compact(self, at: int) -> None:
        pieces = self._pieces
        piece = pieces[at]
        piece.compact()
        if not piece.items:
            del pieces[at], self._first[at]
            return
        # Small neighbours are merged, so that the number of pieces stays in proportion.
        if at and len(pieces[at - 1].items) + len(piece.items) <= CHUNK // 2:
            before = pieces[at - 1]
            before.numbers.extend(piece.numbers)
            before.items.extend(piece.items)
            before.live += piece.live
            del pieces[at], self._first[at]
