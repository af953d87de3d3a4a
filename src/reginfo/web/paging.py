"""Selects one page of a long list, in slices, so that SIP is not delayed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

SLICE = 5_000
"""Items that are examined between two turns of the event loop: some milliseconds."""


class Picked(NamedTuple, Generic[T]):
    """The items of one page, in order."""

    things: list[T]

    next: str | None
    "The key after which the next page begins; None for the last page."


async def pick(
    things: Sequence[T],
    key: Callable[[T], str],
    wanted: Callable[[T], bool],
    *,
    after: str,
    limit: int,
) -> Picked[T]:
    """
    Select the first ``limit`` wanted things, in the order of their keys.

    Args:
        key: returns the unique key of a thing.
        wanted: whether a thing is listed; called for few things beyond the page.
        after: selects only things with a greater key.
    """
    found: list[tuple[str, T]] = []
    end = ""
    for start in range(0, len(things), SLICE):
        if start:
            # Give SIP a turn. Changes made meanwhile may or may not be in this page.
            await asyncio.sleep(0)
        found += [
            (name, thing)
            for thing in things[start : start + SLICE]
            if (name := key(thing)) > after
            and (not end or name < end)
            and wanted(thing)
        ]
        found.sort(key=lambda item: item[0])
        del found[limit + 1 :]
        if len(found) > limit:
            end = found[limit][0]
    things = [thing for _, thing in found[:limit]]
    return Picked(things, found[limit - 1][0] if len(found) > limit else None)


def in_domain(aor: str, domain: str) -> bool:
    """Whether an address-of-record is in ``domain``, which is in lower case."""
    # Called very often, with canonical addresses: there is no need to parse them.
    _, at, place = aor.rpartition("@")
    if not at:
        _, _, place = aor.partition(":")
    return place == domain or place.startswith(f"{domain}:")


def text(value: str) -> str:
    """
    Replace what JSON cannot represent.

    Bytes of a message that are not UTF-8 are kept as surrogates, which JSON forbids.
    """
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
