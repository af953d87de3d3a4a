"""What the values of the hot path are made of."""

from __future__ import annotations

import msgspec


class Value(msgspec.Struct, frozen=True, gc=False):
    """
    A value: made once, compared by what is in it, outside the garbage collector.

    A subclass takes this over without saying so. It must not hold what could hold it.
    """


class Record(msgspec.Struct, gc=False):
    """The same, of something that changes."""
