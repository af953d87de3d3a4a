"""
Writes the documents of a link, and names its SIP header fields.

Each contact is written as in RFC 3680, with the values of the claim that is in effect.
It contains one element of our namespace for each claim that is sent, complete in
itself; the records of a user and the range of changes follow (`docs/link.md`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import ceil
from typing import Final

from ..location.claim import Claim
from ..location.record import Record
from ..reg.document import (
    ContactEvent,
    ContactState,
    RegistrationState,
    contact_id,
    registration_id,
)
from ..reg.elements import NAMESPACE as REGINFO
from ..reg.writer import escape
from .cursor import Stretch

VERSION = "1"
"""The major version of the wire, as in `Reginfo-Link`."""

NAMESPACE = f"urn:x-reginfo:link:{VERSION}"


LINK, SINCE = "Reginfo-Link", "Reginfo-Since"
"""The header fields of a link: the version of the wire, and a cursor."""

MIN_RATE = "min-rate=0.1"
"""NOTIFYs a second, at least (RFC 6446 §5.3)."""

LONGEST = 48 * 1024
"""Octets of a document over a stream, at most."""

SHORTEST = 1200
"""Octets of a document over UDP; one of a single longer claim is longer."""

LONGEST_CLAIM = 8 * 1024
"""Characters of all texts of a claim, or of a record, together, at most."""

AROUND = 512
"""Octets of a document around its registrations, at most."""

CACHED = 65_536
"""Contacts whose id is kept, so that it is not computed at each refresh."""

LONGEST_CACHED = 256
"""Characters of what is kept for one of them, at most, so that memory is bounded."""

BOUND: Final = ContactState.ACTIVE

# A phone refreshes again and again.
_cached_id = lru_cache(CACHED)(contact_id)


def _contact_id(aor: str, key: str) -> str:
    if len(aor) + len(key) > LONGEST_CACHED:
        return contact_id(aor, key)
    return _cached_id(aor, key)


# The text that an attribute may contain unescaped: see reg/writer.py.
_PLAIN: Final = bytes(
    c if 0x20 <= c < 0x7F and c not in b'&<>"' else 0 for c in range(256)
)


def contact_and_claim(
    aor: str, claim: Claim, is_bound: bool, now: float, path: tuple[str, ...]
) -> str:
    """
    Write a contact without its end, and in it the claim that holds.

    The usual case, in one go: what :func:`contact_start` and :func:`claim_element`
    write.
    """
    uri, call_id, owner, agent = (
        claim.contact, claim.call_id, claim.owner, claim.user_agent,
    )  # fmt: skip
    event = claim.event
    left, since = claim.expires_at - now, now - claim.registered_at
    if (
        not is_bound
        or path
        or claim.params
        or claim.q is not None
        or claim.received
        or claim.display_name
        or claim.key != uri
        or event.state is not BOUND
        or left <= 0
        or since < 0
        or not is_plain(f"{uri}{call_id}{owner}{agent}")
    ):
        start = contact_start(aor, claim, is_bound, now)
        return start + claim_element(claim, now, path)
    # Written once, because a number costs as much as a text of ten times its length.
    cseq, stamp, begin = str(claim.cseq), claim.stamp, claim.begin
    text = (
        f'<contact id="{_contact_id(aor, uri)}" state="active" event="{event}"'
        f' callid="{call_id}" cseq="{cseq}" expires="{ceil(left - 1e-3)}">'
        f'<uri>{uri}</uri><l:claim uri="{uri}" callid="{call_id}" cseq="{cseq}"'
        f' stamp="{stamp}" event="{event}" owner="{owner}" until="{claim.until}"'
        f' left="{_milliseconds(left)}" since="{_milliseconds(since)}"'
        f' user-agent="{agent}"'
    )
    if begin != stamp:
        text += f' begin="{begin}"'
    if claim.edition != stamp:
        text += f' edition="{claim.edition}"'
    return text + "/>"


def _milliseconds(seconds: float) -> int:
    """Return seconds, none of them below 0, as a number of milliseconds."""
    return int(seconds * 1000 + 0.5)  # compiled, a fraction of what `round` costs


def is_plain(text: str) -> bool:
    """Whether a text needs no escaping in an attribute; most need none."""
    return 0 not in text.encode("utf-8", "surrogatepass").translate(_PLAIN)


def claim_element(claim: Claim, now: float, path: tuple[str, ...]) -> str:
    """
    Write a claim, complete in itself.

    Args:
        path: the route set to send to the other server: see `routing/learned.py`.
    """
    uri, key, call_id, owner = claim.contact, claim.key, claim.call_id, claim.owner
    q, received, agent = claim.q, claim.received, claim.user_agent
    name = claim.display_name
    probe = f"{uri}{key}{call_id}{owner}{q}{received}{agent}{name}"
    if not is_plain(probe):
        uri, key, call_id, owner = (
            escape(uri),
            escape(key),
            escape(call_id),
            escape(owner),
        )
        q, received = q and escape(q), escape(received)
        agent, name = escape(agent), escape(name)
    stamp, left = claim.stamp, claim.expires_at - now
    text = (
        f'<l:claim uri="{uri}" callid="{call_id}" cseq="{claim.cseq}" stamp="{stamp}"'
        f' event="{claim.event}" owner="{owner}" until="{claim.until}"'
    )
    if key != uri:
        text += f' key="{key}"'
    if claim.begin != stamp:
        text += f' begin="{claim.begin}"'
    if claim.edition != stamp:
        text += f' edition="{claim.edition}"'
    if claim.gone:
        text += ' gone="true"'
    elif left > 0:
        text += f' left="{_milliseconds(left)}"'
    since = now - claim.registered_at
    if since >= 0.001:
        text += f' since="{_milliseconds(since)}"'
    if q is not None:
        text += f' q="{q}"'
    if received:
        text += f' received="{received}"'
    if agent:
        text += f' user-agent="{agent}"'
    if name:
        text += f' display-name="{name}"'
    if claim.retry_after is not None:
        text += f' retry-after="{claim.retry_after}"'
    if not path and not claim.params:
        return text + "/>"
    inside = "".join([f"<l:path>{escape(one)}</l:path>" for one in path])
    for param, value in claim.params:
        inside += f'<l:param name="{escape(param)}"'
        inside += "/>" if value is None else f">{escape(value)}</l:param>"
    return f"{text}>{inside}</l:claim>"


def record_element(record: Record, now: float) -> str:
    """Write a record, complete in itself."""
    text = f'<l:record kind="{record.kind.value}"'
    if record.name:
        text += f' name="{escape(record.name)}"'
    if record.value is not None:
        text += f' value="{escape(record.value)}"'
    text += f' stamp="{record.stamp}" owner="{escape(record.owner)}"'
    if record.until:
        left = max(0, round((record.expires_at - now) * 1000))
        text += f' until="{record.until}" left="{left}"'
    return text + "/>"


def contact_start(aor: str, holds: Claim, is_bound: bool, now: float) -> str:
    """Write the contact of RFC 3680, up to where our elements begin."""
    event = holds.event
    if is_bound:
        state = "active"
        if not holds.active:
            event = ContactEvent.REGISTERED
    else:
        state = "terminated"
        if event.state == state:
            pass
        else:
            event = ContactEvent.EXPIRED
    uri, call_id = holds.contact, holds.call_id
    if not is_plain(f"{uri}{call_id}"):
        uri, call_id = escape(uri), escape(call_id)
    text = (
        f'<contact id="{_contact_id(aor, holds.key)}" state="{state}" event="{event}"'
        f' callid="{call_id}" cseq="{holds.cseq}"'
    )
    if is_bound:
        text += f' expires="{holds.expires(now)}"'
        if holds.q is not None:
            text += f' q="{escape(holds.q)}"'
    return f"{text}><uri>{uri}</uri>"


def registration_element(aor: str, state: RegistrationState, inside: str) -> str:
    """Write a registration around its contacts and records."""
    write = _cached_start if len(aor) <= LONGEST_CACHED else _registration_start
    return f'{write(aor)}{state}">{inside}</registration>'


def _registration_start(aor: str) -> str:
    """Write a registration as far as its state."""
    return f'<registration aor="{escape(aor)}" id="{registration_id(aor)}" state="'


_cached_start = lru_cache(CACHED)(_registration_start)


def cursor_element(said: Stretch) -> str:
    """Write which changes a document contains, and which server sends it."""
    text = f'<l:cursor epoch="{said.epoch}" from="{said.after}" to="{said.to}"'
    text += f' more="{"true" if said.more else "false"}"'
    if said.about:
        text += f' about="{said.about}"'
    if said.is_check:
        text += ' check="true"'
    if said.last > said.to:
        text += f' last="{said.last}"'
    if said.lag:
        text += f' lag="{said.lag}"'
    return (
        f'{text} server="{escape(said.server)}" time="{said.time}"'
        f' longest="{said.longest}"/>'
    )


def document(version: int, registrations: Iterable[str], said: Stretch) -> bytes:
    """Write a document; always a partial one, since an omission removes nothing."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<reginfo xmlns="{REGINFO}"'
        f' xmlns:l="{NAMESPACE}" version="{version}" state="partial">'
        f"{''.join(registrations)}{cursor_element(said)}</reginfo>"
    ).encode()
