"""What a script keeps in the record of an address-of-record, under a name."""

from __future__ import annotations

import msgspec


class Key(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """
    The value of one key, as somebody has set it.

    Of two, the later holds, by (stamp, owner): all servers come to the same.
    """

    value: str | None
    "None: it was removed; that is kept, for it outlives older values on their way."

    stamp: int
    "Position among all settings, of all servers, as of a binding."

    owner: str
    "Id of the server at which it was set."

    source: str | None = None
    "The subscription that told us; None if it was set here."

    def outlives(self, other: Key) -> bool:
        """Whether this replaces ``other``."""
        return (self.stamp, self.owner) > (other.stamp, other.owner)
