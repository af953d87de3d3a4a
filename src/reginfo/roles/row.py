"""The stored form of a watch."""

from __future__ import annotations

from ..events.notify import ServedSubscription
from ..location.place import Aor
from ..reg.legacy import Profile
from ..sip.value import MutableValue


class WatchRow(MutableValue, kw_only=True):
    """One subscription that we serve, and what its watcher has been sent."""

    id: str
    "Its key in the journal: Call-ID and local tag of its dialog."

    aor: Aor
    subscription: ServedSubscription
    min_interval: float
    "The minimum time between two NOTIFYs about one registration, in seconds (§4.10)."

    version: int = 0
    "The version of the next document; 0 for the first (RFC 3680 §5.1)."

    profile: Profile = Profile.STANDARD

    peer: str | None = None
    """
    The name of the watching peer, which is not sent contacts that it owns or reported.
    """

    instance: str = ""
    "The `+sip.instance` in the watcher's Contact."

    neutral: bool = False
    """
    Whether the watcher may not watch, and is not to know that: its documents are those
    of an address-of-record without contacts (RFC 6665 §6.2).
    """

    settled: bool = True
    "Whether the watcher has answered all NOTIFYs, and no change waits."


def is_of_our_kind(row: WatchRow) -> bool:
    """Whether a watcher is a `reginfo` server, which keeps records and identities."""
    return row.peer is not None and row.profile is Profile.STANDARD


def shifted_row(row: WatchRow, by: float) -> WatchRow:
    """Return ``row`` with ``by`` seconds added to its times."""
    row.subscription.expires_at += by
    return row
