"""Requests that are sent on without a script: to users of ours, and to others."""

from __future__ import annotations

from pathlib import Path

import pytest

from reginfo.config.config import Config
from reginfo.sip.flow import Address
from reginfo.sip.message import Request, Response, SipMessage
from reginfo.sip.parser import parse
from reginfo.testing import Script, Wire

from ..server.scripted import written

CALLER: Address = ("192.0.2.50", 5060)
PHONE: Address = ("192.0.2.60", 5060)
OTHER: Address = ("192.0.2.70", 5070)
BOB = "sip:bob@example.com"
CONTACT = "sip:bob@192.0.2.60"

CONFIG = """
[server]
id = "a"
listen = ["udp:192.0.2.1:5060"]
domains = ["example.com"]
[store]
url = "memory:"
[notifier]
min_interval = 0.0
"""


class Office:
    """A server, a caller, and a phone."""

    def __init__(self, config: str = CONFIG) -> None:
        self.wire = Wire()
        self.wire.hosts["example.net"] = OTHER
        self.server = self.wire.serve(Config.parse(config))
        self.number = 0

    def ask(
        self,
        method: str,
        uri: str,
        *headers: str,
        to: str | None = None,
        from_: str = "sip:alice@example.com",
        tag: str = "",
    ) -> list[str]:
        """
        Send a request as the caller.

        Returns:
            What is heard of it: `404` at the caller, `MESSAGE sip:...` elsewhere.
        """
        self.number += 1
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 192.0.2.50;branch=z9hG4bK{self.number}",
            f"From: <{from_}>;tag=a",
            f"To: <{to or uri}>{tag and ';tag='}{tag}",
            f"Call-ID: call-{self.number}",
            f"CSeq: {self.number} {method}",
            *headers,
            "Content-Length: 0",
        ]
        before = len(self.wire.packets) + 1
        data = "\r\n".join([*lines, "", ""]).encode()
        self.wire.send(data, CALLER, self.server.address)
        return [heard(parse(packet.data)) for packet in self.wire.packets[before:]]

    def register(self, contact: str = f"<{CONTACT}>", expires: int = 600) -> None:
        told = self.ask(
            "REGISTER",
            "sip:example.com",
            f"Contact: {contact}",
            f"Expires: {expires}",
            to=BOB,
            from_=BOB,
        )
        assert told == ["200"]


def heard(message: SipMessage) -> str:
    if isinstance(message, Request):
        return f"{message.method} {message.uri}"
    assert isinstance(message, Response)
    return str(message.status)


def test_a_line_break_in_a_header_is_not_passed_on() -> None:
    """3261-40: whoever comes next might take it for the end of the line."""
    office = Office()
    office.register()
    assert office.ask("MESSAGE", BOB, "Subject: a\rX-Evil: b") == ["400"]


@pytest.mark.parametrize("method", ["MESSAGE", "INVITE", "INFO", "X-NEW"])
def test_a_user_of_ours_is_reached_at_the_contact(method: str) -> None:
    """3261-42: §16.5, the location service"""
    office = Office()
    office.register()
    told = office.ask(method, BOB)
    assert told == [*(["100"] if method == "INVITE" else []), f"{method} {CONTACT}"]


def test_who_is_not_there_is_480_and_who_is_not_known_404() -> None:
    """3261-42"""
    office = Office()
    assert office.ask("MESSAGE", BOB) == ["404"]
    office.register()
    office.register(expires=0)
    assert office.ask("MESSAGE", BOB) == ["480"]
    assert office.ask("MESSAGE", "sip:carol@example.com") == ["404"]


def test_who_takes_no_such_request_is_not_asked() -> None:
    """RFC 3840 §10.2.4, RFC 3841"""
    office = Office()
    office.register(f'<{CONTACT}>;methods="INVITE,BYE"')
    assert office.ask("MESSAGE", BOB) == ["405"]
    assert office.ask("INVITE", BOB)[-1] == f"INVITE {CONTACT}"


@pytest.mark.parametrize(
    "uri",
    [
        "sip:carol@example.net",
        "sip:carol@192.0.2.70:5070",
        # Another port of our own address: a phone on this host.
        "sip:carol@192.0.2.1:5090",
    ],
)
def test_a_request_to_another_domain_goes_there_as_it_is(uri: str) -> None:
    """3261-42: §16.5, "the Request-URI MUST be placed into the target set"."""
    office = Office()
    assert office.ask("MESSAGE", uri) == [f"MESSAGE {uri}"]
    # For strangers we are no relay.
    assert office.ask("MESSAGE", uri, from_="sip:mallory@example.org") == ["403"]


