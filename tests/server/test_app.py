"""A whole server, without sockets: what each request comes to."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.config.config import Config
from reginfo.location.place import TABLE, Aor
from reginfo.roles.compositor import Compositor
from reginfo.roles.publisher import Publisher
from reginfo.roles.subscriber import Subscriber
from reginfo.routing.targets import Found
from reginfo.server.app import App
from reginfo.sip.destination import Destination
from reginfo.sip.flow import Local
from reginfo.sip.message import Response
from reginfo.sip.parser import parse
from reginfo.sip.transport import Transport
from reginfo.sip.uri import Uri
from reginfo.testing import Wire, WireServer

from ..make import moment, place

ALICE = "sip:alice@example.com"
PHONE = ("192.0.2.50", 5060)
SELF = ("192.0.2.1", 5060)

CONFIG = """
[server]
id = "a"
listen = ["udp:192.0.2.1:5060"]
domains = ["example.com", "example.net"]
[store]
url = "memory:"
[notifier]
min_interval = 0.0
"""


class At:
    """Names that all lead to one destination."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination

    def find(self, uri: Uri, found: Found) -> None:
        found([self.destination])


class Phone:
    """Somebody at :data:`PHONE`, and a server to talk to."""

    def __init__(self, config: str = CONFIG) -> None:
        self.wire = Wire()
        self.server: WireServer = self.wire.serve(Config.parse(config))
        self.number = 0

    def ask(
        self,
        method: str,
        *headers: str,
        uri: str = "sip:example.com",
        to: str = f"<{ALICE}>",
        from_: str = f"<{ALICE}>;tag=a",
        call_id: str = "phone",
        cseq: int | None = None,
        branch: str = "",
    ) -> Response:
        """Send a request, and return the response; NOTIFYs are left unanswered."""
        self.number += 1
        number = self.number if cseq is None else cseq
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 192.0.2.50;branch=z9hG4bK{branch or self.number}",
            f"From: {from_}",
            f"To: {to}",
            f"Call-ID: {call_id}",
            f"CSeq: {number} {method}",
            *headers,
        ]
        data = "\r\n".join([*lines, "", ""]).encode()
        self.wire.send(data, PHONE, self.server.address)
        answers = [parse(data) for data in self.wire.received(PHONE)]
        (response,) = [answer for answer in answers if isinstance(answer, Response)]
        return response

    def register(self, contact: str = "<sip:alice@192.0.2.50>", **others: Any) -> int:
        return self.ask("REGISTER", f"Contact: {contact}", **others).status

    def subscribe(self, **others: Any) -> Response:
        return self.ask(
            "SUBSCRIBE",
            "Event: reg",
            "Contact: <sip:w@192.0.2.50>",
            **({"uri": ALICE, "call_id": "watch"} | others),
        )


@pytest.mark.parametrize(
    ("uri", "contact"),
    [
        ("sip:192.0.2.9", b"<sip:reginfo@192.0.2.1>"),
        ("sip:192.0.2.9;transport=tcp", b"<sip:reginfo@192.0.2.1;transport=tcp>"),
    ],
)
def test_a_peer_that_is_asked_by_tcp_is_told_to_notify_by_tcp(
    uri: str, contact: bytes
) -> None:
    """6665-50"""
    config = (
        CONFIG.replace('060"]', '060", "tcp:192.0.2.1:5060"]')
        + f"""
    [pua_reginfo]
    server_address = "sip:reginfo@192.0.2.1"
    [[peer]]
    name = "b"
    uri = "{uri}"
    watch = ["{ALICE}"]
    """
    )
    app = App(Config.parse(config), new_id=lambda: "1")
    locals = [Local(transport, *SELF) for transport in (Transport.UDP, Transport.TCP)]
    transport = Transport.of(Uri.parse(uri)) or Transport.UDP
    app.begin(locals, At(Destination(transport, ("192.0.2.9", 5060))))
    app.timer_due(moment(app.now() + 1.0))
    (subscribe,) = app.endpoint.datagrams_to_send()
    assert b"\r\nContact: " + contact + b"\r\n" in subscribe.data
    assert subscribe.flow.local.is_reliable == (b"tcp" in contact)


def test_options_says_all_that_a_monitoring_system_wants_to_know() -> None:
    """
    The 200 to OPTIONS lists all that a monitoring system asks for (3261-27, 6665-28).
    """
    response = Phone().ask("OPTIONS", uri="sip:192.0.2.1")
    assert response.status == 200
    assert response.headers["Allow"] == [
        "REGISTER, SUBSCRIBE, NOTIFY, PUBLISH, OPTIONS"
    ]
    assert response.headers["Accept"] == ["application/reginfo+xml"]
    assert response.headers["Supported"] == ["path"]
    assert response.headers["Allow-Events"] == ["reg"]  # 6665-28


def test_another_domain_is_not_found_here() -> None:
    """A REGISTER for another domain is answered 404 (3261-01, -05)."""
    phone = Phone()
    assert phone.register(uri="sip:example.org") == 404
    assert phone.register(to="<sip:alice@example.org>") == 404
    assert phone.subscribe(uri="sip:alice@example.org").status == 404
    assert list(phone.server.app.store.aors(TABLE)) == []


