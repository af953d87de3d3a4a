"""Requests that are sent on, and their responses on the way back (RFC 3261 §16)."""

from __future__ import annotations

from pathlib import Path

import pytest

from reginfo.routing.target import Target
from reginfo.sip.destination import Destination
from reginfo.sip.errors import Refusal
from reginfo.sip.flow import Address, Flow, Local
from reginfo.sip.message import Response
from reginfo.sip.token import Tokens
from reginfo.sip.transport import Transport
from reginfo.sip.uri import Uri

from .relayed import (
    BOB,
    BOB2,
    BOB3,
    CALLER,
    TCP,
    UDP,
    Relay,
    Sent,
    message,
    target,
    whats,
)

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name: str, data: bytes) -> None:
    """Compare octets with a file; what stands there was looked at by somebody."""
    assert data.decode() == (GOLDEN / name).read_bytes().decode()


# Before it is sent on.


def test_a_request_to_ourselves_would_come_back_and_is_not_sent() -> None:
    relay = Relay()
    relay.targets = []
    (sent,) = relay.receive(message("OPTIONS", uri="sip:192.0.2.1"), CALLER)
    assert sent.what == "404"


# As it is sent on.


def test_an_invite_is_sent_on_as_in_the_golden_file() -> None:
    """3261-43, 3261-50"""
    relay = Relay()
    sent = relay.receive(message(body="v=0\r\n"), CALLER)
    assert whats(sent) == ["100", "INVITE"]
    assert [one.to for one in sent] == [CALLER, BOB]
    golden("invite-forwarded.sip", sent[1].data)


def test_its_cancel_is_as_in_the_golden_file() -> None:
    """3261-48: hop by hop, answered here, and sent on by ourselves."""
    relay = Relay()
    _, invite = relay.receive(message(), CALLER)
    relay.reply(invite, 180)
    sent = relay.receive(message("CANCEL"), CALLER)
    assert [(one.what, one.to) for one in sent] == [("200", CALLER), ("CANCEL", BOB)]
    golden("cancel-forwarded.sip", sent[1].data)
    assert sent[1].request.via.branch == invite.request.via.branch
    relay.reply(sent[1], 200)
    sent = relay.reply(invite, 487)
    assert [(one.what, one.to) for one in sent] == [("ACK", BOB), ("487", CALLER)]
    assert len(relay.proxy) == 0


def test_a_register_passed_on_carries_our_path_as_in_the_golden_file() -> None:
    """3327-01, 3261-43: Path of ours above those that are there."""
    relay = Relay()
    relay.targets = []
    register = message(
        "REGISTER",
        "Path: <sip:edge.example.com;lr>",
        "Supported: path",
        uri="sip:192.0.2.60",
    )
    (sent,) = relay.receive(register, CALLER)
    golden("register-forwarded.sip", sent.data)


def test_what_of_a_contact_is_for_no_request_uri_is_left_out() -> None:
    """3261-43: §16.6 step 2"""
    relay = Relay()
    contact = "sip:bob@192.0.2.60;method=BYE;line=1?Subject=x"
    relay.targets = [
        Target(Uri.parse(contact)),
        Target(Uri.parse(contact), 0.5, route=("<sip:192.0.2.61>",)),
    ]
    (sent,) = relay.receive(message("MESSAGE"), CALLER)
    assert sent.request.uri == "sip:bob@192.0.2.60;line=1"
    # Also where a strict router is to put it there.
    (sent,) = relay.reply(sent, 480)
    assert (sent.to, sent.request.uri) == (BOB2, "sip:192.0.2.61")
    assert sent.request.headers["Route"] == ["<sip:bob@192.0.2.60;line=1>"]


def test_where_the_transport_changes_there_are_two_record_routes() -> None:
    """3261-53, RFC 5658 §3"""
    relay = Relay()
    relay.targets = [Target(Uri.parse("sip:bob@192.0.2.60;transport=tcp"))]
    *_, sent = relay.receive(message(), CALLER)
    assert sent.transport == "TCP"
    assert sent.request.headers["Record-Route"] == [
        "<sip:192.0.2.1:5060;transport=tcp;lr>", "<sip:192.0.2.1:5060;lr>",
    ]  # fmt: skip


# Route.


def test_a_route_of_ours_is_taken_off_and_the_next_is_followed() -> None:
    """3261-41, 3261-53"""
    relay = Relay()
    relay.targets = []
    request = message(
        "BYE",
        "Route: <sip:192.0.2.1;lr>, <sip:192.0.2.61;lr>",
        uri="sip:bob@192.0.2.60",
        to="<sip:bob@example.com>;tag=bob",
    )
    (sent,) = relay.receive(request, CALLER)
    assert sent.to == BOB2
    assert sent.request.uri == "sip:bob@192.0.2.60"
    assert sent.request.headers["Route"] == ["<sip:192.0.2.61;lr>"]


