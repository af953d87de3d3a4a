"""Bindings, and their changes (RFC 3261 §10)."""

from __future__ import annotations

import msgspec

from .claim import Claim
from .place import Place

Binding = Claim
"""
The claim that binds a contact, or bound it until now.

Its event is the latest event of the contact here, which may differ from the event that
the claim was made with; its end may be earlier than that of the claim (`state.py`).
"""


class BindingChange(msgspec.Struct, frozen=True, gc=False):
    """One event of one contact."""

    place: Place
    "The user of the contact."

    binding: Binding
    "The binding after the change, with its event."

    sequence: int
    "The number of the change in this store; consecutive."

    more: bool = False
    "Whether another change of the same operation follows, such as of one REGISTER."

    at: float = 0.0
    "The time of the change, in seconds on the server's clock."

    is_published: bool = True
    "Whether to publish it; see `reginfo_disable_publish`."

    def __repr__(self) -> str:
        """As a log names it: ``<BindingChange 7: sip:a@example.com sip:… expired>``."""
        what = f"{self.binding.contact} {self.binding.event.value}"
        return f"<BindingChange {self.sequence}: {self.place} {what}>"
