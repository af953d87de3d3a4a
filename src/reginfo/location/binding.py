"""Bindings of an address-of-record, and changes to them (RFC 3261 §10)."""

from __future__ import annotations

import math

import msgspec

from ..reg.document import ContactEvent, ContactState

ACTIVE = ContactState.ACTIVE

KIND = "location"
"""The kind of a binding's rows in the journal."""


class Binding(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """
    What is claimed of one contact of an address-of-record.

    Either it is bound, until :attr:`expires_at`; or it is gone, and :attr:`event` says
    why. A claim that it is gone is kept for a while: it outlives older claims that
    arrive late.
    """

    contact: str
    "Where to reach the user: the URI as the UA wrote it."

    key: str
    "The same for all spellings of the contact: `Uri.key` of the first that was bound."

    call_id: str
    cseq: int
    "Call-ID and CSeq of the REGISTER that says so (§10.3 step 7)."

    event: ContactEvent
    "What last happened."

    expires_at: float
    "On the server's clock, in seconds. Headers and documents carry a duration."

    registered_at: float
    "The same clock: when the contact came to be bound."

    owner: str
    "Id of the server at which it was registered; travels with it."

    stamp: int
    """
    Position among all claims, of all servers: a hybrid logical clock in microseconds,
    set by the owner.
    """

    source: str | None = None
    "The subscription that told us; None if it happened here. Never told to a watcher."

    q: str | None = None
    "Preference, as in the Contact header, in its shortest form."

    params: tuple[tuple[str, str | None], ...] = ()
    "Contact header parameters but `q` and `expires`; values as written."

    display_name: str = ""

    path: tuple[str, ...] = ()
    "Route set to the UA, topmost first (RFC 3327)."

    received: str = ""
    "Where the REGISTER really came from, as a URI, if not from where Contact says."

    user_agent: str = ""

    retry_after: int | None = None
    "Seconds, with `probation` only."

    branch: int = 0
    "Hash of the topmost Via branch of the REGISTER, to know it when it comes again."

    listener: str = ""
    """
    The address of ours that the REGISTER came to, as ``udp:192.0.2.1:5060``; requests
    to the contact leave from there. Empty if it was learned from another server.
    """

    @property
    def active(self) -> bool:
        """Whether this says that the contact is bound; see also :meth:`expires`."""
        return self.event.state is ACTIVE

    def expires(self, now: float) -> int:
        """Seconds left, rounded up: never 0 while the binding lives."""
        # What a float adds to a sum must not become a second more than was granted.
        return max(0, math.ceil(self.expires_at - now - 1e-3))


class BindingChange(msgspec.Struct, frozen=True, gc=False):
    """One thing that happened to one contact."""

    table: str
    "The location table: `location`, unless an operator has several."

    aor: str

    binding: Binding
    "As it is from now on. Its event, owner, source and stamp are those of the change."

    sequence: int
    "One more than that of the change before it, in this store."

    more: bool = False
    "Whether another change follows that was made with this one, by one REGISTER, say."

    at: float = 0.0
    "When it happened, in seconds on the server's clock."

    is_published: bool = True
    "Whether presence servers are to hear of it; see `reginfo_disable_publish`."


def shifted(claim: Binding, by: float) -> Binding:
    """Return ``claim`` with ``by`` seconds added to its moments."""
    return msgspec.structs.replace(
        claim,
        expires_at=claim.expires_at + by,
        registered_at=claim.registered_at + by,
    )
