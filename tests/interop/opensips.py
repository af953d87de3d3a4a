"""
A stand-in for OpenSIPS, of which Debian has no package.

It behaves on the wire as OpenSIPS 4.1.0-dev was seen to (`tests/captures/opensips`):
as a presence server that writes its versions over what was published, as a publisher
that is silent after any refusal, as a subscriber that asks for odd times, and as a
consumer that one NOTIFY can end, or stop for good.
"""

from __future__ import annotations

import itertools
import socket
from dataclasses import dataclass, field
from xml.etree import ElementTree

from .document import NAMESPACE
from .phone import DOMAIN, T1, Address, Message, response, tag_of
from .worker import Worker

PRODUCT = "OpenSIPS (4.1.0-dev (x86_64/linux))"
TYPE = "application/reginfo+xml"
LONGEST = 3600  # seconds of a subscription
LIVE = ("registered", "created", "refreshed")
GONE = ("unregistered", "expired")
"The events that it knows; it skips a contact of any other."


@dataclass(slots=True)
class Contact:
    """A contact of a user of its own."""

    uri: str
    event: str = "registered"
    expires: int = 600
    call_id: str = "its"
    cseq: int = 1


@dataclass(slots=True)
class Record:
    """What its pua keeps of one user that it publishes."""

    etag: str = ""
    sent: bytes = b""
    "The PUBLISH that is on its way."

    sent_at: float = 0.0
    queue: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Watcher:
    """A subscription that its presence server serves."""

    subscribe: Message
    expires: int
    version: int = 0
    cseq: int = 0


