"""
Registrations and their contacts (RFC 3680 §5), as plain values.

A value with fields of the wrong type cannot be constructed: the constructor raises
:exc:`TypeError`, or :exc:`ValueError` for a number out of range.
"""

from __future__ import annotations

import enum
import re
from functools import lru_cache
from hashlib import blake2s
from typing import NamedTuple, NoReturn

import msgspec

MAX_VERSION = 2**32 - 1  # §5.1: "MUST be representable using a 32 bit integer"
MAX_UNSIGNED_LONG = 2**64 - 1  # the schema's type for the other numbers
MAX_STAMP = 2**53  # up to here, every JSON parser represents integers exactly


class RegistrationState(enum.StrEnum):
    """Whether an address-of-record has contacts (§4.7.1, figure 1)."""

    INIT = "init"
    ACTIVE = "active"
    TERMINATED = "terminated"


class Piece(enum.StrEnum):
    """
    Whether a document is one of several that report one full state.

    A state that is too long for one message is sent in pieces: a full document first,
    then partial ones. Each except the last has our element ``<more/>``, and its
    omissions remove nothing; the last has ``<complete/>``.
    """

    WHOLE = "whole"
    MORE = "more"
    LAST = "complete"


class ContactState(enum.StrEnum):
    """Whether a contact is bound (§4.7.1, figure 2)."""

    ACTIVE = "active"
    TERMINATED = "terminated"


_ACTIVE = frozenset({"registered", "refreshed", "created", "shortened"})


class ContactEvent(enum.StrEnum):
    """The latest event of a contact (§4.7.1, figure 2)."""

    # Caused by the user agent, with a REGISTER or by not sending one.
    REGISTERED = "registered"
    REFRESHED = "refreshed"
    UNREGISTERED = "unregistered"
    EXPIRED = "expired"

    # Caused by the administrator, who wants the user agent ...
    CREATED = "created"
    SHORTENED = "shortened"  # ... to refresh soon
    DEACTIVATED = "deactivated"  # ... to register again at once
    PROBATION = "probation"  # ... to register again after `retry-after`
    REJECTED = "rejected"  # ... to stay away

    state: ContactState
    "The state of a contact after this event."

    def __init__(self, value: str) -> None:
        # Set once, because it is read for each contact of each document, and a property
        # would cost a call.
        self.state = (
            ContactState.ACTIVE if value in _ACTIVE else ContactState.TERMINATED
        )


class TempGruu(NamedTuple):
    """The latest temporary GRUU of a contact (RFC 5628 §5)."""

    uri: str

    first_cseq: int
    "CSeq of the REGISTER that created the oldest temporary GRUU still valid."


class ClaimElement(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, repr_omit_defaults=True
):
    """
    What one `reginfo` server reports to another about a contact, beyond RFC 3680.

    This is an extension of this project. Together with the attributes of its
    ``<contact>`` it is a complete claim; docs/sync.md explains the fields.
    """

    owner: str
    "Id of the server at which the contact was registered."

    stamp: int
    "When the request was accepted, in µs; 0 <= stamp <= 2**53, like all stamps here."

    key: str = ""
    "Identifies the contact, whatever its spelling."

    begin: int = 0
    "The stamp at which the binding began."

    edition: int = 0
    "Orders statements about one REGISTER."

    until: int = 0
    "Stamp plus granted interval."

    left: int | None = None
    "Milliseconds until the granted interval ends; None if it has ended."

    gone: bool = False
    "Whether it says that the contact is no longer bound."

    path: tuple[str, ...] = ()
    "The route set to the contact, topmost first, as in a Path header (RFC 3327)."

    received: str = ""
    "The source of the REGISTER, if it differs from the address in its Contact."

    user_agent: str = ""

    def __post_init__(self) -> None:
        _check_text(self, "owner", "key", "received", "user_agent")
        _check_type(self, "gone", self.gone, bool)
        for name in ("stamp", "begin", "edition", "until"):
            _check_number(self, name, getattr(self, name), MAX_STAMP)
        if self.left is not None:
            _check_number(self, "left", self.left, MAX_STAMP)
        if self.path:
            _check_texts(self, "path", self.path)