def test_both_routes_of_ours_are_taken_off_where_the_transport_changed() -> None:
    """3261-53, RFC 5658 §5.1"""
    relay = Relay()
    relay.targets = []
    routes = "Route: <sip:192.0.2.1:5060;lr>, <sip:192.0.2.1:5060;transport=tcp;lr>"
    (sent,) = relay.receive(message("BYE", routes, uri="sip:bob@192.0.2.60"), CALLER)
    assert sent.to == BOB
    assert "Route" not in sent.request.headers


def test_a_strict_router_before_us_has_its_request_put_right() -> None:
    """3261-41, 3261-53: §16.4, what was in the Request-URI was our Record-Route."""
    relay = Relay()
    relay.targets = []
    request = message("BYE", "Route: <sip:bob@192.0.2.60>", uri="sip:192.0.2.1;lr")
    (sent,) = relay.receive(request, CALLER)
    assert (sent.to, sent.request.uri) == (BOB, "sip:bob@192.0.2.60")
    assert "Route" not in sent.request.headers


def test_a_strict_router_after_us_is_put_into_the_request_uri() -> None:
    """3261-53: §16.6 step 6"""
    relay = Relay()
    relay.targets = []
    request = message(
        "BYE", "Route: <sip:192.0.2.1;lr>, <sip:192.0.2.61>", uri="sip:bob@192.0.2.60"
    )
    (sent,) = relay.receive(request, CALLER)
    assert (sent.to, sent.request.uri) == (BOB2, "sip:192.0.2.61")
    assert sent.request.headers["Route"] == ["<sip:bob@192.0.2.60>"]


def test_a_maddr_that_leads_here_has_done_its_work() -> None:
    """3261-41: §16.4"""
    relay = Relay()
    relay.targets = []
    uri = "sip:bob@192.0.2.60:5060;maddr=192.0.2.1;transport=udp;user=phone"
    (sent,) = relay.receive(message("OPTIONS", uri=uri), CALLER)
    assert (sent.to, sent.request.uri) == (BOB, "sip:bob@192.0.2.60;user=phone")
    # Of somebody else's, it is not ours to take off.
    other = uri.replace("192.0.2.1", "192.0.2.61")
    (sent,) = relay.receive(message("OPTIONS", uri=other, branch="z9hG4bK2"), CALLER)
    assert sent.request.uri == other


def test_a_contact_with_path_is_reached_by_it() -> None:
    """3261-54, 3327-01"""
    relay = Relay()
    relay.targets = [target(BOB, route=("<sip:192.0.2.62;lr>",))]
    *_, sent = relay.receive(message("MESSAGE"), CALLER)
    assert sent.to == BOB3
    assert sent.request.headers["Route"] == ["<sip:192.0.2.62;lr>"]
    assert sent.request.uri == "sip:bob@192.0.2.60:5060"


def test_a_flow_that_is_gone_is_left_out_and_alone_it_is_430() -> None:
    """3261-54, RFC 5626 §5.3"""
    relay = Relay()
    gone = Flow(TCP, BOB2)
    relay.closed.add(gone)
    relay.targets = [target(BOB2, flow=gone), target(BOB)]
    sent = relay.receive(message("MESSAGE"), CALLER)
    assert [(one.what, one.to) for one in sent] == [("MESSAGE", BOB)]
    relay.targets = relay.targets[:1]
    (sent_,) = relay.receive(message("MESSAGE", branch="z9hG4bK2"), CALLER)
    assert sent_.what == "430"


# Forking.


def test_targets_are_tried_by_q_and_of_one_q_at_once() -> None:
    """3261-45"""
    relay = Relay()
    relay.targets = [target(BOB, 0.5), target(BOB2, 1.0), target(BOB3, 1.0)]
    _, first, second = relay.receive(message(), CALLER)
    assert {first.to, second.to} == {BOB2, BOB3}
    assert first.request.via.branch != second.request.via.branch
    assert whats(relay.reply(first, 486)) == ["ACK"]
    sent = relay.reply(second, 480)
    assert [(one.what, one.to) for one in sent] == [("ACK", BOB3), ("INVITE", BOB)]


def test_breadth_is_shared_among_branches() -> None:
    """3261-44, 5393-01"""
    relay = Relay()
    relay.targets = [target(BOB), target(BOB2)]
    sent = relay.receive(message("MESSAGE", "Max-Breadth: 5"), CALLER)
    assert [one.request.headers["Max-Breadth"] for one in sent] == [["2"], ["2"]]
    (refused,) = relay.receive(
        message("MESSAGE", "Max-Breadth: 1", branch="z9hG4bK2"), CALLER
    )
    assert refused.what == "440"


def test_many_groups_that_fail_at_once_are_worked_off_in_a_loop() -> None:
    relay = Relay(max_branches=5000)
    relay.targets = [
        Target(Uri.parse(f"mailto:bob{n}@example.com"), n / 2000) for n in range(2000)
    ]
    assert whats(relay.receive(message("MESSAGE"), CALLER)) == ["416"]
    assert len(relay.proxy) == 0


