"""Reads one ``<contact>`` of a document (RFC 3680 §5.1)."""

from __future__ import annotations

import re
from typing import Any

from .contact import (
    MAX_STAMP,
    MAX_UNSIGNED_LONG,
    ClaimElement,
    Contact,
    ContactEvent,
    ContactState,
    TempGruu,
    quoted,
    shortest_q,
)
from .elements import CHILDREN, Elements
from .markup import BLANKS, CONTROLS, number, one_line

_RARE = frozenset(
    ["duration-registered", "path", "q", "received", "retry-after", "user_agent"]
)
"""Attributes that most peers do not send."""

_ATTRIBUTES = frozenset({"expires", "q"})
"""The Contact parameters that RFC 3261 defines, which are not unknown-params."""

_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
_PATH_VALUE = re.compile(r"(?:<[^<>]*>|[^,<]+)+")


_LANG = "http://www.w3.org/XML/1998/namespace lang"

_EVENTS = {str(event): event for event in ContactEvent}
_STATED: dict[tuple[str | None, str | None], ContactEvent] = {
    (str(event), str(event.state)): event for event in ContactEvent
}

_SHORTENED, _PROBATION = ContactEvent.SHORTENED, ContactEvent.PROBATION

_NONE: dict[str, Any] = {}


class _Fault(Exception):
    """A contact is invalid, and is left out."""


def read_contact(
    elements: Elements, attributes: dict[str, str], at: int
) -> Contact | None:
    """
    Read a contact to its end; return None if it is left out.

    Args:
        at: the offset of the contact.
    """
    uri: str | None = None
    fault = ""
    others: dict[str, Any] = _NONE
    for event in elements.events:
        if event is None:
            break
        if isinstance(event, str):
            continue
        name, its_attributes, since = event
        known = CHILDREN["contact"].get(name)
        if known is None:
            known = elements.unexpected(name, since, "contact")
        if known == "uri":
            if uri is not None:
                fault = "two <uri> in a <contact>"
            uri = elements.text("uri")
        elif known is not None:
            if others is _NONE:
                others = {}
            _decorate(elements, others, known, its_attributes, at)
    try:
        if fault:
            raise _Fault(fault)
        return _whole(elements, attributes, uri, others, at)
    except _Fault as exc:
        elements.complaints.leave_out(str(exc), at)
        return None


def _whole(
    elements: Elements,
    attributes: dict[str, str],
    uri: str | None,
    others: dict[str, Any],
    at: int,
) -> Contact:
    """
    Build a contact.

    Args:
        others: fields of the contact that its child elements have set.
    """
    get = attributes.get
    id, said, state = get("id"), get("event"), get("state")
    if not id:
        raise _Fault("<contact> without id")
    event = _STATED.get((said, state)) or _event(elements, said, state, at)
    if not uri:
        raise _Fault("<contact> without <uri>")

    expires = cseq = None
    if (text := get("expires")) is not None:
        expires = _number(elements, "expires", text, at)
    elif event is _SHORTENED:
        # Clearwater's Sprout; §5.1: "the "expires" attribute MUST be present".
        elements.complaints.tolerate("<contact> shortened without expires", at)
    if (text := get("cseq")) is not None:
        cseq = _number(elements, "cseq", text, at)
    callid = get("callid")
    if not _RARE.isdisjoint(attributes):
        others = {**_rare(elements, attributes, at), **others}
    if event is _PROBATION and "retry-after" not in attributes:
        elements.complaints.tolerate("<contact> on probation without retry-after", at)

    # These become header fields of requests, where a line break would end the header.
    # In an attribute a line break needs a character reference, in text it does not; a
    # DEL does not.
    if not uri.isprintable() and CONTROLS.search(uri):
        raise _Fault("<uri> with control characters")
    if elements.has_controls and CONTROLS.search(
        f"{id}{callid}{others.get('received')}{get('path')}"
    ):
        raise _Fault("<contact> with control characters")
    if "params" in others:
        others["params"] = tuple(others["params"].items())
    return Contact(
        id=id,
        uri=uri,
        event=event,
        expires=expires,
        callid=callid,
        cseq=cseq,
        **others,
    )


def _rare(elements: Elements, attributes: dict[str, str], at: int) -> dict[str, Any]:
    """Return the fields of a contact that its less common attributes set."""
    get = attributes.get
    fields: dict[str, Any] = {
        "received": _received(elements, get("received", ""), at),
        "user_agent": one_line(get("user_agent", "")),
    }
    if (text := get("retry-after")) is not None:
        fields["retry_after"] = _number(elements, "retry-after", text, at)
    if (text := get("duration-registered")) is not None:
        seconds = _number(elements, "duration-registered", text, at)
        fields["duration_registered"] = seconds
    if (text := get("q")) is not None:
        fields["q"] = _q(elements, text, at)
    if text := get("path"):
        # RFC 3327 §4: the brackets are mandatory, whatever a peer writes here.
        values = [value.strip(BLANKS) for value in _PATH_VALUE.findall(text)]
        fields["path"] = tuple([v if "<" in v else f"<{v}>" for v in values if v])
    return fields


def _received(elements: Elements, text: str, at: int) -> str:
    """Return the source of a REGISTER; empty for one with a scope id."""
    if "%" not in text:
        return text
    # A scope id means nothing here, and would be sent on (RFC 4007 §6).
    elements.complaints.tolerate(f"received {text[:40]!r} has a scope id", at)
    return ""


