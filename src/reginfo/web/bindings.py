"""Bindings, as the API and `reginfo show` show them."""

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
    "How it was learned, as in `Binding.source`; null if it was registered here."

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
    "The source address of the REGISTER, if it differs from that of ``uri``."

    event: str
    "Its latest event (RFC 3680 §4.7.1)."


class BindingPage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The bindings of some addresses-of-record."""

    bindings: list[BindingItem]

    next: str | None = None
    "The ``after`` of the next page; absent in the last one."


def row(aor: str, binding: Binding, now: float) -> BindingItem:
    """Convert a binding to what the API shows."""
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
    """Whether a binding was learned from ``source``: a source, or a peer's name."""
    mine = binding.source
    return mine is not None and source in (mine, mine.partition("/")[0])