def test_a_failure_route_that_keeps_relaying_to_nowhere_ends() -> None:
    relay = Relay(max_branches=1000)
    nowhere = Target(Uri.parse("mailto:bob@example.com"))
    relay.targets = [nowhere]
    calls = 0

    def failed(response: Response) -> bool:
        nonlocal calls
        calls += 1
        (context,) = relay.proxy._contexts.values()
        try:
            relay.proxy.again(context, [nowhere])
        except Refusal as exc:
            assert exc.status == 440
            return False
        return True

    relay.on_failure = failed
    assert whats(relay.receive(message("MESSAGE"), CALLER)) == ["416"]
    assert calls == 1000
    assert len(relay.proxy) == 0


def test_who_answers_first_has_the_call_and_the_others_stop_ringing() -> None:
    """3261-45, 3261-46"""
    relay = Relay()
    relay.targets = [target(BOB), target(BOB2)]
    _, one, two = relay.receive(message(), CALLER)
    assert whats(relay.reply(one, 180)) == ["180"]
    assert whats(relay.reply(two, 180)) == ["180"]
    sent = relay.reply(one, 200, "Contact: <sip:bob@192.0.2.60>")
    assert [(s.what, s.to) for s in sent] == [("200", CALLER), ("CANCEL", BOB2)]
    relay.reply(sent[1], 200)
    assert whats(relay.reply(two, 487)) == ["ACK"]
    assert len(relay.proxy) == 0


def test_a_second_200_of_a_forked_invite_is_passed_back_too() -> None:
    """3261-45: "any 2xx" (§16.7 step 5)"""
    relay = Relay()
    relay.targets = [target(BOB), target(BOB2)]
    _, one, two = relay.receive(message(), CALLER)
    relay.reply(one, 200, tag="one")
    (sent,) = relay.reply(two, 200, tag="two")
    assert (sent.what, sent.to, sent.response.to.tag) == ("200", CALLER, "two")


def test_what_is_refused_for_all_stops_the_others() -> None:
    """3261-46: 6xx"""
    relay = Relay()
    relay.targets = [target(BOB), target(BOB2), target(BOB3, 0.1)]
    _, one, two = relay.receive(message(), CALLER)
    relay.reply(two, 180)
    sent = relay.reply(one, 603)
    assert [(s.what, s.to) for s in sent] == [("ACK", BOB), ("CANCEL", BOB2)]
    assert whats(relay.reply(two, 487)) == ["ACK", "603"]
    assert len(relay.proxy) == 0


@pytest.mark.parametrize(
    ("statuses", "best"),
    [
        ((486, 404), "486"),  # any of the lowest class
        ((503, 404), "404"),
        ((302, 404), "302"),
        ((486, 603), "603"),
        ((408, 404), "404"),
        ((404, 401), "401"),
        ((500, 404), "404"),
        ((503, 503), "500"),
    ],
)
def test_the_best_response_is_passed_back(statuses: tuple[int, int], best: str) -> None:
    """3261-45"""
    relay = Relay()
    relay.targets = [target(BOB), target(BOB2)]
    one, two = relay.receive(message("MESSAGE"), CALLER)
    assert relay.reply(one, statuses[0]) == []
    assert whats(relay.reply(two, statuses[1])) == [best]


def test_the_challenges_of_all_are_passed_back() -> None:
    """3261-45"""
    relay = Relay()
    relay.targets = [target(BOB), target(BOB2)]
    one, two = relay.receive(message("MESSAGE"), CALLER)
    relay.reply(one, 407, 'Proxy-Authenticate: Digest realm="a", nonce="1"')
    (sent,) = relay.reply(two, 401, 'WWW-Authenticate: Digest realm="b", nonce="2"')
    headers = sent.response.headers
    assert headers["Proxy-Authenticate"] == ['Digest realm="a", nonce="1"']
    assert headers["WWW-Authenticate"] == ['Digest realm="b", nonce="2"']


def test_a_100_goes_no_further_and_other_provisional_ones_do() -> None:
    """3261-45"""
    relay = Relay()
    _, invite = relay.receive(message(), CALLER)
    assert relay.reply(invite, 100) == []
    (sent,) = relay.reply(invite, 183, body="v=0\r\n")
    assert (sent.what, sent.response.body) == ("183", b"v=0\r\n")
    assert len(sent.response.values("Via")) == 1


# Time and failures.


def test_timer_c_ends_what_rings_for_ever() -> None:
    """3261-47: CANCEL, then 487 or, if that does not come, 408."""
    relay = Relay()
    _, invite = relay.receive(message(), CALLER)
    relay.reply(invite, 180)
    assert relay.pass_time(180.0) == []
    relay.reply(invite, 180)  # a sign of life
    assert relay.pass_time(180.0) == []
    sent = relay.pass_time(1.1)
    assert [(s.what, s.to) for s in sent] == [("CANCEL", BOB)]
    relay.reply(sent[0], 200)
    assert whats(relay.reply(invite, 487)) == ["ACK", "487"]


