"""Bindings as the API shows them: the same for programs and for people."""

from __future__ import annotations

from msgspec import Struct

from ..location.binding import Binding
from .paging import text


class BindingItem(Struct, frozen=True, kw_only=True):
    """One binding, as the API shows it."""

    aor: str

    uri: str
    "The contact, as the user agent wrote it."

    owner: str
    "Id of the server at which it was registered."

    source: str | None
    "By whom and by which way we know, as `Binding.source`; null if it happened here."

    expires: int
    "Seconds left."

    callid: str
    cseq: int

    q: float | None
    "Preference, from 0 to 1; null if the user agent gave none."

    params: dict[str, str | None]
    "Parameters of the Contact header field, as written; null for one without a value."

    path: list[str]
    "Route set to the user agent, topmost first (RFC 3327)."

    received: str | None
    "Where the REGISTER came from, if that is not where ``uri`` points."

    event: str
    "What last happened to it (RFC 3680 §4.7.1)."


class BindingPage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The bindings of some addresses-of-record."""

    bindings: list[BindingItem]

    next: str | None = None
    "The ``after`` of the next page; not there if this is the last."


def row(aor: str, binding: Binding, now: float) -> BindingItem:
    """A binding, as it is shown."""
    return BindingItem(
        aor=text(aor),
        uri=text(binding.contact),
        owner=binding.owner,
        source=binding.source,
        expires=binding.expires(now),
        callid=text(binding.call_id),
        cseq=binding.cseq,
        q=None if binding.q is None else float(binding.q),
        params={
            text(name): None if value is None else text(value)
            for name, value in binding.params
        },
        path=[text(route) for route in binding.path],
        received=text(binding.received) or None,
        event=binding.event.value,
    )


def told_by(binding: Binding, source: str) -> bool:
    """Whether ``source``, one way or all those of a peer, has told us."""
    mine = binding.source
    return mine is not None and source in (mine, mine.partition("/")[0])
