"""What has happened to the contacts of a group, each once, in the order of events."""

from __future__ import annotations

from collections.abc import Iterable

from ..location.binding import Binding
from ..location.place import Aor, Place
from ..reg.document import ContactEvent

BEGINNINGS = frozenset({ContactEvent.REGISTERED, ContactEvent.CREATED})


class NewsItem:
    """The latest change of one contact, as one registration reports it."""

    __slots__ = ("aor", "began", "beginning", "binding", "number", "place")

    def __init__(self, aor: Aor, place: Place, binding: Binding, number: int) -> None:
        self.aor = aor
        "Of the registration: the user's own, or one of its identities."

        self.place = place
        "Whose contact it is."

        self.binding = binding
        self.number = number
        self.began = 0
        self.beginning = binding.event
        "Under which number the contact was bound, and by which event; 0 for before."

    def event_for(self, told: int) -> ContactEvent:
        """
        Return what has happened, for a watcher that was told everything up to ``told``.

        To one that has not heard of the contact yet, a refresh is the beginning.
        """
        event = self.binding.event
        if event is ContactEvent.REFRESHED and told < self.began:
            return self.beginning
        return event


class GroupNews:
    """
    The changes of a group, while somebody watches it who knows RFC 3680 alone.

    All watchers share it: each has a number up to which it was told. A contact that
    changes again moves to the end, so that this is never longer than the group.
    """

    def __init__(self) -> None:
        self._items: dict[tuple[Aor, str], NewsItem] = {}
        self.last = 0
        "The number of the latest change."

    def __len__(self) -> int:
        return len(self._items)

    def add(
        self, aor: Aor, place: Place, binding: Binding
    ) -> tuple[NewsItem, NewsItem | None]:
        """Note that a contact has changed; return what :meth:`undo` is to be given."""
        self.last += 1
        key = (aor, binding.key)
        item = NewsItem(aor, place, binding, self.last)
        known = self._items.pop(key, None)
        if binding.event in BEGINNINGS:
            item.began = self.last
        elif known is not None and binding.active and known.binding.active:
            item.began, item.beginning = known.began, known.beginning
        self._items[key] = item
        return item, known

    def undo(self, item: NewsItem, known: NewsItem | None) -> None:
        """
        Take back :meth:`add`.

        Args:
            known: what stood there before. It is told again, at its new place.
        """
        key = (item.aor, item.binding.key)
        if self._items.get(key) is not item:
            return  # everybody was told something later
        if known is None:
            del self._items[key]
        else:
            item.binding = known.binding
            item.began, item.beginning = known.began, known.beginning

    def after(self, number: int) -> list[NewsItem]:
        """Return what follows ``number``, in the order of events."""
        found = []
        for item in reversed(self._items.values()):
            if item.number <= number:
                break
            found.append(item)
        found.reverse()
        return found

    def forget(self, told: Iterable[int]) -> None:
        """
        Drop what all watchers were told.

        Args:
            told: the number that each of them was told up to.
        """
        least = min(told, default=self.last)
        gone = []
        for key, item in self._items.items():
            if item.number > least:
                break
            gone.append(key)
        for key in gone:
            del self._items[key]
