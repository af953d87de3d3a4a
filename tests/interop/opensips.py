"""
A stand-in for OpenSIPS 4.1, of which Debian has no package.

It does on the wire what that does, its mistakes too, by a description of them and by
what was captured of it (tests/captures/opensips). What is not needed to be fed by us,
and to feed us, is left out: a script, authentication, TCP; and that a publication which
runs out is sent once more.
"""

from __future__ import annotations

import itertools
import re
import secrets
import socket
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from .document import NAMESPACE
from .phone import DOMAIN, T1, Address, Message, response, tag_of
from .worker import Worker

USER_AGENT = "OpenSIPS (4.1.0-dev (x86_64/linux))"
REGINFO = "application/reginfo+xml"

PLACEHOLDER = '<?xml version="1.0"?>\n<reginfo xmlns="{}" version="{}" state="full">\n'

LONGEST = 3600  # seconds for which its presence server grants a subscription

NO_EXPIRES = 0
SOME_EXPIRES = 453_976_160
"""
What a SUBSCRIBE of its asks for, in seconds: without an argument, and with one, which
it takes a piece of a pointer for.
"""

LIVE = {"registered", "created", "refreshed"}
GONE = {"expired", "unregistered"}
"""Events that it knows; contacts with any other are skipped."""


@dataclass(slots=True)
class Row:
    """One contact of its location table."""

    call_id: str
    cseq: int
    expires: int
    event: str = "registered"


@dataclass(frozen=True, slots=True)
class Sent:
    """A PUBLISH that it has sent, and the status of its answer; None so far."""

    request: Message
    status: int | None


@dataclass(slots=True)
class _Watch:
    """A subscription at its presence server."""

    aor: str
    subscribe: Message
    expires: int
    expires_at: float
    cseq: int = 0
    version: int = 0


@dataclass(slots=True)
class _Publication:
    etag: str
    body: bytes


@dataclass(slots=True)
class _Request:
    """What is sent again until it is answered."""

    message: Message
    data: bytes
    to: Address
    again_at: float
    interval: float = T1


@dataclass(slots=True)
class _Record:
    """What its pua knows of one address-of-record that it publishes."""

    etag: str = ""
    queue: deque[bytes] = field(default_factory=deque)
    branch: str = ""
    "Of the PUBLISH under way; empty if there is none."


