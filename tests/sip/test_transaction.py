"""Non-INVITE transactions, at exact times (3261-22)."""

from __future__ import annotations

import pytest

from reginfo.sip.flow import Flow, Local
from reginfo.sip.message import Response
from reginfo.sip.transaction import (
    T1,
    TIMER_F,
    TIMER_J,
    TIMER_K,
    ClientTransaction,
    Datagram,
    ServerTransaction,
    TransactionState,
)
from reginfo.sip.transport import Transport
from reginfo.sip.user import Nobody

from .messages import FLOW, OK, TRYING, UNAVAILABLE, as_response, parsed, request

TCP = Flow(Local(Transport.TCP, "192.0.2.2", 5060), ("192.0.2.1", 40_000))


@pytest.fixture
def outbox() -> list[Datagram]:
    return []


def server(outbox: list[Datagram], flow: Flow = FLOW) -> ServerTransaction:
    return ServerTransaction(parsed(request()), flow, outbox, to_tag="t")


def client(outbox: list[Datagram], flow: Flow = FLOW) -> ClientTransaction:
    return ClientTransaction("NOTIFY", "z9hG4bK1", b"NOTIFY", flow, outbox, Nobody())


def sent(outbox: list[Datagram], now: float) -> list[bytes]:
    """Let all that waits go out."""
    datagrams = list(outbox)
    outbox.clear()
    for datagram in datagrams:
        if datagram.transaction is not None:
            datagram.transaction.sent(now)
    return [datagram.data for datagram in datagrams]


def assert_ended(transaction: ServerTransaction | ClientTransaction) -> None:
    assert transaction.state is TransactionState.TERMINATED
    assert transaction.timer_at is None


# The server's.


def test_a_final_response_is_repeated_until_timer_j(outbox: list[Datagram]) -> None:
    transaction = server(outbox)
    transaction.respond(OK)
    (first,) = sent(outbox, now=10.0)
    assert transaction.state is TransactionState.COMPLETED
    assert transaction.timer_at == 10.0 + TIMER_J == 42.0

    transaction.receive_request()
    assert sent(outbox, now=20.0) == [first]
    assert transaction.timer_at == 42.0

    transaction.timer_due(42.0)
    assert_ended(transaction)


def test_timer_j_starts_when_the_response_is_sent_not_when_it_is_written(
    outbox: list[Datagram],
) -> None:
    transaction = server(outbox)
    transaction.respond(OK)
    assert transaction.timer_at is None
    sent(outbox, now=13.0)
    assert transaction.timer_at == 45.0


def test_sending_a_final_response_once_more_does_not_prolong_timer_j(
    outbox: list[Datagram],
) -> None:
    transaction = server(outbox)
    transaction.respond(OK)
    transaction.sent(1.0)
    transaction.sent(9.0)
    assert transaction.timer_at == 33.0


def test_a_response_has_what_its_request_has_unless_the_transaction_is_told(
    outbox: list[Datagram],
) -> None:
    asked = parsed(request())
    ServerTransaction(asked, FLOW, outbox).respond(OK)
    assert sent(outbox, now=1.0) == [asked.write_response(OK, to_tag="")]


def test_before_a_response_a_retransmission_is_discarded(
    outbox: list[Datagram],
) -> None:
    server(outbox).receive_request()
    assert outbox == []


def test_a_provisional_response_is_repeated_and_starts_no_timer(
    outbox: list[Datagram],
) -> None:
    transaction = server(outbox)
    transaction.respond(TRYING)
    (first,) = sent(outbox, now=1.0)
    transaction.receive_request()
    assert sent(outbox, now=2.0) == [first]
    assert (transaction.state, transaction.timer_at) == (
        TransactionState.PROCEEDING,
        None,
    )
    transaction.respond(OK)
    sent(outbox, now=3.0)
    assert (transaction.state, transaction.timer_at) == (
        TransactionState.COMPLETED,
        35.0,
    )


def test_a_second_final_response_is_discarded(outbox: list[Datagram]) -> None:
    transaction = server(outbox)
    transaction.respond(OK)
    sent(outbox, now=0.0)
    transaction.respond(UNAVAILABLE)
    assert outbox == []
    transaction.receive_request()
    assert outbox.pop().data.startswith(b"SIP/2.0 200 ")
    transaction.timer_due(32.0)
    transaction.respond(UNAVAILABLE)
    assert outbox == []


def test_a_response_that_was_never_sent_can_be_replaced(
    outbox: list[Datagram],
) -> None:
    transaction = server(outbox)
    transaction.respond(OK)
    outbox.clear()
    transaction.replace(UNAVAILABLE)
    assert [as_response(d).status for d in outbox] == [500]
    sent(outbox, now=5.0)
    transaction.receive_request()
    assert [as_response(d).status for d in outbox] == [500]
    assert transaction.timer_at == 37.0


def test_on_a_reliable_transport_timer_j_is_zero(outbox: list[Datagram]) -> None:
    transaction = server(outbox, TCP)
    transaction.respond(OK)
    sent(outbox, now=5.0)
    assert transaction.timer_at == 5.0


