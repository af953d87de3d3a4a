"""Who may do what: the table of `docs/security.md`, row by row."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from .guarded import (
    ALICE,
    BOB,
    BOBS,
    ELSEWHERE,
    MALLORY,
    OPS,
    PEER,
    PHONE,
    Guarded,
)
from .scripted import contact as contact_of
from .scripted import document

CONTACT = "Contact: <sip:alice@192.0.2.50>"
EVENT = ("Event: reg", "Contact: <sip:w@192.0.2.50>")
CAROL = "sip:carol@example.net"
BY_ADDRESS = '[[peer]]\nname = "p"\nmatch = {address = "192.0.2.2"}\n'


def test_a_register_needs_the_password_of_its_to(tmp_path: Path) -> None:
    """3261-03, 3261-04, 3261-140, 3261-141: the From may be any"""
    server = Guarded(tmp_path)
    register = ("REGISTER", "sip:example.com", CONTACT)
    response = server.send(*register, to=ALICE)
    assert response is not None
    assert response.status == 401
    (challenge,) = response.headers["WWW-Authenticate"]
    assert 'realm="example.com"' in challenge
    assert server.server.contacts(ALICE) == []
    assert server.logged_in(*register, to=ALICE, password="wrong") == 401
    assert server.logged_in(*register, to=BOB) == 403
    assert server.logged_in(*register, to=ALICE, user="bob") == 403
    assert server.logged_in(*register, to=ALICE, user="nobody") == 401
    assert server.server.contacts(ALICE) == server.server.contacts(BOB) == []
    assert server.logged_in(*register, to=ALICE, from_=MALLORY) == 200
    assert server.server.contacts(ALICE) == ["sip:alice@192.0.2.50"]


def test_an_administrator_may_register_others(tmp_path: Path) -> None:
    """3261-04: a third party (§10.2)"""
    server = Guarded(tmp_path)
    register = ("REGISTER", "sip:example.com", CONTACT)
    assert server.logged_in(*register, to=ALICE, from_=OPS, user="ops") == 200


def test_whether_there_is_such_a_user_is_not_told(tmp_path: Path) -> None:
    """3261-142: of no method, with or without a password"""
    server = Guarded(tmp_path)
    told = set()
    for user in ("alice", "nobody"):
        aor = f"sip:{user}@example.com"
        for method, uri, *headers in (
            ("REGISTER", "sip:example.com", CONTACT),
            ("SUBSCRIBE", aor, *EVENT),
            ("PUBLISH", aor, "Event: reg"),
            ("INVITE", CAROL),
            ("MESSAGE", CAROL),
        ):
            said = {"from_": aor, "to": aor}
            for response in (
                server.send(method, uri, *headers, **said),  # type: ignore[arg-type]
                server.log_in(
                    method, uri, *headers, user=user, password="wrong", **said
                ),
            ):
                assert response is not None
                lines = [f"{n}: {v}" for n, vs in response.headers.items() for v in vs]
                text = "\n".join(lines).replace(user, "U")
                for varies in (r'nonce="[^"]*"', r"-\d+", r"CSeq: \d+", r"tag=\d+"):
                    text = re.sub(varies, "", text)
                told.add((method, response.status, text))
    assert len(told) == 6  # the last wrong password meets the wait


def test_a_subscribe_needs_a_password_before_anything_is_kept(tmp_path: Path) -> None:
    """3680-09, 6665-10: 401 as a user agent, never 407"""
    server = Guarded(tmp_path)
    subscribe = ("SUBSCRIBE", ALICE, *EVENT)
    response = server.send(*subscribe)
    assert response is not None
    assert response.status == 401
    assert "WWW-Authenticate" in response.headers
    assert len(server.server.app.notifier) == 0
    assert server.logged_in(*subscribe) == 200
    assert len(server.server.app.notifier) == 1


def test_by_default_users_watch_themselves_alone(tmp_path: Path) -> None:
    """8760-10, 3680-09: administrators watch anybody; of others nothing is kept"""
    server = Guarded(tmp_path)
    assert server.logged_in("SUBSCRIBE", BOB, *EVENT) == 403
    assert server.status("SUBSCRIBE", BOB, *EVENT, from_=MALLORY) == 403
    assert len(server.server.app.notifier) == 0
    assert server.logged_in("SUBSCRIBE", BOB, *EVENT, from_=OPS, user="ops") == 200


def test_a_from_of_elsewhere_is_believed_of_a_peer_alone(tmp_path: Path) -> None:
    """8760-10"""
    allow = '[notifier]\nallow = ["example.net", "sip:x@example.org"]\n'
    server = Guarded(tmp_path, allow + BY_ADDRESS)
    for watcher in (MALLORY, "sip:x@example.org"):
        subscribe = ("SUBSCRIBE", BOB, *EVENT)
        assert server.status(*subscribe, from_=watcher) == 403
        assert server.status(*subscribe, from_=watcher, source=PEER) == 200


def test_users_do_not_publish(tmp_path: Path) -> None:
    """3903-37"""
    server = Guarded(tmp_path)
    assert server.status("PUBLISH", ALICE, "Event: reg") == 401
    assert server.logged_in("PUBLISH", ALICE, "Event: reg") == 403


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "REFER", "OPTIONS"])
def test_a_proxy_asks_with_407_and_keeps_the_credentials(
    tmp_path: Path, method: str
) -> None:
    """3261-40, 3261-145: §22.3; nobody behind us can guess passwords by them"""
    server = Guarded(tmp_path)
    server.register()
    response = server.send(method, BOB)
    assert response is not None
    assert response.status == 407
    assert "Proxy-Authenticate" in response.headers
    server.inbox(BOBS)
    other = 'Proxy-Authorization: Digest realm="other", nonce="n"'
    assert server.logged_in(method, BOB, other) in (0, 100)
    (relayed,) = server.inbox(BOBS)
    assert relayed.method == method
    assert relayed.headers["Proxy-Authorization"] == [other.partition(": ")[2]]


def test_nobody_speaks_in_the_name_of_another_user(tmp_path: Path) -> None:
    """8760-07: neither in From nor in P-Preferred-Identity"""
    server = Guarded(tmp_path)
    server.register()
    assert server.logged_in("MESSAGE", BOB, from_=BOB) == 403
    for preferred, status in ((BOB, 403), (ALICE, 0), ("tel:+49301", 0)):
        header = f"P-Preferred-Identity: <{preferred}>"
        assert server.logged_in("MESSAGE", BOB, header) == status
        anonymous = "sip:anonymous@anonymous.invalid"
        response = server.send("MESSAGE", BOB, header, from_=anonymous)
        assert response is not None
        assert response.status == 407
    assert server.logged_in("MESSAGE", BOB, from_="tel:+49301") == 0
    assert server.logged_in("MESSAGE", BOB, from_="tel:+49302") == 403


def test_strangers_reach_users_of_ours_and_nobody_else(tmp_path: Path) -> None:
    """3261-146: this is no open relay, by a Route neither"""
    server = Guarded(tmp_path)
    server.register()
    assert server.status("MESSAGE", BOB, from_=MALLORY) == 0
    assert [one.method for one in server.inbox(BOBS)] == ["MESSAGE"]
    for headers in (
        (),
        ("Route: <sip:192.0.2.1;lr>",),
        ("Route: <sip:192.0.2.1;lr>, <sip:192.0.2.80;lr>",),
        ("Route: <sip:192.0.2.1;lr;dlg=00000000000000000000>",),
    ):
        for method in ("MESSAGE", "INVITE", "REGISTER"):
            for tag in ("", "t"):
                status = server.status(
                    method, CAROL, *headers, from_=MALLORY, to_tag=tag
                )
                assert status == 403, (headers, method, tag)
    assert server.inbox(ELSEWHERE) == []


def test_incoming_peers_keeps_strangers_out(tmp_path: Path) -> None:
    """3261-146"""
    server = Guarded(tmp_path, f'[proxy]\nincoming = "peers"\n{BY_ADDRESS}')
    server.register()
    assert server.status("MESSAGE", BOB, from_=MALLORY) == 403
    assert server.inbox(BOBS) == []
    assert server.status("MESSAGE", BOB, from_=MALLORY, source=PEER) == 0
    assert len(server.inbox(BOBS)) == 1


def test_users_of_ours_reach_others(tmp_path: Path) -> None:
    """3261-146: `relay = "ours"` is for those who know their password"""
    server = Guarded(tmp_path)
    assert server.status("MESSAGE", CAROL) == 407
    assert server.logged_in("MESSAGE", CAROL, password="wrong") == 407
    assert server.inbox(ELSEWHERE) == []
    assert server.logged_in("MESSAGE", CAROL) == 0
    assert len(server.inbox(ELSEWHERE)) == 1


def dialog(server: Guarded) -> str:
    """Set up a call from a stranger to bob; our Record-Route."""
    server.status(
        "INVITE", BOB, "Contact: <sip:m@192.0.2.80>", from_=MALLORY, call_id="the-call"
    )
    (invite,) = server.inbox(BOBS)
    return invite.headers["Record-Route"][0]


def test_requests_of_a_dialog_that_began_here_need_no_password(tmp_path: Path) -> None:
    """3261-147: in both directions, also after a restart"""
    server = Guarded(tmp_path)
    server.register()
    route = f"Route: {dialog(server)}"
    to_stranger, to_bob = "sip:m@192.0.2.80", "sip:bob@192.0.2.60"
    for again in (False, True):
        if again:
            server.restart()
        said = {"call_id": "the-call", "to_tag": "t"}
        for uri, from_, inbox in (
            (to_stranger, BOB, ELSEWHERE),
            (to_bob, MALLORY, BOBS),
        ):
            assert server.status("BYE", uri, route, from_=from_, **said) in (0, 100)
            assert [one.method for one in server.inbox(inbox)] == ["BYE"]
            assert server.status("ACK", uri, route, from_=from_, **said) == 0
            assert [one.method for one in server.inbox(inbox)] == ["ACK"]


def test_the_mark_of_a_dialog_is_of_use_for_no_other(tmp_path: Path) -> None:
    """3261-147"""
    server = Guarded(tmp_path)
    server.register()
    route = f"Route: {dialog(server)}"
    assert "dlg=" in route
    for said in ({"call_id": "another", "to_tag": "t"}, {"call_id": "the-call"}):
        assert server.status("INVITE", CAROL, route, from_=MALLORY, **said) == 403
        assert server.status("ACK", CAROL, route, from_=MALLORY, **said) == 0
    assert server.status("SUBSCRIBE", ALICE, route, *EVENT, call_id="the-call") == 401
    assert server.inbox(ELSEWHERE) == []


def test_cancel_and_ack_are_not_challenged(tmp_path: Path) -> None:
    """3261-148: §22.1, §22.3"""
    server = Guarded(tmp_path)
    server.register()
    assert server.status("CANCEL", BOB) == 481
    assert server.status("ACK", BOB) == 0
    assert server.status("ACK", CAROL) == 0
    assert server.inbox(ELSEWHERE) == []


def test_options_to_this_server_needs_no_password(tmp_path: Path) -> None:
    """3261-27: every monitoring system sends them"""
    server = Guarded(tmp_path)
    assert server.status("OPTIONS", "sip:example.com") == 200


@pytest.mark.parametrize(
    "header",
    [
        'Authorization: Digest username="alice", realm="example.com", nonce="x"',
        'Authorization: Digest realm="example.com", realm="example.com"',
        "Authorization: Digest garbage",
    ],
)
def test_malformed_credentials_are_400(tmp_path: Path, header: str) -> None:
    """7616-02"""
    server = Guarded(tmp_path)
    assert server.status("REGISTER", "sip:example.com", header, to=ALICE) == 400


def test_a_malformed_identity_is_400(tmp_path: Path) -> None:
    server = Guarded(tmp_path)
    assert server.status("MESSAGE", BOB, "P-Preferred-Identity: <<") == 400
    assert server.status("MESSAGE", BOB, from_="x") == 400


def test_a_peer_by_address_speaks_for_itself(tmp_path: Path) -> None:
    """8760-11: SUBSCRIBE and PUBLISH; calls and registrations need `trusted`"""
    server = Guarded(tmp_path, BY_ADDRESS + "[notifier]\nallow = ['peers']\n")
    server.register()
    said = {"source": PEER}
    assert server.status("SUBSCRIBE", BOB, *EVENT, **said) == 200
    assert server.status("PUBLISH", BOB, "Event: reg", **said) not in (401, 403)
    assert server.status("MESSAGE", BOB, **said) == 407
    register = ("REGISTER", "sip:example.com", CONTACT)
    assert server.status(*register, to=ALICE, **said) == 401
    trusting = Guarded(tmp_path, BY_ADDRESS + "trusted = true\n")
    trusting.register()
    assert trusting.status("MESSAGE", BOB, **said) == 0
    assert trusting.status(*register, to=ALICE, **said) == 200
    assert trusting.status(*register, to=ALICE) == 401


def test_a_peer_by_its_from_needs_a_password(tmp_path: Path) -> None:
    """8760-12: anybody can write a From"""
    by_from = "[[peer]]\nname = 'p'\nmatch = {from = 'sip:ops@example.com'}\n"
    server = Guarded(tmp_path, by_from)
    publish = ("PUBLISH", BOB, "Event: reg")
    assert server.status(*publish, from_=OPS) == 401
    assert server.logged_in(*publish, from_=OPS, user="ops") not in (401, 403)
    elsewhere = by_from.replace("ops@example.com", "mallory@example.net")
    server = Guarded(tmp_path, elsewhere)
    assert server.status(*publish, from_=MALLORY) == 403


def test_without_a_requirement_everybody_may_be_anybody(tmp_path: Path) -> None:
    """8760-13"""
    server = Guarded(tmp_path, "required = false\n")
    register = ("REGISTER", "sip:example.com", CONTACT)
    assert server.status(*register, to=ALICE) == 200
    assert server.status("SUBSCRIBE", BOB, *EVENT) == 200
    contact = "Contact: <sip:m@192.0.2.80>"
    assert server.status("INVITE", ALICE, contact, source=ELSEWHERE) == 100
    invite = server.inbox(PHONE)[-1]
    assert "dlg=" not in invite.headers["Record-Route"][0]


def test_what_it_does_is_counted(tmp_path: Path) -> None:
    server = Guarded(tmp_path)
    server.register()
    server.logged_in("MESSAGE", BOB, password="wrong")
    figures = server.server.app._assembly.guarding.gate.describe().figures
    assert figures == {
        "challenges_total": 3,
        "failed_passwords_total": 1,
        "blocked_total": 0,
        "nonces": 1,
    }


ROUTES = """from reginfo import Message, Route

