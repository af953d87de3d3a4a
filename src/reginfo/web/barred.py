"""Users that are rejected or on probation, as the API shows them."""

from __future__ import annotations

import math

from msgspec import Struct

from ..location.record import Record
from ..location.stamp import wall_at
from .paging import text


class BarredItem(Struct, frozen=True, kw_only=True):
    """One user that may not register, as the API shows it."""

    aor: str

    event: str
    "`rejected` or `probation`."

    retry_after: int | None
    "Seconds until a probation is over; null with `rejected`, which has no end."

    owner: str
    "The id of the server at which the administrator did it."

    since: float
    "The time, in seconds since the epoch, on the clock of that server."


class BarredPage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of barred users."""

    barred: list[BarredItem]

    next: str | None = None
    "The ``after`` of the next page; absent in the last one."


def row(aor: str, record: Record, now: float) -> BarredItem:
    """Convert a user that is barred by ``record`` to what the API shows."""
    left = None
    if record.until:
        left = max(0, math.ceil(record.expires_at - now))
    return BarredItem(
        aor=text(aor),
        event=record.kind.value,
        retry_after=left,
        owner=record.owner,
        since=wall_at(record.stamp),
    )
