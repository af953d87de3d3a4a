"""INVITE transactions, at exact times (RFC 3261 §17.1.1, §17.2.1, RFC 6026)."""

from __future__ import annotations

import pytest

from reginfo.sip.flow import Flow, Local
from reginfo.sip.invite import (
    TIMER_B,
    TIMER_D,
    TIMER_H,
    TIMER_I,
    TIMER_L,
    TIMER_M,
    InviteClientTransaction,
    InviteServerTransaction,
    InviteState,
)
from reginfo.sip.message import Draft, Response
from reginfo.sip.parser import parse
from reginfo.sip.transaction import Datagram
from reginfo.sip.transport import Transport
from reginfo.sip.user import Nobody

from .messages import FLOW, OK, TRYING, as_response, parsed, request

TCP = Flow(Local(Transport.TCP, "192.0.2.2", 5060), ("192.0.2.1", 40_000))

RINGING = Response(180, "Ringing")
BUSY = Response(486, "Busy Here")
GONE = Response(487, "Request Terminated")

VIA = "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKours;rport"
HEAD = (
    "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKtheirs\r\n"
    "Route: <sip:192.0.2.1;lr>, <sip:192.0.2.7;lr>\r\n"
    "Max-Forwards: 69\r\n"
    "From: <sip:alice@example.com>;tag=a\r\n"
    "To: <sip:bob@example.com>\r\n"
    "Call-ID: call\r\n"
    "CSeq: 7 INVITE\r\n"
    "Contact: <sip:alice@192.0.2.9>\r\n"
)
DRAFT = Draft("INVITE", "sip:bob@192.0.2.1", HEAD, b"v=0\r\n")

INTERVALS = [0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]
"Of Timer G, up to Timer H."


@pytest.fixture
def outbox() -> list[Datagram]:
    return []


def server(outbox: list[Datagram], flow: Flow = FLOW) -> InviteServerTransaction:
    return InviteServerTransaction(parsed(request("INVITE")), flow, outbox, to_tag="t")


def client(
    outbox: list[Datagram], flow: Flow = FLOW, now: float = 0.0
) -> InviteClientTransaction:
    """An INVITE that has just gone out."""
    made = InviteClientTransaction(
        "z9hG4bKours", DRAFT, VIA, DRAFT.write(VIA), flow, outbox, Nobody()
    )
    sent(outbox, now)
    return made


def sent(outbox: list[Datagram], now: float) -> list[bytes]:
    """Let all that waits go out."""
    datagrams = list(outbox)
    outbox.clear()
    for datagram in datagrams:
        if datagram.transaction is not None:
            datagram.transaction.sent(now)
    return [datagram.data for datagram in datagrams]


def run(
    transaction: InviteServerTransaction | InviteClientTransaction,
    outbox: list[Datagram],
    until: float,
) -> list[float]:
    """Let time pass; when something is sent."""
    times = []
    while (at := transaction.timer_at) is not None and at <= until:
        transaction.timer_due(at)
        times += [at] * len(sent(outbox, at))
    return times


def answered(status: int, tag: str = ";tag=bob") -> Response:
    """What comes back to the INVITE of ours."""
    headers = {"To": [f"<sip:bob@example.com>{tag}"]}
    return Response(status, "Reason", headers)


def assert_ended(
    transaction: InviteServerTransaction | InviteClientTransaction,
) -> None:
    assert transaction.state is InviteState.TERMINATED
    assert transaction.timer_at is None


# The server's, of an INVITE that is refused.


def test_timer_g_repeats_what_is_not_2xx_until_timer_h(outbox: list[Datagram]) -> None:
    """3261-51"""
    transaction = server(outbox)
    transaction.respond(BUSY)
    (first,) = sent(outbox, now=10.0)
    assert transaction.state is InviteState.COMPLETED
    times = run(transaction, outbox, 10.0 + TIMER_H - 0.1)
    assert times == [10.0 + sum(INTERVALS[: n + 1]) for n in range(len(INTERVALS))]
    assert transaction.state is InviteState.COMPLETED
    assert as_response(Datagram(first, FLOW)).status == 486
    assert run(transaction, outbox, 10.0 + TIMER_H) == []
    assert_ended(transaction)