class Contact(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, repr_omit_defaults=True
):
    """One ``<contact>`` element."""

    id: str
    "Identifies the contact in all documents of a subscription."

    uri: str

    event: ContactEvent

    expires: int | None = None
    "Seconds until the contact expires, from the creation of the document."

    retry_after: int | None = None
    "Seconds until the user agent may register again, after a probation."

    duration_registered: int | None = None
    "Seconds since the contact was bound."

    q: str | None = None
    "Preference from 0 to 1 in its shortest form: ``0.5`` (:func:`shortest_q`)."

    callid: str | None = None
    cseq: int | None = None
    "Call-ID and CSeq of the REGISTER that last touched the contact."

    display_name: str | None = None
    lang: str | None = None
    "Language of the display name (RFC 5646)."

    params: tuple[tuple[str, str | None], ...] = ()
    """
    Contact header parameters that RFC 3261 does not define: names in lower case,
    values as in a Contact header, with their quotes; None for one without a value.
    Compare values with :func:`unquoted`.
    """

    pub_gruu: str | None = None
    temp_gruu: TempGruu | None = None

    path: tuple[str, ...] = ()
    received: str = ""
    user_agent: str = ""
    """
    From the claim if there is one, otherwise from attributes that Kamailio and OpenSIPS
    add. Those attributes violate the schema, and are written only for these peers.
    """

    claim: ClaimElement | None = None

    def __post_init__(self) -> None:
        # Contacts are created on the hot path, so each field is checked once. Only if
        # its type differs is it examined closely: it may be a subclass.
        if (
            type(self.id) is not str
            or type(self.uri) is not str
            or type(self.event) is not ContactEvent
            or type(self.expires) not in _OPTIONAL_INT
            or type(self.retry_after) not in _OPTIONAL_INT
            or type(self.duration_registered) not in _OPTIONAL_INT
            or type(self.q) not in _OPTIONAL_STR
            or type(self.callid) not in _OPTIONAL_STR
            or type(self.cseq) not in _OPTIONAL_INT
            or type(self.display_name) not in _OPTIONAL_STR
            or type(self.lang) not in _OPTIONAL_STR
            or type(self.pub_gruu) not in _OPTIONAL_STR
            or type(self.received) is not str
            or type(self.user_agent) is not str
            or type(self.claim) not in _OPTIONAL_CLAIM
        ):
            _check_contact(self)
        if self.params != ():
            _check_params(self)
        if self.path != ():
            _check_texts(self, "path", self.path)
        if self.temp_gruu is not None:
            _check_type(self, "temp_gruu", self.temp_gruu, TempGruu)
            _check_type(self, "temp_gruu", self.temp_gruu.uri, str)
            _check_number(self, "temp_gruu", self.temp_gruu.first_cseq, None)

    @property
    def state(self) -> ContactState:
        """Whether the contact is bound, which follows from its event."""
        return self.event.state


class RecordKey(NamedTuple):
    """
    A record of a user, as `reginfo` servers report it to each other.

    This is an extension of this project. Of two records with the same kind and name,
    the one with the greater (stamp, owner) holds.
    """

    name: str

    value: str | None
    "None if it was removed."

    owner: str
    "The id of the server at which it was made."

    stamp: int
    "When it was made, in µs; 0 <= stamp <= 2**53."

    kind: str = "key"
    "`key` for a value that a script stores; see docs/sync.md for the other kinds."

    until: int = 0
    "With `probation` and `shorten`: the end, in µs."

    left: int | None = None
    "The same in milliseconds from now; None if it has ended, or has no end."


class Registration(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, repr_omit_defaults=True
):
    """One ``<registration>`` element: an address-of-record and its contacts."""

    aor: str
    id: str
    state: RegistrationState
    contacts: tuple[Contact, ...] = ()
    keys: tuple[RecordKey, ...] = ()

    def __post_init__(self) -> None:
        # As in `Contact`: one look at each field.
        if (
            type(self.aor) is not str
            or type(self.id) is not str
            or type(self.state) is not RegistrationState
        ):
            _check_text(self, "aor", "id")
            _check_type(self, "state", self.state, RegistrationState)
        contacts = self.contacts
        if type(contacts) is not tuple:
            _check_items(self, "contacts", contacts, Contact)
        for contact in contacts:
            if type(contact) is not Contact:
                _check_items(self, "contacts", contacts, Contact)
        if self.keys == ():
            return
        _check_items(self, "keys", self.keys, RecordKey)
        for key in self.keys:
            _check_type(self, "keys", key.name, str)
            _check_type(self, "keys", key.value, str, optional=True)
            _check_type(self, "keys", key.owner, str)
            _check_number(self, "keys", key.stamp, MAX_STAMP)
            _check_type(self, "keys", key.kind, str)
            _check_number(self, "keys", key.until, MAX_STAMP)
            if key.left is not None:
                _check_number(self, "keys", key.left, MAX_STAMP)


def registration_id(aor: str) -> str:
    """
    Return the id of the registration of ``aor``, which is in canonical form.

    It is a hash: it need not be stored, is the same on every server and after a
    restart, and differs for different addresses-of-record, as RFC 3680 §5.1 requires.
    """
    return _hash(aor)


