"""What a whole server does about RFCs that it supports in part, or not at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reginfo.reg import xml
from reginfo.reg.document import Contact, ContactEvent, Reginfo
from reginfo.sip.message import Request, Response
from reginfo.sip.parser import parse

from .test_app import ALICE, BOB, CONFIG, OLD, PHONE, Phone, publish

WATCHER = ("192.0.2.99", 5060)


class Watching(Phone):
    """A phone that also watches, and answers each NOTIFY 200."""

    def subscribed(self, *headers: str, event: str = "reg") -> Response:
        """Send a SUBSCRIBE; the NOTIFYs that follow are not taken yet."""
        self.number += 1
        lines = [
            f"SUBSCRIBE {ALICE} SIP/2.0",
            f"Via: SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKw{self.number}",
            f"From: <{ALICE}>;tag=w",
            f"To: <{ALICE}>",
            f"Call-ID: w{self.number}",
            f"CSeq: {self.number} SUBSCRIBE",
            "Contact: <sip:w@192.0.2.99>",
            f"Event: {event}",
            *headers,
        ]
        data = "\r\n".join([*lines, "", ""]).encode()
        self.wire.send(data, WATCHER, self.server.address)
        first, *rest = self.wire.received(WATCHER)
        self.waiting = rest
        answer = parse(first)
        assert isinstance(answer, Response)
        return answer

    def notifies(self) -> list[tuple[Request, Reginfo]]:
        """The NOTIFYs that have come, answered, with their documents."""
        found = list(self._answered(self.waiting + self.wire.received(WATCHER)))
        self.waiting = []
        return found

    def _answered(self, messages: list[bytes]) -> Iterator[tuple[Request, Reginfo]]:
        for data in messages:
            message = parse(data)
            if isinstance(message, Request):
                answer = message.write_response(Response(200, "OK"), to_tag="")
                self.wire.send(answer, WATCHER, self.server.address)
                yield message, xml.parse(message.body)

    def contacts(self) -> list[Contact]:
        """The contacts of the NOTIFYs that have come."""
        return [
            contact
            for _, document in self.notifies()
            for registration in document.registrations
            for contact in registration.contacts
        ]


@pytest.mark.shows("5839-05", "5839-07")
@pytest.mark.parametrize("tag", ["*", "abc"])
def test_a_condition_on_a_subscribe_is_ignored(tag: str) -> None:
    """RFC 5839 §4: the full state follows, and a 204 is never the answer."""
    phone = Watching()
    phone.register()
    assert phone.subscribed(f"Suppress-If-Match: {tag}").status == 200
    ((_, document),) = phone.notifies()
    assert document.full
    assert [len(one.contacts) for one in document.registrations] == [1]


@pytest.mark.shows("6446-04", "6446-09")
@pytest.mark.parametrize("rate", ["max-rate=100", "min-rate=10", "max-rate=x"])
def test_a_watcher_cannot_ask_for_a_higher_rate_than_ours(rate: str) -> None:
    """RFC 6446 §5.2: local policy holds, and what waits is merged without a loss."""
    config = CONFIG.replace("min_interval = 0.0", "min_interval = 5.0")
    phone = Watching(config)
    assert phone.subscribed(event=f"reg;{rate}").status == 200
    assert len(phone.notifies()) == 1
    phone.wire.pass_time(6)
    phone.register("<sip:alice@192.0.2.50>")
    assert len(phone.notifies()) == 1
    for number in range(3):
        phone.register(f"<sip:alice@192.0.2.6{number}>", call_id=f"c{number}")
    assert phone.notifies() == []
    phone.wire.pass_time(4.5)
    assert phone.notifies() == []
    phone.wire.pass_time(0.6)
    ((_, document),) = phone.notifies()
    uris = {c.uri for one in document.registrations for c in one.contacts}
    assert uris == {f"sip:alice@192.0.2.6{number}" for number in range(3)}


@pytest.mark.shows("3857-03")
@pytest.mark.parametrize("event", ["reg.winfo", "reg.winfo.winfo"])
def test_nobody_may_watch_the_watchers(event: str) -> None:
    answer = Watching().subscribed(event=event)
    assert (answer.status, answer.header("Allow-Events")) == (489, "reg")


@pytest.mark.shows("3903-42")
def test_a_publish_for_another_domain_is_not_found_here() -> None:
    phone = Phone(CONFIG + OLD)
    assert publish(phone, uri="sip:bob@example.org").status in (403, 404)
    assert phone.server.contacts("sip:bob@example.org") == []


@pytest.mark.shows("3903-42")
def test_publishes_of_one_resource_are_handled_in_order() -> None:
    phone = Phone(CONFIG + OLD)
    tags = [publish(phone, cseq=cseq).header("SIP-ETag") for cseq in (1, 2, 3)]
    assert len(set(tags)) == 3
    assert len(phone.server.bindings(BOB)) == 1


@pytest.mark.shows("5626-02")
def test_a_reg_id_without_an_instance_is_ignored() -> None:
    """RFC 5626 §6: the binding is an ordinary one."""
    phone = Phone()
    assert phone.register("<sip:alice@192.0.2.50>;reg-id=1") == 200
    assert phone.register("<sip:alice@192.0.2.51>;reg-id=1") == 200
    assert sorted(phone.server.contacts(ALICE)) == [
        "sip:alice@192.0.2.50",
        "sip:alice@192.0.2.51",
    ]


@pytest.mark.shows("24229-05")
def test_a_refresh_is_reported_as_one() -> None:
    phone = Watching()
    phone.register()
    phone.subscribed()
    phone.notifies()
    phone.register()
    assert [contact.event for contact in phone.contacts()] == [ContactEvent.REFRESHED]


@pytest.mark.shows("24229-07", "24229-09")
@pytest.mark.parametrize(
    ("event", "retry_after"),
    [
        (ContactEvent.REJECTED, None),
        (ContactEvent.DEACTIVATED, None),
        (ContactEvent.PROBATION, 60),
        (ContactEvent.UNREGISTERED, None),
        (ContactEvent.EXPIRED, None),
    ],
)
def test_how_a_contact_has_gone_is_reported_and_the_subscription_stays(
    event: ContactEvent, retry_after: int | None
) -> None:
    """TS 24.229 §5.4.2.1.2: one contact of two goes, for each of the reasons."""
    phone = Watching()
    desk, mobile = "sip:alice@192.0.2.60", "sip:alice@192.0.2.61"
    phone.register(f"<{desk}>;expires=100", call_id="desk")
    phone.register(f"<{mobile}>;expires=600", call_id="mobile")
    phone.subscribed()
    phone.notifies()
    if event is ContactEvent.UNREGISTERED:
        phone.register(f"<{desk}>;expires=0", call_id="desk")
    elif event is ContactEvent.EXPIRED:
        phone.wire.pass_time(100.2)
    else:
        phone.server.app.remove(
            ALICE, contact=desk, event=event, retry_after=retry_after
        )
        # A keep-alive, so that the wire delivers what has been sent.
        phone.wire.send(b"\r\n\r\n", PHONE, phone.server.address)
    ((notify, document),) = phone.notifies()
    (contact,) = document.registrations[0].contacts
    assert (contact.uri, contact.event) == (desk, event)
    assert contact.retry_after == retry_after
    assert notify.headers["Subscription-State"][0].startswith("active")
    assert phone.server.contacts(ALICE) == [mobile]