def test_timers_g_and_h_start_when_the_response_is_sent(outbox: list[Datagram]) -> None:
    """3261-51"""
    transaction = server(outbox)
    transaction.respond(BUSY)
    assert transaction.timer_at is None
    sent(outbox, now=5.0)
    assert transaction.timer_at == 5.5
    # The transaction's own repetitions do not start them anew.
    transaction.sent(6.0)
    assert transaction.timer_at == 5.5


def test_on_a_reliable_transport_there_is_timer_h_alone(outbox: list[Datagram]) -> None:
    """3261-51"""
    transaction = server(outbox, TCP)
    transaction.respond(BUSY)
    sent(outbox, now=10.0)
    assert run(transaction, outbox, 10.0 + TIMER_H - 0.1) == []
    assert transaction.state is InviteState.COMPLETED
    assert run(transaction, outbox, 10.0 + TIMER_H) == []
    assert_ended(transaction)


def test_its_ack_ends_it_and_timer_i_forgets(outbox: list[Datagram]) -> None:
    """3261-51"""
    transaction = server(outbox)
    transaction.respond(BUSY)
    sent(outbox, now=0.0)
    assert transaction.receive_ack(1.0)
    assert (transaction.state, transaction.timer_at) == (
        InviteState.CONFIRMED,
        1.0 + TIMER_I,
    )
    # What is under way still is absorbed: another ACK, and the INVITE itself.
    assert transaction.receive_ack(2.0)
    transaction.receive_request()
    assert outbox == []
    assert transaction.timer_at == 1.0 + TIMER_I
    assert run(transaction, outbox, 1.0 + TIMER_I) == []
    assert_ended(transaction)


def test_on_a_reliable_transport_timer_i_is_zero(outbox: list[Datagram]) -> None:
    """3261-51"""
    transaction = server(outbox, TCP)
    transaction.respond(BUSY)
    sent(outbox, now=0.0)
    assert transaction.receive_ack(1.0)
    assert transaction.timer_at == 1.0
    transaction.timer_due(1.0)
    assert_ended(transaction)


def test_an_invite_that_comes_again_is_answered_as_before(
    outbox: list[Datagram],
) -> None:
    """3261-51"""
    transaction = server(outbox)
    transaction.receive_request()
    assert outbox == []  # there is no answer yet
    for response in (TRYING, RINGING, BUSY):
        transaction.respond(response)
        (first,) = sent(outbox, now=0.0)
        transaction.receive_request()
        assert sent(outbox, now=0.1) == [first]


def test_a_100_promises_no_dialog_and_others_do(outbox: list[Datagram]) -> None:
    """§8.2.6.2"""
    transaction = server(outbox)
    for response, tag in ((TRYING, ""), (RINGING, "t"), (BUSY, "t")):
        transaction.respond(response)
        assert as_response(outbox.pop()).to.tag == tag


def test_after_a_final_response_others_are_discarded(outbox: list[Datagram]) -> None:
    """3261-51: §17.2.1, "any other final responses passed by the TU"."""
    transaction = server(outbox)
    transaction.respond(BUSY)
    sent(outbox, now=0.0)
    for response in (RINGING, OK, GONE):
        transaction.respond(response)
        transaction.forward(answered_invite(response.status))
    assert outbox == []
    transaction.receive_request()
    assert as_response(outbox.pop()).status == 486


def answered_invite(status: int) -> Response:
    """A response that came from further on, to the INVITE that came in."""
    data = parsed(request("INVITE")).write_response(Response(status, "X"), to_tag="far")
    response = parse(data)
    assert isinstance(response, Response)
    return response


RECEIVED = "SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK1;received=192.0.2.1;rport=9"
SERVER_LINE = "Server: reginfo\r\n"