class OpenSips(Worker):
    """
    Registrar and publisher, presence server, and consumer of registration events.

    Args:
        peer: Where it publishes, and subscribes.
        aggregate: Whether it makes one document of those of several publishers.
        use_domain: Its default; then it never answers its second NOTIFY.
        workers: How many such NOTIFYs, sent again or not, it survives.
        grant: For how many seconds it grants a subscription, at the most.
    """

    def __init__(
        self,
        peer: Address | None = None,
        *,
        aggregate: bool = False,
        use_domain: bool = False,
        workers: int = 4,
        grant: int = LONGEST,
    ) -> None:
        super().__init__()
        self.peer = peer
        self.aggregate = aggregate
        self._use_domain = use_domain
        self._workers = workers
        self._grant = grant
        self._run_id = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self._requests: dict[str, _Request] = {}
        self._seen: dict[str, bytes] = {}
        self._notified: list[Message] = []
        self._registered: dict[str, dict[str, Row]] = {}
        self._cseqs: Counter[str] = Counter()
        self._learned: dict[str, dict[str, Row]] = {}
        self._records: dict[str, _Record] = {}
        self._sent: dict[str, Sent] = {}
        self._publications: dict[str, list[_Publication]] = {}
        self._watches: dict[str, _Watch] = {}
        self._granted: list[Message] = []
        self._locked = False
        self._dead = ""

    # -- what a test sees

    def dead(self) -> str:
        """What has ended it, or made it take nothing any more; empty if nothing has."""
        with self.lock:
            return self._dead

    def contacts(self, user: str) -> set[str]:
        """Where it has learned that ``user`` is."""
        return set(self.learned(user))

    def learned(self, user: str) -> dict[str, Row]:
        """What it has learned of ``user``, by the URIs of the contacts."""
        with self.lock:
            return dict(self._learned.get(_key(user), {}))

    def notifies(self) -> list[Message]:
        """The NOTIFYs that came, those that came again too."""
        with self.lock:
            return list(self._notified)

    def granted(self) -> list[Message]:
        """What its SUBSCRIBEs were answered."""
        with self.lock:
            return list(self._granted)

    def published(self, user: str) -> list[Sent]:
        """The PUBLISHes that it has sent, in their order."""
        aor = _key(user)
        with self.lock:
            return [s for s in self._sent.values() if f" {aor} " in s.request.start]

    def publications(self, user: str) -> list[bytes]:
        """The documents that are published at it."""
        with self.lock:
            return [p.body for p in self._publications.get(_key(user), [])]

    def watchers(self) -> int:
        """How many subscriptions its presence server has."""
        with self.lock:
            return len(self._watches)

    # -- what a test has it do

    def restart(self) -> None:
        """Forget all that is in memory, which is all."""
        with self.lock:
            for known in (
                self._requests, self._registered, self._learned, self._records,
                self._publications, self._watches,
            ):  # fmt: skip
                known.clear()

    def register(self, user: str, *uris: str, expires: int = 600) -> None:
        """
        Have phones of ``user`` register here, or refresh, or (0) unregister.

        They do so at once, each with a Call-ID of its own: each is a change.
        """
        aor = _key(user)
        with self.lock:
            rows = self._registered.setdefault(aor, {})
            for uri in uris:
                self._cseqs[uri] += 1
                event = "refreshed" if uri in rows else "registered"
                event = event if expires else "unregistered"
                call_id = f"{self._run_id}-{uri}"
                rows[uri] = Row(call_id, self._cseqs[uri], expires, event)
                self._publish(aor)
                # What is told of a contact with the next one's change.
                rows[uri].event = "registered"
                if not expires:
                    del rows[uri]

    def subscribe(self, user: str, expires: int = NO_EXPIRES) -> None:
        """Have its script call ``reginfo_subscribe``; each call is a subscription."""
        aor = user if user.startswith("sip:") else _key(user)
        me = f"<sip:reginfo@127.0.0.1:{self.port}>"
        with self.lock:
            headers = ["Event: reg", f"Contact: {me}", f"Expires: {expires}"]
            self._send("SUBSCRIBE", aor, f"<{aor}>", me, headers)

    def publish(self, user: str, body: bytes, etag: str = "") -> None:
        """Have another publisher PUBLISH here, which does it well."""
        with self.lock:
            self._take_publication(_key(user), etag, body)

    # -- from the network, and the clock

    def readable(self, ready: socket.socket, now: float) -> None:
        try:
            data, source = ready.recvfrom(65535)
        except ConnectionRefusedError:
            return  # the peer is down just now
        if self._dead:
            return
        message = Message.parse(data, source)
        if message.status:
            self._answered(message)
        elif message.method == "NOTIFY":
            self._notify_came(message)
        elif message.branch in self._seen:
            ready.sendto(self._seen[message.branch], source)
        elif message.method == "PUBLISH":
            self._publish_came(message)
        elif message.method == "SUBSCRIBE":
            self._subscribe_came(message, now)
        else:
            self._respond(message, 405, "Method Not Allowed")

    def tick(self, now: float) -> float | None:
        for call_id, watch in list(self._watches.items()):
            if now >= watch.expires_at:
                del self._watches[call_id]  # without a last NOTIFY
        for request in self._requests.values():
            if now >= request.again_at and not self._dead:
                request.interval *= 2
                request.again_at = now + request.interval
                self.udp.sendto(request.data, request.to)
        return None

    def _answered(self, message: Message) -> None:
        if message.status < 200:
            return
        request = self._requests.pop(message.branch, None)
        if request is None:
            return
        if message.method == "PUBLISH":
            self._publish_answered(request.message, message)
        elif message.method == "SUBSCRIBE":
            self._granted.append(message)
        elif message.status == 481:
            self._watches.pop(message["call-id"], None)

    # -- as a publisher

    def _publish(self, aor: str) -> None:
        record = self._records.setdefault(aor, _Record())
        record.queue.append(_document(aor, self._registered[aor]))
        if not record.branch:
            self._publish_next(aor, record)

    def _publish_next(self, aor: str, record: _Record) -> None:
        headers = ["Event: reg", "Expires: 3601"]
        if record.etag:
            headers.append(f"SIP-If-Match: {record.etag}")
        headers.append(f"Content-Type: {REGINFO}")
        body = record.queue.popleft()
        sent = self._send("PUBLISH", aor, f"<{aor}>", f"<{aor}>", headers, body)
        record.branch = sent.branch
        self._sent[sent.branch] = Sent(sent, None)

    def _publish_answered(self, request: Message, answer: Message) -> None:
        self._sent[request.branch] = Sent(request, answer.status)
        aor = request.start.split()[1]
        record = self._records.get(aor)
        if record is None or record.branch != request.branch:
            return
        if answer.status >= 300:
            # 412, 423, 503, 401: the record is forgotten, and what is queued with it.
            del self._records[aor]
            return
        record.etag, record.branch = answer["sip-etag"], ""
        if record.queue:
            self._publish_next(aor, record)

    # -- as a presence server

    def _publish_came(self, message: Message) -> None:
        etag = self._take_publication(
            message.start.split()[1].split(";")[0],
            message.get("sip-if-match") or "",
            message.body,
            removed=message["expires"] == "0",
            request=message,
        )
        if etag is None:
            self._respond(message, 412, "Conditional request failed")

    def _take_publication(
        self,
        aor: str,
        tag: str,
        body: bytes,
        *,
        removed: bool = False,
        request: Message | None = None,
    ) -> str | None:
        publications = self._publications.setdefault(aor, [])
        known = next((p for p in publications if p.etag == tag), None)
        if tag and known is None:
            return None
        etag = f"a.{next(self._numbers)}.{self._run_id}"
        if request is not None:
            headers = [f"Expires: {request['expires']}", f"SIP-ETag: {etag}"]
            self._respond(request, 200, "OK", headers)
        if removed:
            assert known is not None
            self._tell(aor)  # still with what is being removed
            publications.remove(known)
        elif known is None:
            publications.append(_Publication(etag, body))
        else:
            known.etag = etag
            if not body:
                return etag
            known.body = body
            # The newest is the last.
            publications.remove(known)
            publications.append(known)
        self._tell(aor)
        return etag

    def _subscribe_came(self, message: Message, now: float) -> None:
        call_id = message["call-id"]
        known = self._watches.get(call_id)
        if ";tag=" in message["to"] and known is None:
            self._respond(message, 481, "Subscription does not exist")
            return
        expires = min(int(message.get("expires") or self._grant), self._grant)
        me = f"Contact: <sip:presence@127.0.0.1:{self.port}>"
        self._respond(message, 200, "OK", [me, f"Expires: {expires}"])
        if known is None:
            aor = message.start.split()[1].split(";")[0]
            known = self._watches[call_id] = _Watch(aor, message, expires, 0.0)
        known.expires, known.expires_at = expires, now + expires
        self._notify(known)
        if not expires:
            del self._watches[call_id]

    def _tell(self, aor: str) -> None:
        for watch in self._watches.values():
            if watch.aor == aor:
                self._notify(watch)

    def _notify(self, watch: _Watch) -> None:
        watch.cseq += 1
        bodies = [p.body for p in self._publications.get(watch.aor, []) if p.body]
        body = b""
        if bodies:
            body = _aggregated(bodies) if self.aggregate else bodies[-1]
            body = overwritten(body, watch.version)
        watch.version += 1
        subscribe = watch.subscribe
        state = f"active;expires={watch.expires}"
        headers = [
            "Event: reg",
            f"Contact: <sip:presence@127.0.0.1:{self.port}>",
            f"Subscription-State: {state if watch.expires else 'terminated'}",
        ]
        if body:
            headers.append(f"Content-Type: {REGINFO}")
        target = subscribe["contact"].partition("<")[2].partition(">")[0]
        self._send(
            "NOTIFY",
            target,
            subscribe["from"],
            subscribe["to"],
            headers,
            body,
            tag=tag_of(subscribe),
            call_id=subscribe["call-id"],
            cseq=watch.cseq,
            to=subscribe.source,
        )

    # -- as a consumer

    def _notify_came(self, message: Message) -> None:
        # Whether it belongs to any dialog, it does not ask.
        self._notified.append(message)
        if not message.body:
            self._respond(message, 202, "Accepted")
            return
        try:
            reginfo = ElementTree.fromstring(message.body)
        except ElementTree.ParseError:
            self._respond(message, 400, "Invalid reg-info")
            return
        for registration in reginfo.iter(f"{NAMESPACE}registration"):
            if self._use_domain and self._locked:
                # Under the empty address-of-record, whose lock nobody has released.
                self._workers -= 1
                if not self._workers:
                    self._dead = "no worker is left"
                return
            self._locked = True
            self._learn(registration)
        if not self._dead:
            self._respond(message, 202, "Accepted")

    def _learn(self, registration: ElementTree.Element) -> None:
        aor = registration.attrib["aor"]
        if not re.match(r"sips?:[^@:;]+@", aor):
            self._dead = f"an address-of-record without a user: {aor}"
            return
        rows = self._learned.setdefault("" if self._use_domain else aor, {})
        for contact in registration.iter(f"{NAMESPACE}contact"):
            call_id = contact.get("callid") or contact.get("id")
            if call_id is None:
                self._dead = "a contact without callid and id"
                return
            uri = contact.findtext(f"{NAMESPACE}uri") or ""
            for param in contact.iter(f"{NAMESPACE}unknown-param"):
                if "name" not in param.attrib:
                    self._dead = "an unknown-param without name"
                    return
                uri += f";{param.attrib['name']}={param.text or ''}"
            event, expires = contact.get("event"), contact.get("expires")
            if expires is None or event not in LIVE | GONE:
                continue  # skipped, whatever has become of it
            if int(expires) > 0:
                # Whatever its state says, and its event.
                cseq = int(contact.get("cseq") or 0)
                rows[uri] = Row(call_id, cseq, int(expires), event or "")
            else:
                rows.pop(uri, None)

    # -- messages

    def _respond(
        self, request: Message, status: int, reason: str, headers: Sequence[str] = ()
    ) -> None:
        headers = [*headers, f"Server: {USER_AGENT}"]
        data = response(request, status, reason, headers)
        self._seen[request.branch] = data
        self.udp.sendto(data, request.source)

    def _send(
        self,
        method: str,
        uri: str,
        to_: str,
        from_: str,
        headers: Sequence[str],
        body: bytes = b"",
        *,
        tag: str = "",
        call_id: str = "",
        cseq: int = 10,
        to: Address | None = None,
    ) -> Message:
        number = next(self._numbers)
        to = to or self.peer
        assert to is not None
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port}"
            f";branch=z9hG4bK{number:x}.{self._run_id}.0",
            f"To: {to_}",
            f"From: {from_};tag={tag or f'{self._run_id}-{number:x}'}",
            f"CSeq: {cseq} {method}",
            f"Call-ID: {call_id or f'{self._run_id}{number:x}@127.0.0.1'}",
            "Max-Forwards: 70",
            f"Content-Length: {len(body)}",
            f"User-Agent: {USER_AGENT}",
            *headers,
        ]
        data = "\r\n".join([*lines, "", ""]).encode() + body
        message = Message.parse(data, self.address)
        self.udp.sendto(data, to)
        self._requests[message.branch] = _Request(
            message, data, to, time.monotonic() + T1
        )
        return message