def test_a_100_is_no_sign_of_life_and_timer_c_tries_no_other_destination() -> None:
    """3261-47: §16.7 step 2, only provisional responses from 101 on reset it"""
    relay = Relay()
    relay.places["pc.example.com"] = [
        Destination(Transport.UDP, BOB),
        Destination(Transport.UDP, BOB2),
    ]
    relay.targets = []
    request = message(uri="sip:bob@pc.example.com")
    _, invite = relay.receive(request, CALLER)
    relay.reply(invite, 100)
    relay.pass_time(100.0)
    relay.reply(invite, 100)
    sent = relay.pass_time(81.1)
    assert [(s.what, s.to) for s in sent] == [("CANCEL", BOB)]
    # Nobody answers the CANCEL: the call ends all the same, and rings nowhere else.
    sent = relay.pass_time(40.0)
    assert {s.to for s in sent if s.what == "INVITE"} == set()
    assert {s.what for s in sent if s.to == CALLER} == {"408"}
    assert len(relay.proxy) == 0


def test_timer_c_of_one_branch_leaves_the_others_alone() -> None:
    """3261-47"""
    relay = Relay()
    relay.targets = [target(BOB), target(BOB2)]
    _, one, two = relay.receive(message(), CALLER)
    relay.reply(one, 180)
    relay.reply(two, 180)
    relay.pass_time(100.0)
    relay.reply(two, 180)
    sent = relay.pass_time(81.1)
    assert [(s.what, s.to) for s in sent] == [("CANCEL", BOB)]
    assert whats(relay.reply(two, 200)) == ["200"]


def test_who_answers_nothing_is_408() -> None:
    """3261-50: Timer B"""
    relay = Relay()
    relay.receive(message(), CALLER)
    sent = relay.pass_time(32.1)
    assert whats(sent) == ["INVITE"] * 6 + ["408"]
    assert len(relay.proxy) == 0


@pytest.mark.parametrize("status", [200, 486, 603])
def test_an_answered_call_leaves_no_timer(status: int) -> None:
    """3261-47: Timer C ends with its branch, not minutes later"""
    relay = Relay()
    (trying, invite) = relay.receive(message(), CALLER)
    relay.reply(invite, 180)
    assert relay.proxy.timer_at is not None
    relay.reply(invite, status)
    assert relay.proxy.timer_at is None
    assert len(relay.proxy) == 0


def test_no_408_is_sent_to_a_request_that_is_no_invite() -> None:
    """3261-52: RFC 4320 §4.2, its sender has given up by then, too"""
    relay = Relay()
    relay.receive(message("MESSAGE"), CALLER)
    assert "408" not in whats(relay.pass_time(40.0))
    assert len(relay.proxy) == 0


def test_who_asks_for_more_than_a_call_is_told_to_wait_when_that_helps() -> None:
    """3261-52: RFC 4320 §4.1, 100 when Timer E comes to T2; and no other one ever"""
    relay = Relay()
    (sent,) = relay.receive(message("MESSAGE"), CALLER)
    assert relay.reply(sent, 183) == []
    assert "100" not in whats(relay.pass_time(3.4))
    waits = [one for one in relay.pass_time(0.2) if one.to == CALLER]
    assert whats(waits) == ["100"]
    # Who sends it again hears the same again.
    assert whats(relay.receive(message("MESSAGE"), CALLER)) == ["100"]
    assert whats(relay.reply(sent, 200)) == ["200"]
    relay.pass_time(33.0)
    assert not relay.endpoint.servers and relay.endpoint.timer_at is None


def test_who_has_an_answer_in_time_is_told_nothing_else() -> None:
    """3261-52"""
    relay = Relay()
    (sent,) = relay.receive(message("MESSAGE"), CALLER)
    assert whats(relay.reply(sent, 200)) == ["200"]
    assert relay.pass_time(10.0) == []
    assert relay.proxy.timer_at is None
    # Nor is who is to have no answer at all.
    relay.on_reply = lambda response: False
    (sent,) = relay.receive(message("MESSAGE", branch="z9hG4bK2"), CALLER)
    assert relay.reply(sent, 200) == []
    assert relay.pass_time(10.0) == []


def test_what_is_answered_too_late_is_answered_no_more() -> None:
    """3261-52: RFC 4320 §4.2, and nothing is kept of it"""
    relay = Relay()
    (sent,) = relay.receive(message("MESSAGE"), CALLER)
    assert [one.what for one in relay.pass_time(40.0) if one.to == CALLER] == ["100"]
    assert not relay.endpoint.servers
    # That of somebody else, passed on as it were, is no answer either.
    other = Relay()
    (sent,) = other.receive(message("MESSAGE"), CALLER)
    assert other.reply(sent, 408) == []
    assert not other.endpoint.servers


def test_a_call_that_is_cancelled_before_its_place_is_found_is_over() -> None:
    relay = Relay()
    relay.slow = True
    assert whats(relay.receive(message(), CALLER)) == ["100"]
    assert whats(relay.receive(message("CANCEL"), CALLER)) == ["200", "487"]
    ((_, found),) = relay.waiting
    found([Destination(Transport.UDP, BOB)])
    assert relay.settle() == []
    assert len(relay.proxy) == 0