def written(status: str, tag: str, common: str = "", via: str = RECEIVED) -> bytes:
    """A whole response to the INVITE of ``request``."""
    return (
        f"SIP/2.0 {status}\r\n"
        f"Via: {via}\r\n"
        "From: <sip:alice@example.com>;tag=a\r\n"
        f"To: <sip:alice@example.com>{tag}\r\n"
        "Call-ID: c@192.0.2.1\r\n"
        "CSeq: 1 INVITE\r\n"
        f"{common}Content-Length: 0\r\n\r\n"
    ).encode()


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (TRYING, written("100 Trying", "", SERVER_LINE)),
        (RINGING, written("180 Ringing", ";tag=t", SERVER_LINE)),
        (BUSY, written("486 Busy Here", ";tag=t", SERVER_LINE)),
    ],
)
def test_a_local_response_has_the_completed_via_and_the_servers_header_lines(
    outbox: list[Datagram], response: Response, expected: bytes
) -> None:
    """3261-51: §8.2.6.2, §18.2.1"""
    transaction = InviteServerTransaction(
        parsed(request("INVITE")),
        FLOW,
        outbox,
        via=RECEIVED,
        to_tag="t",
        common=SERVER_LINE,
    )
    assert transaction.merged is None
    assert (transaction.is_independent, transaction.latest) == (False, b"")
    transaction.respond(response)
    assert outbox == [Datagram(expected, FLOW, transaction)]
    assert transaction.is_independent is False
    assert (transaction.response, transaction.latest) == (response, expected)
    # A retransmission of the INVITE gets the same datagram, which starts no timer.
    outbox.clear()
    transaction.sent(0.0)
    transaction.receive_request()
    assert outbox == ([] if response.status // 100 == 2 else [Datagram(expected, FLOW)])


def test_a_forwarded_response_has_the_completed_via_and_is_otherwise_unchanged(
    outbox: list[Datagram],
) -> None:
    """3261-45: §16.7"""
    transaction = InviteServerTransaction(
        parsed(request("INVITE")),
        FLOW,
        outbox,
        via=RECEIVED,
        to_tag="t",
        common=SERVER_LINE,
    )
    transaction.forward(answered_invite(180))
    expected = written("180 X", ";tag=far")
    assert outbox == [Datagram(expected, FLOW, transaction)]
    assert transaction.is_independent is True


def test_a_response_has_the_fields_of_its_request_unless_others_are_given(
    outbox: list[Datagram],
) -> None:
    transaction = InviteServerTransaction(parsed(request("INVITE")), FLOW, outbox)
    assert transaction.is_independent is False
    transaction.respond(BUSY)
    own = "SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK1"
    assert [d.data for d in outbox] == [written("486 Busy Here", "", via=own)]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (100, InviteState.PROCEEDING),
        (199, InviteState.PROCEEDING),
        (200, InviteState.ACCEPTED),
        (299, InviteState.ACCEPTED),
        (300, InviteState.COMPLETED),
        (301, InviteState.COMPLETED),
        (699, InviteState.COMPLETED),
    ],
)
def test_the_class_of_a_response_decides_the_next_state(
    outbox: list[Datagram], status: int, state: InviteState
) -> None:
    """3261-51: RFC 6026 §7.1, figure 3"""
    transaction = server(outbox)
    transaction.respond(Response(status, "X"))
    assert transaction.state is state


@pytest.mark.parametrize(
    ("status", "passes"), [(199, False), (200, True), (299, True), (300, False)]
)
def test_in_accepted_2xx_alone_is_forwarded(
    outbox: list[Datagram], status: int, passes: bool
) -> None:
    """3261-51: RFC 6026 §7.1"""
    transaction = server(outbox)
    transaction.respond(OK)
    outbox.clear()
    transaction.forward(answered_invite(status))
    assert len(outbox) == passes
    assert transaction.state is InviteState.ACCEPTED


@pytest.mark.parametrize("status", [300, 301, 486])
def test_timer_g_sends_the_same_response_to_the_same_address(
    outbox: list[Datagram], status: int
) -> None:
    """3261-51"""
    transaction = server(outbox)
    transaction.respond(Response(status, "X"))
    (data,) = sent(outbox, now=0.0)
    transaction.timer_due(0.5)
    assert outbox == [Datagram(data, FLOW)]
    assert transaction.timer_at == 1.5


# The server's, of an INVITE that is accepted (RFC 6026 §7.1).


def test_in_accepted_the_invite_is_absorbed_and_every_2xx_passes(
    outbox: list[Datagram],
) -> None:
    """3261-51"""
    transaction = server(outbox)
    transaction.forward(answered_invite(200))
    (first,) = sent(outbox, now=10.0)
    assert transaction.state is InviteState.ACCEPTED
    assert transaction.timer_at == 10.0 + TIMER_L
    transaction.receive_request()
    assert outbox == []
    transaction.forward(answered_invite(200))
    assert sent(outbox, now=11.0) == [first]
    transaction.forward(answered_invite(486))
    transaction.forward(answered_invite(180))
    assert outbox == []
    # It is never sent by the transaction itself.
    assert run(transaction, outbox, 10.0 + TIMER_L) == []
    assert_ended(transaction)
    transaction.forward(answered_invite(200))
    assert outbox == []


