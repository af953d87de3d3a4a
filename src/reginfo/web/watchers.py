"""Watchers, as the API shows them: the subscriptions that this server serves."""

from __future__ import annotations

from msgspec import Struct

from ..events.headers import EventHeader
from ..roles.watch import Watch
from ..sip.headers import cached_name_addr
from .paging import text


class WatcherItem(Struct, frozen=True, kw_only=True):
    """One subscription, as the API shows it."""

    aor: str
    "The address-of-record that is watched."

    watcher: str
    "The URI in From."

    contact: str
    "The remote target: the URI that NOTIFYs are sent to."

    peer: str | None
    "The name of the configured peer; null if the watcher is not a peer."

    state: str
    "`active`; or `terminated`, while the last NOTIFY is unanswered."

    reason: str | None
    "Why it is terminated (RFC 6665 §4.1.3); null while it is active."

    expires: int
    "Seconds left, unless it is refreshed."

    version: int
    "The version of the next document (RFC 3680 §5.1)."

    id: str | None
    "The `id` parameter of Event (RFC 6665 §8.2.1); null if there is none."

    callid: str
    "The Call-ID of the dialog."

    unanswered: bool
    "Whether a NOTIFY has been sent, and not been answered yet."

    waits: bool
    "Whether a change waits for that answer, or for `min_interval`."

    min_interval: float
    "The minimum time between two NOTIFYs, in seconds (RFC 3680 §4.10)."

    profile: str
    "The dialect of its documents: `standard`, `legacy` or `ims`."

    instance: str | None
    "The `+sip.instance` of the device; null if it has none."


class WatcherPage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of watchers."""

    watchers: list[WatcherItem]

    next: str | None = None
    "The ``after`` of the next page; absent in the last one."


def key(watch: Watch) -> str:
    """Return the sort key of a watch: address-of-record, Call-ID and tag."""
    # Call-ID and tag together are unique. None of the three can contain a blank.
    return text(f"{watch.row.aor} {watch.row.id.replace(chr(0), ' ')}")


def watcher(watch: Watch) -> str:
    """Return the URI of a watcher."""
    return text(cached_name_addr(watch.row.subscription.dialog.remote).uri)


def row(watch: Watch, now: float) -> WatcherItem:
    """Convert a watch to what the API shows."""
    subscription = watch.row.subscription
    dialog = subscription.dialog
    event_id = EventHeader.parse(subscription.event).id
    return WatcherItem(
        aor=text(watch.row.aor),
        watcher=watcher(watch),
        contact=text(dialog.target),
        peer=watch.row.peer,
        state="active" if subscription.reason is None else "terminated",
        reason=subscription.reason,
        expires=subscription.expires(now),
        version=watch.row.version,
        id=None if event_id is None else text(event_id),
        callid=text(dialog.call_id),
        unanswered=watch.unanswered,
        waits=watch.waits,
        min_interval=watch.row.min_interval,
        profile=watch.row.profile.value,
        instance=text(watch.row.instance) or None,
    )
