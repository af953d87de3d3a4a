"""
The reader of ``application/reginfo+xml`` (RFC 3680 §5.4).

It is lenient, and reports what it tolerated.
"""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn
from xml.parsers import expat

from ..sip.errors import RemoteProtocolError
from .contact import (
    MAX_STAMP,
    MAX_UNSIGNED_LONG,
    MAX_VERSION,
    ClaimElement,
    Contact,
    ContactEvent,
    ContactState,
    Piece,
    RecordKey,
    Registration,
    RegistrationState,
    TempGruu,
    quoted,
    shortest_q,
)

NAMESPACE = "urn:ietf:params:xml:ns:reginfo"
GRUU_NAMESPACE = "urn:ietf:params:xml:ns:gruuinfo"  # RFC 5628
CLAIM_NAMESPACE = "urn:x-reginfo:claim"  # ours

MAX_BODY = 1 << 20  # bytes; some 3000 contacts, where peers send one user's few
MAX_ELEMENTS = 20_000  # seven for each contact of such a body
MAX_DEPTH = 32  # RFC 3680 needs 4, extensions in use 8
MAX_WARNINGS = 100  # a log has no use for more; the document may have thousands


class Content(NamedTuple):
    """What a body says: the fields of a :class:`~reginfo.reg.document.Reginfo`."""

    version: int
    full: bool
    registrations: tuple[Registration, ...]
    warnings: tuple[str, ...]
    piece: Piece


def read(body: bytes, *, strict: bool = False) -> Content:
    """
    Read the body of a NOTIFY or of a PUBLISH.

    Elements and attributes of unknown namespaces are skipped, as §5.1 requires. Errors
    that peers are known to make are tolerated, and listed as warnings; a contact that
    cannot be understood is left out. A document of which no contact can be understood
    is refused: it would look as if nobody were registered.

    Args:
        strict: refuse a document that would have warnings.

    Raises:
        RemoteProtocolError: the body is not a document of RFC 3680; the message names
            the element and the line.
    """
    if len(body) > MAX_BODY:
        raise RemoteProtocolError(f"reginfo of {len(body)} bytes, {MAX_BODY} allowed")
    # XML has no use for a zero, but UTF-16 has, and expat would read it.
    if b"\0" in body:
        raise RemoteProtocolError("reginfo that is not UTF-8")
    # An element costs one `<`, and another unless it is empty; most bodies are
    # too short for so many.
    if len(body) > MAX_ELEMENTS and body.count(b"<") > 2 * MAX_ELEMENTS:
        raise RemoteProtocolError(f"reginfo with more than {MAX_ELEMENTS} elements")
    reader = _Reader(body, strict)
    try:
        reader.parser.Parse(body, True)
    except expat.ExpatError as exc:
        raise RemoteProtocolError(f"malformed reginfo: {exc}") from exc
    finally:
        del reader.parser  # it refers to the reader: no work for the collector
    return reader.content()


_CHILDREN: dict[str, dict[str, str]] = {
    "": {f"{NAMESPACE} reginfo": "reginfo"},
    "reginfo": {
        f"{NAMESPACE} registration": "registration",
        f"{CLAIM_NAMESPACE} more": "more",
        f"{CLAIM_NAMESPACE} complete": "complete",
    },
    "registration": {
        f"{NAMESPACE} contact": "contact",
        f"{CLAIM_NAMESPACE} key": "key",
    },
    "contact": {
        f"{NAMESPACE} uri": "uri",
        f"{NAMESPACE} display-name": "display-name",
        f"{NAMESPACE} unknown-param": "unknown-param",
        f"{GRUU_NAMESPACE} pub-gruu": "pub-gruu",
        f"{GRUU_NAMESPACE} temp-gruu": "temp-gruu",
        f"{CLAIM_NAMESPACE} claim": "claim",
    },
    "claim": {f"{CLAIM_NAMESPACE} path": "path"},
}
"What is known in which element: names as expat gives them, and ours."

_PARENTS = {
    child: parent for parent, names in _CHILDREN.items() for child in names.values()
}
_TEXTS = frozenset({"uri", "display-name", "unknown-param", "path"})
_LANG = "http://www.w3.org/XML/1998/namespace lang"