def test_every_domain_of_ours_and_our_address_is_served() -> None:
    phone = Phone()
    assert phone.register(uri="sip:EXAMPLE.net", to="<sip:al@Example.NET>") == 200
    assert phone.register(uri="sip:192.0.2.1:5060") == 200
    assert phone.server.contacts("sip:al@example.net") == ["sip:alice@192.0.2.50"]


def test_registers_of_one_user_are_decided_in_the_order_in_which_they_come() -> None:
    """REGISTERs of one user are decided in order of arrival (3261-15)."""
    # Each sees what the one before it has done.
    phone = Phone()
    assert phone.register(cseq=5) == 200
    assert phone.register(cseq=4) == 500
    assert phone.register(cseq=6) == 200
    (binding,) = phone.server.bindings(ALICE)
    assert binding.cseq == 6


def test_a_subscribe_that_comes_by_two_ways_is_served_once() -> None:
    """A SUBSCRIBE that arrives by two paths is served once (6665-32)."""
    phone = Phone()
    assert phone.subscribe(cseq=1, branch="one").status == 200
    assert phone.subscribe(cseq=1, branch="two").status == 482
    assert len(phone.server.app.notifier) == 1


def test_without_use_domain_a_user_is_one_in_all_domains() -> None:
    config = f"""{CONFIG}
        [usrloc]
        use_domain = false
        [pua_reginfo]
        default_domain = "example.com"
        """
    phone = Phone(config)
    assert phone.register(to="<sip:alice@example.net>", uri="sip:example.net") == 200
    assert phone.server.contacts(ALICE) == ["sip:alice@192.0.2.50"]
    assert phone.register(to="<sip:example.net>") == 200
    assert phone.server.contacts("sip:example.com") == ["sip:alice@192.0.2.50"]


def test_a_telephone_number_is_an_address_of_record() -> None:
    phone = Phone()
    assert phone.register(to="<tel:+1-555-1234>") == 200
    assert phone.server.contacts("tel:+15551234") == ["sip:alice@192.0.2.50"]


def test_an_invalid_address_of_record_cannot_be_registered() -> None:
    assert Phone().register(to="<mailto:alice@example.com>") == 416


def test_who_may_watch_is_as_configured() -> None:
    """The configuration decides who may subscribe (3680-11)."""
    phone = Phone(CONFIG + 'allow = ["self"]\nmax_subscriptions = 1\n')
    other = "<sip:bob@example.com>;tag=b"
    assert phone.subscribe(from_=other).status == 403
    assert phone.subscribe().status == 200
    assert phone.subscribe(call_id="more").status == 503


