"""
The reader of ``application/reginfo+xml`` (RFC 3680 §5.4).

It is lenient, and reports the errors that it tolerated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..sip.errors import RemoteProtocolError
from .contact import (
    MAX_STAMP,
    MAX_VERSION,
    Contact,
    ContactState,
    Piece,
    RecordKey,
    Registration,
    RegistrationState,
)
from .contact_reader import read_contact
from .elements import CHILDREN, Elements
from .markup import CONTROLS, number


class Content(NamedTuple):
    """The content of a body: the fields of a :class:`~reginfo.reg.document.Reginfo`."""

    version: int
    full: bool
    registrations: tuple[Registration, ...]
    warnings: tuple[str, ...]
    piece: Piece


def read(body: bytes, *, strict: bool = False) -> Content:
    """
    Parse the body of a NOTIFY or PUBLISH.

    Elements and attributes of unknown namespaces are skipped, as §5.1 requires. Known
    errors of peers are tolerated, and listed as warnings. An invalid contact is left
    out. A document in which all contacts are invalid is refused, because it would look
    as if nobody were registered.

    Args:
        strict: refuse a document that would have warnings.

    Raises:
        RemoteProtocolError: the body is not a document of RFC 3680; the message has the
            element and the line.
    """
    return _Reader(body, strict).read()


_STATES = {str(state): state for state in RegistrationState}
_ACTIVE, _WHOLE = RegistrationState.ACTIVE, Piece.WHOLE


class _Reader:
    """Reads one document; each method reads one element to its end."""

    def __init__(self, body: bytes, strict: bool) -> None:
        self._elements = Elements(body, strict)
        self._complaints = self._elements.complaints
        self._ids: set[str] = set()
        self._any_contact = False
        self._piece = _WHOLE
        self._registrations: dict[str, list[Registration]] = {}

    def read(self) -> Content:
        """Read the document, from its first element."""
        elements = self._elements
        name, attributes, at = elements.root()
        if name not in CHILDREN[""]:
            elements.unexpected(name, at, "")
        version, full = self._start_reginfo(attributes, at)
        for event in elements.events:
            if event is None:
                break
            if isinstance(event, str):
                continue
            name, attributes, at = event
            known = CHILDREN["reginfo"].get(name)
            if known is None:
                known = elements.unexpected(name, at, "reginfo")
            if known == "registration":
                self._registration(attributes, at)
            elif known is not None:
                self._piece = Piece(known)
                elements.text(known)
        for _ in elements.events:
            pass  # anything that follows is not XML
        fault = self._complaints.first_fault
        if fault is not None and not self._any_contact:
            raise RemoteProtocolError(fault)
        return Content(
            version,
            full,
            tuple([merged(ones) for ones in self._registrations.values()]),
            tuple(self._complaints.warnings),
            self._piece,
        )

    def _start_reginfo(self, attributes: dict[str, str], at: int) -> tuple[int, bool]:
        version, state = attributes.get("version"), attributes.get("state")
        if not (version and state):
            missing = "state" if version else "version"
            self._complaints.refuse(f"<reginfo> without {missing}", at)
        known = number(version, MAX_VERSION)
        if known is None:
            self._complaints.refuse(f"<reginfo> with version {version[:40]!r}", at)
        if state not in ("full", "partial"):
            self._complaints.refuse(f"<reginfo> with state {state[:40]!r}", at)
        return known, state == "full"

    def _registration(self, attributes: dict[str, str], at: int) -> None:
        aor, id = attributes.get("aor"), attributes.get("id")
        stated = attributes.get("state")
        if not (aor and id and stated):
            missing = "aor" if not aor else "id" if not id else "state"
            self._complaints.refuse(f"<registration> without {missing}", at)
        if self._elements.has_controls and CONTROLS.search(aor + id):
            message = "<registration> with control characters in aor or id"
            self._complaints.refuse(message, at)
        state = _STATES.get(stated)
        if state is None:
            self._complaints.refuse(f"<registration> with state {stated[:40]!r}", at)
        elements = self._elements
        contacts: list[Contact] = []
        keys: list[RecordKey] = []
        for event in elements.events:
            if event is None:
                break
            if isinstance(event, str):
                continue
            name, attributes, since = event
            known = CHILDREN["registration"].get(name)
            if known is None:
                known = elements.unexpected(name, since, "registration")
            if known == "contact":
                contact = read_contact(elements, attributes, since)
                if contact is not None:
                    contacts.append(contact)
                    if contact.id in self._ids:
                        message = "<contact> with the id of another"
                        self._complaints.tolerate(message, since)
                    self._ids.add(contact.id)
            elif known is not None:
                key = self._key(attributes, since)
                elements.text(known)
                if key is not None:
                    keys.append(key)
        if contacts:
            self._any_contact = True
        if state is not _ACTIVE:
            # It ends all of its contacts, including the invalid ones.
            self._any_contact = True
            for contact in contacts:
                if contact.state is ContactState.ACTIVE:
                    message = f"<contact> active, <registration> {state}"
                    self._complaints.tolerate(message, at)
                    break
        registration = Registration(
            aor=aor, id=id, state=state, contacts=tuple(contacts), keys=tuple(keys)
        )
        others = self._registrations.setdefault(aor, [])
        if others:
            # OpenSIPS writes one for each publisher of the user's state.
            self._complaints.tolerate(f"two <registration> of {aor}", at)
        others.append(registration)

    def _key(self, attributes: dict[str, str], at: int) -> RecordKey | None:
        name, owner = attributes.get("name", ""), attributes.get("owner", "")
        stamp = number(attributes.get("stamp", ""), MAX_STAMP)
        value, kind = attributes.get("value"), attributes.get("kind", "key")
        until = number(attributes.get("until", ""), MAX_STAMP)
        left = number(attributes.get("left", ""), MAX_STAMP)
        if not (name or kind != "key") or not owner or stamp is None:
            self._complaints.tolerate("<key> without name, owner or stamp", at)
            return None
        if any(map(CONTROLS.search, (name, owner, kind))):
            message = "<key> with control characters in its name or owner"
            self._complaints.tolerate(message, at)
            return None
        if value is not None:
            value = value.replace("\x7f", "\ufffd")  # as the writer does
        return RecordKey(name, value, owner, stamp, kind, until or 0, left)


def merged(ones: Sequence[Registration]) -> Registration:
    """Merge one or more registrations of the same address-of-record."""
    if len(ones) == 1:
        return ones[0]
    states = {one.state for one in ones}
    if RegistrationState.ACTIVE in states:
        state = RegistrationState.ACTIVE
    else:
        state = max(states)  # terminated says more than init
    return Registration(
        aor=ones[0].aor,
        id=ones[0].id,
        state=state,
        contacts=tuple([contact for one in ones for contact in one.contacts]),
        keys=tuple([key for one in ones for key in one.keys]),
    )
