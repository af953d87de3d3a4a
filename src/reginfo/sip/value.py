"""Base classes of the values on the hot path."""

from __future__ import annotations

import msgspec


class Value(msgspec.Struct, frozen=True, gc=False):
    """
    A value: immutable, compared by its fields, and not tracked by the garbage
    collector.

    Subclasses inherit these options. A value must not be part of a reference cycle.
    """


class MutableValue(msgspec.Struct, gc=False):
    """Like :class:`Value`, but its fields can be assigned."""
