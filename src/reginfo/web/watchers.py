"""Watchers as the API shows them: subscriptions that this server serves."""

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
    "Who watches: the URI in From."

    contact: str
    "Where NOTIFYs go."

    peer: str | None
    "The configured peer that this is; null if it is none."

    state: str
    "`active`; or `terminated`, while the last NOTIFY is on its way."

    reason: str | None
    "Why it is terminated (RFC 6665 §4.1.3); null while it is active."

    expires: int
    "Seconds left, unless it is refreshed."

    version: int
    "Of the next document (RFC 3680 §5.1)."

    id: str | None
    "The `id` of its Event (RFC 6665 §8.2.1); null if it has none."

    callid: str
    "Call-ID of its dialog, as in every message of it."

    unanswered: bool
    "Whether a NOTIFY is under way."

    waits: bool
    "Whether there is more to tell, when its time has come."

    min_interval: float
    "Least time between two NOTIFYs, in seconds (RFC 3680 §4.10)."

    profile: str
    "How documents are written for it: `standard`, `legacy` or `ims`."

    instance: str | None
    "The `+sip.instance` of the device, if it says so."


class WatcherPage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Some watchers."""

    watchers: list[WatcherItem]

    next: str | None = None
    "The ``after`` of the next page; not there if this is the last."


def key(watch: Watch) -> str:
    """Its place among all watchers: by address-of-record."""
    # Call-ID and tag: no two have both. Neither they nor the first may hold a blank.
    return text(f"{watch.row.aor} {watch.row.id.replace(chr(0), ' ')}")


def watcher(watch: Watch) -> str:
    """Who watches."""
    return text(cached_name_addr(watch.row.subscription.dialog.remote).uri)


def row(watch: Watch, now: float) -> WatcherItem:
    """A watcher, as it is shown."""
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
