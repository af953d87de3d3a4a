"""Many watchers behind one socket, each with its table (RFC 3680 §5.2)."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree

from .document import NAMESPACE
from .phone import DOMAIN, T1, Address, Message, response
from .worker import Worker


@dataclass(slots=True)
class Watch:
    """One subscription, and what it has been told."""

    user: str
    call_id: str
    request: bytes = b""
    sent_at: float = 0.0
    dialog: str = ""
    "To, with the notifier's tag; empty until the SUBSCRIBE is answered."

    branches: set[str] = field(default_factory=set)
    cseq: int = 0
    version: int = -1
    contacts: dict[str, str] = field(default_factory=dict)
    "The active ones: the parameter `n` of each, by URI."


class Watchers(Worker):
    """
    Watches users at a server; nothing that is sent to it is lost.

    What a watcher must never see is an error: a NOTIFY whose CSeq or version is not
    higher than the last, a partial document after one that was not told.
    """

    def __init__(self, server: Address, users: Sequence[str]) -> None:
        super().__init__()
        self._server = server
        self._run_id = secrets.token_hex(4)
        self._watches = {
            f"watch-{user}-{self._run_id}": Watch(user, f"watch-{user}-{self._run_id}")
            for user in users
        }
        self.notifies = 0
        "How many came, retransmissions but once."

        self.full = 0
        "How many of them had the full state."

        self.copies = 0
        "How many retransmissions came."

    @property
    def subscribed(self) -> bool:
        """Whether every SUBSCRIBE has been answered."""
        with self.lock:
            return all(watch.dialog for watch in self._watches.values())

    def tables(self) -> dict[str, dict[str, str]]:
        """Of each user who is bound: the parameter `n` of each contact, by URI."""
        with self.lock:
            return {
                watch.user: dict(watch.contacts)
                for watch in self._watches.values()
                if watch.contacts
            }

    def tick(self, now: float) -> float | None:
        for watch in self._watches.values():
            if not watch.dialog and now >= watch.sent_at + T1:
                watch.request = watch.request or self._subscribe(watch)
                watch.sent_at = now
                self.udp.sendto(watch.request, self._server)
        return None

    def readable(self, ready: socket.socket, now: float) -> None:
        try:
            data, source = ready.recvfrom(65535)
        except ConnectionRefusedError:
            return  # the server is down just now
        message = Message.parse(data, source)
        if message.method == "OPTIONS":  # is anybody here?
            ready.sendto(response(message, 200, "OK"), source)
            return
        watch = self._watches[message["call-id"]]
        if message.status:
            assert message.status == 200, message.start
            watch.dialog = message["to"]
            return
        assert message.method == "NOTIFY", message.start
        ready.sendto(response(message, 200, "OK"), source)
        if message.branch in watch.branches:
            self.copies += 1
            return
        watch.branches.add(message.branch)
        self.notifies += 1
        cseq = int(message["cseq"].split()[0])
        assert cseq > watch.cseq, f"{watch.user}: CSeq {cseq} after {watch.cseq}"
        watch.cseq = cseq
        self._take(watch, ElementTree.fromstring(message.body))

    def _take(self, watch: Watch, document: ElementTree.Element) -> None:
        version, full = int(document.attrib["version"]), document.get("state") == "full"
        if full:
            assert version > watch.version, f"{watch.user}: {version} is not new"
            self.full += 1
            watch.contacts.clear()
        else:
            assert version == watch.version + 1, (
                f"{watch.user}: {version} after {watch.version}"
            )
        watch.version = version
        for contact in document.iter(f"{NAMESPACE}contact"):
            uri = contact.findtext(f"{NAMESPACE}uri")
            assert uri is not None
            if contact.attrib["state"] == "active":
                (number,) = (
                    param.text
                    for param in contact.iter(f"{NAMESPACE}unknown-param")
                    if param.attrib["name"] == "n"
                )
                watch.contacts[uri] = str(number)
            else:
                watch.contacts.pop(uri, None)

    def _subscribe(self, watch: Watch) -> bytes:
        aor = f"sip:{watch.user}@{DOMAIN}"
        me = f"127.0.0.1:{self.port}"
        lines = [
            f"SUBSCRIBE {aor} SIP/2.0",
            f"Via: SIP/2.0/UDP {me};branch=z9hG4bK{watch.call_id}",
            "Max-Forwards: 70",
            f"From: <sip:watcher@{DOMAIN}>;tag={watch.call_id}",
            f"To: <{aor}>",
            f"Call-ID: {watch.call_id}",
            "CSeq: 1 SUBSCRIBE",
            f"Contact: <sip:watcher@{me}>",
            "Event: reg",
            "Accept: application/reginfo+xml",
            "Expires: 3600",
            "Content-Length: 0",
        ]
        return "\r\n".join([*lines, "", ""]).encode()
