"""What of a watch is stored."""

from __future__ import annotations

from ..events.notify import ServedSubscription
from ..location.place import Aor
from ..reg.legacy import Profile
from ..sip.value import MutableValue


class WatchRow(MutableValue, kw_only=True):
    """One subscription that we serve, and how far its watcher has been notified."""

    id: str
    "Names it in the journal: Call-ID and local tag of its dialog."

    aor: Aor
    subscription: ServedSubscription
    min_interval: float
    "Least time between two NOTIFY about one registration, in seconds (§4.10)."

    version: int = 0
    "Of the next document: 0 in the first, one more in each (RFC 3680 §5.1)."

    profile: Profile = Profile.STANDARD

    peer: str | None = None
    "The configured peer that watches. It is not notified of what it owns or told us."

    instance: str = ""
    "The `+sip.instance` of the watcher's Contact."

    settled: bool = True
    "Whether the watcher has confirmed all NOTIFYs, and nothing waits."


def is_of_our_kind(row: WatchRow) -> bool:
    """Whether a watcher keeps the same records as we do, and expands identities."""
    return row.peer is not None and row.profile is Profile.STANDARD


def shifted_row(row: WatchRow, by: float) -> WatchRow:
    """Return ``row`` with ``by`` seconds added to its moments."""
    row.subscription.expires_at += by
    return row