def test_an_error_of_ours_changes_nothing_and_is_answered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    phone = Phone()

    def broken(*args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(phone.server.app.store, "listener", broken)
    assert phone.register() == 500
    assert phone.server.contacts(ALICE) == []
    assert "ZeroDivisionError" in caplog.text
    monkeypatch.undo()
    assert phone.register() == 200


@pytest.mark.parametrize("role", [Compositor, Subscriber, Publisher])
def test_a_timer_of_one_role_that_fails_stops_no_other(
    role: type[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    phone = Phone()
    phone.register(contact="<sip:alice@192.0.2.50>;expires=60")

    def broken(*args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(role, "timer_at", 0.0)
    monkeypatch.setattr(role, "timer_due", broken)
    phone.wire.pass_time(61)
    rows = phone.server.app.store.rows(place(ALICE))
    assert [claims[0].event.value for claims in rows.values()] == ["expired"]
    assert {r.getMessage() for r in caplog.records if r.levelname == "ERROR"} == {
        f"! a timer of the {role.__name__.lower()} failed"
    }


def test_a_subscription_that_cannot_be_held_does_not_keep_us_from_starting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Subscriber.watch

    def picky(self: Subscriber, peer: str, aor: Aor, *others: Any) -> None:
        watch(self, peer, aor, *others)
        if aor == ALICE:
            raise ZeroDivisionError

    monkeypatch.setattr(Subscriber, "watch", picky)
    phone = Phone(
        CONFIG
        + f"""
        [pua_reginfo]
        server_address = "sip:reginfo@192.0.2.1"
        [[peer]]
        name = "b"
        uri = "sip:192.0.2.9"
        watch = ["{ALICE}", "{BOB}"]
        """
    )
    assert phone.register() == 200
    phone.wire.pass_time(1)
    assert f"! b/{ALICE} cannot be resumed" in caplog.text
    asked = [p.first_line for p in phone.wire.packets if b"SUBSCRIBE" in p.data[:9]]
    assert f"SUBSCRIBE {BOB} SIP/2.0" in asked


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "FROBNICATE"])
def test_a_method_that_nobody_answers_here_is_405_with_those_that_are(
    method: str,
) -> None:
    """A method that is not implemented is answered 405 with Allow (3261-28)."""
    response = Phone().ask(method)
    assert response.status == 405
    assert response.headers["Allow"] == [
        "REGISTER, SUBSCRIBE, NOTIFY, PUBLISH, OPTIONS"
    ]


# A NOTIFY that nobody has asked for.

BODY = (
    '<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="0" state="full">'
    '<registration aor="sip:bob@example.com" id="r" state="active">'
    '<contact id="c" state="active" event="registered" expires="60" callid="x" '
    'cseq="1"><uri>sip:bob@192.0.2.77</uri></contact></registration></reginfo>'
)
BOB = "sip:bob@example.com"
OLD = """
[[peer]]
name = "old"
match = { address = "192.0.2.50" }
unsolicited = true
"""


def notify(phone: Phone, body: str = BODY, *headers: str, cseq: int = 1) -> int:
    lines = [
        "NOTIFY sip:server@192.0.2.1 SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.50;branch=z9hG4bKnotify{cseq}",
        f"From: <{BOB}>;tag=theirs",
        "To: <sip:server@192.0.2.1>;tag=none",
        "Call-ID: stray",
        f"CSeq: {cseq} NOTIFY",
        *(headers or ("Event: reg", "Subscription-State: active;expires=600")),
        "Content-Type: application/reginfo+xml",
    ]
    data = "\r\n".join([*lines, "", body]).encode()
    phone.wire.send(data, PHONE, phone.server.address)
    answer = parse(phone.wire.received(PHONE)[-1])
    assert isinstance(answer, Response)
    return answer.status


def test_a_notify_without_a_subscription_registers_nobody() -> None:
    """A NOTIFY without a subscription changes no registration (6665-56)."""
    phone = Phone()
    assert notify(phone) == 481
    assert phone.server.contacts(BOB) == []
    known = Phone(CONFIG + OLD.replace("unsolicited = true", ""))
    assert notify(known) == 481
    stranger = Phone(CONFIG + OLD.replace("192.0.2.50", "192.0.2.51"))
    assert notify(stranger) == 481


def test_a_peer_that_is_configured_for_it_may_notify_without_being_asked() -> None:
    """A peer that is configured for it may send unsolicited NOTIFYs (6665-56)."""
    phone = Phone(CONFIG + OLD)
    assert notify(phone) == 200
    (binding,) = phone.server.bindings(BOB)
    assert (binding.owner, binding.source) == ("old", "old/unsolicited")
    gone = BODY.replace("registered", "unregistered").replace(
        'state="active" event', 'state="terminated" event'
    )
    assert notify(phone, gone, cseq=2) == 200
    assert phone.server.contacts(BOB) == []


def test_what_such_a_peer_sends_is_looked_at_all_the_same() -> None:
    phone = Phone(CONFIG + OLD)
    state = "Subscription-State: active"
    assert notify(phone, BODY, "Event: presence", state, cseq=1) == 489
    assert notify(phone, BODY, "Event: reg", cseq=2) == 400
    assert notify(phone, "<reginfo", cseq=3) == 400
    assert phone.server.contacts(BOB) == []
    assert notify(phone, cseq=4) == 200


# Publications of others.


def publish(phone: Phone, body: str = BODY, uri: str = BOB, cseq: int = 1) -> Response:
    lines = [
        f"PUBLISH {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.50;branch=z9hG4bKpublish{cseq}",
        f"From: <{uri}>;tag=theirs",
        f"To: <{uri}>",
        "Call-ID: publication",
        f"CSeq: {cseq} PUBLISH",
        "Event: reg",
        "Expires: 600",
        "Content-Type: application/reginfo+xml",
    ]
    data = "\r\n".join([*lines, "", body]).encode()
    phone.wire.send(data, PHONE, phone.server.address)
    answer = parse(phone.wire.received(PHONE)[-1])
    assert isinstance(answer, Response)
    return answer


def test_a_server_that_is_configured_may_publish() -> None:
    """3903-37"""
    phone = Phone(CONFIG + OLD)
    answer = publish(phone)
    assert (answer.status, answer.header("Expires")) == (200, "600")
    assert answer.header("SIP-ETag")
    (binding,) = phone.server.bindings(BOB)
    assert (binding.owner, binding.source) == ("old", "old/PUBLISH")


def test_nobody_else_may_publish_for_others() -> None:
    """3903-37"""
    phone = Phone()
    assert publish(phone).status == 403
    assert phone.server.contacts(BOB) == []


def test_nothing_is_published_here_for_another_domain() -> None:
    """RFC 3903 §6, step 1"""
    phone = Phone(CONFIG + OLD)
    elsewhere = "sip:bob@example.org"
    assert publish(phone, BODY.replace(BOB, elsewhere), elsewhere).status == 404


def test_a_publication_ends_with_its_time() -> None:
    """3903-36"""
    phone = Phone(CONFIG + OLD)
    publish(phone, BODY.replace('expires="60"', 'expires="6000"'))
    phone.wire.pass_time(599)
    assert phone.server.contacts(BOB)
    phone.wire.pass_time(2)
    assert phone.server.contacts(BOB) == []
