"""A NOTIFY outside our dialogs registers nobody (RFC 6665 §4.1.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .phone import Message, Phone, becomes, tag_of
from .server import Server

ALICE = "sip:alice@example.test"
DESK = "sip:alice@127.0.0.1:9;device=desk"

DOCUMENT = (
    '<?xml version="1.0"?>\n'
    '<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="0" state="full">'
    f'<registration aor="{ALICE}" id="r1" state="active">'
    '<contact id="c1" state="active" event="registered" expires="600"'
    f' callid="desk" cseq="1"><uri>{DESK}</uri></contact>'
    "</registration></reginfo>"
).encode()


@dataclass(frozen=True, slots=True)
class Watched:
    """A phone that plays the notifier to a server that has subscribed to it."""

    server: Server
    phone: Phone
    subscribe: Message

    def notify(
        self,
        cseq: int,
        *,
        event: str | None = "reg",
        tag: str | None = None,
        call_id: str | None = None,
        body: bytes = DOCUMENT,
    ) -> int:
        """Send a NOTIFY in the dialog, or a little beside it; its status code."""
        contact = self.subscribe["contact"].partition("<")[2].partition(">")[0]
        headers = [
            f"Contact: <sip:phone@127.0.0.1:{self.phone.port}>",
            "Subscription-State: active;expires=3600",
            "Content-Type: application/reginfo+xml",
        ]
        if event is not None:
            headers.append(f"Event: {event}")
        request = self.phone.request(
            "NOTIFY",
            contact,
            to=self.subscribe["from"],
            from_=f"{self.subscribe['to']};tag={tag or tag_of(self.subscribe)}",
            call_id=call_id or self.subscribe["call-id"],
            cseq=cseq,
            headers=headers,
            body=body,
        )
        return self.phone.ask(request).status


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    server = Server(tmp_path / "a")
    with Phone(server.address) as phone:
        server.peers = (
            f'name = "phone"\nuri = "sip:127.0.0.1:{phone.port}"\nwatch = ["{ALICE}"]',
        )
        with server:
            yield Watched(server, phone, phone.incoming("SUBSCRIBE"))


def test_a_notify_in_the_dialog_is_taken(watched: Watched) -> None:
    assert watched.notify(1) == 200
    becomes(lambda: watched.server.contacts("alice"), {DESK})


def test_a_notify_with_another_call_id_is_481(watched: Watched) -> None:
    assert watched.notify(1) == 200
    assert watched.notify(2, call_id="another", body=moved(DOCUMENT)) == 481
    assert watched.server.contacts("alice") == {DESK}


def test_a_notify_with_another_tag_is_481(watched: Watched) -> None:
    assert watched.notify(1) == 200
    assert watched.notify(2, tag="another", body=moved(DOCUMENT)) == 481
    assert watched.server.contacts("alice") == {DESK}


def test_the_dialog_is_looked_for_before_the_event(watched: Watched) -> None:
    assert watched.notify(1) == 200
    assert watched.notify(2, event="frobnicate", call_id="another") == 481


@pytest.mark.parametrize("event", ["frobnicate", "presence", None])
def test_another_event_in_the_dialog_is_489(watched: Watched, event: str) -> None:
    assert watched.notify(1) == 200
    assert watched.notify(2, event=event, body=moved(DOCUMENT)) == 489
    assert watched.server.contacts("alice") == {DESK}
    # The subscription has survived it.
    assert watched.notify(3) == 200


def test_a_notify_to_a_server_without_peers_is_481(server: Server) -> None:
    with Phone(server.address) as phone:
        request = phone.request(
            "NOTIFY",
            f"sip:reginfo@127.0.0.1:{server.port}",
            to=f"<sip:reginfo@127.0.0.1:{server.port}>;tag=theirs",
            call_id="forged",
            cseq=1,
            headers=[
                f"Contact: <sip:mallory@127.0.0.1:{phone.port}>",
                "Event: reg",
                "Subscription-State: active;expires=3600",
                "Content-Type: application/reginfo+xml",
            ],
            body=DOCUMENT,
        )
        assert phone.ask(request).status == 481
    assert server.all_bindings() == []


def moved(document: bytes) -> bytes:
    """The same document with another contact."""
    return document.replace(b"device=desk", b"device=forged")