@pytest.mark.parametrize("flow", [FLOW, TCP])
def test_timer_l_is_the_same_on_any_transport(
    outbox: list[Datagram], flow: Flow
) -> None:
    """3261-51: RFC 6026 §8.4"""
    transaction = server(outbox, flow)
    transaction.respond(OK)
    sent(outbox, now=0.0)
    assert transaction.timer_at == TIMER_L == 32.0


def test_the_ack_of_a_2xx_is_not_the_transactions(outbox: list[Datagram]) -> None:
    """3261-51"""
    transaction = server(outbox)
    assert not transaction.receive_ack(0.0)
    transaction.respond(OK)
    sent(outbox, now=0.0)
    assert not transaction.receive_ack(1.0)
    assert (transaction.state, transaction.timer_at) == (InviteState.ACCEPTED, TIMER_L)


def test_what_was_passed_on_has_the_tag_of_who_made_it(outbox: list[Datagram]) -> None:
    """§16.11: a proxy adds no tag"""
    transaction = server(outbox)
    transaction.forward(answered_invite(180))
    assert transaction.is_independent
    assert as_response(outbox.pop()).to.tag == "far"
    transaction.respond(BUSY)
    assert not transaction.is_independent
    assert as_response(outbox.pop()).to.tag == "t"


def test_a_response_that_was_never_sent_can_be_replaced(outbox: list[Datagram]) -> None:
    transaction = server(outbox)
    transaction.respond(OK)
    outbox.clear()
    transaction.replace(Response(500, "Server Internal Error"))
    assert as_response(outbox[-1]).status == 500
    sent(outbox, now=3.0)
    assert (transaction.state, transaction.timer_at) == (InviteState.COMPLETED, 3.5)


# The client's.


def test_timer_a_doubles_without_bound_until_timer_b(outbox: list[Datagram]) -> None:
    """3261-50"""
    transaction = client(outbox, now=10.0)
    times = run(transaction, outbox, 10.0 + TIMER_B - 0.01)
    assert times == [10.5, 11.5, 13.5, 17.5, 25.5, 41.5]
    assert transaction.state is InviteState.CALLING
    assert run(transaction, outbox, 10.0 + TIMER_B) == []
    assert_ended(transaction)
    assert not transaction.answered


def test_timers_a_and_b_start_when_the_invite_is_sent(outbox: list[Datagram]) -> None:
    """3261-50"""
    transaction = InviteClientTransaction(
        "z9hG4bKours", DRAFT, VIA, DRAFT.write(VIA), FLOW, outbox, Nobody()
    )
    assert transaction.timer_at is None
    assert sent(outbox, now=5.0) == [DRAFT.write(VIA)]
    assert transaction.timer_at == 5.5


def test_on_a_reliable_transport_there_is_timer_b_alone(outbox: list[Datagram]) -> None:
    """3261-50"""
    transaction = client(outbox, TCP)
    assert transaction.timer_at == TIMER_B == 32.0
    assert run(transaction, outbox, TIMER_B) == []
    assert_ended(transaction)


def test_what_rings_is_sent_no_more_and_has_no_timer(outbox: list[Datagram]) -> None:
    """3261-50: how long it may ring is for Timer C"""
    transaction = client(outbox)
    assert transaction.receive_response(answered(100), 0.2)
    assert (transaction.state, transaction.timer_at) == (InviteState.PROCEEDING, None)
    assert transaction.receive_response(answered(180), 0.3)
    assert transaction.receive_response(answered(180), 0.4)
    assert transaction.timer_at is None and outbox == []


