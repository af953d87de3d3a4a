"""Links as an administrator sees them: in the API, and in `reginfo show --peers`."""

from __future__ import annotations

from msgspec import Struct

from ..events.states import SubscriberState
from ..sip.text import printable
from .held_link import HeldLink
from .served_link import ServedLink


class LinkItem(Struct, frozen=True, kw_only=True):
    """One link, seen from one of its two ends."""

    peer: str
    group: str
    "The URI of the group."

    role: str
    "`sink`: this server is told; `source`: this server tells."

    state: str
    """
    `in sync`; `syncing 41 200 of about 100 000`; of a sink `asking` and `lost since 12
    s`, of a source `suspect since 12 s`: it sends nothing until it is asked anew.
    """

    lag: float | None
    """
    Seconds since the oldest change that is not told; null for none. Of a lost sink: the
    seconds since it last heard of the source.
    """

    behind: int | None
    """
    Changes that are not told yet, at most; at a sink, as of the last document. Null
    while that is not known.
    """

    cursor: str | None
    "How far it is told, `EPOCH/NUMBER`; null for nothing."

    window: str | None
    "Documents under way, and how many may be; null at a sink."

    refused: int
    "Elements that were left out because they were wrong."

    drift: int
    "Contacts and records that verifications have repaired."

    problem: str | None
    "What was wrong at last; null if nothing was."


def held_item(link: HeldLink, now: float) -> LinkItem:
    """Describe a link that this server holds."""
    if link.lost_since is not None:
        state = f"lost since {now - link.lost_since:.0f} s"
    elif link.is_told:
        state = "in sync"
    elif link.subscription.state is SubscriberState.ACTIVE:
        state = _syncing(link.elements, link.about)
    else:
        state = "asking"
    is_apart = link.lost_since is not None or link.cursor is None
    reached = 0 if link.cursor is None else link.cursor.number
    return LinkItem(
        peer=link.peer,
        group=link.uri,
        role="sink",
        state=state,
        lag=_sink_lag(link, now),
        behind=None if is_apart else max(0, link.last - reached),
        cursor=None if link.cursor is None else str(link.cursor),
        window=None,
        refused=link.refused,
        drift=link.drift,
        problem=printable(link.problem) or None,
    )


def served_item(link: ServedLink, last: int, now: float) -> LinkItem:
    """
    Describe a link that this server serves.

    Args:
        last: the number of the last change.
    """
    feed = link.feed
    behind_since = feed.behind_since
    behind = max(0, last - max(feed.told, feed.seen if not feed.under_way else 0))
    if feed.suspect_since is not None:
        state = f"suspect since {now - feed.suspect_since:.0f} s"
    elif feed.is_syncing:
        state = _syncing(feed.count, feed.about)
    else:
        state = "in sync"
    return LinkItem(
        peer=printable(link.name),
        group=link.group.uri,
        role="source",
        state=state,
        lag=None if behind_since is None else round(now - behind_since, 3),
        behind=behind,
        cursor=f"{link.epoch}/{feed.told}",
        window=f"{feed.under_way} of {feed.window}",
        refused=0,
        drift=0,
        problem=printable(link.problem) or None,
    )


def _sink_lag(link: HeldLink, now: float) -> float | None:
    if link.lost_since is not None:
        return round(now - link.heard_at, 3)
    if link.cursor is None or link.cursor.number >= link.last:
        return None
    return round(link.lag + now - link.heard_at, 3)


def _syncing(count: int, about: int) -> str:
    return f"syncing {count:,} of about {max(count, about):,}".replace(",", " ")