route = Route()


@route.request()
def main(msg: Message) -> None:
    said = [msg.hdr("P-Asserted-Identity"), msg.hdr("P-Associated-URI")]
    msg.send_reply(299, f"{said}")
"""


@pytest.mark.parametrize("trusted", [False, True])
def test_who_somebody_is_says_only_a_trusted_peer(
    tmp_path: Path, trusted: bool
) -> None:
    """sec-02: for scripts, and for whoever a request is relayed to"""
    flag = "trusted = true\n" if trusted else ""
    said = ("P-Asserted-Identity: <sip:ceo@example.com>", "P-Associated-URI: <sip:x@y>")
    server = Guarded(tmp_path, BY_ADDRESS + flag)
    server.register()
    server.status("MESSAGE", BOB, *said, from_=MALLORY, source=PEER)
    (relayed,) = server.inbox(BOBS)
    assert ("P-Asserted-Identity" in relayed.headers) is trusted
    assert ("P-Associated-URI" in relayed.headers) is trusted
    script = tmp_path / "routes.py"
    script.write_text(ROUTES)
    config = server.config
    changed = msgspec.structs.replace(config.server, script=script)
    server.server = server.wire.restart(
        server.server, config=msgspec.structs.replace(config, server=changed)
    )
    response = server.send("MESSAGE", BOB, *said, from_=MALLORY, source=PEER)
    assert response is not None
    assert ("ceo" in response.reason) is trusted


def test_a_peer_reports_its_own_users_alone(tmp_path: Path) -> None:
    """8760-16"""
    more = BY_ADDRESS + "domains = ['b.example']\nunsolicited = true\n"
    server = Guarded(tmp_path, more)
    publish = ("PUBLISH", BOB, "Event: reg", "Content-Type: application/reginfo+xml")
    contact = contact_of("sip:evil@203.0.113.66")
    body = document(contact).decode()
    assert server.status(*publish, source=PEER, body=body) == 403
    notify = (
        "NOTIFY", "sip:x@192.0.2.1", "Event: reg", "Subscription-State: active",
        "Content-Type: application/reginfo+xml",
    )  # fmt: skip
    assert server.status(*notify, source=PEER, body=body, from_=MALLORY) == 200
    assert server.server.contacts(BOB) == []
    server = Guarded(tmp_path, more.replace("b.example", "example.com"))
    assert server.status(*notify, source=PEER, body=body, from_=MALLORY) == 200
    assert server.server.contacts(BOB) == ["sip:evil@203.0.113.66"]