def test_a_cancel_before_anybody_rings_waits_for_the_first_sign() -> None:
    """3261-48: §9.1"""
    relay = Relay()
    _, invite = relay.receive(message(), CALLER)
    assert whats(relay.receive(message("CANCEL"), CALLER)) == ["200"]
    assert whats(relay.reply(invite, 180)) == ["180", "CANCEL"]


# Dialogs.


def test_a_2xx_that_comes_again_passes() -> None:
    """3261-51: RFC 6026 §7.1"""
    relay = Relay()
    _, invite = relay.receive(message(), CALLER)
    assert whats(relay.reply(invite, 200)) == ["200"]
    assert whats(relay.reply(invite, 200)) == ["200"]
    # And the INVITE that comes again is absorbed.
    assert relay.receive(message(), CALLER) == []


def test_a_response_without_a_context_goes_nowhere() -> None:
    """3261-49: forbidden by RFC 6026 §6, for it makes a forwarder of us"""
    relay = Relay()
    _, invite = relay.receive(message(), CALLER)
    other = Relay()  # as after a restart
    assert other.reply(invite, 200) == []


def test_a_response_that_cannot_be_sent_back_goes_where_its_via_leads() -> None:
    """3263-06: §18.2.2, first the stream, then its `received`, then the sent-by"""
    relay = Relay()
    relay.places["pc.example.com"] = [Destination(Transport.TCP, BOB2)]
    stream = ("192.0.2.50", 40_000)
    request = message("MESSAGE").replace("UDP 192.0.2.50", "TCP pc.example.com:5070")
    relay.receive(request, stream, TCP)
    relay.proxy.respond(relay.contexts[0], Response(200, "OK"))
    tried = []
    while datagrams := relay.endpoint.datagrams_to_send():
        (datagram,) = datagrams
        tried.append(datagram.flow.remote)
        relay.endpoint.transport_failed(datagram, relay.now)
        for event in relay.endpoint.events():
            relay._handle(event)
    assert tried == [stream, ("192.0.2.50", 5070), BOB2]


# Behind a NAT.

NAT: Address = ("198.51.100.7", 41_000)
HIDDEN = "sip:bob@10.0.0.5:5062"
ALICE = "sip:alice@10.0.0.9"
PLAIN = "<sip:192.0.2.1:5060;lr>"


def hidden(flow: Flow) -> Target:
    """A phone with a private address, that is reached by ``flow``."""
    return Target(Uri.parse(HIDDEN), flow=flow)


def from_alice(contact: str = ALICE, branch: str = "z9hG4bKcall") -> str:
    return message(branch=branch).replace("sip:alice@192.0.2.50", contact)


def routed(method: str, route: list[str], uri: str, branch: str = "") -> str:
    """A request in a dialog."""
    return message(
        method,
        f"Route: {', '.join(route)}",
        uri=uri,
        branch=f"z9hG4bK{branch or method}",
        to="<sip:bob@example.com>;tag=bob",
        cseq=2,
    )


def recorded(sent: Sent) -> list[str]:
    """Record-Route, as the callee has it for its route set; the caller, reversed."""
    return sent.request.headers["Record-Route"]


@pytest.mark.parametrize("local", [UDP, TCP])
def test_a_phone_behind_a_nat_is_reached_by_its_flow_in_its_dialogs(
    local: Local,
) -> None:
    """3261-54, 5626-04: ACK, BYE and INVITE of the caller"""
    relay = Relay()
    relay.targets = [hidden(Flow(local, NAT))]
    *_, invite = relay.receive(message(), CALLER)
    route = recorded(invite)[::-1]
    assert len(route) == 2 and route[0] == PLAIN
    relay.reply(invite, 200, f"Contact: <{HIDDEN}>")
    relay.targets = []
    for method in ("ACK", "INVITE", "BYE"):
        *_, sent = relay.receive(routed(method, route, HIDDEN), CALLER)
        assert (sent.what, sent.to) == (method, NAT)
        assert sent.transport == local.transport
        assert sent.request.uri == HIDDEN
        assert "Route" not in sent.request.headers
    # The phone's own go where the caller says that it is.
    bye = routed("BYE", recorded(invite), "sip:alice@192.0.2.50", branch="his")
    (sent,) = relay.receive(bye, NAT, local)
    assert (sent.what, sent.to, sent.transport) == ("BYE", CALLER, "UDP")


def test_a_caller_behind_a_nat_is_reached_by_its_flow_too() -> None:
    """3261-53, 5626-04: the BYE of the callee"""
    relay = Relay()
    *_, invite = relay.receive(from_alice(), NAT)
    assert recorded(invite)[0] == PLAIN and len(recorded(invite)) == 2
    relay.targets = []
    (sent,) = relay.receive(routed("BYE", recorded(invite), ALICE), BOB)
    assert (sent.what, sent.to, sent.request.uri) == ("BYE", NAT, ALICE)
    # The caller's own go where the callee says that it is.
    route = recorded(invite)[::-1]
    bye = routed("BYE", route, "sip:bob@192.0.2.60", branch="hers")
    (sent,) = relay.receive(bye, NAT)
    assert (sent.what, sent.to) == ("BYE", BOB)