@pytest.mark.parametrize("status", [300, 486, 603])
@pytest.mark.parametrize("rings", [False, True])
def test_what_is_not_2xx_is_acknowledged_as_often_as_it_comes(
    outbox: list[Datagram], status: int, rings: bool
) -> None:
    """3261-50: Timer D"""
    transaction = client(outbox)
    if rings:
        transaction.receive_response(answered(180), 0.1)
    assert transaction.receive_response(answered(status), 1.0)
    assert (transaction.state, transaction.answered) == (InviteState.COMPLETED, True)
    assert transaction.timer_at == 1.0 + TIMER_D == 33.0
    (ack,) = sent(outbox, now=1.0)
    # It is news but once.
    assert not transaction.receive_response(answered(status), 2.0)
    assert sent(outbox, now=2.0) == [ack]
    assert not transaction.receive_response(answered(180), 3.0)
    assert not transaction.receive_response(answered(200), 3.0)
    assert outbox == []
    assert run(transaction, outbox, 33.0) == []
    assert_ended(transaction)
    assert not transaction.receive_response(answered(status), 34.0)
    assert outbox == []


def test_on_a_reliable_transport_timer_d_is_zero(outbox: list[Datagram]) -> None:
    """3261-50"""
    transaction = client(outbox, TCP)
    transaction.receive_response(answered(486), 1.0)
    assert len(sent(outbox, now=1.0)) == 1
    assert transaction.timer_at == 1.0
    transaction.timer_due(1.0)
    assert_ended(transaction)


def test_the_ack_has_what_it_must_have_of_the_invite_and_no_more(
    outbox: list[Datagram],
) -> None:
    """3261-50: §17.1.1.3"""
    transaction = client(outbox)
    transaction.receive_response(answered(486), 1.0)
    (ack,) = outbox
    assert ack.flow == transaction.flow
    assert ack.data.decode() == (
        "ACK sip:bob@192.0.2.1 SIP/2.0\r\n"
        f"Via: {VIA}\r\n"  # a single one, equal to the topmost of the INVITE
        "Route: <sip:192.0.2.1;lr>, <sip:192.0.2.7;lr>\r\n"
        "Max-Forwards: 70\r\n"
        "From: <sip:alice@example.com>;tag=a\r\n"
        "To: <sip:bob@example.com>;tag=bob\r\n"  # of the response
        "Call-ID: call\r\n"
        "CSeq: 7 ACK\r\n"
        "Content-Length: 0\r\n\r\n"
    )


def test_every_2xx_is_news_and_none_is_acknowledged_here(
    outbox: list[Datagram],
) -> None:
    """3261-50: RFC 6026 §7.2, Timer M"""
    transaction = client(outbox)
    assert transaction.receive_response(answered(200), 1.0)
    assert transaction.state is InviteState.ACCEPTED
    assert transaction.timer_at == 1.0 + TIMER_M == 33.0
    assert transaction.receive_response(answered(200), 2.0)
    assert transaction.receive_response(answered(200, ";tag=carol"), 3.0)
    assert not transaction.receive_response(answered(180), 3.0)
    assert not transaction.receive_response(answered(486), 3.0)
    assert outbox == []
    assert transaction.timer_at == 33.0
    assert run(transaction, outbox, 33.0) == []
    assert_ended(transaction)
    assert not transaction.receive_response(answered(200), 34.0)


# CANCEL (§9.1).


def test_a_cancel_waits_for_a_provisional_response(outbox: list[Datagram]) -> None:
    """3261-48"""
    transaction = client(outbox)
    assert not transaction.cancel(0.2)
    assert transaction.cancels
    assert transaction.timer_at == 0.5  # the INVITE is still to arrive
    assert transaction.receive_response(answered(100), 1.0)
    # Over after 64*T1, "even if there is no final response" (ibid.).
    assert transaction.timer_at == 1.0 + TIMER_B
    assert not transaction.cancel(2.0)  # once is enough


def test_what_rings_is_cancelled_at_once_and_over_in_time(
    outbox: list[Datagram],
) -> None:
    """3261-48"""
    transaction = client(outbox)
    transaction.receive_response(answered(180), 1.0)
    assert transaction.cancel(5.0)
    assert transaction.timer_at == 5.0 + TIMER_B
    # A provisional response that comes now does not prolong it.
    transaction.receive_response(answered(180), 6.0)
    assert transaction.timer_at == 5.0 + TIMER_B
    assert run(transaction, outbox, 5.0 + TIMER_B) == []
    assert_ended(transaction)
    assert not transaction.answered