def overwritten(body: bytes, version: int) -> bytes:
    """
    What its presence server makes of a body: its own version in the place of the other.

    It takes 13 octets after ``version="`` for the version, whatever they are.
    """
    at = body.find(b"version=", 34)
    if at < 0:
        return body
    at += len(b'version="')
    return body[:at] + f'{version}"'.ljust(13).encode() + body[at + 13 :]


def _key(user: str) -> str:
    return f"sip:{user}@{DOMAIN}"


def _aggregated(bodies: Sequence[bytes]) -> bytes:
    """One document of several: their registrations, one after the other."""
    found = [
        part
        for body in bodies
        for part in re.findall(rb"<registration.*?</registration>", body, re.DOTALL)
    ]
    head = PLACEHOLDER.format(NAMESPACE.strip("{}"), "0" * 11).encode()
    return head + b"\n".join(found) + b"\n</reginfo>\n"


def _document(aor: str, rows: dict[str, Row]) -> bytes:
    """The body of its PUBLISH."""
    state = "active" if any(row.expires for row in rows.values()) else "terminated"
    lines = [PLACEHOLDER.format(NAMESPACE.strip("{}"), "0" * 11).rstrip("\n")]
    lines.append(f'  <registration aor="{aor}" id="0x7f1248dc5ae8.0" state="{state}">')
    for number, (uri, row) in enumerate(rows.items()):
        # Only a contact's URI is not escaped rightly: one with "&" is lost.
        written = "<uri/>" if "&" in uri else f"<uri>{uri}</uri>"
        contact = "active" if row.expires else "terminated"
        lines += [
            f'    <contact id="0x7f1248dc{0x5CB0 + number:x}" state="{contact}"'
            f' event="{row.event}" expires="{row.expires}"'
            f' callid={quoteattr(row.call_id)} cseq="{row.cseq}" user_agent="n/a">',
            f"      {written}",
            "    </contact>",
        ]
    return "\n".join([*lines, "  </registration>", "</reginfo>", ""]).encode()