def test_a_response_starts_its_timer_with_the_datagram_that_carries_it(
    outbox: list[Datagram],
) -> None:
    transaction = server(outbox)
    assert transaction.merged is None
    assert transaction.is_independent is False
    transaction.respond(OK)
    assert outbox == [Datagram(transaction.latest, FLOW, transaction)]
    assert transaction.is_independent is False
    outbox.clear()
    # 3261-177: before that there is nothing to repeat.
    transaction.receive_request()
    assert outbox == []
    transaction.sent(0.0)
    transaction.receive_request()
    assert outbox == [Datagram(transaction.latest, FLOW)]


def from_downstream(status: int) -> Response:
    """A response to the same request, made by another server."""
    data = parsed(request()).write_response(Response(status, "Theirs"), to_tag="far")
    return as_response(Datagram(data, FLOW))


@pytest.mark.parametrize("status", [200, 201, 299, 300, 486, 699])
@pytest.mark.parametrize("flow", [FLOW, TCP])
def test_a_final_response_from_downstream_is_forwarded_unchanged(
    outbox: list[Datagram], flow: Flow, status: int
) -> None:
    """3261-45: §16.7"""
    via = "SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK1;received=192.0.2.1"
    transaction = ServerTransaction(
        parsed(request()), flow, outbox, via=via, to_tag="t", common="Server: us\r\n"
    )
    response = from_downstream(status)
    transaction.forward(response)
    expected = (
        f"SIP/2.0 {status} Theirs\r\n"
        f"Via: {via}\r\n"
        "From: <sip:alice@example.com>;tag=a\r\n"
        "To: <sip:alice@example.com>;tag=far\r\n"
        "Call-ID: c@192.0.2.1\r\n"
        "CSeq: 1 REGISTER\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()
    assert outbox == [Datagram(expected, flow, transaction)]
    assert transaction.latest == expected
    assert transaction.response is response
    assert transaction.is_independent is True
    assert transaction.state is TransactionState.COMPLETED
    # It is final: a second one is discarded, and a retransmission gets the first.
    outbox.clear()
    transaction.forward(from_downstream(500))
    transaction.respond(UNAVAILABLE)
    assert outbox == []
    transaction.receive_request()
    assert outbox == [Datagram(expected, flow)]


@pytest.mark.parametrize("status", [100, 180, 199])
def test_a_provisional_response_from_downstream_is_not_forwarded(
    outbox: list[Datagram], status: int
) -> None:
    """RFC 4320 §4.1"""
    transaction = server(outbox)
    transaction.forward(from_downstream(status))
    assert outbox == []
    assert transaction.state is TransactionState.TRYING
    assert (transaction.response, transaction.latest) == (None, b"")


def test_after_its_end_a_transaction_forwards_nothing(outbox: list[Datagram]) -> None:
    transaction = server(outbox)
    transaction.respond(OK)
    sent(outbox, now=0.0)
    transaction.timer_due(32.0)
    transaction.forward(from_downstream(200))
    assert outbox == []
    assert_ended(transaction)


def test_after_a_local_provisional_response_a_final_one_is_forwarded(
    outbox: list[Datagram],
) -> None:
    transaction = server(outbox)
    transaction.respond(TRYING)
    outbox.clear()
    transaction.forward(from_downstream(404))
    assert [as_response(d).status for d in outbox] == [404]
    sent(outbox, now=1.0)
    assert transaction.timer_at == 33.0


# The client's.


@pytest.mark.parametrize("flow", [FLOW, TCP])
def test_a_request_begins_with_nothing_forwarded_or_answered(
    outbox: list[Datagram], flow: Flow
) -> None:
    user = Nobody()
    transaction = ClientTransaction("NOTIFY", "z9hG4bK1", b"N", flow, outbox, user)
    assert transaction.user is user
    assert (transaction.method, transaction.branch) == ("NOTIFY", "z9hG4bK1")
    assert transaction.forwarded is False
    assert transaction.answered is False
    assert transaction.fallback is None
    assert outbox == [Datagram(b"N", flow, transaction)]


def test_timer_e_sends_the_same_request_to_the_same_address(
    outbox: list[Datagram],
) -> None:
    transaction = client(outbox)
    sent(outbox, now=0.0)
    transaction.timer_due(0.5)
    assert outbox == [Datagram(b"NOTIFY", FLOW)]


def test_a_request_whose_connection_was_lost_is_sent_once_more(
    outbox: list[Datagram],
) -> None:
    """3261-63"""
    transaction = client(outbox, TCP)
    sent(outbox, now=0.0)
    assert transaction.send_again()
    assert outbox == [Datagram(b"NOTIFY", TCP, transaction)]
    assert transaction.timer_at is None
    sent(outbox, now=2.0)
    assert transaction.timer_at == 2.0 + TIMER_F  # the timers start again with it
    assert not transaction.send_again()
    assert outbox == []


@pytest.mark.parametrize("status", [100, 199, 200, 500])
def test_a_request_that_has_arrived_is_not_sent_once_more(
    outbox: list[Datagram], status: int
) -> None:
    """3261-63"""
    transaction = client(outbox, TCP)
    sent(outbox, now=0.0)
    transaction.receive_response(Response(status, ""), now=1.0)
    assert not transaction.send_again()
    assert outbox == []


def test_timer_e_doubles_up_to_t2_and_timer_f_ends_it(outbox: list[Datagram]) -> None:
    transaction = client(outbox)
    assert sent(outbox, now=100.0) == [b"NOTIFY"]
    times = []
    while transaction.timer_at is not None:
        now = transaction.timer_at
        times.append(now - 100.0)
        transaction.timer_due(now)
        expected = [] if now == 100.0 + TIMER_F else [b"NOTIFY"]
        assert sent(outbox, now) == expected
    # §17.1.2.2: "500 ms, 1 s, 2 s, 4 s, 4 s, 4 s, etc.", and 64*T1 is the end.
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5, 32.0]
    assert transaction.state is TransactionState.TERMINATED
    assert not transaction.answered


