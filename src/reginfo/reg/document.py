"""The registration information document (RFC 3680 §5), as plain values."""

from __future__ import annotations

import enum
import hashlib
import re
from typing import NamedTuple

import msgspec


class RegistrationState(enum.StrEnum):
    """Whether an address-of-record has contacts (§4.7.1, figure 1)."""

    INIT = "init"
    ACTIVE = "active"
    TERMINATED = "terminated"


class ContactState(enum.StrEnum):
    """Whether a contact is bound (§4.7.1, figure 2)."""

    ACTIVE = "active"
    TERMINATED = "terminated"


_ACTIVE = frozenset({"registered", "refreshed", "created", "shortened"})


class ContactEvent(enum.StrEnum):
    """What last happened to a contact (§4.7.1, figure 2)."""

    # The user agent did it, by a REGISTER or by the want of one.
    REGISTERED = "registered"
    REFRESHED = "refreshed"
    UNREGISTERED = "unregistered"
    EXPIRED = "expired"

    # The administrator did it, and wants the user agent ...
    CREATED = "created"
    SHORTENED = "shortened"  # ... to refresh soon
    DEACTIVATED = "deactivated"  # ... to register again at once
    PROBATION = "probation"  # ... to register again after `retry-after`
    REJECTED = "rejected"  # ... to stay away

    state: ContactState
    "The state of a contact to which this has just happened."

    def __init__(self, value: str) -> None:
        # Set once: it is asked for with each contact of each document, and a
        # property would cost a call.
        self.state = (
            ContactState.ACTIVE if value in _ACTIVE else ContactState.TERMINATED
        )


class TempGruu(NamedTuple):
    """The latest temporary GRUU of a contact (RFC 5628 §5)."""

    uri: str

    first_cseq: int
    "CSeq of the REGISTER that made the oldest temporary GRUU that is still valid."


class Claim(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    What one server tells another about a contact, beyond RFC 3680.

    Our own extension: with it, servers that learn from each other agree on who
    answers for a contact and which of two reports is the newer.
    """

    owner: str
    "Id of the server at which the contact was registered."

    stamp: int
    "Position of the report in the order of all reports; 0 <= stamp < 2**62."

    path: tuple[str, ...] = ()
    "Route set to the contact, topmost first, as in a Path header (RFC 3327)."

    received: str = ""
    "Where the REGISTER came from, if not from where its Contact says."

    user_agent: str = ""

    omitted_by: str = ""
    "Whose list no longer has the contact, if that is all that is known of its end."


class Contact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One ``<contact>`` element."""

    id: str
    "Names this contact in every document of a subscription, for all its life."

    uri: str

    event: ContactEvent

    expires: int | None = None
    "Seconds from the moment the document was made until the contact expires."

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
    Contact header parameters that RFC 3261 does not define: names in lower
    case, values as in a Contact header, quotes and all; None without a value.
    Compare values with :func:`unquoted`.
    """

    pub_gruu: str | None = None
    temp_gruu: TempGruu | None = None

    path: tuple[str, ...] = ()
    received: str = ""
    user_agent: str = ""
    """
    Of the claim if there is one, else of the attributes that Kamailio and
    OpenSIPS add. They are written so only for these, being against the schema.
    """

    claim: Claim | None = None

    @property
    def state(self) -> ContactState:
        # Not a field: a contact whose event and state disagree cannot be built.
        # The reader refuses one that was sent (xml.py).
        return self.event.state


class RecordKey(NamedTuple):
    """
    What a server keeps in a user's record, as it tells another; an extension of ours.

    Of two by one name the later holds, by (stamp, owner).
    """

    name: str

    value: str | None
    "None: it was removed."

    owner: str
    "Id of the server at which that was done."

    stamp: int
    "Position in the order of all reports; 0 <= stamp < 2**62."


class Registration(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One ``<registration>`` element: an address-of-record and its contacts."""

    aor: str
    id: str
    state: RegistrationState
    contacts: tuple[Contact, ...] = ()
    keys: tuple[RecordKey, ...] = ()


class Reginfo(msgspec.Struct, frozen=True, kw_only=True, gc=False, eq=False):
    """A whole document: the body of one NOTIFY, or of one PUBLISH."""

    version: int
    "0 in the first document of a subscription, one more in each that follows."

    full: bool
    "Whether contacts that are not listed are gone, rather than unchanged."

    registrations: tuple[Registration, ...] = ()

    warnings: tuple[str, ...] = ()
    "What the reader put up with. How a document was written is not what it says."

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reginfo):
            return NotImplemented
        return (
            self.version == other.version
            and self.full == other.full
            and self.registrations == other.registrations
        )

    def __ne__(self, other: object) -> bool:
        return not self == other  # Struct has one of its own, with all fields

    def __hash__(self) -> int:
        return hash((self.version, self.full, self.registrations))


def registration_id(aor: str) -> str:
    """
    The id of the registration of ``aor``, which is in canonical form.

    A hash: nothing to store, the same on every server and after a restart, and
    different for two addresses-of-record, as RFC 3680 §5.1 asks.
    """
    return _hash(aor)


def contact_id(aor: str, key: str) -> str:
    """
    The id of the contact ``key`` in the registration of ``aor``.

    Of both, because the id of a contact "MUST be unique amongst all other id
    attributes present in other contact elements conveyed to the subscriber"
    (ibid.), and a user's identities have the same contacts.
    """
    return _hash(f"{aor}\0{key}")


def _hash(text: str) -> str:
    # Any text will do, even one that was not UTF-8 when it came.
    data = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2s(data, digest_size=8).hexdigest()


_Q = re.compile(r"0?\.[0-9]+|0\.?|1(?:\.0*)?")


def shortest_q(text: str) -> str:
    """
    A qvalue in its shortest form: ``0.500`` is ``0.5``.

    Raises:
        ValueError: it is not a number from 0 to 1.
    """
    if not _Q.fullmatch(text):
        raise ValueError(f"not a qvalue: {text!r}")
    # RFC 3261 §25.1 has three digits at most.
    fraction = text.partition(".")[2][:3].rstrip("0")
    return f"0.{fraction}" if fraction else text[0].replace(".", "0")


# token and host of RFC 3261 §25.1, which need no quotes.
_UNQUOTED = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+|\[[0-9A-Fa-f:.]+\]")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def quoted(value: str) -> str:
    """The value of a parameter as a header has it: in quotes if it needs them."""
    if _UNQUOTED.fullmatch(value) or _QUOTED.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def unquoted(value: str) -> str:
    """What a parameter's value means, quotes and escapes taken off."""
    if not _QUOTED.fullmatch(value):
        return value
    return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