def test_a_name_that_is_nowhere_is_404() -> None:
    assert Office().ask("MESSAGE", "sip:carol@nowhere.example") == ["404"]


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        # §16.4: our Route has brought it here, and its Request-URI says where to.
        (CONTACT, [f"BYE {CONTACT}"]),
        ("sip:alice@192.0.2.1:5090", ["BYE sip:alice@192.0.2.1:5090"]),
        # Of an outbound proxy's Route, the user is one of ours.
        (BOB, [f"BYE {CONTACT}"]),
        ("sip:carol@example.com", ["404"]),
    ],
)
def test_a_request_that_our_route_led_here_is_forwarded(
    uri: str, told: list[str]
) -> None:
    """3261-41, 3261-42"""
    office = Office()
    office.register()
    route = "Route: <sip:192.0.2.1:5060;lr>"
    # Also for those who are no users of ours: they were called by way of us.
    assert office.ask("BYE", uri, route, from_="sip:x@example.org") == told


def test_a_telephone_number_is_one_of_ours_or_none() -> None:
    """3261-42"""
    office = Office()
    told = office.ask(
        "REGISTER",
        "sip:example.com",
        f"Contact: <{CONTACT}>",
        to="tel:+1-555-1234",
        from_="tel:+1-555-1234",
    )
    assert told == ["200"]
    assert office.ask("MESSAGE", "tel:+15551234") == [f"MESSAGE {CONTACT}"]
    assert office.ask("MESSAGE", "tel:+15559999") == ["404"]
    # Who watches it asks us, whose user this is.
    watch = ("Event: reg", "Contact: <sip:alice@192.0.2.50>", "Expires: 60")
    assert office.ask("SUBSCRIBE", "tel:+15551234", *watch)[0] == "200"


@pytest.mark.parametrize(
    "hidden", ["sip:bob@10.0.0.5", "sip:line1@example.com;ob", "sip:b@192.0.2.1;ob"]
)
def test_a_call_to_a_phone_behind_a_nat_is_acknowledged_and_ended_there(
    hidden: str,
) -> None:
    """3261-54, 5626-04: also if its Contact would lead to us"""
    office = Office(CONFIG + "[nat]\nfix = true\n")
    wire, us = office.wire, office.server.address
    nat, caller = ("198.51.100.7", 41_000), ("198.51.100.8", 42_000)
    alice = "sip:alice@10.0.0.9"

    def send(data: str, source: Address) -> list[tuple[str, Address]]:
        before = len(wire.packets) + 1
        wire.send(data.encode(), source, us)
        told = wire.packets[before:]
        return [(heard(parse(one.data)), one.destination) for one in told]

    def request(method: str, uri: str, more: str, to: str = BOB) -> str:
        return (
            f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 192.0.2.50;rport;branch=z9hG4bK{method}\r\n"
            f"From: <sip:alice@example.com>;tag=a\r\nTo: {to}\r\nCall-ID: call\r\n"
            f"CSeq: 1 {method}\r\n{more}\r\nContent-Length: 0\r\n\r\n"
        )

    register = request("REGISTER", "sip:example.com", f"Contact: <{hidden}>")
    assert send(register, nat) == [("200", nat)]
    invite = request("INVITE", BOB, f"Contact: <{alice}>")
    assert send(invite, caller)[-1] == (f"INVITE {hidden}", nat)
    sent = parse(wire.packets[-1].data)
    assert isinstance(sent, Request)
    ok = Response(200, "OK", headers={"Contact": [f"<{hidden}>"]})
    answer = sent.write_response(ok, to_tag="bob").decode()
    assert send(answer, nat) == [("200", caller)]
    recorded = sent.headers["Record-Route"]
    route = "Route: " + ", ".join(reversed(recorded))
    for method in ("ACK", "BYE"):
        later = request(method, hidden, route, f"<{BOB}>;tag=bob")
        assert send(later, caller) == [(f"{method} {hidden}", nat)]
    # The phone's own go to the caller, who is behind a NAT as well.
    route = "Route: " + ", ".join(recorded)
    info = request("INFO", alice, route, f"<{BOB}>;tag=bob")
    assert send(info, nat) == [(f"INFO {alice}", caller)]