def test_two_phones_behind_nats_each_have_a_name_for_their_side() -> None:
    """3261-53, RFC 5658 §3"""
    relay = Relay()
    other = ("198.51.100.8", 42_000)
    relay.targets = [hidden(Flow(UDP, other))]
    *_, invite = relay.receive(from_alice(), NAT)
    relay.targets = []
    (sent,) = relay.receive(routed("BYE", recorded(invite), ALICE, "his"), other)
    assert sent.to == NAT
    route = recorded(invite)[::-1]
    (sent,) = relay.receive(routed("BYE", route, HIDDEN, "hers"), NAT)
    assert sent.to == other


def test_where_it_came_from_is_not_what_its_via_says() -> None:
    """A `maddr` in Via says where responses go, and names no flow."""
    relay = Relay()
    invite = from_alice().replace("192.0.2.50;", "10.0.0.9;maddr=192.0.2.99;")
    *_, sent = relay.receive(invite, NAT)
    token = Uri.parse(recorded(sent)[1].strip("<>")).user
    tokens = Tokens(b"secret")
    tokens.begin([UDP])
    assert tokens.read(token) == Flow(UDP, NAT)


@pytest.mark.parametrize(
    ("contact", "source", "fix", "via"),
    [
        ("sip:alice@192.0.2.50", CALLER, True, ""),  # where it says
        ("sip:alice@10.0.0.9", ("10.0.0.9", 5060), True, ""),  # in our own network
        ("sip:alice@192.0.2.77", CALLER, True, ""),  # public: it knows best
        ("sip:alice@10.0.0.9", NAT, False, ""),  # believed
        # Another proxy has sent it, which finds the phone.
        ("sip:alice@10.0.0.9", NAT, True, "Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKo"),
    ],
)
def test_who_is_where_it_says_needs_no_name_for_its_flow(
    contact: str, source: Address, fix: bool, via: str
) -> None:
    """3261-53"""
    relay = Relay(fix=fix)
    request = from_alice(contact)
    if via:
        request = request.replace("\r\nMax-", f"\r\n{via}\r\nMax-", 1)
    *_, sent = relay.receive(request, source)
    assert recorded(sent) == [PLAIN]


@pytest.mark.parametrize("forge", ["key", "text", "nonsense"])
def test_a_name_that_we_have_not_given_is_as_none(forge: str) -> None:
    """5626-04: nobody has us send to where he likes"""
    relay = Relay()
    flow = Flow(UDP, ("10.9.9.9", 22))
    token = {
        "key": Tokens(b"another").write(flow),
        "text": Tokens(b"secret").write(flow)[:-4] + "AAAA",
        "nonsense": "flow.%00",
    }[forge]
    relay.targets = []
    route = [f"<sip:{token}@192.0.2.1:5060;lr>"]
    for method in ("ACK", "BYE"):
        (sent,) = relay.receive(routed(method, route, "sip:bob@192.0.2.60"), CALLER)
        assert (sent.what, sent.to) == (method, BOB)
        assert "Route" not in sent.request.headers


def test_the_last_route_of_ours_says_which_flow() -> None:
    """3261-53: that of the side that it comes from says nothing"""
    relay = Relay()
    relay.targets = []
    token = Tokens(b"secret").write(Flow(UDP, NAT))
    route = [f"<sip:{token}@192.0.2.1:5060;lr>", PLAIN]
    (sent,) = relay.receive(routed("BYE", route, "sip:bob@192.0.2.60"), NAT)
    assert sent.to == BOB


def test_a_strict_router_before_us_may_have_put_the_name_in_the_request_uri() -> None:
    """3261-41, 3261-53"""
    relay = Relay()
    relay.targets = []
    token = Tokens(b"secret").write(Flow(UDP, NAT))
    bye = routed("BYE", [f"<{HIDDEN}>"], f"sip:{token}@192.0.2.1:5060;lr")
    (sent,) = relay.receive(bye, CALLER)
    assert (sent.to, sent.request.uri) == (NAT, HIDDEN)


def test_a_stream_that_is_closed_is_430_in_a_dialog() -> None:
    """3261-54, 5626-04"""
    relay = Relay()
    flow = Flow(TCP, NAT)
    relay.targets = [hidden(flow)]
    *_, invite = relay.receive(message(), CALLER)
    relay.reply(invite, 200, f"Contact: <{HIDDEN}>")
    relay.targets, route = [], recorded(invite)[::-1]
    relay.closed.add(flow)
    assert relay.receive(routed("ACK", route, HIDDEN), CALLER) == []
    (sent,) = relay.receive(routed("BYE", route, HIDDEN), CALLER)
    assert (sent.what, sent.to) == ("430", CALLER)