@pytest.mark.parametrize("status", [200, 486])
def test_what_is_answered_is_not_cancelled(outbox: list[Datagram], status: int) -> None:
    """3261-48"""
    transaction = client(outbox)
    transaction.receive_response(answered(status), 1.0)
    assert not transaction.cancel(2.0)
    assert not transaction.cancels


def test_a_cancel_is_of_the_same_branch_and_has_no_tag_of_the_answer(
    outbox: list[Datagram],
) -> None:
    """3261-48: §9.1"""
    transaction = client(outbox)
    transaction.receive_response(answered(180), 1.0)
    assert transaction.write_cancel().decode() == (
        "CANCEL sip:bob@192.0.2.1 SIP/2.0\r\n"
        f"Via: {VIA}\r\n"
        "Route: <sip:192.0.2.1;lr>, <sip:192.0.2.7;lr>\r\n"
        "Max-Forwards: 70\r\n"
        "From: <sip:alice@example.com>;tag=a\r\n"
        "To: <sip:bob@example.com>\r\n"
        "Call-ID: call\r\n"
        "CSeq: 7 CANCEL\r\n"
        "Content-Length: 0\r\n\r\n"
    )


# The transport.


def test_an_invite_that_fails_on_a_stream_goes_the_other_way_once(
    outbox: list[Datagram],
) -> None:
    """RFC 3261 §18.1.1"""
    transaction = client(outbox, TCP)
    other = DRAFT.write(VIA.replace("192.0.2.2", "192.0.2.3"))
    transaction.fallback = (FLOW, other)
    assert transaction.fall_back()
    assert sent(outbox, now=1.0) == [other]
    assert (transaction.flow, transaction.timer_at) == (FLOW, 1.5)
    assert not transaction.fall_back()
    # The ACK goes the same way, with the Via that went there.
    transaction.receive_response(answered(486), 2.0)
    (ack,) = outbox
    assert ack.flow == FLOW
    assert b"\r\nVia: SIP/2.0/UDP 192.0.2.3:5060;" in ack.data


def test_an_invite_that_has_arrived_goes_no_other_way(outbox: list[Datagram]) -> None:
    transaction = client(outbox, TCP)
    transaction.fallback = (FLOW, b"INVITE")
    transaction.receive_response(answered(100), 1.0)
    assert not transaction.fall_back()


def test_a_transport_error_is_news_until_there_is_an_answer(
    outbox: list[Datagram],
) -> None:
    """3261-50: §17.1.4"""
    transaction = client(outbox)
    assert transaction.transport_failed()
    assert_ended(transaction)
    assert not transaction.transport_failed()
    rings = client(outbox)
    rings.receive_response(answered(180), 1.0)
    assert rings.transport_failed()
    over = client(outbox)
    over.receive_response(answered(486), 1.0)
    assert not over.transport_failed()
    assert over.state is InviteState.COMPLETED


# The values of an INVITE of ours, at exact boundaries.


def test_an_invite_begins_with_nothing_cancelled_forwarded_or_answered(
    outbox: list[Datagram],
) -> None:
    user = Nobody()
    transaction = InviteClientTransaction(
        "z9hG4bKours", DRAFT, VIA, DRAFT.write(VIA), FLOW, outbox, user
    )
    assert transaction.user is user
    assert (transaction.method, transaction.branch) == ("INVITE", "z9hG4bKours")
    assert transaction.cancels is False
    assert transaction.forwarded is False
    assert transaction.answered is False
    assert transaction.fallback is None
    assert outbox == [Datagram(DRAFT.write(VIA), FLOW, transaction)]


def test_sending_an_invite_again_does_not_start_its_timers_again(
    outbox: list[Datagram],
) -> None:
    """3261-50"""
    transaction = client(outbox)
    transaction.sent(0.25)
    assert transaction.timer_at == 0.5
    transaction.receive_response(answered(180), 0.3)
    transaction.sent(0.4)
    assert transaction.timer_at is None


