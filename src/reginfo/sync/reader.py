"""
Reads the documents of a link, leniently.

Unknown elements and attributes are ignored, in any namespace. An invalid element is
left out, counted and named; a body is refused only if it is not a document.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from sys import intern
from typing import Final, NamedTuple
from xml.parsers import expat

from ..location.claim import Claim
from ..location.record import Record, RecordKind
from ..location.stamp import Stamp
from ..reg.contact import MAX_STAMP
from ..reg.document import ContactEvent, ContactState
from ..reg.elements import MAX_DEPTH
from ..reg.elements import NAMESPACE as REGINFO
from ..reg.markup import MAX_BODY
from ..sip.errors import RemoteProtocolError
from ..sip.uri import Uri
from .cursor import LAST, Stretch
from .envelope import LONGEST_CLAIM, NAMESPACE

MAX_CSEQ: Final = 2**32 - 1
LONGEST_AOR: Final = 1024
MAX_FAULTS: Final = 10
"""The maximum number of invalid elements of a document that are named."""

_EVENTS: Final = {str(event): event for event in ContactEvent}
_ACTIVE: Final = ContactState.ACTIVE
_KINDS: Final = {str(kind): kind for kind in RecordKind}
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_EPOCH: Final = re.compile(r"[A-Za-z0-9_.~-]{1,64}")
_Q: Final = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")

_ROOT: Final = f"{REGINFO} reginfo"
_REGISTRATION: Final = f"{REGINFO} registration"
_CONTACT: Final = f"{REGINFO} contact"
_URI: Final = f"{REGINFO} uri"
_CLAIM: Final = f"{NAMESPACE} claim"
_RECORD: Final = f"{NAMESPACE} record"
_PATH: Final = f"{NAMESPACE} path"
_PARAM: Final = f"{NAMESPACE} param"
_CURSOR: Final = f"{NAMESPACE} cursor"

# Expat reports these very strings, which makes their comparison fast.
_NAMES: Final = {
    name: name
    for name in (
        _ROOT, _REGISTRATION, _CONTACT, _URI, _CLAIM, _RECORD, _PATH, _PARAM, _CURSOR,
    )
}  # fmt: skip


class UserNews:
    """The content of a document about one address-of-record."""

    __slots__ = ("aor", "claims", "records")

    def __init__(self, aor: str, claims: list[Claim], records: list[Record]) -> None:
        self.aor = aor
        self.claims = claims
        self.records = records


class LinkDocument(NamedTuple):
    """The content of a document of a link."""

    version: int
    told: list[UserNews]

    said: Stretch | None
    "The changes that it covers; None if this is missing or invalid."

    elements: int
    "The number of claims and records, including invalid ones."

    refused: int
    faults: list[str]
    "The number of elements that were left out, and the errors of the first ones."


class _BadElement(Exception):
    """An element is invalid, and is left out."""


def read(
    body: bytes, *, takes: Callable[[str], bool], now: float, source: str
) -> LinkDocument:
    """
    Parse a document of a link.

    Args:
        takes: whether this link covers an address-of-record.
        source: the source of the claims, as in `Claim.source`.

    Raises:
        RemoteProtocolError: it is not a document, or has another version.
    """
    if len(body) > MAX_BODY:
        raise RemoteProtocolError(f"document of {len(body)} octets, {MAX_BODY} allowed")
    if b"\0" in body:
        raise RemoteProtocolError("document that is not UTF-8")
    reader = _LinkReader(takes, now, source)
    try:
        reader.parser.Parse(body, True)
    except expat.ExpatError as exc:
        raise RemoteProtocolError(f"malformed document: {exc}") from exc
    finally:
        reader.let_go()
    if reader.version is None:
        raise RemoteProtocolError("document that is no reginfo")
    return LinkDocument(
        reader.version,
        list(reader.told.values()),
        reader.said,
        reader.elements,
        reader.refused,
        reader.faults,
    )


class _LinkReader:
    """Handlers for the events of one document, which expat calls in order."""

    def __init__(self, takes: Callable[[str], bool], now: float, source: str) -> None:
        self._takes = takes
        self._now = now
        self._source = source
        self._depth = 0
        self._user: UserNews | None = None
        self._claim: dict[str, str] | None = None
        self._path: list[str] = []
        self._params: list[tuple[str, str | None]] = []
        self._param: str | None = None
        self._chunks: list[str] = []
        self.version: int | None = None
        self.told: dict[str, UserNews] = {}
        self.said: Stretch | None = None
        self.elements = self.refused = 0
        self.faults: list[str] = []

        parser = expat.ParserCreate("utf-8", " ", _NAMES.copy())
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = _refuse_doctype
        self.parser = parser

    def let_go(self) -> None:
        """Break the reference cycle of the parser with this reader."""
        parser = self.parser
        parser.StartElementHandler = parser.EndElementHandler = None

    # Called by expat.

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        depth = self._depth = self._depth + 1
        if depth > MAX_DEPTH:
            raise RemoteProtocolError(f"document deeper than {MAX_DEPTH} elements")
        if name == _CONTACT or name == _URI:
            return  # the claims say all of it
        if name == _CLAIM:
            self._claim = attributes
            self._path, self._params = [], []
        elif name == _REGISTRATION:
            self._start_user(attributes)
        elif name == _PATH or name == _PARAM:
            self._chunks.clear()
            self._param = attributes.get("name", "")
            self.parser.CharacterDataHandler = self._chunks.append
        elif name == _RECORD:
            self._take_record(attributes)
        elif name == _CURSOR:
            try:
                self.said = _stretch(attributes)
            except _BadElement as exc:
                self._fault(f"cursor: {exc}")
        elif depth == 1:
            if name != _ROOT:
                raise RemoteProtocolError("document that is no reginfo")
            try:
                self.version = _number(attributes, "version", MAX_CSEQ)
            except _BadElement as exc:
                raise RemoteProtocolError(f"reginfo: {exc}") from exc

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name == _CONTACT or name == _URI:
            return
        if name == _CLAIM:
            claim, self._claim = self._claim, None
            if claim is not None:
                self._take_claim(claim)
        elif name == _REGISTRATION:
            self._user = None
        elif name == _PATH:
            self._path.append(self._text())
        elif name == _PARAM:
            self._params.append((self._param or "", self._text() or None))

    # How.

    def _text(self) -> str:
        """Return the text of an element that ends; other texts are not listened to."""
        self.parser.CharacterDataHandler = None
        return "".join(self._chunks)

    def _start_user(self, attributes: dict[str, str]) -> None:
        aor = attributes.get("aor", "")
        self._user = None
        if len(aor) > LONGEST_AOR or _has_controls(aor) or not self._takes(aor):
            self.faults = [*self.faults, f"{aor:.80}: not in the group"][:MAX_FAULTS]
            return  # its elements are counted
        user = self.told.get(aor)
        if user is None:
            user = self.told[aor] = UserNews(aor, [], [])
        self._user = user

    def _take_claim(self, attributes: dict[str, str]) -> None:
        self.elements += 1
        user = self._user
        if user is None:
            self.refused += 1
            return
        try:
            user.claims.append(self._read_claim(attributes))
        except _BadElement as exc:
            self._fault_of(user, attributes.get("uri"), exc)

    def _take_record(self, attributes: dict[str, str]) -> None:
        self.elements += 1
        user = self._user
        if user is None:
            self.refused += 1
            return
        try:
            record = self._read_record(attributes)
        except _BadElement as exc:
            self._fault_of(user, attributes.get("kind"), exc)
            return
        if record is not None:
            user.records.append(record)

    def _read_claim(self, said: dict[str, str]) -> Claim:
        uri, call_id = said.get("uri", ""), said.get("callid", "")
        owner = said.get("owner", "")
        if not uri or not call_id or not owner:
            raise _BadElement("without uri, callid or owner")
        key = said.get("key", uri)
        received, agent = said.get("received", ""), said.get("user-agent", "")
        display_name, q = said.get("display-name", ""), said.get("q")
        texts = f"{uri}{call_id}{owner}{received}{agent}{display_name}"
        if key is not uri:
            texts += key
        if self._params:
            for name, value in self._params:
                texts += f"{name}{value}"
        if self._path:
            texts += "".join(self._path)
        if len(texts) > LONGEST_CLAIM:
            raise _BadElement(f"{len(texts)} characters, {LONGEST_CLAIM} allowed")
        if _has_controls(texts):
            raise _BadElement("a control character")
        if q is not None and not _Q.fullmatch(q):
            raise _BadElement(f"q of {q:.20}")
        try:
            Uri.parse(uri)
        except RemoteProtocolError as exc:
            raise _BadElement(str(exc)) from exc
        stamp = _number(said, "stamp", MAX_STAMP)
        gone, event = said.get("gone") == "true", _EVENTS.get(said.get("event", ""))
        if event is None or (gone and event.state is _ACTIVE):
            raise _BadElement(f"event of {said.get('event')!r:.20}")
        left = 0 if gone else _optional(said, "left", MAX_STAMP, 0)
        since = _optional(said, "since", MAX_STAMP, 0)
        now = self._now
        return Claim(
            contact=uri,
            key=key,
            call_id=call_id,
            cseq=_number(said, "cseq", MAX_CSEQ),
            begin=Stamp(_optional(said, "begin", MAX_STAMP, stamp)),
            stamp=Stamp(stamp),
            edition=Stamp(_optional(said, "edition", MAX_STAMP, stamp)),
            gone=gone,
            event=event,
            owner=intern(owner),  # the same for many contacts
            until=Stamp(_number(said, "until", MAX_STAMP)),
            expires_at=now + left / 1000,
            registered_at=now - since / 1000,
            source=self._source,
            q=q,
            params=tuple(self._params),
            display_name=display_name,
            path=tuple(self._path),
            received=received,
            user_agent=intern(agent),
            retry_after=_number(said, "retry-after", MAX_CSEQ)
            if "retry-after" in said
            else None,
        )

    def _read_record(self, said: dict[str, str]) -> Record | None:
        """Read a record; one of an unknown kind is ignored."""
        kind, owner = _KINDS.get(said.get("kind", "")), said.get("owner", "")
        name, value = said.get("name", ""), said.get("value")
        if kind is None:
            return None
        texts = f"{owner}{name}{value or ''}"
        if not owner:
            raise _BadElement("without owner")
        if len(texts) > LONGEST_CLAIM:
            raise _BadElement(f"{len(texts)} characters, {LONGEST_CLAIM} allowed")
        if _has_controls(texts):
            raise _BadElement("a control character")
        until = _optional(said, "until", MAX_STAMP, 0)
        left = _optional(said, "left", MAX_STAMP, 0)
        if kind is RecordKind.PROBATION and not (value or "0").isdecimal():
            raise _BadElement(f"probation of {value!r:.20}")
        return Record(
            kind=kind,
            name=name,
            value=value,
            stamp=Stamp(_number(said, "stamp", MAX_STAMP)),
            owner=owner,
            until=Stamp(until),
            expires_at=self._now + left / 1000 if until else 0.0,
            source=self._source,
        )

    def _fault_of(self, user: UserNews, what: str | None, exc: _BadElement) -> None:
        self._fault(f"{user.aor}: {what or '?':.80}: {exc}")

    def _fault(self, message: str) -> None:
        self.refused += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(message)


def _stretch(said: dict[str, str]) -> Stretch:
    epoch = said.get("epoch", "")
    if not _EPOCH.fullmatch(epoch):
        raise _BadElement(f"epoch of {epoch!r:.80}")
    after, to = _number(said, "from", LAST), _number(said, "to", LAST)
    if after > to:
        raise _BadElement(f"from {after} to {to}")
    return Stretch(
        epoch,
        after,
        to,
        more=said.get("more") == "true",
        about=_optional(said, "about", LAST, 0),
        is_check=said.get("check") == "true",
        server=said.get("server", "")[:256],
        time=_optional(said, "time", MAX_STAMP, 0),
        longest=_optional(said, "longest", MAX_CSEQ, 0),
        last=_optional(said, "last", LAST, 0),
        lag=_optional(said, "lag", MAX_STAMP, 0),
    )


def _number(said: dict[str, str], name: str, most: int) -> int:
    return _read_number(name, said.get(name, ""), most)


def _optional(said: dict[str, str], name: str, most: int, default: int) -> int:
    text = said.get(name)
    return default if text is None else _read_number(name, text, most)


def _read_number(name: str, text: str, most: int) -> int:
    if text.isdigit() and text.isascii() and len(text) < 20:
        value = int(text)
        if value <= most:
            return value
    raise _BadElement(f"{name} of {text!r:.40}")


def _has_controls(text: str) -> bool:
    """Whether a text has a control character; most are printable as a whole."""
    return not text.isprintable() and _CONTROLS.search(text) is not None


def _refuse_doctype(*declaration: object) -> None:
    raise RemoteProtocolError("document with a document type declaration")