def test_who_called_by_a_stream_is_reached_by_it_while_it_is_open() -> None:
    """5626-04: then by its URI, if that may lead there"""
    relay = Relay()
    flow, uri = Flow(TCP, ("192.0.2.50", 40_000)), "sip:alice@192.0.2.50"
    *_, invite = relay.receive(message(), flow.remote, TCP)
    relay.targets = []
    (sent,) = relay.receive(routed("BYE", recorded(invite), uri, "one"), BOB)
    assert (sent.to, sent.transport) == (flow.remote, "TCP")
    relay.closed.add(flow)
    (sent,) = relay.receive(routed("BYE", recorded(invite), uri, "two"), BOB)
    assert (sent.to, sent.transport) == (CALLER, "UDP")


def test_calls_that_come_by_our_path_reach_a_phone_behind_a_nat() -> None:
    """3327-01, 5626-04: and so do the later requests of the dialog"""
    relay = Relay()
    relay.targets = []
    register = message("REGISTER", f"Contact: <{HIDDEN}>", uri="sip:192.0.2.60")
    (sent,) = relay.receive(register, NAT)
    (path,) = sent.request.headers["Path"]
    invite = message("INVITE", f"Route: {path}", uri=HIDDEN)
    *_, call = relay.receive(invite, BOB)
    assert (call.what, call.to, call.request.uri) == ("INVITE", NAT, HIDDEN)
    bye = routed("BYE", recorded(call)[::-1], HIDDEN)
    (sent,) = relay.receive(bye, BOB)
    assert (sent.what, sent.to) == ("BYE", NAT)
    # Who is where it says is named by nobody.
    register = message(
        "REGISTER",
        "Contact: <sip:bob@198.51.100.7>, <x>",
        uri="sip:192.0.2.60",
        branch="z9hG4bKr2",
    )
    (sent,) = relay.receive(register, NAT)
    assert sent.request.headers["Path"] == [PLAIN]


# Who looks at responses.


def test_a_response_can_be_looked_at_changed_and_kept_back() -> None:
    relay = Relay()

    def look(response: Response) -> bool:
        response.headers["X-Seen"] = ["yes"]
        return response.status != 183

    relay.on_reply = look
    _, invite = relay.receive(message(), CALLER)
    assert relay.reply(invite, 183) == []
    (sent,) = relay.reply(invite, 180)
    assert sent.response.headers["X-Seen"] == ["yes"]


def test_each_response_of_each_branch_is_looked_at_once() -> None:
    """Whether it is passed back or not, as an onreply_route sees it."""
    relay = Relay()
    relay.targets = [target(BOB), target(BOB2)]
    seen: list[int] = []

    def look(response: Response) -> bool:
        seen.append(response.status)
        return response.status != 486

    relay.on_reply = look
    _, one, other = relay.receive(message(), CALLER)
    relay.reply(one, 180)
    relay.reply(one, 404)
    assert whats(relay.reply(other, 486)) == ["ACK", "404"]
    assert seen == [180, 404, 486]


def test_when_all_have_failed_another_target_can_be_tried() -> None:
    relay = Relay()
    failures: list[int] = []

    def failed(response: Response) -> bool:
        failures.append(response.status)
        if len(failures) > 1:
            return False
        relay.proxy.again(relay.contexts[0], [target(BOB2)])
        return True

    relay.on_failure = failed
    _, invite = relay.receive(message(), CALLER)
    ack, second = relay.reply(invite, 486)
    assert (second.what, second.to) == ("INVITE", BOB2)
    assert whats(relay.reply(second, 480)) == ["ACK", "480"]
    assert failures == [486, 480]
    assert len(relay.proxy) == 0


def test_or_it_is_answered_in_their_place() -> None:
    relay = Relay()

    def failed(response: Response) -> bool:
        relay.proxy.respond(relay.contexts[0], Response(302, "Moved"))
        return True

    relay.on_failure = failed
    _, invite = relay.receive(message(), CALLER)
    assert whats(relay.reply(invite, 486)) == ["ACK", "302"]


@pytest.mark.parametrize("status", [200, 302, 486])
def test_an_answer_in_the_place_of_the_targets_ends_them_all(status: int) -> None:
    """3261-46: §16.7 step 10, and no other target is tried"""
    relay = Relay()
    relay.targets = [target(BOB), target(BOB2), target(BOB3, 0.5)]
    _, one, two = relay.receive(message(), CALLER)
    relay.reply(one, 180)
    relay.reply(two, 180)
    relay.proxy.respond(relay.contexts[0], Response(status, "Here"))
    sent = relay.settle()
    assert [(s.what, s.to) for s in sent] == [
        (str(status), CALLER), ("CANCEL", BOB), ("CANCEL", BOB2),
    ]  # fmt: skip
    assert whats(relay.reply(one, 487)) == ["ACK"]
    assert whats(relay.reply(two, 487)) == ["ACK"]
    assert len(relay.proxy) == 0
    relay.proxy.respond(relay.contexts[0], Response(486, "Late"))
    assert relay.settle() == []


