"""The documents of NOTIFYs: what a watcher is owed, written in its profile."""

from __future__ import annotations

from collections.abc import Sequence

from ..location.binding import Binding
from ..location.source import is_known_by
from ..location.store import LocationStore
from ..reg import legacy, xml
from ..reg.document import RecordKey, RegistrationState, registration_id
from ..reg.legacy import MAX_DOCUMENT, Profile
from ..sip.value import Record
from .document import contact_of
from .row import WatchRow, is_of_our_kind
from .watch import Owed, Watch

CACHED_CONTACTS = 10_000
"""Contacts whose XML is kept for the other watchers of the same change."""


class Bodies:
    """
    Writes documents. Most of a contact's XML is written once for all watchers.

    Args:
        table: the location table that is watched.
    """

    def __init__(self, store: LocationStore, table: str) -> None:
        self._store = store
        self._table = table
        self._cache: dict[tuple[str, str, Profile, bool], _Rendered] = {}

    def write(self, watch: Watch, owed: Owed, now: float) -> bytes:
        """
        Write the document that a watcher is owed; empty for a legacy watcher that
        understands none.

        It does not change the watch, but for what does not fit into a datagram: that
        is put back, for the next document.
        """
        row, store = watch.row, self._store
        record = store.record_of(row.aor, self._table)
        bound = [
            binding
            for binding in store.bindings(record, now, self._table)
            if not is_known_by(binding.owner, binding.source, row.peer)
        ]
        # The full state says how a contact has gone, too. A legacy peer does not notice
        # that one is missing.
        bindings = owed.bindings + bound if owed.full else owed.bindings
        if row.profile is Profile.LEGACY:
            if not bound:
                bindings = [*owed.parted.get(row.aor, ()), *bindings]
            return self._legacy_body(
                watch, record, bindings, bool(bound), owed.full, now
            )
        keys: list[bytes] = []
        if is_of_our_kind(row):
            aors: tuple[str, ...] = (record,)
            if owed.full:
                keys = self._keys(record)
        else:
            aors = store.identities(record, self._table)
        state = (
            RegistrationState.ACTIVE
            if bound
            else RegistrationState.TERMINATED
            if bindings
            else RegistrationState.INIT
        )
        registrations = [
            self._registration(row, aor, record, state, bindings, now, keys)
            for aor in aors
            if bound or aor not in owed.parted
        ]
        registrations += [
            self._registration(
                row, aor, record, RegistrationState.TERMINATED, parted, now
            )
            for aor, parted in owed.parted.items()
            if not (bound and aor in aors)
        ]
        return xml.reginfo_body(row.version, owed.full, registrations)

    def _registration(
        self,
        row: WatchRow,
        aor: str,
        record: str,
        state: RegistrationState,
        bindings: Sequence[Binding],
        now: float,
        keys: Sequence[bytes] = (),
    ) -> bytes:
        elements = [self._element(row, aor, record, one, now) for one in bindings]
        elements += keys
        return xml.registration_element(aor, registration_id(aor), state, elements)

    def _keys(self, record: str) -> list[bytes]:
        return [
            xml.key_element(RecordKey(name, key.value, key.owner, key.stamp))
            for name, key in self._store.all_keys(record, self._table).items()
        ]

    def _legacy_body(
        self,
        watch: Watch,
        record: str,
        bindings: list[Binding],
        bound: bool,
        full: bool,
        now: float,
    ) -> bytes:
        """
        Write a document that Kamailio and OpenSIPS read right (see reg/legacy.py).

        It has one of a user's identities, the one that they watch.
        """
        row = watch.row
        if not bindings:
            return b""  # "init" is an error to them
        if not (row.aor.startswith("tel:") or "@" in row.aor):
            return b""  # an address-of-record without a user ends OpenSIPS
        state = RegistrationState.ACTIVE if bound else RegistrationState.TERMINATED
        elements: list[bytes] = []
        size = 0
        for at, binding in enumerate(bindings):
            element = self._element(row, row.aor, record, binding, now)
            size += len(element)
            if elements and size > MAX_DOCUMENT - _AROUND:
                watch.put_back(bindings[at:])
                full = False  # what has to wait is not gone
                break
            elements.append(element)
        registration = xml.registration_element(
            row.aor, registration_id(row.aor), state, elements
        )
        return xml.reginfo_body(row.version, full, [registration])

    def _element(
        self, row: WatchRow, aor: str, record: str, binding: Binding, now: float
    ) -> bytes:
        """Write one contact; most of its XML is shared by all watchers."""
        # For a legacy peer, the claim becomes what it has attributes for.
        with_claim = row.peer is not None and row.profile is not Profile.IMS
        key = (aor, binding.key, row.profile, with_claim)
        rendered = self._cache.get(key)
        if rendered is None or rendered.binding is not binding:
            if len(self._cache) >= CACHED_CONTACTS:
                self._cache.clear()
            contact = contact_of(binding, aor, with_claim, implicit=aor != record)
            if row.profile is Profile.LEGACY:
                contact = legacy.adapt(contact)
            rendered = _Rendered(binding, xml.contact_parts(contact))
            self._cache[key] = rendered
        if not binding.active:
            gone = 0 if row.profile is Profile.LEGACY else None
            return xml.contact_element(rendered.parts, gone, None)
        registered = max(0, int(now - binding.registered_at))
        return xml.contact_element(rendered.parts, binding.expires(now), registered)


class _Rendered(Record):
    binding: Binding
    parts: tuple[bytes, bytes]


_AROUND = 300
"""Octets of a document around its contacts, at the most."""
