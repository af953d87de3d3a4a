"""The latest events of the contacts of a group, in order."""

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
        "The address-of-record of the registration: the user's own, or an identity."

        self.place = place
        "The user of the contact."

        self.binding = binding
        self.number = number
        self.began = 0
        self.beginning = binding.event
        "The number and event with which the contact was first bound; 0 if earlier."

    def event_for(self, told: int) -> ContactEvent:
        """
        Return the event for a watcher that was notified up to ``told``.

        For a watcher that does not know the contact yet, a refresh is its first event.
        """
        event = self.binding.event
        if event is ContactEvent.REFRESHED and told < self.began:
            return self.beginning
        return event


class GroupNews:
    """
    The changes of a group, while it has a watcher that knows only RFC 3680.

    All watchers share it: each has a number up to which it was notified. A contact that
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
        """Note a change of a contact; return the arguments of :meth:`undo`."""
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
        Undo :meth:`add`.

        Args:
            known: the previous item. It is reported again, at its new place.
        """
        key = (item.aor, item.binding.key)
        if self._items.get(key) is not item:
            return  # all watchers were notified of something later
        if known is None:
            del self._items[key]
        else:
            item.binding = known.binding
            item.began, item.beginning = known.began, known.beginning

    def after(self, number: int) -> list[NewsItem]:
        """Return the changes after ``number``, in order."""
        found = []
        for item in reversed(self._items.values()):
            if item.number <= number:
                break
            found.append(item)
        found.reverse()
        return found

    def forget(self, told: Iterable[int]) -> None:
        """
        Drop what all watchers were notified of.

        Args:
            told: the number up to which each of them was notified.
        """
        least = min(told, default=self.last)
        gone = []
        for key, item in self._items.items():
            if item.number > least:
                break
            gone.append(key)
        for key in gone:
            del self._items[key]
