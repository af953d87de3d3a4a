"""A claim: one server's statement about one contact of an address-of-record."""

from __future__ import annotations

import math

import msgspec

from ..reg.document import ContactEvent, ContactState
from ..reg.writer import escape
from .stamp import Stamp

ACTIVE = ContactState.ACTIVE

KIND = "location"
"""The kind of a claim's rows in the journal."""

MAX_SIZE = 8192
"""
The most octets of one contact in a document. A document of 48 KiB has room for six;
Contact and Path of a REGISTER can be 64 KiB.
"""

FIXED = 700
"""Octets that a contact takes beside its texts: names, numbers, markup."""

MARKUP = 40
"""Octets of markup around each parameter, and around each element of a path."""

WORST = 6
"""The most octets that one character takes in a document."""

Life = tuple[Stamp, str]
"""The stamp at which a binding began, and its Call-ID; see :attr:`Claim.life`."""


class Claim(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """
    One server's statement about one contact.

    Claims are never edited. All servers that have the same claims about a contact agree
    on its state, in whatever order the claims arrived (`lives.py`, `state.py`). The
    table and the address-of-record are not part of the claim.

    Some fields are local and are not sent: :attr:`expires_at` and
    :attr:`registered_at` are times on this server's clock; :attr:`source`,
    :attr:`listener`, :attr:`branch` and :attr:`number` say how the claim arrived here.
    """

    contact: str
    "The contact URI, as the user agent wrote it."

    key: str
    """
    Identifies the contact, whatever its spelling. The server that accepts the REGISTER
    creates it; it travels with the claim and is never computed again.
    """

    call_id: str
    cseq: int
    "Call-ID and CSeq of the REGISTER (RFC 3261 §10.3 step 7)."

    begin: Stamp
    "The stamp of the REGISTER or action that began the binding."

    stamp: Stamp
    "When the request of user agent or administrator was accepted, in µs."

    edition: Stamp
    """
    Orders statements about one REGISTER: equal to :attr:`stamp` at first, and later
    when a foreign peer lists it again, drops it, or changes its end.
    """

    gone: bool
    "Whether the contact is no longer bound; :attr:`event` has the reason."

    event: ContactEvent
    "The event of the contact."

    owner: str
    "The id of the server at which the contact was registered or removed."

    until: Stamp
    "Stamp plus granted interval, in µs: a label that never changes."

    expires_at: float
    "When the granted interval ends, in seconds on this server's clock."

    registered_at: float
    "When the contact was first bound, on the same clock."

    source: str | None = None
    "How it was learned, `PEER/…`; None if it was accepted here."

    q: str | None = None
    "Preference, as in the Contact header, in its shortest form."

    params: tuple[tuple[str, str | None], ...] = ()
    "Contact header parameters except `q` and `expires`; values as written."

    display_name: str = ""

    path: tuple[str, ...] = ()
    "Route set to the user agent, topmost first (RFC 3327)."

    received: str = ""
    "The source of the REGISTER as a URI, if it differs from the Contact."

    user_agent: str = ""

    retry_after: int | None = None
    "Seconds until the user agent may register again; with `probation` only."

    branch: int = 0
    "A hash of the topmost Via branch of the REGISTER, to recognise a retransmission."

    listener: str = ""
    """
    The listening address of the REGISTER, as ``udp:192.0.2.1:5060``; requests to the
    contact are sent from it. Empty if it was learned from another server.
    """

    number: int = 0
    "Its number in the index of changes of this server (`changes.py`)."

    def __repr__(self) -> str:
        """As a log names it, short: whose statement it is, and about what."""
        what = f"{self.contact} {self.event.value}"
        return f"<Claim {what}, CSeq {self.cseq} of {self.call_id}, by {self.owner}>"

    @property
    def life(self) -> Life:
        """The life: the binding from its first REGISTER to its end."""
        return self.begin, self.call_id

    @property
    def order(self) -> tuple[int, str, int, int, int, bool, str, int]:
        """The identity of the statement, equal on every server that has this claim."""
        return (
            self.begin, self.call_id, self.stamp, self.cseq, self.edition, self.gone,
            self.owner, self.until,
        )  # fmt: skip

    @property
    def active(self) -> bool:
        """Whether the event is one of an active contact."""
        return self.event.state is ACTIVE

    def is_over(self, now: float) -> bool:
        """Whether this claim does not bind the contact, or no longer does."""
        return self.gone or self.expires_at <= now

    def expires(self, now: float) -> int:
        """Return the seconds left, rounded up, so never 0 for a live binding."""
        left = math.ceil(self.expires_at - now - 1e-3)
        return left if left > 0 else 0


def is_too_large(claim: Claim, most: int = MAX_SIZE) -> bool:
    """Whether a contact takes more than ``most`` octets in a document."""
    if not claim.path and not claim.params:
        length = (
            len(claim.contact) + len(claim.key) + len(claim.call_id) + len(claim.owner)
            + len(claim.display_name) + len(claim.received) + len(claim.user_agent)
        )  # fmt: skip
        if FIXED + WORST * length <= most:
            return False  # the usual case
    texts = [
        claim.contact, claim.key, claim.call_id, claim.owner, claim.display_name,
        claim.received, claim.user_agent, *claim.path,
    ]  # fmt: skip
    for name, value in claim.params:
        texts += (name, value or "")
    text = "".join(texts)
    markup = FIXED + MARKUP * (len(claim.params) + len(claim.path))
    return markup + len(escape(text).encode("utf-8", "replace")) > most


def shifted(claim: Claim, by: float) -> Claim:
    """Return ``claim`` with ``by`` seconds added to its times."""
    return msgspec.structs.replace(
        claim,
        expires_at=claim.expires_at + by,
        registered_at=claim.registered_at + by,
    )


def stripped(claim: Claim) -> Claim:
    """
    Reduce ``claim`` to the fields that order it, for a contact that is no longer bound.

    A tombstone takes a few hundred octets on disk, whatever the size of the contact.
    """
    return msgspec.structs.replace(
        claim, q=None, params=(), display_name="", path=(), received="", user_agent=""
    )
