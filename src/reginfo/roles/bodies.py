"""Writes the documents of NOTIFYs, in the profile of each watcher."""

from __future__ import annotations

from collections.abc import Callable

from ..location.binding import Binding
from ..location.place import Aor, Place
from ..location.source import is_known_by
from ..location.store import LocationStore
from ..reg import legacy
from ..reg.document import Piece, RegistrationState, registration_id
from ..reg.legacy import MAX_DOCUMENT, Profile
from ..reg.writer import (
    contact_element,
    contact_parts,
    reginfo_body,
    registration_element,
)
from ..sip.value import MutableValue
from .document import binding_parts, contact_of
from .envelope import claim_elements, record_elements, speaker_element
from .pieces import AROUND, AROUND_LEGACY, AROUND_REGISTRATION, Written, fitting
from .row import WatchRow, is_of_our_kind
from .watch import Owed, Parted, Watch

INIT = RegistrationState.INIT
ACTIVE = RegistrationState.ACTIVE
TERMINATED = RegistrationState.TERMINATED

CACHED_CONTACTS = 10_000
"""The number of contacts whose XML is cached for other watchers of the same change."""


NOTHING = Written(b"", False)


class Bodies:
    """
    Writes documents. Most of the XML of a contact is rendered once for all watchers.

    Args:
        table: the location table that is watched.
    """

    def __init__(self, store: LocationStore, table: str) -> None:
        self._store = store
        self._table = table
        self._cache: dict[tuple[str, str, Profile, bool], _Rendered] = {}

    def write(
        self, watch: Watch, owed: Owed, room: Callable[[Watch], int], now: float
    ) -> Written:
        """
        Write the pending report of a watcher; empty if a legacy watcher would
        misunderstand it.

        The watch is unchanged, except that contacts that do not fit are put back for
        the next document.

        Args:
            room: returns the maximum size in octets; a single contact may exceed it.
        """
        row, store = watch.row, self._store
        if row.neutral:
            return self._neutral(row)
        peer, full = row.peer, owed.full
        record = store.record_of(Place(self._table, row.aor))
        if is_of_our_kind(row):
            return self._claims(watch, record, owed, room(watch), now)
        bound = store.bindings(record, now)
        if peer is not None:
            bound = [b for b in bound if not is_known_by(b.owner, b.source, peer)]
        # A full document also lists the contacts that have ended, with their events: a
        # legacy peer would not notice that one is missing.
        bindings = owed.bindings + bound if full else owed.bindings
        if row.profile is Profile.LEGACY:
            if not bound:
                bindings = [*owed.parted.get(row.aor, ()), *bindings]
            return self._legacy(watch, record, bindings, bool(bound), full, now)
        aors = store.identities(record)
        parted = owed.parted
        if len(bindings) == 1 and not parted and not watch.in_pieces:
            # The hot path: it is sent whatever room there is.
            state = ACTIVE if bound else TERMINATED
            one = bindings[0]
            whole = [
                registration_element(
                    aor,
                    registration_id(aor),
                    state,
                    (self._element(row, aor, record, one, now),),
                )
                for aor in aors
            ]
            return Written(reginfo_body(row.version, full, whole), False)
        return self._pieces(watch, record, owed, bindings, bool(bound), room, now)

    def _pieces(
        self,
        watch: Watch,
        record: Place,
        owed: Owed,
        bindings: list[Binding],
        bound: bool,
        room_of: Callable[[Watch], int],
        now: float,
    ) -> Written:
        """
        Write as much of the state as fits.

        Args:
            bindings: those to be reported.
            bound: whether the user is bound to any contact that the watcher may know.
        """
        row = watch.row
        aors = self._store.identities(record)
        parted = owed.parted
        if parted:
            parted = {
                aor: ones for aor, ones in parted.items() if not (bound and aor in aors)
            }
            if not bound:
                aors = tuple([aor for aor in aors if aor not in parted])
        written = (
            [self._element(row, aor, record, one, now) for aor in aors]
            for one in bindings
        )
        room = 0
        if len(bindings) > 1 or parted:
            room = room_of(watch) - AROUND
            room -= sum(AROUND_REGISTRATION + len(aor) for aor in aors)
            elements = fitting(written, room) if aors else list(written)
            room -= sum(len(text) for of_one in elements for text in of_one)
        else:
            elements = list(written)
        number = len(elements)
        rest = bindings[number:]
        # While contacts are still to come, the registration has not ended: that would
        # end those contacts too.
        state = ACTIVE if bound or rest else TERMINATED if bindings else INIT
        registrations = [
            registration_element(
                aor,
                registration_id(aor),
                state,
                [of_one[at] for of_one in elements[:number]],
            )
            for at, aor in enumerate(aors if owed.full or bindings else ())
        ]
        if parted:
            if rest:
                room = 0
            ended, parted = self._parted(row, record, parted, room, bool(aors), now)
            registrations += ended
        more = bool(rest or parted)
        piece = Piece.WHOLE
        if more or watch.in_pieces:
            piece = watch.divide(owed.full, rest, parted)
            if row.profile is not Profile.STANDARD:
                piece = Piece.WHOLE
        body = reginfo_body(row.version, owed.full, registrations, piece)
        return Written(body, more)

    def _neutral(self, row: WatchRow) -> Written:
        """Write what an address-of-record without contacts looks like."""
        if row.profile is Profile.LEGACY:
            return NOTHING
        last = [speaker_element(self._store.server_id)] if is_of_our_kind(row) else []
        registration = registration_element(
            row.aor, registration_id(row.aor), INIT, last
        )
        return Written(reginfo_body(row.version, True, [registration]), False)

    def _parted(
        self,
        row: WatchRow,
        record: Place,
        parted: Parted,
        room: int,
        may_wait: bool,
        now: float,
    ) -> tuple[list[bytes], Parted]:
        """
        Write ended registrations, as far as they fit; return them and the rest.

        Args:
            may_wait: whether all of them may wait; otherwise at least one contact is
                written.
        """
        written: list[bytes] = []
        rest: Parted = {}
        for aor, ones in parted.items():
            room -= AROUND_REGISTRATION + len(aor)
            least = 0 if written or may_wait else 1
            elements: list[bytes] = []
            if not rest and (room > 0 or least):
                elements = fitting(
                    (self._element(row, aor, record, one, now) for one in ones),
                    room,
                    at_least=least,
                )
            number = len(elements)
            room -= sum(map(len, elements))
            state = TERMINATED
            if number < len(ones):
                rest[aor] = ones[number:]
                state = ACTIVE
                if not number:
                    continue
            written.append(
                registration_element(aor, registration_id(aor), state, elements)
            )
        return written, rest

    def _claims(
        self, watch: Watch, record: Place, owed: Owed, room: int, now: float
    ) -> Written:
        """
        Write a document for another `reginfo` server: claims and records, each
        complete.

        The full state has everything that is stored, including tombstones and claims
        that lost, because the other server may not know the claim that beat them. What
        does not fit follows in partial documents; omission removes nothing.
        """
        store = self._store
        last = [speaker_element(store.server_id)]
        if owed.full:
            known = [claims for claims in store.rows(record).values() if claims]
            last = record_elements(store.records(record), now) + last
        else:
            keys = dict.fromkeys(binding.key for binding in owed.bindings)
            claims = [store.claims(record, key) for key in keys]
            known = [one for one in claims if one]
        room -= AROUND + AROUND_REGISTRATION + len(record.aor) + sum(map(len, last))
        contacts = fitting(
            (b"".join(claim_elements(each, record.aor, now)) for each in known), room
        )
        rest = [each[0] for each in known[len(contacts) :]]
        piece = Piece.WHOLE
        if rest or watch.in_pieces:
            piece = watch.divide(owed.full, rest, {})
        if store.is_bound(record, now) or rest:
            state = ACTIVE
        else:
            state = TERMINATED if contacts else INIT
        registration = registration_element(
            record.aor,
            registration_id(record.aor),
            state,
            [*contacts, *last],
        )
        body = reginfo_body(watch.row.version, owed.full, [registration], piece)
        return Written(body, bool(rest))

    def _legacy(
        self,
        watch: Watch,
        record: Place,
        bindings: list[Binding],
        bound: bool,
        full: bool,
        now: float,
    ) -> Written:
        """
        Write a document that Kamailio and OpenSIPS read correctly (see reg/legacy.py).

        It has only the identity that they watch.
        """
        row = watch.row
        if not bindings:
            return NOTHING  # they reject "init"
        if not (row.aor.startswith("tel:") or "@" in row.aor):
            return NOTHING  # an address-of-record without a user crashes OpenSIPS
        state = ACTIVE if bound else TERMINATED
        elements = fitting(
            (self._element(row, row.aor, record, one, now) for one in bindings),
            MAX_DOCUMENT - AROUND_LEGACY,
        )
        more = len(elements) < len(bindings)
        if more:
            watch.put_back(bindings[len(elements) :], {})
            full = False  # the contacts that must wait have not ended
        registration = registration_element(
            row.aor, registration_id(row.aor), state, elements
        )
        body = reginfo_body(row.version, full, [registration])
        return Written(body, more)

    def _element(
        self, row: WatchRow, aor: Aor, record: Place, binding: Binding, now: float
    ) -> bytes:
        """Write one contact; most of its XML is shared by all watchers."""
        is_legacy = row.profile is Profile.LEGACY
        # Only peers get the source address of the REGISTER.
        is_peer = is_legacy and row.peer is not None
        key = (aor, binding.key, row.profile, is_peer)
        rendered = self._cache.get(key)
        if rendered is None or rendered.binding is not binding:
            if len(self._cache) >= CACHED_CONTACTS:
                self._cache.clear()
            implicit = aor != record.aor
            if is_legacy:
                contact = contact_of(binding, aor, is_legacy=is_peer, implicit=implicit)
                parts = contact_parts(legacy.adapt(contact))
            else:
                parts = binding_parts(binding, aor, implicit=implicit)
            rendered = _Rendered(binding, parts)
            self._cache[key] = rendered
        if not binding.active:
            gone = 0 if is_legacy else None
            return contact_element(rendered.parts, gone, None)
        registered = max(0, int(now - binding.registered_at))
        return contact_element(rendered.parts, binding.expires(now), registered)


class _Rendered(MutableValue):
    binding: Binding
    parts: tuple[bytes, bytes]
