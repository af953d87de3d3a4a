"""Publishers behind one socket: each modifies its publication again and again."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from .phone import DOMAIN, T1, Address, Message
from .worker import Worker


@dataclass(slots=True)
class Publication:
    """One publication of one user (RFC 3903 §4)."""

    user: str
    number: int = 0
    "Of the last PUBLISH: its CSeq, and that of the contact in it."

    answered: int = 0
    etag: str = ""
    request: bytes = b""
    "The PUBLISH that is on its way; empty if it is answered."

    sent_at: float = 0.0


class Publishers(Worker):
    """
    Publishes users at a server, which knows us by our address.

    What is not answered is sent again. A publisher must never see anything but 200:
    not for what is sent again, and not for the entity-tag that it was given.
    """

    def __init__(self, users: Sequence[str]) -> None:
        super().__init__()
        self.server: Address | None = None
        "Where they publish, from now on."

        self.paused = False
        "Whether they begin nothing new."

        self.answers = 0
        self._run_id = secrets.token_hex(4)
        self._publications = {
            f"publish-{user}-{self._run_id}": Publication(user) for user in users
        }

    @property
    def quiet(self) -> bool:
        """Whether nothing is on its way."""
        with self.lock:
            return not any(p.request for p in self._publications.values())

    def answered(self) -> dict[str, int]:
        """The number of the last PUBLISH that was answered, by address-of-record."""
        with self.lock:
            return {
                f"sip:{publication.user}@{DOMAIN}": publication.answered
                for publication in self._publications.values()
                if publication.answered
            }

    def tick(self, now: float) -> float | None:
        if self.server is None:
            return None
        for call_id, publication in self._publications.items():
            if not publication.request and not self.paused:
                publication.number += 1
                publication.request = self._publish(call_id, publication)
            elif not publication.request or now < publication.sent_at + T1:
                continue
            publication.sent_at = now
            self.udp.sendto(publication.request, self.server)
        return None

    def readable(self, ready: socket.socket, now: float) -> None:
        try:
            data, source = ready.recvfrom(65535)
        except ConnectionRefusedError:
            return  # the server is down just now
        message = Message.parse(data, source)
        publication = self._publications[message["call-id"]]
        assert message.status == 200, f"{publication}: {message.start}"
        if publication.request and message["cseq"] == f"{publication.number} PUBLISH":
            publication.request = b""
            publication.answered = publication.number
            publication.etag = message["sip-etag"]
            self.answers += 1

    def _publish(self, call_id: str, publication: Publication) -> bytes:
        aor = f"sip:{publication.user}@{DOMAIN}"
        body = (
            '<?xml version="1.0"?>'
            '<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="0" state="full">'
            f'<registration aor="{aor}" id="r" state="active">'
            f'<contact id="c" state="active" event="refreshed" expires="600"'
            f' callid="{call_id}" cseq="{publication.number}">'
            f"<uri>sip:{publication.user}@192.0.2.9</uri>"
            "</contact></registration></reginfo>"
        )
        me = f"127.0.0.1:{self.port}"
        lines = [
            f"PUBLISH {aor} SIP/2.0",
            f"Via: SIP/2.0/UDP {me};branch=z9hG4bK{call_id}{publication.number}",
            "Max-Forwards: 70",
            f"From: <{aor}>;tag={self._run_id}",
            f"To: <{aor}>",
            f"Call-ID: {call_id}",
            f"CSeq: {publication.number} PUBLISH",
            "Event: reg",
            "Expires: 3600",
            *([f"SIP-If-Match: {publication.etag}"] if publication.etag else []),
            "Content-Type: application/reginfo+xml",
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*lines, "", body]).encode()