class OpenSips(Worker):
    """
    Args:
        peer: Where it publishes and subscribes; itself if None.
        aggregate: Whether it rebuilds documents of several publishers.
        stuck: Whether it answers only the first NOTIFY (``use_domain=1``).
    """

    def __init__(
        self,
        peer: Address | None = None,
        *,
        aggregate: bool = False,
        stuck: bool = False,
    ) -> None:
        super().__init__()
        self._peer = peer or self.address
        self._aggregate = aggregate
        self._stuck = stuck
        self._numbers = itertools.count(1)
        self._records: dict[str, Record] = {}
        self._published: dict[str, dict[str, bytes]] = {}
        self._watchers: dict[str, list[Watcher]] = {}
        self._table: dict[str, set[str]] = {}
        self._refused = 0
        self._statuses: list[int] = []
        self._notifies: dict[str, Message] = {}
        self._unanswered: set[str] = set()
        self._subscribed: list[Message] = []

    # What its operator and its users do.

    def publish(self, user: str, *contacts: Contact) -> None:
        """Something has happened to ``user``, whose contacts are these now."""
        aor = f"sip:{user}@{DOMAIN}"
        number = next(self._numbers)
        active = any(one.event in LIVE for one in contacts)
        rows = "".join(
            f'    <contact id="0x7f{number}.{at}"'
            f' state="{"active" if one.event in LIVE else "terminated"}"'
            f' event="{one.event}" expires="{one.expires}" q="0.500"'
            f' callid="{one.call_id}" cseq="{one.cseq}" user_agent="its">\n'
            f"      <uri>{one.uri}</uri>\n    </contact>\n"
            for at, one in enumerate(contacts)
        )
        body = (
            '<?xml version="1.0"?>\n<reginfo xmlns="urn:ietf:params:xml:ns:reginfo"'
            ' version="00000000000" state="full">\n'
            f'  <registration aor="{aor}" id="0x7f{number}.0"'
            f' state="{"active" if active else "terminated"}">\n{rows}'
            "  </registration>\n</reginfo>\n"
        )
        with self.lock:
            record = self._records.setdefault(user, Record())
            record.queue.append(body.encode())
            self._next(user, record, 0.0)

    def subscribe(self, user: str, expires: int) -> None:
        """Call ``reginfo_subscribe``; what it asks for is seldom what was meant."""
        aor = f"sip:{user}@{DOMAIN}"
        number = next(self._numbers)
        self._send(
            "SUBSCRIBE", aor, f"<{aor}>", f"{self._me};tag=s{number}", number, 10,
            [f"Contact: {self._me}", f"Expires: {expires}"], b"", self._peer,
        )  # fmt: skip

    def forget(self) -> None:
        """Lose what was published there; who has subscribed is known still."""
        with self.lock:
            self._published.clear()

    # What can be seen of it.

    def contacts(self, user: str) -> set[str]:
        """Its location table, as far as it was told of ``user``."""
        with self.lock:
            return set(self._table.get(f"sip:{user}@{DOMAIN}", ()))

    def statuses(self) -> list[int]:
        """What its PUBLISHes were answered."""
        with self.lock:
            return list(self._statuses)

    def notifies(self) -> list[Message]:
        """The NOTIFYs that came, retransmissions but once."""
        with self.lock:
            return list(self._notifies.values())

    def subscribed(self) -> list[Message]:
        """What its SUBSCRIBEs were answered."""
        with self.lock:
            return list(self._subscribed)

    # How.

    @property
    def _me(self) -> str:
        return f"<sip:reginfo@127.0.0.1:{self.port}>"

    def tick(self, now: float) -> float | None:
        for record in self._records.values():
            if record.sent and now >= record.sent_at + T1:
                record.sent_at = now
                self.udp.sendto(record.sent, self._peer)
        return None

    def readable(self, ready: socket.socket, now: float) -> None:
        try:
            data, source = ready.recvfrom(65535)
        except ConnectionRefusedError:
            return  # the other side is down just now
        message = Message.parse(data, source)
        if message.status:
            self._answered(message, now)
        elif message.method == "OPTIONS":  # is anybody here?
            ready.sendto(response(message, 200, "OK"), source)
        elif message.method == "NOTIFY":
            self._consume(message)
        elif message.method == "PUBLISH":
            self._publication(message)
        else:
            self._subscription(message)

    def _send(
        self, method: str, uri: str, to: str, from_: str, call: object, cseq: int,
        headers: list[str], body: bytes, where: Address,
    ) -> bytes:  # fmt: skip
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port}"
            f";branch=z9hG4bK{next(self._numbers)}.0",
            f"To: {to}",
            f"From: {from_}",
            f"CSeq: {cseq} {method}",
            f"Call-ID: {call}-1793@127.0.0.1"
            if isinstance(call, int)
            else f"Call-ID: {call}",
            "Max-Forwards: 70",
            f"Content-Length: {len(body)}",
            f"User-Agent: {PRODUCT}",
            "Event: reg",
            *headers,
            *([f"Content-Type: {TYPE}"] if body else []),
        ]
        data = "\r\n".join([*lines, "", ""]).encode() + body
        self.udp.sendto(data, where)
        return data

    def _answered(self, message: Message, now: float) -> None:
        if message.method == "SUBSCRIBE":
            self._subscribed.append(message)
            return
        if message.method == "NOTIFY":
            if message.status == 481:
                for watchers in self._watchers.values():
                    watchers[:] = [
                        one for one in watchers
                        if one.subscribe["call-id"] != message["call-id"]
                    ]  # fmt: skip
            return
        for user, record in self._records.items():
            if (
                record.sent
                and Message.parse(record.sent, message.source)["call-id"]
                == message["call-id"]
            ):
                self._statuses.append(message.status)
                record.sent = b""
                if message.status >= 300:
                    # Forgotten, and what waited, too: silence until the next change.
                    self._records[user] = Record()
                else:
                    record.etag = message["sip-etag"]
                    self._next(user, record, now)
                return

    def _next(self, user: str, record: Record, now: float) -> None:
        """One in flight; of what waits, each in its turn."""
        if record.sent or not record.queue:
            return
        aor, number = f"sip:{user}@{DOMAIN}", next(self._numbers)
        match = [f"SIP-If-Match: {record.etag}"] if record.etag else []
        record.sent_at = now
        record.sent = self._send(
            "PUBLISH", aor, f"<{aor}>", f"<{aor}>;tag=p{number}", number, 10,
            ["Expires: 3601", *match], record.queue.pop(0), self._peer,
        )  # fmt: skip

    # Its presence server.

    def _publication(self, message: Message) -> None:
        aor = message.start.split()[1]
        known = self._published.setdefault(aor, {})
        match, etag = message.get("sip-if-match"), f"a.{tag_of(message)}"
        if match is not None and match not in known:
            self._reply(message, 412, "Conditional request failed")
            return
        before = known.pop(match, b"") if match is not None else b""
        expires = min(int(message.get("expires") or LONGEST), LONGEST)
        headers = [f"Expires: {expires}", f"SIP-ETag: {etag}"]
        self._reply(message, 200, "OK", headers)
        if expires == 0:
            # Two NOTIFYs; the first with what has just been removed.
            self._tell(aor, [*known.values(), before])
            self._tell(aor, list(known.values()))
            return
        known[etag] = message.body or before
        if message.body:
            self._tell(aor, list(known.values()))

    def _subscription(self, message: Message) -> None:
        aor = message.start.split()[1]
        expires = min(int(message.get("expires") or LONGEST), LONGEST)
        headers = [f"Expires: {expires}", f"Contact: {self._me}"]
        self._reply(message, 200, "OK", headers)
        watchers = self._watchers.setdefault(aor, [])
        known = next(
            (w for w in watchers if w.subscribe["call-id"] == message["call-id"]), None
        )
        if known is None:
            known = Watcher(message, expires)
            watchers.append(known)
        if not expires:
            watchers.remove(known)
        self._notify(known, self._document(list(self._published.get(aor, {}).values())))

    def _tell(self, aor: str, documents: list[bytes]) -> None:
        for watcher in self._watchers.get(aor, []):
            self._notify(watcher, self._document(documents))

    def _document(self, documents: list[bytes]) -> bytes:
        documents = [one for one in documents if one]
        if not self._aggregate or len(documents) < 2:
            return documents[-1] if documents else b""
        first = documents[0]
        for other in documents[1:]:
            start, end = other.index(b"<registration"), other.index(b"</reginfo>")
            first = first.replace(b"</reginfo>", other[start:end] + b"</reginfo>")
        return first

    def _notify(self, watcher: Watcher, body: bytes) -> None:
        subscribe = watcher.subscribe
        watcher.cseq += 1
        state = f"active;expires={watcher.expires}"
        if not watcher.expires:
            state = "terminated;reason=timeout"
        contact = subscribe["contact"].partition("<")[2].partition(">")[0]
        to = f"{subscribe['to']};tag={tag_of(subscribe)}"
        self._send(
            "NOTIFY", contact, subscribe["from"], to, subscribe["call-id"],
            watcher.cseq, [f"Contact: {self._me}", f"Subscription-State: {state}"],
            written_over(body, watcher.version), subscribe.source,
        )  # fmt: skip
        watcher.version += 1

    # Its reginfo_handle_notify.

    def _consume(self, message: Message) -> None:
        again = message.branch in self._notifies
        self._notifies[message.branch] = message
        if message.branch in self._unanswered:
            return
        if self._stuck and not again and len(self._notifies) > 1:
            self._unanswered.add(message.branch)  # a lock that is never released
            return
        if message.body and not again:
            self._take(message.body)
        self._reply(message, 202, "Accepted")

    def _take(self, body: bytes) -> None:
        registrations = list(
            ElementTree.fromstring(body).iter(f"{NAMESPACE}registration")
        )
        # Each of these ends it, or one of its workers.
        assert len(registrations) == 1, "more than one registration"
        (registration,) = registrations
        aor = registration.attrib["aor"]
        assert "@" in aor, "an address-of-record without a user"
        for contact in registration.iter(f"{NAMESPACE}contact"):
            assert contact.get("callid") and contact.get("id"), "no callid or id"
            for param in contact.iter(f"{NAMESPACE}unknown-param"):
                assert param.get("name"), "a parameter without a name"
            uri = contact.findtext(f"{NAMESPACE}uri")
            event = contact.attrib["event"]
            assert uri is not None
            if contact.get("expires") is None:
                continue  # skipped
            expires = int(contact.attrib["expires"])
            if event in LIVE or (event in GONE and expires):
                self._table.setdefault(aor, set()).add(uri)
            elif event in GONE:
                self._table.get(aor, set()).discard(uri)

    def _reply(
        self,
        message: Message,
        status: int,
        reason: str,
        headers: list[str] | None = None,
    ) -> None:
        lines = [*(headers or []), f"Server: {PRODUCT}"]
        self.udp.sendto(response(message, status, reason, lines), message.source)


def written_over(body: bytes, version: int) -> bytes:
    """What it makes of a document: the watcher's version, over 13 bytes of any."""
    at = body.find(b"version=", 34)
    if at < 0:
        return body
    start = at + len(b'version="')
    text = f'{version}"'.encode().ljust(13)
    return body[:start] + text + body[start + 13 :]