def _event(
    elements: Elements, event: str | None, state: str | None, at: int
) -> ContactEvent:
    """Return the event of a contact whose event or state is missing or unusual."""
    if event is None:
        raise _Fault("<contact> without event")
    known = _EVENTS.get(event)
    if known is None:
        if event != ContactState.TERMINATED:
            raise _Fault(f"<contact> with event {event[:40]!r}")
        # Some peers write the state here, so the actual event is unknown.
        elements.complaints.tolerate(f"<contact> with event {event!r}", at)
        known = ContactEvent.EXPIRED
    if state is None:
        elements.complaints.tolerate("<contact> without state", at)
    elif state != known.state:
        raise _Fault(f"<contact> in state {state[:40]!r} with event {event!r}")
    return known


def _number(elements: Elements, name: str, text: str, at: int) -> int | None:
    found = number(text, MAX_UNSIGNED_LONG)
    if found is None:
        elements.complaints.tolerate(f"<contact> with {name} {text[:40]!r}", at)
    return found


def _q(elements: Elements, text: str, at: int) -> str | None:
    try:
        return shortest_q(text.strip(BLANKS))
    except ValueError:
        elements.complaints.tolerate(f"<contact> with q {text[:40]!r}", at)
        return None


# Parameters, GRUUs and foreign elements are optional: an invalid one is left out, and
# the contact is kept.


def _decorate(
    elements: Elements,
    fields: dict[str, Any],
    known: str,
    attributes: dict[str, str],
    at: int,
) -> None:
    """Read a child element of a contact, and set its fields."""
    if known == "claim":
        _claim(elements, fields, attributes, at)
        return
    text = one_line(elements.text(known))
    if known == "unknown-param":
        params = fields.setdefault("params", {})
        _param(elements, params, attributes, text, at)
    elif known == "display-name":
        lang = attributes.get(_LANG)
        fields["display_name"], fields["lang"] = text, lang and one_line(lang)
    else:
        _gruu(elements, fields, known, attributes, at)


def _param(
    elements: Elements,
    known: dict[str, str | None],
    attributes: dict[str, str],
    text: str,
    at: int,
) -> None:
    name = attributes.get("name", "")
    if not _TOKEN.fullmatch(name):
        message = f"<unknown-param> with name {name[:40]!r}"
        elements.complaints.tolerate(message, at)
        return
    name = name.lower()
    # RFC 3261 §7.3.1: "any given parameter-name MUST NOT appear more than once". The
    # first one is used.
    if name in known:
        message = f"two <unknown-param> with name {name[:40]!r}"
        elements.complaints.tolerate(message, at)
        return
    if name in _ATTRIBUTES:
        # There is an attribute for it, whose value is used (RFC 3680 §5.1).
        elements.complaints.tolerate(f"<unknown-param> with name {name!r}", at)
        return
    known[name] = quoted(text) if text else None


def _gruu(
    elements: Elements,
    fields: dict[str, Any],
    known: str,
    attributes: dict[str, str],
    at: int,
) -> None:
    uri = attributes.get("uri")
    if uri and CONTROLS.search(uri):
        elements.complaints.tolerate(f"<{known}> with control characters", at)
        return
    if known == "pub-gruu":
        if uri and "pub_gruu" not in fields:
            fields["pub_gruu"] = uri
            return
    else:
        # RFC 5628 §5 calls it `cseq`; its schema and example say `first-cseq`.
        text = attributes.get("first-cseq") or attributes.get("cseq") or ""
        first_cseq = number(text, MAX_UNSIGNED_LONG)
        if uri and first_cseq is not None and "temp_gruu" not in fields:
            fields["temp_gruu"] = TempGruu(uri, first_cseq)
            return
    message = f"<{known}> that is a second one or lacks an attribute"
    elements.complaints.tolerate(message, at)


def _claim(
    elements: Elements, fields: dict[str, Any], attributes: dict[str, str], at: int
) -> None:
    """Read a claim, which takes precedence over attributes of the contact."""
    get = attributes.get
    path: list[str] = []
    for event in elements.events:
        if event is None:
            break
        if isinstance(event, str):
            continue
        name, _, since = event
        known = CHILDREN["claim"].get(name)
        if known is None:
            known = elements.unexpected(name, since, "claim")
        if known is not None:
            path.append(one_line(elements.text(known)))
    owner, key = get("owner", ""), get("key", "")
    begin, stamp, edition, until = [
        number(get(name, ""), MAX_STAMP)
        for name in ("begin", "stamp", "edition", "until")
    ]
    if (
        not owner
        or not key
        or CONTROLS.search(owner)
        or CONTROLS.search(key)
        or begin is None
        or stamp is None
        or edition is None
        or until is None
    ):
        # Without it, the contact is treated as that of a foreign peer.
        elements.complaints.tolerate("<claim> without owner, key or stamps", at)
        return
    received = _received(elements, get("received", ""), at)
    user_agent = one_line(get("user-agent", ""))
    fields["claim"] = ClaimElement(
        owner=owner,
        key=key,
        begin=begin,
        stamp=stamp,
        edition=edition,
        until=until,
        left=number(get("left", ""), MAX_STAMP),
        gone=get("gone") == "true",
        path=tuple(path),
        received=received,
        user_agent=user_agent,
    )
    fields["path"], fields["received"] = tuple(path), received
    fields["user_agent"] = user_agent
