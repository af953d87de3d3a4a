"""
Reads the documents of a link, leniently.

Unknown elements and attributes are ignored, in any namespace. An invalid element is
left out, counted and named; a body is refused only if it is not a document.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from sys import intern
from typing import NamedTuple
from xml.parsers import expat

from ..location.claim import Claim
from ..location.record import Record, RecordKind
from ..location.stamp import Stamp
from ..reg.contact import MAX_STAMP
from ..reg.document import ContactEvent
from ..reg.elements import MAX_DEPTH
from ..reg.elements import NAMESPACE as REGINFO
from ..reg.markup import MAX_BODY
from ..sip.errors import RemoteProtocolError
from ..sip.uri import Uri
from .cursor import LAST, Stretch
from .envelope import LONGEST_CLAIM, NAMESPACE

MAX_CSEQ = 2**32 - 1
LONGEST_AOR = 1024
MAX_FAULTS = 10
"""The maximum number of invalid elements of a document that are named."""

_EVENTS = {str(event): event for event in ContactEvent}
_KINDS = {str(kind): kind for kind in RecordKind}
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_EPOCH = re.compile(r"[A-Za-z0-9_.~-]{1,64}")
_Q = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")

_REGISTRATION = f"{REGINFO} registration"
_CLAIM = f"{NAMESPACE} claim"
_RECORD = f"{NAMESPACE} record"
_PATH = f"{NAMESPACE} path"
_PARAM = f"{NAMESPACE} param"
_CURSOR = f"{NAMESPACE} cursor"


class UserNews(NamedTuple):
    """The content of a document about one address-of-record."""

    aor: str
    claims: list[Claim]
    records: list[Record]


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
        del reader.parser  # breaks the reference cycle with the reader
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

        parser = expat.ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._chunks.append
        parser.StartDoctypeDeclHandler = _refuse_doctype
        self.parser = parser

    # Called by expat.

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if name == _CLAIM:
            self._claim = attributes
            self._path, self._params = [], []
        elif name == _PATH or name == _PARAM:
            self._chunks.clear()
            self._param = attributes.get("name", "")
        elif name == _REGISTRATION:
            self._start_user(attributes)
        elif name == _RECORD:
            self._take(self._record, attributes)
        elif name == _CURSOR:
            try:
                self.said = _stretch(attributes)
            except _BadElement as exc:
                self._fault(f"cursor: {exc}")
        elif self._depth == 1:
            if name != f"{REGINFO} reginfo":
                raise RemoteProtocolError("document that is no reginfo")
            try:
                self.version = _number(attributes, "version", MAX_CSEQ)
            except _BadElement as exc:
                raise RemoteProtocolError(f"reginfo: {exc}") from exc
        elif self._depth > MAX_DEPTH:
            raise RemoteProtocolError(f"document deeper than {MAX_DEPTH} elements")

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name == _CLAIM:
            claim, self._claim = self._claim, None
            if claim is not None:
                self._take(self._whole, claim)
        elif name == _PATH:
            self._path.append("".join(self._chunks))
        elif name == _PARAM:
            text = "".join(self._chunks)
            self._params.append((self._param or "", text or None))
        elif name == _REGISTRATION:
            self._user = None

    # How.

    def _start_user(self, attributes: dict[str, str]) -> None:
        aor = attributes.get("aor", "")
        self._user = None
        if len(aor) > LONGEST_AOR or _CONTROLS.search(aor) or not self._takes(aor):
            self.faults = [*self.faults, f"{aor:.80}: not in the group"][:MAX_FAULTS]
            return  # its elements are counted
        user = self.told.get(aor)
        if user is None:
            user = self.told[aor] = UserNews(aor, [], [])
        self._user = user

    def _take(
        self,
        read_one: Callable[[UserNews, dict[str, str]], None],
        attributes: dict[str, str],
    ) -> None:
        self.elements += 1
        user = self._user
        if user is None:
            self.refused += 1
            return
        try:
            read_one(user, attributes)
        except _BadElement as exc:
            what = attributes.get("uri") or attributes.get("kind") or "?"
            self._fault(f"{user.aor}: {what:.80}: {exc}")

    def _whole(self, user: UserNews, said: dict[str, str]) -> None:
        """Read a claim."""
        get = said.get
        uri, call_id, owner = get("uri", ""), get("callid", ""), get("owner", "")
        if not uri or not call_id or not owner:
            raise _BadElement("without uri, callid or owner")
        key = get("key", uri)
        received, agent = get("received", ""), get("user-agent", "")
        display_name, q = get("display-name", ""), get("q")
        texts = f"{uri}{call_id}{owner}{received}{agent}{display_name}"
        if key is not uri:
            texts += key
        for name, value in self._params:
            texts += f"{name}{value}"
        texts += "".join(self._path)
        if len(texts) > LONGEST_CLAIM:
            raise _BadElement(f"{len(texts)} characters, {LONGEST_CLAIM} allowed")
        if _CONTROLS.search(texts):
            raise _BadElement("a control character")
        if q is not None and not _Q.fullmatch(q):
            raise _BadElement(f"q of {q:.20}")
        try:
            Uri.parse(uri)
        except RemoteProtocolError as exc:
            raise _BadElement(str(exc)) from exc
        stamp = _number(said, "stamp", MAX_STAMP)
        gone, event = get("gone") == "true", _EVENTS.get(get("event", ""))
        if event is None or (gone and event.state == "active"):
            raise _BadElement(f"event of {get('event')!r:.20}")
        left = 0 if gone or "left" not in said else _number(said, "left", MAX_STAMP)
        since = _number(said, "since", MAX_STAMP) if "since" in said else 0
        now = self._now
        user.claims.append(
            Claim(
                contact=uri,
                key=key,
                call_id=call_id,
                cseq=_number(said, "cseq", MAX_CSEQ),
                begin=Stamp(
                    _number(said, "begin", MAX_STAMP) if "begin" in said else stamp
                ),
                stamp=Stamp(stamp),
                edition=Stamp(
                    _number(said, "edition", MAX_STAMP) if "edition" in said else stamp
                ),
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
        )

    def _record(self, user: UserNews, said: dict[str, str]) -> None:
        """Read a record; one of an unknown kind is ignored."""
        get = said.get
        kind, owner = _KINDS.get(get("kind", "")), get("owner", "")
        name, value = get("name", ""), get("value")
        if kind is None:
            return
        texts = f"{owner}{name}{value or ''}"
        if not owner:
            raise _BadElement("without owner")
        if len(texts) > LONGEST_CLAIM:
            raise _BadElement(f"{len(texts)} characters, {LONGEST_CLAIM} allowed")
        if _CONTROLS.search(texts):
            raise _BadElement("a control character")
        until = _number(said, "until", MAX_STAMP) if "until" in said else 0
        left = _number(said, "left", MAX_STAMP) if "left" in said else 0
        if kind is RecordKind.PROBATION and not (value or "0").isdecimal():
            raise _BadElement(f"probation of {value!r:.20}")
        user.records.append(
            Record(
                kind=kind,
                name=name,
                value=value,
                stamp=Stamp(_number(said, "stamp", MAX_STAMP)),
                owner=owner,
                until=Stamp(until),
                expires_at=self._now + left / 1000 if until else 0.0,
                source=self._source,
            )
        )

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
        about=_number(said, "about", LAST) if "about" in said else 0,
        is_check=said.get("check") == "true",
        server=said.get("server", "")[:256],
        time=_number(said, "time", MAX_STAMP) if "time" in said else 0,
        longest=_number(said, "longest", MAX_CSEQ) if "longest" in said else 0,
        last=_number(said, "last", LAST) if "last" in said else 0,
        lag=_number(said, "lag", MAX_STAMP) if "lag" in said else 0,
    )


def _number(said: dict[str, str], name: str, most: int) -> int:
    text = said.get(name, "")
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= most:
        return int(text)
    raise _BadElement(f"{name} of {text!r:.40}")


def _refuse_doctype(*declaration: object) -> None:
    raise RemoteProtocolError("document with a document type declaration")
