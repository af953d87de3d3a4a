"""One page of many things, in an order, without keeping the server from its work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

SLICE = 5_000
"""Things looked at between two turns of the event loop: some milliseconds."""


class Picked(NamedTuple, Generic[T]):
    """What is in one page, in its order."""

    things: list[T]

    next: str | None
    "The key after which the next page begins; None if this is the last one."


async def pick(
    things: Sequence[T],
    key: Callable[[T], str],
    wanted: Callable[[T], bool],
    *,
    after: str,
    limit: int,
) -> Picked[T]:
    """
    The first ``limit`` of the things that are wanted, in the order of their keys.

    Args:
        key: of each thing its own.
        wanted: is asked of few things more than there are in the page.
        after: only keys that are greater.
    """
    found: list[tuple[str, T]] = []
    end = ""
    for start in range(0, len(things), SLICE):
        if start:
            # Others have their turn; and what they do meanwhile may be in this page
            # or not, as if they had done it after it.
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
    # It is asked of very many, and they are in canonical form: no need to parse them.
    _, at, place = aor.rpartition("@")
    if not at:
        _, _, place = aor.partition(":")
    return place == domain or place.startswith(f"{domain}:")


def text(value: str) -> str:
    """
    ``value`` as JSON can hold it.

    Octets of a message that are no UTF-8 are kept as surrogates, which it cannot.
    """
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