FAILS = """
    @route.request()
    def main(msg: Message) -> None:
        msg.t_on_failure("failure")
        msg.t_relay()

    @route.failure("failure")
    def failure(msg: Message) -> None:
        {}
"""


@pytest.mark.parametrize("method", ["MESSAGE", "INVITE"])
@pytest.mark.parametrize(
    ("failure", "told"),
    [
        ("pass", 404),
        ('msg.send_reply(480, "Not Now")', 480),
        ('raise Refusal(480, "Not Now")', 480),
    ],
)
def test_a_target_that_fails_at_once_is_answered_by_the_failure_route(
    tmp_path: Path, failure: str, told: int, method: str
) -> None:
    """3261-45: of a name that is nowhere, too; and nothing of it is left behind."""
    script = Script(written(tmp_path / "routes.py", FAILS.format(failure)))
    response = script.send(method, "sip:carol@nowhere.example")
    assert response is not None and response.status == told
    assert [one.status for one in script.sent() if one.status != 100] == [told]
    assert len(script.server.app.relaying.proxy) == 0


def test_a_target_that_fails_at_once_may_have_another_in_its_place(
    tmp_path: Path,
) -> None:
    """3261-45"""
    again = f'msg.append_branch("{CONTACT}"); msg.t_relay()'
    script = Script(written(tmp_path / "routes.py", FAILS.format(again)))
    assert script.send("MESSAGE", "sip:carol@nowhere.example") is None
    [request] = script.sent()
    assert request.uri == CONTACT
    script.answer(request, 200)
    assert [one.status for one in script.sent()] == [200]
    assert len(script.server.app.relaying.proxy) == 0


def test_a_number_goes_by_its_route_whoever_it_belongs_to() -> None:
    """3261-41: a Route that leads on is followed for `tel`, too."""
    office = Office()
    route = "Route: <sip:192.0.2.1;lr>, <sip:example.net;lr>"
    assert office.ask("MESSAGE", "tel:+1234", route) == ["MESSAGE tel:+1234"]


def test_a_reply_that_is_kept_back_leaves_nothing_behind(tmp_path: Path) -> None:
    """A final reply that the script refuses ends the transaction of the request."""
    text = f"""
    @route.request("MESSAGE")
    def main(msg: Message) -> None:
        msg.append_branch("{CONTACT}")
        msg.t_on_reply("reply")
        msg.t_relay()

    @route.reply("reply")
    def reply(msg: Message) -> None:
        raise Refusal(500, "Kept Back")
    """
    script = Script(written(tmp_path / "routes.py", text))
    script.send("MESSAGE", BOB)
    [request] = script.sent()
    script.answer(request, 200)
    script.pass_time(1000)
    assert script.sent() == []
    assert len(script.server.app.relaying.proxy) == 0
    assert not script.server.app.endpoint.servers


# Dialogs whose remote target is a URI of our domain.

IN_DIALOG = ["ACK", "BYE", "INVITE", "PRACK", "UPDATE", "INFO", "MESSAGE", "NOTIFY"]


@pytest.mark.parametrize("method", IN_DIALOG)
@pytest.mark.parametrize(
    "uri",
    [BOB, f"{BOB}:5060", f"{BOB};user=phone", "SIP:bob@EXAMPLE.com", "sip:bob@x;gr"],
)
@pytest.mark.parametrize("route", [None, "sip:192.0.2.1:5060", "sip:example.com:5060"])
@pytest.mark.parametrize("scripted", [False, True])
def test_in_a_dialog_a_uri_of_our_domain_reaches_the_contact(
    tmp_path: Path, method: str, uri: str, route: str | None, scripted: bool
) -> None:
    """3261-56: §13.2.2.4, §16.11; the callee's Contact may be such a URI"""
    config = CONFIG
    if scripted:
        path = written(
            tmp_path / "routes.py",
            """
            @route.request("REGISTER")
            def register(msg: Message) -> None:
                msg.save("location")

            @route.request()
            def other(msg: Message) -> None:
                msg.lookup("location") or msg.send_reply(404, "Not Found")
                msg.t_relay()
            """,
        )
        config = CONFIG.replace("[store]", f'script = "{path}"\n[store]')
    office = Office(config)
    office.register()
    uri = uri.replace("bob@x;gr", "bob@example.com;gr=1")
    lines = [] if route is None else [f"Route: <{route};lr>"]
    told = office.ask(method, uri, *lines, to=BOB, tag="bob")
    assert told[-1] == f"{method} {CONTACT}", told


