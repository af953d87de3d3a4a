"""What of a watch is kept on disk."""

from __future__ import annotations

from ..events.notify import ServedSubscription
from ..reg.legacy import Profile
from ..sip.value import Record


class WatchRow(Record, kw_only=True):
    """One subscription of a watcher, and how far it has been told."""

    id: str
    "Names it in the journal: Call-ID and local tag of its dialog."

    aor: str
    subscription: ServedSubscription
    min_interval: float
    "Least time between two NOTIFY about one registration, in seconds (§4.10)."

    version: int = 0
    "Of the next document: 0 in the first, one more in each (RFC 3680 §5.1)."

    profile: Profile = Profile.STANDARD

    peer: str | None = None
    "Which configured peer watches; never told what it owns, or what it told us."

    instance: str = ""
    "The `+sip.instance` of the watcher's Contact."

    settled: bool = True
    "Whether the watcher has confirmed all that there was to tell."
