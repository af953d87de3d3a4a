"""Publications as an administrator sees them, by presence server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

from ..sip.text import printable
from .published import PresenceServer, PublishedState


class PublicationItem(Struct, frozen=True, kw_only=True):
    """The publications at one presence server, as the API shows them."""

    server: str
    "The URI of the presence server."

    state: str
    """
    `in sync`; `publishing 12 of 100`; `failing since 12 s`; `refused`: it has refused
    all publications; `unknown`: the name of the server was not found.
    """

    publications: int

    waiting: int
    "Publications with a change that is not confirmed yet."

    problem: str | None
    "The latest failure; null if a PUBLISH has succeeded since."


def items(
    servers: Iterable[PresenceServer], published: Iterable[PublishedState], now: float
) -> list[PublicationItem]:
    """Describe the publications at each presence server."""
    count: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    for one in published:
        uri, publication = one.target.uri, one.publication
        count[uri] += 1
        waiting[uri] += publication.dirty or publication.operation is not None
    return [_item(one, count[one.uri], waiting[one.uri], now) for one in servers]


def _item(
    server: PresenceServer, count: int, waiting: int, now: float
) -> PublicationItem:
    if server.flow is None:
        state = "unknown"
    elif server.refused:
        state = "refused"
    elif server.failing_since is not None:
        state = f"failing since {now - server.failing_since:.0f} s"
    elif waiting:
        state = f"publishing {waiting} of {count}"
    else:
        state = "in sync"
    return PublicationItem(
        server=printable(server.uri),
        state=state,
        publications=count,
        waiting=waiting,
        problem=printable(server.problem) or None,
    )