def test_a_response_that_comes_late_is_not_passed_back() -> None:
    relay = Relay()
    relay.targets = [target(BOB), target(BOB2)]
    one, two = relay.receive(message("MESSAGE"), CALLER)
    assert whats(relay.reply(one, 200)) == ["200"]
    assert relay.reply(two, 200) == []
    assert len(relay.proxy) == 0


def test_a_call_that_is_over_or_cancelled_is_relayed_no_more() -> None:
    """3261-48: 487, whoever asks for another target, and nothing is sent."""
    relay = Relay()
    _, invite = relay.receive(message(), CALLER)
    (context,) = relay.contexts
    relay.receive(message("CANCEL"), CALLER)
    for _ in range(2):
        with pytest.raises(Refusal) as raised:
            relay.proxy.again(context, [target(BOB2)])
        assert (raised.value.status, raised.value.reason) == (
            487, "Request Terminated",
        )  # fmt: skip
        assert relay.settle() == []
        relay.reply(invite, 180)
        relay.reply(invite, 487)
    assert len(relay.proxy) == 0


def test_a_request_that_was_answered_meanwhile_is_not_relayed() -> None:
    relay = Relay()
    seen: list[int] = []

    def relay_twice(response: Response) -> bool:
        seen.append(response.status)
        return False

    relay.on_failure = relay_twice
    _, invite = relay.receive(message(), CALLER)
    relay.reply(invite, 486)
    (context,) = relay.contexts
    request = invite.request
    with pytest.raises(Refusal) as raised:
        relay.proxy.relay(
            context.transaction,
            request,
            [target(BOB2)],
            decision=relay.decide(request),
            came_by=Flow(UDP, CALLER),
        )
    assert raised.value.status == 487
    assert relay.settle() == [] and len(relay.proxy) == 0


def test_another_target_whose_flow_is_closed_is_430() -> None:
    """5626-07"""
    relay = Relay()
    refused: list[tuple[int, str]] = []
    closed = Flow(TCP, BOB2)
    relay.closed.add(closed)

    def failed(response: Response) -> bool:
        try:
            relay.proxy.again(relay.contexts[0], [target(BOB2, flow=closed)])
        except Refusal as exc:
            refused.append((exc.status, exc.reason))
        return False

    relay.on_failure = failed
    _, invite = relay.receive(message(), CALLER)
    assert whats(relay.reply(invite, 486)) == ["ACK", "486"]
    assert refused == [(430, "Flow Failed")]


@pytest.mark.parametrize(
    ("uri", "what"),
    [
        ("tel:+15551234", "416"),
        ("sips:bob@192.0.2.60", "416"),
        ("sip:bob@192.0.2.60", "MESSAGE"),
    ],
)
def test_a_target_needs_a_uri_that_a_request_can_be_sent_to(
    uri: str, what: str
) -> None:
    """3261-42: the decision is followed if there are no targets."""
    relay = Relay()
    relay.targets = []
    (sent,) = relay.receive(message("MESSAGE", uri=uri), CALLER)
    assert sent.what == what


def test_as_many_targets_as_the_breadth_allows_are_tried_at_once() -> None:
    """5393-01"""
    relay = Relay()
    relay.targets = [target(BOB), target(BOB2)]
    sent = relay.receive(message("MESSAGE", "Max-Breadth: 2"), CALLER)
    assert [one.to for one in sent] == [BOB, BOB2]
    assert [one.request.headers["Max-Breadth"] for one in sent] == [["1"], ["1"]]
    relay.targets = [target(BOB), target(BOB2), target(BOB3)]
    again = message("MESSAGE", "Max-Breadth: 2", branch="z9hG4bKother", cseq=2)
    assert whats(relay.receive(again, CALLER)) == ["440"]


@pytest.mark.parametrize("status", [300, 301, 599])
def test_a_final_response_below_600_lets_the_others_go_on(status: int) -> None:
    """3261-46: §16.7 step 5"""
    relay = Relay()
    relay.targets = [target(BOB), target(BOB2)]
    one, two = relay.receive(message("MESSAGE"), CALLER)
    assert relay.reply(one, status) == []
    assert whats(relay.reply(two, 200)) == ["200"]


def test_a_600_is_for_all() -> None:
    """3261-46"""
    relay = Relay()
    relay.targets = [target(BOB), target(BOB2, 0.5)]
    (one,) = relay.receive(message("MESSAGE"), CALLER)
    assert whats(relay.reply(one, 600)) == ["600"]
    assert len(relay.proxy) == 0


def test_an_answer_says_in_the_words_of_the_rfc_what_happened() -> None:
    """Of what the proxy itself answers in the place of a target."""
    relay = Relay()
    relay.unreachable.add(BOB)
    (sent,) = relay.receive(message("MESSAGE"), CALLER)
    assert (sent.response.status, sent.response.reason) == (
        500, "Server Internal Error",
    )  # fmt: skip
    relay.unreachable.clear()
    _, invite = relay.receive(message(branch="z9hG4bKb", cseq=2), CALLER)
    answered = relay.pass_time(40)[-1]
    assert (answered.response.status, answered.response.reason) == (
        408, "Request Timeout",
    )  # fmt: skip