def contact_id(aor: str, key: str) -> str:
    """
    Return the id of the contact ``key`` in the registration of ``aor``.

    It depends on both, because the id of a contact "MUST be unique amongst all other id
    attributes present in other contact elements conveyed to the subscriber" (ibid.),
    and the identities of a user have the same contacts.
    """
    return _hash(f"{aor}\0{key}")


def _new_hash(text: str) -> str:
    # It need not have been UTF-8 when it was received.
    return blake2s(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


_cached_hash = lru_cache(16_384)(_new_hash)


def _hash(text: str) -> str:
    return _cached_hash(text) if len(text) <= 512 else _new_hash(text)


_Q = re.compile(r"0?\.[0-9]+|0\.?|1(?:\.0*)?")


def shortest_q(text: str) -> str:
    """
    Return a qvalue in its shortest form: ``0.500`` becomes ``0.5``.

    Raises:
        ValueError: it is not a number from 0 to 1.
    """
    if not _Q.fullmatch(text):
        raise ValueError(f"not a qvalue: {text!r}")
    # RFC 3261 §25.1 allows at most three digits.
    fraction = text.partition(".")[2][:3].rstrip("0")
    return f"0.{fraction}" if fraction else text[0].replace(".", "0")


# token and host of RFC 3261 §25.1 need no quotes.
_UNQUOTED = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+|\[[0-9A-Fa-f:.]+\]")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def quoted(value: str) -> str:
    """Write the value of a header parameter, in quotes if necessary."""
    if _UNQUOTED.fullmatch(value) or _QUOTED.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def unquoted(value: str) -> str:
    """Remove quotes and escapes from the value of a parameter."""
    if not _QUOTED.fullmatch(value):
        return value
    return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)


# Checks of fields. Each raises TypeError, or ValueError for a number out of range.

_OPTIONAL_INT = frozenset({int, type(None)})
_OPTIONAL_STR = frozenset({str, type(None)})
_OPTIONAL_CLAIM = frozenset({ClaimElement, type(None)})


def _check_contact(contact: Contact) -> None:
    _check_text(contact, "id", "uri", "received", "user_agent")
    _check_type(contact, "event", contact.event, ContactEvent)
    for name in ("expires", "retry_after", "duration_registered", "cseq"):
        value = getattr(contact, name)
        if value is not None:
            _check_number(contact, name, value, None)
    for name in ("q", "callid", "display_name", "lang", "pub_gruu"):
        _check_type(contact, name, getattr(contact, name), str, optional=True)
    _check_type(contact, "claim", contact.claim, ClaimElement, optional=True)


def _check_params(contact: Contact) -> None:
    if type(contact.params) is not tuple:
        _refuse(contact, "params", "a tuple", contact.params)
    for item in contact.params:
        if (
            not isinstance(item, tuple)
            or len(item) != 2
            or not isinstance(item[0], str)
            or not (item[1] is None or isinstance(item[1], str))
        ):
            _refuse(contact, "params", "a tuple of a name and a value", item)


def _check_text(owner: msgspec.Struct, *names: str) -> None:
    for name in names:
        _check_type(owner, name, getattr(owner, name), str)


def _check_texts(owner: msgspec.Struct, name: str, values: object) -> None:
    if type(values) is not tuple:
        _refuse(owner, name, "a tuple", values)
    for value in values:
        if not isinstance(value, str):
            _refuse(owner, name, "a tuple of str", value)


def _check_items(
    owner: msgspec.Struct, name: str, values: object, kind: type[object]
) -> None:
    if type(values) is not tuple:
        _refuse(owner, name, "a tuple", values)
    for value in values:
        _check_type(owner, name, value, kind)


def _check_type(
    owner: msgspec.Struct,
    name: str,
    value: object,
    kind: type[object],
    optional: bool = False,
) -> None:
    if not isinstance(value, kind) and not (optional and value is None):
        wanted = f"{kind.__name__} or None" if optional else kind.__name__
        _refuse(owner, name, wanted, value)


def _check_number(
    owner: msgspec.Struct, name: str, value: object, maximum: int | None
) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        _refuse(owner, name, "int", value)
    if maximum is not None and not 0 <= value <= maximum:
        raise ValueError(f"{type(owner).__name__}.{name}: {value} is out of range")


def _refuse(owner: msgspec.Struct, name: str, wanted: str, value: object) -> NoReturn:
    where = f"{type(owner).__name__}.{name}"
    raise TypeError(f"{where}: {wanted} is needed, not {value!r:.80}")
