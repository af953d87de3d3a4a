"""The registrations of a group, and the documents of RFC 3680 that report them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from ..ledger.journal import Journal
from ..location.binding import Binding, BindingChange
from ..location.contact_row import ContactRow
from ..location.keyring import KeyChange
from ..location.place import Aor, Place
from ..location.source import is_known_by
from ..location.store import LocationStore
from ..reg import legacy, xml
from ..reg.document import ContactEvent, RegistrationState, registration_id
from ..reg.legacy import MAX_DOCUMENT, Profile
from ..roles.document import contact_of
from ..roles.pieces import AROUND, AROUND_LEGACY, AROUND_REGISTRATION, fitting
from ..roles.row import WatchRow
from ..sip.errors import Refusal
from .group import Group
from .news import GroupNews, NewsItem

AT_ONCE = 64
"""The number of contacts collected at once, so that a large group blocks nobody."""


LONGEST_DATAGRAM_STATE = 48 * 1024
"""The maximum size of the full state for a watcher that only UDP reaches, in octets."""


class FullState:
    """
    The whole state of a group, collected a few contacts at a time.

    It is the state at the beginning of the collection; later changes are left out, and
    follow as news.
    """

    __slots__ = ("_at", "_goal", "elements", "gone", "is_complete", "news")

    def __init__(self, store: LocationStore, news: int) -> None:
        self._at = 0
        self._goal = store.changes.last
        self.news = news
        "The number of the news that it includes."

        self.elements: dict[Aor, list[bytes]] = {}
        self.gone: dict[Aor, dict[str, Binding]] = {}
        """
        For a watcher that understands only one registration per document: it does not
        notice a missing contact, so the end of a contact must be reported.
        """

        self.is_complete = False

    def collect(self, roster: Roster, row: WatchRow, now: float) -> None:
        """Collect the next contacts."""
        looked = 0
        for number, item in roster.store.changes.after(self._at):
            if number > self._goal:
                break
            if looked == AT_ONCE:
                return
            looked += 1
            self._at = number
            if isinstance(item, ContactRow) and _is_last(item, number):
                for aor, element in roster.elements_of(item, row, now):
                    self.elements.setdefault(aor, []).append(element)
                if row.profile is Profile.LEGACY and item.claims[0].gone:
                    for aor in roster.registrations_of(item.place):
                        self.gone.setdefault(aor, {})[item.key] = item.claims[0]
        self.is_complete = True


class Roster:
    """The users of a group: their changes, and the documents about them."""

    def __init__(self, store: LocationStore, journal: Journal, group: Group) -> None:
        self.store = store
        self.group = group
        self.news = GroupNews()
        self._journal = journal

    # Changes.

    def note(self, change: BindingChange) -> bool:
        """
        Note a change of a contact.

        Returns:
            Whether a whole registration has changed: an identity's own contacts hide
            those of the user that names it.
        """
        place = change.place
        for aor in self.registrations_of(place):
            self._add(aor, place, change.binding)
        is_other = self.store.named_by(place) not in (None, place.aor)
        return is_other and self.group.covers(place.aor)

    def note_identities(self, change: KeyChange) -> None:
        """Note that the addresses-of-record of a user have changed."""
        place = change.place
        if place.table != self.group.table:
            return
        bindings = self.store.bindings(place, change.at)
        for aor in filter(self.group.covers, {*change.before, *change.after}):
            if aor in change.before and aor in change.after:
                continue
            event = ContactEvent.CREATED
            if aor in change.before:
                event = ContactEvent.DEACTIVATED
            for one in bindings:
                self._add(aor, place, msgspec.structs.replace(one, event=event))

    def _add(self, aor: Aor, place: Place, binding: Binding) -> None:
        self._journal.remember(self.news.undo, *self.news.add(aor, place, binding))

    # Documents.

    def registrations_of(self, place: Place) -> Iterator[Aor]:
        """Yield the addresses-of-record of a user that are in the group."""
        store, covers = self.store, self.group.covers
        if place.table != self.group.table:
            return
        for aor in store.identities(place):
            if covers(aor) and store.record_of(Place(place.table, aor)) == place:
                yield aor

    def elements_of(
        self, item: ContactRow, row: WatchRow, now: float
    ) -> Iterator[tuple[Aor, bytes]]:
        """Write a bound contact, once for each registration that has it."""
        shown = item.shown
        if shown is None or shown.expires_at <= now:
            return
        if is_known_by(shown.owner, shown.source, row.peer):
            return
        for aor in self.registrations_of(item.place):
            yield aor, element(row, aor, item.place, shown, shown.event, now)

    def check_fits(self, row: WatchRow, now: float) -> None:
        """
        Refuse a watcher without a stream if the state does not fit into a datagram.

        Raises:
            Refusal: 403.
        """
        state, size = FullState(self.store, 0), 0
        while not state.is_complete and size <= LONGEST_DATAGRAM_STATE:
            state.collect(self, row, now)
            size = sum([len(one) for each in state.elements.values() for one in each])
        if size > LONGEST_DATAGRAM_STATE:
            raise Refusal(403, "Subscribe To This Group By TCP")

    def full(self, row: WatchRow, state: FullState) -> bytes:
        """Write a collected full state: one document."""
        return xml.reginfo_body(
            row.version,
            True,
            [
                xml.registration_element(
                    aor, registration_id(aor), RegistrationState.ACTIVE, elements
                )
                for aor, elements in state.elements.items()
            ],
        )

    def partial(
        self, row: WatchRow, items: Iterable[NewsItem], told: int, room: int, now: float
    ) -> tuple[bytes, int]:
        """
        Write changes, as far as they fit.

        Args:
            items: the changes after ``told``.
            room: the maximum size in octets; a single contact may exceed it.

        Returns:
            The document, empty if there is nothing for this watcher; and the number of
            the last change that it covers.
        """
        room -= AROUND
        written: dict[Aor, list[bytes]] = {}
        to = told
        for item in items:
            binding = item.binding
            if not is_known_by(binding.owner, binding.source, row.peer):
                one = self._news_element(row, item, told, now)
                size = len(one)
                if item.aor not in written:
                    size += AROUND_REGISTRATION + len(item.aor)
                if size > room and written:
                    break
                room -= size
                written.setdefault(item.aor, []).append(one)
            to = item.number
        if not written:
            return b"", to
        registrations = [
            xml.registration_element(
                aor, registration_id(aor), self._state_of(aor, now), elements
            )
            for aor, elements in written.items()
        ]
        return xml.reginfo_body(row.version, False, registrations), to

    def one(
        self, row: WatchRow, aor: Aor, gone: Iterable[Binding], now: float
    ) -> tuple[bytes, list[Binding]]:
        """
        Write one registration, as Kamailio and OpenSIPS understand it.

        Args:
            gone: its ended contacts that the watcher was not notified of yet.

        Returns:
            The document, empty if there is nothing to report; and what did not fit.
        """
        place = self.store.record_of(Place(self.group.table, aor))
        bound = [
            binding
            for binding in self.store.bindings(place, now)
            if not is_known_by(binding.owner, binding.source, row.peer)
        ]
        keys = {binding.key for binding in bound}
        listed = [one for one in gone if one.key not in keys] + bound
        if not listed or not (aor.startswith("tel:") or "@" in aor):
            return b"", []
        elements = fitting(
            (element(row, aor, place, one, one.event, now) for one in listed),
            MAX_DOCUMENT - AROUND_LEGACY,
        )
        rest = listed[len(elements) :]
        state = RegistrationState.ACTIVE if bound else RegistrationState.TERMINATED
        registration = xml.registration_element(
            aor, registration_id(aor), state, elements
        )
        # Partial, because the group has other registrations.
        return xml.reginfo_body(row.version, False, [registration]), rest

    def _news_element(
        self, row: WatchRow, item: NewsItem, told: int, now: float
    ) -> bytes:
        """Write the current state of one contact."""
        binding, event = item.binding, item.event_for(told)
        shown = None
        if self.store.record_of(Place(item.place.table, item.aor)) == item.place:
            shown = self.store.binding(item.place, binding.key, now)
        if shown is not None and binding.active:
            return element(row, item.aor, item.place, shown, event, now)
        if binding.active:
            event = ContactEvent.EXPIRED  # it expires just now
        return element(row, item.aor, item.place, binding, event, now)

    def _state_of(self, aor: Aor, now: float) -> RegistrationState:
        place = self.store.record_of(Place(self.group.table, aor))
        if self.store.is_bound(place, now):
            return RegistrationState.ACTIVE
        return RegistrationState.TERMINATED


def element(
    row: WatchRow,
    aor: Aor,
    place: Place,
    binding: Binding,
    event: ContactEvent,
    now: float,
) -> bytes:
    """Write one contact."""
    if event is not binding.event:
        binding = msgspec.structs.replace(binding, event=event)
    is_legacy = row.profile is Profile.LEGACY
    contact = contact_of(
        binding,
        aor,
        is_legacy=is_legacy and row.peer is not None,
        implicit=aor != place.aor,
    )
    if is_legacy:
        contact = legacy.adapt(contact)
    parts = xml.contact_parts(contact)
    if not binding.active:
        return xml.contact_element(parts, 0 if is_legacy else None, None)
    registered = max(0, int(now - binding.registered_at))
    return xml.contact_element(parts, binding.expires(now), registered)


def _is_last(row: ContactRow, number: int) -> bool:
    """Whether this is the latest change of a contact: it has one for each claim."""
    return number == max([claim.number for claim in row.claims])
