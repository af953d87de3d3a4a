"""What a contact is bound by, and changes of that (RFC 3261 §10)."""

from __future__ import annotations

import msgspec

from .claim import Claim
from .place import Place

Binding = Claim
"""
A claim by which a contact is bound, or was until now.

Its event is what has happened to the contact here, which need not be the event that the
claim was made with; and its end may have been brought forward (`state.py`).
"""


class BindingChange(msgspec.Struct, frozen=True, gc=False):
    """One thing that happened to one contact."""

    place: Place
    "Whose contact it is."

    binding: Binding
    "As it is from now on, with the event that has happened."

    sequence: int
    "One more than that of the change before it, in this store."

    more: bool = False
    "Whether another change follows that was made with this one, by one REGISTER, say."

    at: float = 0.0
    "When it happened, in seconds on the server's clock."

    is_published: bool = True
    "Whether presence servers are to hear of it; see `reginfo_disable_publish`."
