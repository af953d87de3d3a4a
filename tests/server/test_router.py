"""Where a request goes that comes in: to us, to the script, or on to somebody else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from reginfo.script.load import NAME
from reginfo.script.route import Handler, Route
from reginfo.sip.flow import Flow, Local
from reginfo.sip.transport import Transport
from reginfo.testing import Script

from .scripted import ALICE, AT_BOB, BOB, BOBS_PHONE, CONFIG, written

ELSEWHERE = ("192.0.2.80", 5060)
CAROL = "sip:carol@example.org"
US = "sip:192.0.2.1"

NOTHING = """
    @route.request("FROBNICATE")
    def nothing(msg: Message) -> None:
        pass
"""
"""A script that has nothing to do with what is sent here."""

ALL = """
    @route.request()
    def main(msg: Message) -> None:
        msg.send_reply(299, "Seen $rm")
"""


def server(
    directory: Path, text: str = NOTHING, *, relay: str = "ours", more: str = ""
) -> Script:
    config = f'{CONFIG}{more}\n[proxy]\nrelay = "{relay}"\n'
    path = written(directory / "routes.py", text)
    return Script(path, config, hosts={"example.org": ELSEWHERE})


def outcome(script: Script, method: str, uri: str, *headers: str, **who: str) -> str:
    """The status of the answer; or where the request went."""
    script.sent()
    response = script.send(method, uri, *headers, from_=who.get("from_", ALICE))
    on = [one for one in script.sent() if one.uri and one.method == method]
    if on:
        return f"{on[0].uri} at {on[0].to[0]}"
    return "nothing" if response is None else str(response.status)


# Without a route for its method.


@pytest.mark.parametrize(
    ("relay", "from_", "passes"),
    [
        ("ours", ALICE, True),
        ("ours", CAROL, False),
        ("all", ALICE, True),
        ("all", "sip:mallory@example.net", True),
        ("none", ALICE, False),
    ],
)
def test_who_may_send_to_another_domain_is_as_configured(
    tmp_path: Path, relay: str, from_: str, passes: bool
) -> None:
    """3261-42: the Request-URI of a foreign domain stays as it is."""
    script = server(tmp_path, relay=relay)
    on = f"{CAROL} at {ELSEWHERE[0]}"
    for method, refusal in (("MESSAGE", "403"), ("INVITE", "403"), ("REGISTER", "404")):
        came_to = outcome(script, method, CAROL, from_=from_)
        assert came_to == (on if passes else refusal), method


def test_our_own_methods_are_ours_in_our_domain_only(tmp_path: Path) -> None:
    script = server(tmp_path)
    assert outcome(script, "PUBLISH", BOB, "Event: reg") == "403"
    assert outcome(script, "PUBLISH", CAROL, "Event: reg").startswith(CAROL)
    lines = ["Event: reg", "Contact: <sip:w@192.0.2.50>"]
    assert outcome(script, "SUBSCRIBE", BOB, *lines) == "200"
    assert outcome(script, "SUBSCRIBE", CAROL, *lines).startswith(CAROL)
    assert outcome(script, "NOTIFY", CAROL, "Event: reg") == "481"


@pytest.mark.parametrize(
    ("uri", "came_to"),
    [
        ("sip:example.com", "200"),
        (US, "200"),
        ("sip:anybody@192.0.2.1", "200"),
        (BOB, f"{BOBS_PHONE} at {AT_BOB[0]}"),
        ("sip:nobody@example.com", "404"),
        (CAROL, f"{CAROL} at {ELSEWHERE[0]}"),
    ],
)
def test_options_are_answered_by_whom_they_ask(
    tmp_path: Path, uri: str, came_to: str
) -> None:
    """3261-27: of a user, by its phone (§11)."""
    script = server(tmp_path)
    script.register(BOB, BOBS_PHONE)
    assert outcome(script, "OPTIONS", uri) == came_to


def test_a_server_is_sent_no_messages(tmp_path: Path) -> None:
    """3261-28"""
    script = server(tmp_path)
    response = script.send("MESSAGE", "sip:example.com")
    assert response is not None and response.status == 405
    assert response.header("Allow") == "REGISTER, SUBSCRIBE, NOTIFY, PUBLISH, OPTIONS"


@pytest.mark.parametrize("method", ["MESSAGE", "SUBSCRIBE", "NOTIFY", "OPTIONS"])
def test_a_route_that_leads_on_is_followed_whoever_sends(
    tmp_path: Path, method: str
) -> None:
    """3261-41: who was called by way of us goes on that way."""
    script = server(tmp_path, relay="none")
    route = f"Route: <{US};lr>"
    came_to = outcome(script, method, "sip:x@192.0.2.90", route, from_=CAROL)
    assert came_to == "sip:x@192.0.2.90 at 192.0.2.90"


def test_a_route_of_ours_alone_leads_to_us(tmp_path: Path) -> None:
    """What a phone sends that has us for its outbound proxy."""
    script = server(tmp_path)
    response = script.send(
        "REGISTER",
        "sip:example.com",
        f"Route: <{US};lr>",
        f"Contact: <{BOBS_PHONE}>",
        to=BOB,
        from_=BOB,
    )
    assert response is not None and response.status == 200
    assert [one.contact for one in script.bindings(BOB)] == [BOBS_PHONE]


# With one.


@pytest.mark.parametrize(
    "method", ["REGISTER", "SUBSCRIBE", "PUBLISH", "OPTIONS", "MESSAGE", "INFO"]
)
def test_a_route_for_all_methods_has_each_of_them(tmp_path: Path, method: str) -> None:
    script = server(tmp_path, ALL)
    response = script.send(method, "sip:example.com")
    assert response is not None
    assert (response.status, response.reason) == (299, f"Seen {method}")


def test_a_notify_that_nobody_asked_for_never_enters_it(tmp_path: Path) -> None:
    """6665-56"""
    script = server(tmp_path, ALL)
    assert outcome(script, "NOTIFY", US, "Event: reg") == "481"
    # Nor by a Route that leads here and no further.
    route = f"Route: <{US};lr>"
    assert outcome(script, "NOTIFY", US, "Event: reg", route) == "481"


PEER = """
[[peer]]
name  = "old"
match = { address = "192.0.2.50" }
"""


@pytest.mark.parametrize(
    ("more", "came_to"), [("", "481"), ("unsolicited = true", "299")]
)
def test_unless_it_comes_from_a_peer_that_may(
    tmp_path: Path, more: str, came_to: str
) -> None:
    script = server(tmp_path, ALL, more=PEER + more)
    assert outcome(script, "NOTIFY", US, "Event: reg") == came_to


def test_a_notify_on_its_way_to_somebody_else_enters_it(tmp_path: Path) -> None:
    script = server(tmp_path, ALL)
    route = f"Route: <{US};lr>"
    assert outcome(script, "NOTIFY", "sip:x@192.0.2.90", route) == "299"


def test_a_route_of_its_own_goes_before_that_for_all(tmp_path: Path) -> None:
    own = """
    @route.request("MESSAGE")
    def message(msg: Message) -> None:
        msg.send_reply(298, "Own")
    """
    script = server(tmp_path, ALL + own)
    assert outcome(script, "MESSAGE", BOB) == "298"
    assert outcome(script, "INFO", BOB) == "299"


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_ack_and_cancel_go_where_their_invite_went(tmp_path: Path, method: str) -> None:
    """docs/script.md: they never come to it."""
    text = """
    seen = []

    @route.request()
    def main(msg: Message) -> None:
        seen.append(msg.method)
        msg.append_branch("sip:bob@192.0.2.60")
        msg.t_relay()
    """
    script = server(tmp_path, text)
    script.sent()
    lines = ["Contact: <sip:alice@192.0.2.50>"]
    script.send("INVITE", BOB, *lines)
    (invite,) = [one for one in script.sent() if one.uri]
    script.answer(invite, 486 if method == "ACK" else 180, "Some Reason")
    script.sent()
    request = (
        f"{method} {BOB} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.50:5060;"
        f"branch=z9hG4bK-1\r\nFrom: <{ALICE}>;tag=from-1\r\nTo: <{BOB}>\r\n"
        f"Call-ID: call-1\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n\r\n"
    )
    script.wire.send(request.encode(), ("192.0.2.50", 5060), script.server.address)
    sent = script.sent()
    if method == "ACK":
        assert sent == []  # of what is no 2xx, it ends here
    else:
        assert [one.uri for one in sent if one.uri] == ["sip:bob@192.0.2.60"]
        assert [one.status for one in sent if one.status] == [200]
    assert sys.modules[NAME].seen == ["INVITE"]


def test_default_is_done_with_what_the_script_has_made_of_it(tmp_path: Path) -> None:
    text = """
    @route.request()
    def main(msg: Message) -> None:
        if msg.is_method("MESSAGE"):
            msg.uri = "sip:bob@$rd"
            msg.append_hf("X-By: us\\r\\n")
        msg.default()
    """
    script = server(tmp_path, text)
    script.register(BOB, BOBS_PHONE)
    script.sent()
    script.send("MESSAGE", "sip:robert@example.com")
    (relayed,) = [one for one in script.sent() if one.uri]
    assert (relayed.uri, relayed.header("X-By")) == (BOBS_PHONE, "us")


def test_the_same_request_by_two_ways_is_served_once(tmp_path: Path) -> None:
    """§8.2.2.2, also where a script leaves it to the server."""
    text = """
    @route.request()
    def main(msg: Message) -> None:
        msg.default()
    """
    for script in (server(tmp_path), server(tmp_path, text)):
        answers = []
        for branch in ("one", "two"):
            data = (
                f"REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.50;"
                f"branch=z9hG4bK{branch}\r\nFrom: <{BOB}>;tag=a\r\nTo: <{BOB}>\r\n"
                "Call-ID: a\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\n\r\n"
            )
            address = ("192.0.2.50", 5060)
            script.wire.send(data.encode(), address, script.server.address)
            answers += [one.status for one in script.sent()]
        assert answers == [200, 482]


# What cannot be read stops nobody else.

DEFAULT = """
    @route.request()
    def main(msg: Message) -> None:
        msg.default()
