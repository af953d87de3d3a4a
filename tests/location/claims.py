"""Claims for tests: everything has a default, and what matters is named."""

from __future__ import annotations

from typing import Any

from reginfo.location.claim import Claim
from reginfo.reg.document import ContactEvent

CONTACT = "sip:alice@192.0.2.50"


def claim(**fields: Any) -> Claim:
    """A claim; ``begin`` and ``edition`` are its stamp unless given."""
    stamp = fields.setdefault("stamp", 1_000)
    gone = fields.setdefault("gone", False)
    event = ContactEvent.UNREGISTERED if gone else ContactEvent.REGISTERED
    defaults: dict[str, Any] = {
        "contact": CONTACT,
        "key": CONTACT,
        "call_id": "a",
        "cseq": 1,
        "begin": stamp,
        "edition": stamp,
        "event": event,
        "owner": "a",
        "until": stamp + 600_000_000,
        "expires_at": 600.0,
        "registered_at": 0.0,
    }
    return Claim(**(defaults | fields))
