"""The position of a link in the numbered changes of a server."""

from __future__ import annotations

import re

import msgspec

LAST = 2**63 - 1
"""The greatest number of a change that is accepted."""

NONE = "none"
"""The `Reginfo-Since` of a sink without a cursor."""

_SINCE = re.compile(r"([A-Za-z0-9_.~-]{1,64})/(0|[1-9][0-9]{0,18})")


class Cursor(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A position: everything up to change :attr:`number` of an epoch is known."""

    epoch: str
    "The random id of a run of the source (`epochs.py`)."

    number: int

    def __str__(self) -> str:
        """Return the value of `Reginfo-Since`."""
        return f"{self.epoch}/{self.number}"


def read_since(text: str | None) -> Cursor | None:
    """
    Parse `Reginfo-Since`: ``none`` or ``EPOCH/NUMBER``.

    Returns:
        None for ``none`` and for a malformed value: then everything is sent.
    """
    found = _SINCE.fullmatch(text or "")
    if found is None or int(found[2]) > LAST:
        return None
    return Cursor(found[1], int(found[2]))


class Stretch(msgspec.Struct, frozen=True, gc=False):
    """The changes that a document of a link covers: after one number, up to another."""

    epoch: str
    after: int
    to: int

    more: bool = False
    "Whether more documents follow at once."

    about: int = 0
    "The approximate total number of elements, during a transfer."

    is_check: bool = False
    "Whether it belongs to a verification: nothing is new unless there is drift."

    server: str = ""
    "The id of the sending server."

    time: int = 0
    "Its wall clock, in ms since the epoch."

    longest: int = 0
    "The longest interval that it knows a server to grant, in seconds."

    last: int = 0
    "The number of its last change; 0 if the document reaches up to there."

    lag: int = 0
    "Milliseconds since the oldest change before this document that is unconfirmed."


def advanced(
    known: Cursor | None, asked: Cursor | None, said: Stretch
) -> Cursor | None:
    """
    Return the cursor of a sink after a document; ``known`` if it does not move.

    It moves only if the document continues what is known, and never back: a document
    that overtook a lost one leaves a gap, which is sent again. It moves to another
    epoch only by a document that begins at 0, or at the cursor in the SUBSCRIBE.

    Args:
        asked: the cursor in the SUBSCRIBE.
    """
    if known is not None and known.epoch == said.epoch:
        if said.after <= known.number < said.to:
            return Cursor(said.epoch, said.to)
        return known
    begins = 0 if asked is None or asked != known else asked.number
    if said.after == 0 or said.after == begins:
        return Cursor(said.epoch, said.to)
    return known