@pytest.mark.parametrize(
    ("status", "is_news"), [(199, False), (200, True), (299, True), (300, False)]
)
def test_after_a_2xx_only_2xx_is_reported(
    outbox: list[Datagram], status: int, is_news: bool
) -> None:
    """3261-50: RFC 6026 §7.2"""
    transaction = client(outbox)
    transaction.receive_response(answered(200), 1.0)
    assert transaction.receive_response(answered(status), 2.0) is is_news
    assert transaction.state is InviteState.ACCEPTED


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (100, InviteState.PROCEEDING),
        (199, InviteState.PROCEEDING),
        (200, InviteState.ACCEPTED),
        (299, InviteState.ACCEPTED),
        (300, InviteState.COMPLETED),
    ],
)
def test_the_class_of_the_first_response_decides_the_next_state(
    outbox: list[Datagram], status: int, state: InviteState
) -> None:
    """3261-50: RFC 6026 §7.2, figure 5"""
    transaction = client(outbox)
    assert transaction.receive_response(answered(status), 1.0)
    assert transaction.state is state
    assert transaction.answered is (status >= 200)


def test_timer_a_sends_the_same_invite_to_the_same_address(
    outbox: list[Datagram],
) -> None:
    """3261-50"""
    transaction = client(outbox)
    transaction.timer_due(0.5)
    assert outbox == [Datagram(DRAFT.write(VIA), FLOW)]
    assert transaction.timer_at == 1.5


def test_an_invite_whose_connection_was_lost_is_sent_once_more(
    outbox: list[Datagram],
) -> None:
    """3261-63"""
    transaction = client(outbox, TCP)
    assert transaction.send_again()
    assert outbox == [Datagram(DRAFT.write(VIA), TCP, transaction)]
    assert transaction.timer_at is None
    sent(outbox, now=2.0)
    assert transaction.timer_at == 2.0 + TIMER_B  # the timers start again with it
    assert not transaction.send_again()
    assert outbox == []


def test_an_invite_that_has_arrived_is_not_sent_once_more(
    outbox: list[Datagram],
) -> None:
    """3261-63"""
    transaction = client(outbox, TCP)
    transaction.receive_response(answered(100), 1.0)
    assert not transaction.send_again()
    assert outbox == []


def test_the_ack_of_a_response_without_to_has_the_to_of_the_invite(
    outbox: list[Datagram],
) -> None:
    """3261-50: what a peer leaves out does not stop the ACK"""
    transaction = client(outbox)
    transaction.receive_response(Response(486, "Busy Here"), 1.0)
    (ack,) = sent(outbox, now=1.0)
    assert b"\r\nTo: <sip:bob@example.com>\r\n" in ack
    # The response again: the same ACK.
    transaction.receive_response(Response(486, "Busy Here"), 2.0)
    assert outbox == [Datagram(ack, FLOW)]


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_ack_and_cancel_have_each_route_of_the_invite_in_order(
    outbox: list[Datagram], method: str
) -> None:
    """3261-48, 3261-50: §9.1, §17.1.1.3"""
    head = HEAD.replace(", <sip:192.0.2.7;lr>", "\r\nRoute: <sip:192.0.2.7;lr>")
    draft = Draft("INVITE", DRAFT.uri, head)
    transaction = InviteClientTransaction(
        "z9hG4bKours", draft, VIA, draft.write(VIA), FLOW, outbox, Nobody()
    )
    sent(outbox, now=0.0)
    if method == "ACK":
        transaction.receive_response(answered(486), 1.0)
        (data,) = sent(outbox, now=1.0)
    else:
        data = transaction.write_cancel()
    assert data.decode().split("\r\n")[1:5] == [
        f"Via: {VIA}",
        "Route: <sip:192.0.2.1;lr>",
        "Route: <sip:192.0.2.7;lr>",
        "Max-Forwards: 70",
    ]


def test_a_via_that_is_not_utf_8_is_repeated_octet_by_octet(
    outbox: list[Datagram],
) -> None:
    """RFC 3261 §18.1.1: after a fallback, the ACK has the Via that went there"""
    transaction = client(outbox, TCP)
    other = VIA.encode().replace(b"192.0.2.2", b"h\xff\xc3\xa9")
    data = DRAFT.write(VIA).replace(VIA.encode(), other)
    transaction.fallback = (FLOW, data)
    assert transaction.fall_back()
    assert outbox == [Datagram(data, FLOW, transaction)]
    outbox.clear()
    transaction.receive_response(answered(486), 1.0)
    (ack,) = outbox
    assert ack.data.split(b"\r\n")[1] == b"Via: " + other
