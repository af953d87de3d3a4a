"""Scripts under test, and a peer that notifies them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reginfo.reg import xml
from reginfo.reg.document import (
    Contact,
    ContactEvent,
    Reginfo,
    Registration,
    RegistrationState,
    contact_id,
    registration_id,
)
from reginfo.sip.message import Request, Response
from reginfo.testing import Script
from reginfo.testing.script import CONFIG, PHONE

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"
BOBS_PHONE = "sip:bob@192.0.2.60"
AT_BOB = ("192.0.2.60", 5060)
PEER = ("192.0.2.2", 5060)
WATCHES_BOB = """
[[peer]]
name  = "p"
uri   = "sip:192.0.2.2"
watch = ["sip:bob@example.com"]
"""
HEAD = "from reginfo import Message, Refusal, Route\n\nroute = Route()\n\n"

NewScript = Callable[..., Script]


def written(path: Path, text: str) -> Path:
    """A script of ``text``, after the lines that each has."""
    path.write_text(HEAD + textwrap.dedent(text))
    return path


def contact(uri: str = BOBS_PHONE, event: str = "registered", **others: Any) -> Contact:
    values: dict[str, Any] = {"expires": 600, "callid": "theirs", "cseq": 1}
    return Contact(
        id=contact_id(BOB, uri), uri=uri, event=ContactEvent(event), **values | others
    )


def document(
    *contacts: Contact,
    version: int = 0,
    full: bool = True,
    aor: str = BOB,
    state: RegistrationState | None = None,
) -> bytes:
    if state is None:
        active = any(one.event.state == "active" for one in contacts)
        state = RegistrationState.ACTIVE if active else RegistrationState.TERMINATED
    one = Registration(aor=aor, id=registration_id(aor), state=state, contacts=contacts)
    return xml.serialize(Reginfo(version=version, full=full, registrations=(one,)))


class Notifier:
    """A peer that the script's server has subscribed to, and that notifies it."""

    def __init__(self, script: Script) -> None:
        self.script = script
        script.pass_time(0.1)
        (subscribe,) = [one for one in script.sent() if one.method == "SUBSCRIBE"]
        assert isinstance(subscribe.message, Request)
        self.subscribe = subscribe.message
        script.answer(subscribe, 200, headers=[("Expires", "3600")])
        self.cseq = 0

    def notify(
        self,
        body: bytes = b"",
        *headers: str,
        state: str = "active;expires=3600",
        event: str = "reg",
        content_type: str = xml.MEDIA_TYPE,
        call_id: str | None = None,
        tag: str = "answered",
        source: tuple[str, int] = PEER,
    ) -> Response:
        """Send a NOTIFY in the dialog; what it is answered."""
        self.cseq += 1
        lines = [
            "NOTIFY sip:reginfo@192.0.2.1 SIP/2.0",
            f"Via: SIP/2.0/UDP {source[0]};branch=z9hG4bKnotify{self.cseq}",
            f"From: {self.subscribe.headers['To'][0]};tag={tag}",
            f"To: {self.subscribe.headers['From'][0]}",
            f"Call-ID: {self.subscribe.call_id if call_id is None else call_id}",
            f"CSeq: {self.cseq} NOTIFY",
            "Max-Forwards: 70",
            "Contact: <sip:192.0.2.2>",
            f"Event: {event}",
            f"Subscription-State: {state}",
            *headers,
        ]
        if body and content_type:
            lines.append(f"Content-Type: {content_type}")
        data = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()
        self.script.sent()
        self.script.wire.send(data + body, source, self.script.server.address)
        answers = [one.message for one in self.script.sent() if one.method == "NOTIFY"]
        (answer,) = [one for one in answers if isinstance(one, Response)]
        return answer


__all__ = [
    "ALICE", "AT_BOB", "BOB", "BOBS_PHONE", "CONFIG", "PEER", "PHONE", "WATCHES_BOB",
    "NewScript", "Notifier", "contact", "document", "written",
]  # fmt: skip
