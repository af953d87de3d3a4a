"""Bindings as the API shows them: the same for programs and for people."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from msgspec import Struct

from ..location.binding import Binding


class Row(Struct, frozen=True, kw_only=True):
    """One binding, as the API shows it."""

    aor: str

    uri: str
    "The contact, as the user agent wrote it."

    owner: str
    "Id of the server at which it was registered."

    source: str | None
    "The subscription that told us; null if it was registered here."

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


class Page(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The bindings of some addresses-of-record."""

    bindings: list[Row]

    next: str | None = None
    "The ``after`` of the next page; not there if this is the last."


def page(found: Iterable[tuple[str, Binding]], limit: int, now: float) -> Page:
    """The first ``limit`` addresses-of-record of what was found, whole."""
    groups = itertools.groupby(found, key=lambda item: item[0])
    rows: list[Row] = []
    last = ""
    for number, (aor, group) in enumerate(groups):
        if number == limit:
            return Page(bindings=rows, next=_text(last))
        rows += [_row(aor, binding, now) for _, binding in group]
        last = aor
    return Page(bindings=rows)


def _row(aor: str, binding: Binding, now: float) -> Row:
    return Row(
        aor=_text(aor),
        uri=_text(binding.contact),
        owner=binding.owner,
        source=binding.source,
        expires=binding.expires(now),
        callid=_text(binding.call_id),
        cseq=binding.cseq,
        q=None if binding.q is None else float(binding.q),
        params={
            _text(name): None if value is None else _text(value)
            for name, value in binding.params
        },
        path=[_text(route) for route in binding.path],
        received=_text(binding.received) or None,
        event=binding.event.value,
    )


def _text(text: str) -> str:
    # Octets of a message that are no UTF-8 are kept as surrogates, which no JSON
    # can hold.
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