def test_an_ack_to_our_domain_reaches_every_phone_of_the_user() -> None:
    """3261-56: those that are not in the dialog ignore it"""
    office = Office()
    office.register(f"<{CONTACT}>, <sip:bob@192.0.2.61>;q=0.5")
    told = office.ask("ACK", BOB, tag="bob")
    assert told == [f"ACK {CONTACT}", "ACK sip:bob@192.0.2.61"]
    assert office.ask("ACK", "sip:nobody@example.com") == []
    assert office.ask("ACK", "sip:192.0.2.1") == []


def test_an_ack_to_a_phone_behind_a_nat_goes_by_its_flow() -> None:
    """3261-56, 5626-04"""
    office = Office()
    office.register("<sip:bob@10.0.0.5>")
    office.ask("ACK", BOB, tag="bob")
    assert office.wire.packets[-1].destination == CALLER  # it registered from there


def test_a_cancel_follows_an_invite_to_our_domain() -> None:
    """3261-48, 3261-56"""
    office = Office()
    office.register()
    office.ask("INVITE", BOB)
    invite = office.wire.packets[-1]
    trying = parse(invite.data)
    assert isinstance(trying, Request)
    ringing = trying.write_response(Response(180, "Ringing"), to_tag="bob")
    office.wire.send(ringing, PHONE, office.server.address)
    office.number -= 1
    told = office.ask("CANCEL", BOB)
    assert told == ["200", f"CANCEL {CONTACT}"]


def test_a_notify_of_our_own_subscription_is_not_relayed() -> None:
    """3261-56, 6665-11: nor is one that nobody has asked for"""
    office = Office()
    office.register()
    told = office.ask("NOTIFY", "sip:reginfo@192.0.2.1", "Event: reg", tag="x")
    assert told == ["481"]
    assert office.ask("NOTIFY", BOB, "Event: reg") == ["481"]


# Contacts that cannot be reached.


@pytest.mark.parametrize(
    "contact",
    [
        "<mailto:bob@example.org>",
        "<tel:+15551234>",
        "<sips:bob@192.0.2.60>",
        "<sip:bob@192.0.2.60;transport=tls>",
        "<http://example.org/bob>",
        "<mailto:bob@example.org>, <tel:+15551234>;q=0.5",
    ],
)
@pytest.mark.parametrize("method", ["MESSAGE", "INVITE"])
def test_a_user_with_contacts_that_we_cannot_send_to_is_480(
    contact: str, method: str
) -> None:
    """3261-58: and not 416, which says that the caller's URI is wrong"""
    office = Office()
    office.register(contact)
    assert office.ask(method, BOB) == ["480"]
    office.register()
    assert office.ask(method, BOB)[-1] == f"{method} {CONTACT}"


def test_the_number_of_requests_that_are_being_forwarded_is_told() -> None:
    office = Office()
    office.register()
    office.ask("MESSAGE", BOB)
    told = office.server.app.relaying.describe()
    assert (told.name, told.line) == ("proxy", "requests being forwarded: 1")
    assert told.figures == {"forwarding": 1}


def test_a_secure_request_to_a_user_without_a_secure_contact_is_480() -> None:
    """5630-02: with a warning that says why; `sips:bob` and `sip:bob` are one user."""
    office = Office()
    assert office.ask("MESSAGE", "sips:bob@example.com") == ["404"]
    office.register()
    assert office.ask("MESSAGE", "sips:bob@example.com") == ["480"]
    answer = parse(office.wire.packets[-1].data)
    assert answer.header("Warning") == '380 reginfo "SIPS Not Allowed"'
    assert office.ask("INVITE", "sips:bob@example.com")[-1] == "480"


def test_a_user_is_the_same_with_sips_and_with_sip() -> None:
    """5630-04"""
    office = Office()
    told = office.ask(
        "REGISTER", "sips:example.com", f"Contact: <{CONTACT}>", "Expires: 600",
        to="sips:bob@example.com", from_="sips:bob@example.com",
    )  # fmt: skip
    assert told == ["200"]
    assert office.ask("MESSAGE", BOB)[-1] == f"MESSAGE {CONTACT}"