"""


@pytest.mark.parametrize("text", [NOTHING, DEFAULT])
@pytest.mark.parametrize("method", ["REGISTER", "SUBSCRIBE", "OPTIONS", "NOTIFY"])
def test_a_route_that_cannot_be_read_is_answered_400(
    tmp_path: Path, method: str, text: str
) -> None:
    """3261-41: also where a script leaves it to the server."""
    script = server(tmp_path, text)
    assert outcome(script, method, "sip:example.com", "Route: <") == "400"


def test_a_from_that_cannot_be_read_is_answered_400(tmp_path: Path) -> None:
    """It decides for whom we send on: of nobody that can be called it is refused."""
    script = server(tmp_path)
    assert outcome(script, "OPTIONS", "sip:example.org", from_="foo") == "400"


def served_after(script: Script, method: str, *headers: str) -> list[int]:
    """The answers to this, and to the REGISTER that comes in the same wake-up."""
    lines = [
        f"{method} sip:example.com SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.51;branch=z9hG4bKfirst",
        f"From: <{ALICE}>;tag=first",
        f"To: <{ALICE}>",
        "Call-ID: first",
        f"CSeq: 1 {method}",
        *headers,
        "Content-Length: 0",
    ]
    data = "\r\n".join([*lines, "", ""]).encode()
    flow = Flow(Local(Transport.UDP, *script.server.address), ("192.0.2.51", 5060))
    script.sent()
    script.server.app.endpoint.receive_datagram(data, flow, script.wire.now)
    script.register(BOB, BOBS_PHONE)
    return [one.status for one in script.sent()]


@pytest.mark.parametrize("text", [NOTHING, DEFAULT])
def test_what_cannot_be_read_does_not_stop_what_came_with_it(
    tmp_path: Path, text: str
) -> None:
    """The others of one wake-up are served."""
    script = server(tmp_path, text)
    assert served_after(script, "REGISTER", "Route: <") == [400, 200]
    assert [one.contact for one in script.bindings(BOB)] == [BOBS_PHONE]


def test_a_bug_of_ours_does_not_stop_what_came_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The request that it was found by is answered 500, and no other."""
    script = server(tmp_path)
    running = script.server.app.script
    assert running is not None

    class Broken(Route):
        def handler_of(self, method: str) -> Handler | None:
            if method == "OPTIONS":
                raise ZeroDivisionError
            return super().handler_of(method)

    running.route = Broken()
    assert served_after(script, "OPTIONS") == [500, 200]
    assert any(line.startswith("! OPTIONS") for line in caplog.messages)
