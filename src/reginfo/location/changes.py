"""
The numbered index of changes: "everything after N", each thing once.

Each claim and each record has the number of its last change. What has been changed
again leaves a hole under its old number. So the index is as long as what is kept, and
not as what has happened, and a link needs only a number to know what it has to send.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Protocol

CHUNK = 2048
"""Entries of one piece: compacting it takes less than a millisecond."""

SMALL = 64
"""Entries below which a piece is not worth compacting."""


class Numbered(Protocol):
    """A thing that may have been changed under several numbers."""

    def has_number(self, number: int) -> bool:
        """Whether its change ``number`` is one that still counts."""


class _Piece:
    """Some consecutive entries; numbers ascend."""

    __slots__ = ("items", "live", "numbers")

    def __init__(self) -> None:
        self.numbers = array("q")
        self.items: list[Numbered] = []
        self.live = 0

    def compact(self) -> None:
        kept = [
            (number, item)
            for number, item in zip(self.numbers, self.items, strict=True)
            if item.has_number(number)
        ]
        self.numbers = array("q", [number for number, _ in kept])
        self.items = [item for _, item in kept]
        self.live = len(kept)


class ChangeIndex:
    """
    What has changed, in the order in which it did.

    Adding costs the same however much there is; finding a number is a bisection. The
    index is cut into pieces, so that nothing ever waits for all of it to be compacted.
    """

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []
        self._first: list[int] = []
        self.last = 0
        "The number of the last change."

    def __len__(self) -> int:
        """How many changes count: one for each claim and record that is kept."""
        return sum(piece.live for piece in self._pieces)

    def next_number(self) -> int:
        """A number that was never given before."""
        self.last += 1
        return self.last

    def note(self, item: Numbered) -> int:
        """Note that ``item`` is changed now; return the number of the change."""
        self.last = number = self.last + 1
        self.add(number, item)
        return number

    def add(self, number: int, item: Numbered) -> None:
        """Note that ``item`` was changed under ``number``, the latest given."""
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
        Note that the change under ``number`` counts no more.

        The item must say so already (:meth:`Numbered.has_number`).
        """
        at = bisect_right(self._first, number) - 1
        if at < 0:
            return
        piece = self._pieces[at]
        where = bisect_left(piece.numbers, number)
        if where == len(piece.numbers) or piece.numbers[where] != number:
            return  # compacted meanwhile, when the item said so for several numbers
        piece.live -= 1
        if piece.live * 2 < len(piece.items) and (
            not piece.live or len(piece.items) >= SMALL
        ):
            self._compact(at)

    def after(self, number: int) -> Iterator[tuple[int, Numbered]]:
        """
        Everything that was changed after ``number``, in that order, each thing once.

        The index must not be changed while this is iterated over.
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
        # Small neighbours become one piece, so that their number stays in proportion.
        if at and len(pieces[at - 1].items) + len(piece.items) <= CHUNK // 2:
            before = pieces[at - 1]
            before.numbers.extend(piece.numbers)
            before.items.extend(piece.items)
            before.live += piece.live
            del pieces[at], self._first[at]
