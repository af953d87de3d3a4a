"""Users that are rejected or on probation, as the API shows them."""

from __future__ import annotations

import math

from msgspec import Struct

from ..location.record import Record
from ..location.stamp import wall_at
from .paging import text


class BarredItem(Struct, frozen=True, kw_only=True):
    """One user that is kept from registering, as the API shows it."""

    aor: str

    event: str
    "`rejected` or `probation`."

    retry_after: int | None
    "Seconds until a probation is over; null with `rejected`, which has no end."

    owner: str
    "Id of the server at which the administrator did it."

    since: float
    "When, in seconds since the epoch, by the clock of that server."


class BarredPage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Some users that are barred."""

    barred: list[BarredItem]

    next: str | None = None
    "The ``after`` of the next page; not there if this is the last."


def row(aor: str, record: Record, now: float) -> BarredItem:
    """A user that is barred by ``record``, as it is shown."""
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