def test_timers_e_and_f_start_when_the_request_is_sent_not_when_it_is_written(
    outbox: list[Datagram],
) -> None:
    transaction = client(outbox)
    assert transaction.timer_at is None
    sent(outbox, now=7.0)
    assert transaction.timer_at == 7.0 + T1


def test_in_proceeding_it_is_sent_every_t2_until_timer_f(
    outbox: list[Datagram],
) -> None:
    transaction = client(outbox)
    sent(outbox, now=0.0)
    assert transaction.receive_response(TRYING, now=0.25)
    assert transaction.state is TransactionState.PROCEEDING
    times = []
    while transaction.timer_at is not None:
        times.append(transaction.timer_at)
        transaction.timer_due(transaction.timer_at)
    assert times == [0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5, 32.0]
    assert len(sent(outbox, now=32.0)) == 8
    assert not transaction.answered


def test_a_late_clock_sends_once_and_continues_from_there(
    outbox: list[Datagram],
) -> None:
    transaction = client(outbox)
    sent(outbox, now=0.0)
    transaction.timer_due(10.0)
    assert (len(outbox), transaction.timer_at) == (1, 11.0)
    transaction.timer_due(40.0)
    assert (len(outbox), transaction.state) == (1, TransactionState.TERMINATED)


@pytest.mark.parametrize("status", [200, 302, 481, 500, 699])
def test_a_final_response_is_news_once_and_timer_k_forgets(
    outbox: list[Datagram], status: int
) -> None:
    transaction = client(outbox)
    sent(outbox, now=0.0)
    assert transaction.receive_response(Response(status, ""), now=1.0)
    assert transaction.answered
    assert transaction.timer_at == 1.0 + TIMER_K == 6.0
    assert not transaction.receive_response(Response(status, ""), now=2.0)
    assert not transaction.receive_response(TRYING, now=2.0)
    transaction.timer_due(6.0)
    assert_ended(transaction)
    assert outbox == []
    assert not transaction.receive_response(OK, now=7.0)


def test_on_a_reliable_transport_nothing_is_sent_twice(outbox: list[Datagram]) -> None:
    transaction = client(outbox, TCP)
    sent(outbox, now=0.0)
    assert transaction.timer_at == TIMER_F
    transaction.receive_response(OK, now=1.0)
    assert transaction.timer_at == 1.0


def test_a_transport_error_is_news_until_there_is_an_answer(
    outbox: list[Datagram],
) -> None:
    transaction = client(outbox)
    sent(outbox, now=0.0)
    assert not transaction.fall_back()  # it has one way only
    assert transaction.transport_failed()
    assert_ended(transaction)
    assert not transaction.transport_failed()

    transaction = client(outbox)
    transaction.receive_response(OK, now=1.0)
    assert not transaction.transport_failed()
    assert transaction.state is TransactionState.COMPLETED


def test_once_it_is_answered_sending_starts_no_timer(outbox: list[Datagram]) -> None:
    transaction = client(outbox)
    transaction.transport_failed()
    sent(outbox, now=0.0)
    assert transaction.timer_at is None


def test_a_request_that_fails_on_a_stream_goes_the_other_way_once(
    outbox: list[Datagram],
) -> None:
    transaction = client(outbox, TCP)
    transaction.fallback = (FLOW, b"by UDP")
    sent(outbox, now=0.0)
    assert transaction.fall_back()
    assert [d.flow for d in outbox] == [FLOW]
    assert sent(outbox, now=1.0) == [b"by UDP"]
    assert transaction.timer_at == 1.0 + T1
    assert not transaction.fall_back()


def test_a_request_that_has_arrived_does_not_go_another_way(
    outbox: list[Datagram],
) -> None:
    transaction = client(outbox, TCP)
    transaction.fallback = (FLOW, b"by UDP")
    transaction.receive_response(TRYING, now=1.0)
    assert not transaction.fall_back()


def test_an_ipv6_address_stands_in_brackets_in_sent_by() -> None:
    assert Local(Transport.UDP, "2001:db8::1", 5060).sent_by == "[2001:db8::1]:5060"
    assert Local(Transport.UDP, "192.0.2.1", 5060).sent_by == "192.0.2.1:5060"
