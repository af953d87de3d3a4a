"""
What nobody tells of any more is gone, until it is told of again.

That a contact is no longer listed is neither the user agent's wish nor its owner's
word. So it is a claim of a Call-ID of its own: it holds against what was told before,
and what is told later holds against it, though it be of the same REGISTER.
"""

from __future__ import annotations

_MARK = ";omitted-by="


def omitted(call_id: str, by: str) -> str:
    """The Call-ID of the claim that ``by`` no longer lists what ``call_id`` bound."""
    return f"{split(call_id)[0]}{_MARK}{by}"


def split(call_id: str) -> tuple[str, str]:
    """The Call-ID of the REGISTER that a claim goes back to, and who omits it."""
    register, _, by = call_id.partition(_MARK)
    return register, by