_EVENTS = {str(event): event for event in ContactEvent}
_STATES = {str(state): state for state in RegistrationState}

_ATTRIBUTES = frozenset({"expires", "q"})
"Parameters of Contact that RFC 3261 defines: they are not unknown."

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
_PATH_VALUE = re.compile(r"(?:<[^<>]*>|[^,<]+)+")
_BLANKS = " \t\r\n"


class _Fault(Exception):
    """A contact that cannot be understood."""


class _Reader:
    """
    Handlers for the pieces of one document, which expat hands over in order.

    ``inside`` is the innermost element that is known, ``skipped`` how deep we
    are in one that is not.
    """

    def __init__(self, body: bytes, strict: bool) -> None:
        self._body = body
        self._strict = strict
        self._inside = ""
        self._skipped = 0
        self._references = b"&#" in body
        self._chunks: list[str] = []
        self._warnings: list[str] = []
        self._without_namespace = False
        self._first_fault: str | None = None
        self._ids: set[str] = set()
        self._contacts: list[Contact] = []
        self._keys: list[RecordKey] = []
        self._any_contact = False
        self._piece = Piece.WHOLE
        self._registrations: dict[str, Registration] = {}

        # UTF-8 whatever the declaration says: nothing else is allowed (§5.1).
        # No name can hold a blank, so that it separates it from its namespace.
        parser = expat.ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._chunks.append
        # A document has no use for a DTD; entities only serve to exhaust memory
        # and to read other people's files.
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        self.parser = parser

    def content(self) -> Content:
        if self._first_fault is not None and not self._any_contact:
            raise RemoteProtocolError(self._first_fault)
        return Content(
            version=self._version,
            full=self._full,
            registrations=tuple(self._registrations.values()),
            warnings=tuple(self._warnings),
            piece=self._piece,
        )

    # What expat calls.

    def _refuse_doctype(self, *declaration: object) -> NoReturn:
        raise RemoteProtocolError("reginfo with a document type declaration")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._skipped:
            self._skipped += 1
            if self._skipped > MAX_DEPTH:
                raise RemoteProtocolError(f"reginfo deeper than {MAX_DEPTH} elements")
            return
        children = _CHILDREN.get(self._inside)
        known = None if children is None else children.get(name)
        if known is None:
            known = self._unexpected(name, children)
            if known is None:
                self._skipped = 1
                self._chunks_before = len(self._chunks)
                return
        self._inside = known
        if known in _TEXTS:
            self._chunks.clear()
            self._attributes = attributes
        elif known == "contact":
            self._since = self.parser.CurrentByteIndex
            self._fault: str | None = None
            self._contact_attributes = attributes
            self._uri: str | None = None
            self._display_name: str | None = None
            self._lang: str | None = None
            self._params: list[tuple[str, str | None]] = []
            self._pub_gruu: str | None = None
            self._temp_gruu: TempGruu | None = None
            self._claim: dict[str, str] | None = None
        elif known == "registration":
            self._start_registration(attributes)
        elif known == "reginfo":
            self._start_reginfo(attributes)
        elif known == "claim":
            self._claim = attributes
            self._path: list[str] = []
        elif known == "key":
            self._start_key(attributes)
        elif known == "more" or known == "complete":
            self._piece = Piece(known)
        else:
            self._start_gruu(known, attributes)

    def _end(self, name: str) -> None:
        if self._skipped:
            self._skipped -= 1
            if not self._skipped:
                # Its text is not that of the element that it stands in.
                del self._chunks[self._chunks_before :]
            return
        known = self._inside
        self._inside = _PARENTS[known]
        if known == "uri":
            if self._uri is not None:
                self._fault = "two <uri> in a <contact>"
            self._uri = "".join(self._chunks).strip(_BLANKS)
        elif known == "contact":
            self._end_contact()
        elif known == "unknown-param":
            self._end_param()
        elif known == "display-name":
            self._display_name = self._text()
            self._lang = self._attributes.get(_LANG)
        elif known == "path":
            self._path.append(self._text())
        elif known == "registration":
            self._end_registration()

    def _unexpected(self, name: str, children: dict[str, str] | None) -> str | None:
        """What an element is that is not expected here; None to skip it."""
        here = self.parser.CurrentByteIndex
        namespace, _, plain = name.rpartition(" ")
        known = None
        if children is not None and not namespace:
            known = children.get(f"{NAMESPACE} {plain}")
        if known is not None:
            if not self._without_namespace:
                self._without_namespace = True
                self._complain(f"<{plain}> without the namespace of reginfo", here)
        elif not self._inside:
            raise RemoteProtocolError(f"not a reginfo document: <{name}>")
        elif namespace in (NAMESPACE, ""):
            self._complain(f"<{plain}> in <{self._inside}>", here)
        return known

    # Elements, from the outermost to the innermost.

    def _start_reginfo(self, attributes: dict[str, str]) -> None:
        # Where the element began that faults are found in.
        self._since = self.parser.CurrentByteIndex
        version, state = attributes.get("version"), attributes.get("state")
        if not (version and state):
            self._refuse_missing("reginfo", ("version", "state"), attributes)
        number = _number(version, MAX_VERSION)
        if number is None:
            self._refuse(f"<reginfo> with version {version[:40]!r}")
        if state not in ("full", "partial"):
            self._refuse(f"<reginfo> with state {state[:40]!r}")
        self._version = number
        self._full = state == "full"

    def _start_registration(self, attributes: dict[str, str]) -> None:
        self._since = self._registration_since = self.parser.CurrentByteIndex
        get = attributes.get
        aor, id, state = get("aor"), get("id"), get("state")
        if not (aor and id and state):
            self._refuse_missing("registration", ("aor", "id", "state"), attributes)
        if self._references and _CONTROLS.search(aor):
            self._refuse("<registration> with control characters in aor")
        if state not in _STATES:
            self._refuse(f"<registration> with state {state[:40]!r}")
        self._aor, self._id, self._state = aor, id, _STATES[state]

    def _end_registration(self) -> None:
        contacts, keys = tuple(self._contacts), tuple(self._keys)
        self._contacts.clear()
        self._keys.clear()
        self._since = self._registration_since
        if self._state is not RegistrationState.ACTIVE:
            # It ends all of its contacts, also those that cannot be read.
            self._any_contact = True
            for contact in contacts:
                if contact.state is ContactState.ACTIVE:
                    self._complain(f"<contact> active, <registration> {self._state}")
                    break
        registration = Registration(
            aor=self._aor, id=self._id, state=self._state, contacts=contacts, keys=keys
        )
        other = self._registrations.get(self._aor)
        if other is not None:
            # OpenSIPS writes one for each who publishes the user's state.
            self._complain(f"two <registration> of {self._aor}")
            registration = merge(other, registration)
        self._registrations[self._aor] = registration

    def _end_contact(self) -> None:
        try:
            if self._fault is not None:
                raise _Fault(self._fault)
            contact = self._contact(self._contact_attributes)
        except _Fault as exc:
            fault = f"{exc}{self._where()}"
            if self._strict:
                raise RemoteProtocolError(fault) from None
            if self._first_fault is None:
                self._first_fault = fault
            self._warn(f"left out: {fault}")
            return
        if contact.id in self._ids:
            self._complain("<contact> with the id of another")
        self._ids.add(contact.id)
        self._contacts.append(contact)
        self._any_contact = True

    def _contact(self, attributes: dict[str, str]) -> Contact:
        get = attributes.get
        id = get("id")
        if not id:
            raise _Fault("<contact> without id")
        event = self._event(get("event"), get("state"))
        uri = self._uri
        if not uri:
            raise _Fault("<contact> without <uri>")

        expires = retry_after = duration_registered = cseq = q = None
        if (text := get("expires")) is not None:
            expires = self._number("expires", text)
        elif event is ContactEvent.SHORTENED:
            # Clearwater's Sprout; §5.1: "the "expires" attribute MUST be present".
            self._complain("<contact> shortened without expires")
        if (text := get("retry-after")) is not None:
            retry_after = self._number("retry-after", text)
        elif event is ContactEvent.PROBATION:
            self._complain("<contact> on probation without retry-after")
        if (text := get("duration-registered")) is not None:
            duration_registered = self._number("duration-registered", text)
        if (text := get("cseq")) is not None:
            cseq = self._number("cseq", text)
        if (text := get("q")) is not None:
            q = self._q(text)
        callid = get("callid")

        claim = None
        path: tuple[str, ...] = ()
        received, user_agent = get("received", ""), _one_line(get("user_agent", ""))
        if text := get("path"):
            path = tuple([p.strip(_BLANKS) for p in _PATH_VALUE.findall(text)])
        if self._claim is not None:
            claim = self._read_claim(self._claim)
            if claim is not None:
                path, received = claim.path, claim.received
                user_agent = claim.user_agent

        # These become header fields of requests that we send: a line break in
        # one would end the header. In an attribute it needs a reference, in the
        # text it does not.
        if not uri.isprintable() and _CONTROLS.search(uri):
            raise _Fault("<uri> with control characters")
        if self._references and _CONTROLS.search(
            f"{id}{callid}{received}{get('path')}"
        ):
            raise _Fault("<contact> with control characters")
        return Contact(
            id=id,
            uri=uri,
            event=event,
            expires=expires,
            retry_after=retry_after,
            duration_registered=duration_registered,
            q=q,
            callid=callid,
            cseq=cseq,
            display_name=self._display_name,
            lang=self._lang,
            params=tuple(self._params),
            pub_gruu=self._pub_gruu,
            temp_gruu=self._temp_gruu,
            path=path,
            received=received,
            user_agent=user_agent,
            claim=claim,
        )

    def _event(self, event: str | None, state: str | None) -> ContactEvent:
        if event is None:
            raise _Fault("<contact> without event")
        known = _EVENTS.get(event)
        if known is None:
            if event != ContactState.TERMINATED:
                raise _Fault(f"<contact> with event {event[:40]!r}")
            # Some write the state here too. Nobody told us why it is gone.
            self._complain(f"<contact> with event {event!r}")
            known = ContactEvent.EXPIRED
        if state is None:
            self._complain("<contact> without state")
        elif state != known.state:
            raise _Fault(f"<contact> in state {state[:40]!r} with event {event!r}")
        return known

    def _number(self, name: str, text: str) -> int | None:
        number = _number(text, MAX_UNSIGNED_LONG)
        if number is None:
            self._complain(f"<contact> with {name} {text[:40]!r}")
        return number

    def _q(self, text: str) -> str | None:
        try:
            return shortest_q(text.strip(_BLANKS))
        except ValueError:
            self._complain(f"<contact> with q {text[:40]!r}")
            return None

    # Parameters, GRUUs and foreign elements only decorate a contact: one that is
    # wrong is left out, and the contact stays.

    def _end_param(self) -> None:
        name = self._attributes.get("name", "")
        if not _TOKEN.fullmatch(name):
            self._complain(f"<unknown-param> with name {name[:40]!r}")
            return
        name = name.lower()
        # RFC 3261 §7.3.1: "any given parameter-name MUST NOT appear more than
        # once". The first counts, and it is the one that is sent on.
        if any(name == known for known, _ in self._params):
            self._complain(f"two <unknown-param> with name {name[:40]!r}")
            return
        if name in _ATTRIBUTES:
            # It has an attribute, whose value counts (RFC 3680 §5.1).
            self._complain(f"<unknown-param> with name {name!r}")
            return
        text = self._text()
        self._params.append((name, quoted(text) if text else None))

    def _start_gruu(self, known: str, attributes: dict[str, str]) -> None:
        uri = attributes.get("uri")
        if uri and _CONTROLS.search(uri):
            self._complain(f"<{known}> with control characters")
            return
        if known == "pub-gruu":
            if uri and self._pub_gruu is None:
                self._pub_gruu = uri
                return
        else:
            # RFC 5628 §5 says `cseq`, its schema and its example `first-cseq`.
            text = attributes.get("first-cseq") or attributes.get("cseq") or ""
            first_cseq = _number(text, MAX_UNSIGNED_LONG)
            if uri and first_cseq is not None and self._temp_gruu is None:
                self._temp_gruu = TempGruu(uri, first_cseq)
                return
        self._complain(f"<{known}> that is a second one or lacks an attribute")

    def _start_key(self, attributes: dict[str, str]) -> None:
        name, owner = attributes.get("name", ""), attributes.get("owner", "")
        stamp = _number(attributes.get("stamp", ""), MAX_STAMP)
        value, kind = attributes.get("value"), attributes.get("kind", "key")
        until = _number(attributes.get("until", ""), MAX_STAMP)
        left = _number(attributes.get("left", ""), MAX_STAMP)
        if not (name or kind != "key") or not owner or stamp is None:
            self._complain("<key> without name, owner or stamp")
        elif any(map(_CONTROLS.search, (name, owner, kind))):
            self._complain("<key> with control characters in its name or owner")
        else:
            self._keys.append(
                RecordKey(name, value, owner, stamp, kind, until or 0, left)
            )

    def _read_claim(self, attributes: dict[str, str]) -> ClaimElement | None:
        get = attributes.get
        owner, key = get("owner", ""), get("key", "")
        begin, stamp, edition, until = [
            _number(get(name, ""), MAX_STAMP)
            for name in ("begin", "stamp", "edition", "until")
        ]
        if (
            not owner
            or not key
            or _CONTROLS.search(owner)
            or _CONTROLS.search(key)
            or begin is None
            or stamp is None
            or edition is None
            or until is None
        ):
            # Without it, the contact is taken as from a server that has none.
            self._complain("<claim> without owner, key or stamps")
            return None
        return ClaimElement(
            owner=owner,
            key=key,
            begin=begin,
            stamp=stamp,
            edition=edition,
            until=until,
            left=_number(get("left", ""), MAX_STAMP),
            gone=get("gone") == "true",
            path=tuple(self._path),
            received=get("received", ""),
            user_agent=_one_line(get("user-agent", "")),
        )

    def _text(self) -> str:
        """The text of the element that ends here."""
        return _one_line("".join(self._chunks).strip(_BLANKS))

    # What is wrong.

    def _refuse_missing(
        self, element: str, names: tuple[str, ...], attributes: dict[str, str]
    ) -> NoReturn:
        missing = [name for name in names if not attributes.get(name)]
        self._refuse(f"<{element}> without {missing[0]}")

    def _refuse(self, message: str) -> NoReturn:
        raise RemoteProtocolError(message + self._where())

    def _complain(self, message: str, at: int | None = None) -> None:
        """Put up with something, unless we are strict."""
        message += self._where(at)
        if self._strict:
            raise RemoteProtocolError(message)
        self._warn(message)

    def _warn(self, message: str) -> None:
        if len(self._warnings) < MAX_WARNINGS:
            self._warnings.append(message)

    def _where(self, at: int | None = None) -> str:
        # Counted only when asked: expat's own line number costs time always.
        line = self._body.count(b"\n", 0, self._since if at is None else at) + 1
        return f" (line {line})"


def merge(one: Registration, other: Registration) -> Registration:
    """Two registrations of one address-of-record as one."""
    states = {one.state, other.state}
    if RegistrationState.ACTIVE in states:
        state = RegistrationState.ACTIVE
    else:
        state = max(states)  # terminated says more than init
    return Registration(
        aor=one.aor,
        id=one.id,
        state=state,
        contacts=one.contacts + other.contacts,
        keys=one.keys + other.keys,
    )


def _number(text: str, maximum: int) -> int | None:
    """What the schema takes as a number, blanks around it and zeros before it."""
    if len(text) < 20 and text.isascii() and text.isdigit():
        number = int(text)
        return number if number <= maximum else None
    text = text.strip(_BLANKS).removeprefix("+")
    if not (text.isascii() and text.isdigit()):
        return None
    # First the length: thousands of digits take long, or are refused by int.
    if len(text) > 20 and len(text := text.lstrip("0") or "0") > 20:
        return None
    number = int(text)
    return number if number <= maximum else None


def _one_line(text: str) -> str:
    """``text`` without line breaks, which are but folded when they are in a value."""
    return text if text.isprintable() else _CONTROLS.sub(" ", text)
