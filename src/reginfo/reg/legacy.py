"""
The compatibility profile: what Kamailio and OpenSIPS understand of a document.

Their ``reginfo_handle_notify`` skips contacts without ``expires``, knows five of
the nine events, and takes unknown parameters for a part of the URI.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable

import msgspec

from .document import Contact, ContactEvent, ContactState
from .xml import reginfo_body

MAX_DOCUMENT = 1300  # bytes: a longer one needs TCP (RFC 3261 §18.1.1)

DEFAULT_EXPIRES = 3600
"Seconds that an active contact is given that does not say for how long it is."


class Profile(enum.StrEnum):
    """How documents are written for a peer."""

    STANDARD = "standard"
    LEGACY = "legacy"
    IMS = "ims"


_LEGACY_PEER = re.compile(r"\b(?:kamailio|opensips)\b", re.IGNORECASE)


def profile_of(user_agent: str) -> Profile:
    """The profile for a peer whose User-Agent or Server is ``user_agent``."""
    return Profile.LEGACY if _LEGACY_PEER.search(user_agent) else Profile.STANDARD


_EVENTS = {
    ContactEvent.SHORTENED: ContactEvent.REFRESHED,
    ContactEvent.DEACTIVATED: ContactEvent.UNREGISTERED,
    ContactEvent.PROBATION: ContactEvent.UNREGISTERED,
    ContactEvent.REJECTED: ContactEvent.UNREGISTERED,
}
"What is said instead of an event that these servers skip, contact and all."


def adapt(contact: Contact) -> Contact:
    """``contact`` in words that a legacy peer knows; doing it twice is harmless."""
    event = _EVENTS.get(contact.event, contact.event)
    if event.state is ContactState.TERMINATED:
        # With seconds left, OpenSIPS keeps the contact, or even creates it.
        expires = 0
    elif contact.expires is None:
        expires = DEFAULT_EXPIRES
    else:
        expires = contact.expires
    claim = contact.claim
    return msgspec.structs.replace(
        contact,
        event=event,
        expires=expires,
        retry_after=None,
        # One without Call-ID ends OpenSIPS.
        callid=contact.callid or contact.id,
        cseq=contact.cseq or 0,
        params=(),
        pub_gruu=None,
        temp_gruu=None,
        path=contact.path if claim is None else claim.path,
        received=contact.received if claim is None else claim.received,
        user_agent=contact.user_agent if claim is None else claim.user_agent,
        claim=None,
    )


def publish_body(registrations: Iterable[bytes]) -> bytes:
    """
    A full document to publish to a legacy presence server.

    OpenSIPS writes the version that each watcher is at over the 13 bytes after
    ``version="``. Eleven zeros, the quote and a blank are what it may destroy.
    """
    body = reginfo_body(0, True, registrations)
    return body.replace(b' version="0" ', b' version="00000000000" ', 1)
