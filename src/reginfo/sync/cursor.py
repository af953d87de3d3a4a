"""How far a link has come: a place in the numbered changes of a server."""

from __future__ import annotations

import re

import msgspec

LAST = 2**63 - 1
"""The greatest number of a change that is believed."""

NONE = "none"
"""`Reginfo-Since` of a sink that has no cursor."""

_SINCE = re.compile(r"([A-Za-z0-9_.~-]{1,64})/(0|[1-9][0-9]{0,18})")


class Cursor(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Everything up to change :attr:`number` of an epoch is known."""

    epoch: str
    "The random id of a run of the source (`epochs.py`)."

    number: int

    def __str__(self) -> str:
        """As it stands in `Reginfo-Since`."""
        return f"{self.epoch}/{self.number}"


def read_since(text: str | None) -> Cursor | None:
    """
    Read `Reginfo-Since`: ``none`` or ``EPOCH/NUMBER``.

    Returns:
        None for ``none``, and for what is malformed: then everything is sent.
    """
    found = _SINCE.fullmatch(text or "")
    if found is None or int(found[2]) > LAST:
        return None
    return Cursor(found[1], int(found[2]))


class Stretch(msgspec.Struct, frozen=True, gc=False):
    """Which changes a document of a link has: those after one number, to another."""

    epoch: str
    after: int
    to: int

    more: bool = False
    "Whether others follow at once."

    about: int = 0
    "How many elements there are in all, about, while a transfer goes on."

    is_check: bool = False
    "Whether it is of a verification: it says nothing new, unless there is drift."

    server: str = ""
    "Id of the server that speaks."

    time: int = 0
    "What its calendar shows, in ms since the epoch."

    longest: int = 0
    "The longest time in seconds that it knows of to be granted."


def advanced(
    known: Cursor | None, asked: Cursor | None, said: Stretch
) -> Cursor | None:
    """
    Return the cursor of a sink that has taken in a document; ``known`` if it stays.

    It moves only where the document follows what is known, and never back: a document
    that has overtaken a lost one leaves a gap, which is sent again. Into another epoch
    it moves only by a document that begins at 0, or at the cursor that the SUBSCRIBE
    has given.

    Args:
        asked: the cursor that the SUBSCRIBE has given.
    """
    if known is not None and known.epoch == said.epoch:
        if said.after <= known.number < said.to:
            return Cursor(said.epoch, said.to)
        return known
    begins = 0 if asked is None or asked != known else asked.number
    if said.after == 0 or said.after == begins:
        return Cursor(said.epoch, said.to)
    return known
