"""Datagrams in; requests and responses out."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from reginfo.sip.clients import LONGEST_DATAGRAM
from reginfo.sip.endpoint import Endpoint
from reginfo.sip.event import (
    AckReceived,
    Cancelled,
    EndpointEvent,
    RequestFailed,
    RequestReceived,
    ResponseLost,
    ResponseReceived,
)
from reginfo.sip.flow import Flow, Local
from reginfo.sip.invite import InviteClientTransaction, InviteServerTransaction
from reginfo.sip.message import Draft, Response
from reginfo.sip.transaction import Datagram
from reginfo.sip.transport import Transport
from reginfo.sip.user import Nobody, User

from .messages import (
    COMMON,
    DRAFT,
    FLOW,
    METHODS,
    OK,
    TRYING,
    UNAVAILABLE,
    answer,
    answers,
    as_response,
    endpoint,
    flush,
    parsed,
    received,
    request,
    serve,
)

USER, FIRST, SECOND = Nobody(), Nobody(), Nobody()
SOURCE = "192.0.2.1"


def run(target: Endpoint, until: float) -> list[tuple[float, bytes]]:
    """Let time pass; what is sent, and when."""
    out = []
    while target.timer_at is not None and target.timer_at <= until:
        now = target.timer_at
        target.timer_due(now)
        out += [(now, datagram.data) for datagram in flush(target, now)]
    return out


# Requests.


def test_a_request_is_reported_once_and_answered_by_its_transaction() -> None:
    ours = endpoint()
    transaction = serve(ours, request())
    assert transaction.request.method == "REGISTER"
    ours.receive_datagram(request(), FLOW, 0.5)
    assert ours.events() == []
    assert ours.datagrams_to_send() == []

    ours.respond(transaction, OK)
    (first,) = flush(ours, now=1.0)
    for now in (2.0, 32.5):
        assert received(ours, request(), now=now) == []
        (again,) = flush(ours, now)
        assert (again.data, again.flow) == (first.data, first.flow)

    run(ours, until=33.0)  # Timer J
    assert len(received(ours, request(), now=33.0)) == 1


def test_the_event_says_where_the_request_really_came_from() -> None:
    ours = endpoint()
    ours.receive_datagram(request(via="SIP/2.0/UDP 10.1.1.1:4540"), FLOW, 0.0)
    (event,) = ours.events()
    assert isinstance(event, RequestReceived)
    assert event.source == ("192.0.2.1", 9988)
    assert event.request is event.transaction.request


def test_a_response_has_our_headers_and_one_tag() -> None:
    ours = endpoint()
    transaction = serve(ours, request())
    ours.respond(transaction, OK)
    (datagram,) = ours.datagrams_to_send()
    response = as_response(datagram)
    assert response.header("Server") == "reginfo"
    assert response.to.tag == transaction.to_tag != ""

    transaction = serve(ours, request(to="<sip:a@b>;tag=x", cseq="2 REGISTER",
        via="SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK2"))  # fmt: skip
    ours.respond(transaction, OK)
    (datagram,) = ours.datagrams_to_send()
    assert as_response(datagram).to.tag == "x"


@pytest.mark.parametrize(
    "other",
    [
        {"via": "SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK2"},
        {"via": "SIP/2.0/UDP 192.0.2.1:9989;branch=z9hG4bK1"},
        {"via": "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"},
    ],
)
def test_another_branch_or_sent_by_is_another_transaction(
    other: dict[str, Any],
) -> None:
    ours = endpoint()
    serve(ours, request())
    serve(ours, request(call_id="other", **other))


def test_another_method_is_another_transaction() -> None:
    ours = endpoint()
    serve(ours, request())
    serve(ours, request("OPTIONS"))


def test_requests_of_rfc_2543_are_told_apart_without_a_branch() -> None:
    ours = endpoint()
    old: dict[str, Any] = {"via": "SIP/2.0/UDP 192.0.2.1:9988"}
    transaction = serve(ours, request(**old))
    ours.respond(transaction, OK)
    (first,) = flush(ours, 0.0)
    assert received(ours, request(**old)) == []
    assert [d.data for d in ours.datagrams_to_send()] == [first.data]
    serve(ours, request(**old, cseq="2 REGISTER"))
    serve(ours, request(**old, call_id="other"))
    serve(ours, request(**old, from_="<sip:alice@example.com>;tag=b"))
    serve(ours, request(**old, to="<sip:alice@example.com>;tag=c"))
    serve(ours, request("OPTIONS", **old))
    serve(ours, request(uri="sip:example.com;x", **old, call_id="third"))


def test_a_cookie_without_a_branch_is_treated_as_none() -> None:
    """A branch that is only the magic cookie is treated as none (4475-03)."""
    ours = endpoint()
    bare: dict[str, Any] = {"via": "SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK"}
    serve(ours, request(**bare))  # 4475-03 badbranch
    assert received(ours, request(**bare)) == []
    serve(ours, request(**bare, call_id="other"))


def test_no_hops_left_is_fine_for_a_request_to_us() -> None:
    """A request to us with no hops left is served (3261-20)."""
    serve(endpoint(), request(max_forwards="0"))  # 3261-20


def test_a_request_that_comes_by_two_ways_is_served_once() -> None:
    """A request that arrives by two paths is served once (3261-19)."""
    ours = endpoint()
    transaction = serve(ours, request())
    other = request(via="SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK2")
    (response,) = answers(ours, other)  # 3261-19
    assert (response.status, response.reason) == (482, "Loop Detected")
    assert response.via.branch == "z9hG4bK2"
    (again,) = answers(ours, other)
    assert again.headers == response.headers

    # In a dialog there is no forking; and what has been forgotten does not count.
    in_dialog = "<sip:alice@example.com>;tag=x"
    serve(ours, request(via="SIP/2.0/UDP h;branch=z9hG4bK3", to=in_dialog))
    ours.respond(transaction, OK)
    flush(ours, 0.0)
    run(ours, until=32.0)
    serve(ours, request(via="SIP/2.0/UDP h;branch=z9hG4bK4"))


def test_the_timer_of_a_merged_request_forgets_only_its_own() -> None:
    ours = endpoint()
    in_dialog = "<sip:alice@example.com>;tag=x"
    first = serve(ours, request(via="SIP/2.0/UDP h;branch=z9hG4bK3", to=in_dialog))
    serve(ours, request())
    ours.respond(first, OK)
    flush(ours, 0.0)
    run(ours, until=32.0)
    assert answers(ours, request(via="SIP/2.0/UDP h;branch=z9hG4bK5"))[0].status == 482


RPORT = "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport"


@pytest.mark.parametrize(
    ("to", "tag"),
    [("<sip:alice@example.com>", ";tag=2"), ("<sip:alice@example.com>;tag=x", "")],
)
@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
def test_a_response_is_written_whole_and_sent_to_the_source(
    method: str, to: str, tag: str
) -> None:
    """3261-23: §8.2.6.2, §18.2.2, RFC 3581 §4"""
    ours = Caller()
    (event,) = ours.take(request(method, via=RPORT, to=to))
    assert isinstance(event, RequestReceived)
    ours.endpoint.respond(event.transaction, Response(404, "Not Found"))
    expected = (
        "SIP/2.0 404 Not Found\r\n"
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport=9988;received=192.0.2.1\r\n"
        "From: <sip:alice@example.com>;tag=a\r\n"
        f"To: {to}{tag}\r\n"
        "Call-ID: c@192.0.2.1\r\n"
        f"CSeq: 1 {method}\r\n"
        "Server: reginfo\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()
    sent = ours.endpoint.datagrams_to_send()
    assert sent == [Datagram(expected, FLOW, event.transaction)]


def test_a_request_that_nobody_answers_is_forgotten() -> None:
    """RFC 4320 §4.2"""
    ours = endpoint()
    ours.abandon(serve(ours, request()))
    assert ours.datagrams_to_send() == []
    # A retransmission is a new request, also for the detection of merged requests.
    transaction = serve(ours, request())
    ours.respond(transaction, TRYING)
    ours.abandon(transaction)
    flush(ours, 0.0)
    other = "SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK2"
    assert len(received(ours, request(via=other))) == 1


@pytest.mark.parametrize("status", [200, 408, 500])
def test_a_request_that_is_answered_is_not_forgotten_when_it_is_given_up(
    status: int,
) -> None:
    ours = endpoint()
    transaction = serve(ours, request())
    ours.respond(transaction, Response(status, "X"))
    ours.abandon(transaction)
    (sent,) = flush(ours, 0.0)
    assert received(ours, request(), now=1.0) == []
    assert [d.data for d in ours.datagrams_to_send()] == [sent.data]


@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
@pytest.mark.parametrize("status", [200, 408, 500])
@pytest.mark.parametrize("flow", ["UDP", "TCP"])
@pytest.mark.parametrize("is_forwarded", [False, True])
def test_a_request_that_is_abandoned_after_its_response_was_sent_ends_by_its_timer(
    method: str,
    status: int,
    flow: str,
    is_forwarded: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """3261-22: §17.2.2; once sent, the transaction does not keep its response"""
    ours = Endpoint(new_id=lambda: "1", methods=None, headers=COMMON)
    ours.receive_datagram(request(method), {"UDP": FLOW, "TCP": TCP_FLOW}[flow], 0.0)
    (event,) = ours.events()
    assert isinstance(event, RequestReceived)
    put = ours.forward if is_forwarded else ours.respond
    put(event.transaction, Response(status, "X"))
    flush(ours, 0.0)
    ours.abandon(event.transaction)
    if flow == "UDP" and status != 200:
        assert received(ours, request(method), now=1.0) == []
    run(ours, until=100.0)
    assert ours.timer_at is None
    assert caplog.records == []
    # Forgotten at the end.
    assert len(received(ours, request(method), now=101.0)) == 1


@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
def test_a_late_response_to_an_abandoned_request_leaves_its_successor_alone(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    """RFC 4320 §4.2: a retransmission made another transaction with the same key"""
    ours = Endpoint(new_id=lambda: "1", methods=None, headers=COMMON)
    transactions = []
    for _ in range(2):
        ours.receive_datagram(request(method), FLOW, 0.0)
        (event,) = ours.events()
        assert isinstance(event, RequestReceived)
        transactions.append(event.transaction)
        ours.abandon(transactions[0])
    ours.respond(transactions[0], Response(500, "X"))
    flush(ours, 0.0)
    run(ours, until=100.0)
    assert caplog.records == []
    assert received(ours, request(method), now=101.0) == []


def test_a_proxy_can_tell_a_merged_request_from_the_first() -> None:
    """§8.2.2.2: same From tag, Call-ID and CSeq, another branch, no To tag"""
    ours = Caller()
    transactions = []
    requests: list[tuple[str, dict[str, Any]]] = [
        ("1", {}),
        ("2", {}),
        ("3", {"to": "<sip:alice@example.com>;tag=x"}),
        ("4", {"call_id": "other"}),
        ("5", {"call_id": "other"}),
    ]
    for branch, headers in requests:
        via = f"SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK{branch}"
        (event,) = ours.take(request(via=via, **headers))
        assert isinstance(event, RequestReceived)
        transactions.append(event.transaction)
    merged = [ours.endpoint.is_merged(one) for one in transactions]
    assert merged == [False, True, False, False, True]
    # Nothing is merged with a request that is forgotten.
    ours.endpoint.abandon(transactions[0])
    assert not ours.endpoint.is_merged(transactions[1])
    assert ours.endpoint.is_merged(transactions[4])


# Responses whose connection is closed (§18.2.2, RFC 3263 §5).

TCP_FLOW = Flow(Local(Transport.TCP, "192.0.2.2", 5060), ("192.0.2.1", 5060))


def unsent_response(target: Endpoint, flow: Flow, via: str) -> Datagram:
    """A 200 to a request with this sent-by, whose datagram cannot be sent."""
    data = request(via=f"SIP/2.0/TCP {via};branch=z9hG4bK1")
    target.receive_datagram(data, flow, 0.0)
    (event,) = target.events()
    assert isinstance(event, RequestReceived)
    target.respond(event.transaction, OK)
    (datagram,) = target.datagrams_to_send()
    target.transport_failed(datagram, 0.1)
    return datagram


@pytest.mark.parametrize("via", ["pc.example.com", "pc.example.com:5060", "X192.0.2.1"])
def test_a_response_that_the_source_does_not_take_is_reported_to_a_proxy(
    via: str,
) -> None:
    """3261-23: §18.2.2, the server locations of the sent-by are tried next"""
    ours = Caller().endpoint
    datagram = unsent_response(ours, TCP_FLOW, via)
    (event,) = ours.events()
    assert isinstance(event, ResponseLost)
    assert event.data == datagram.data
    assert event.via.sent_by == via
    assert ours.datagrams_to_send() == []


@pytest.mark.parametrize(
    ("methods", "via"),
    [
        (None, "192.0.2.9"),
        (None, "[2001:db8::1]"),
        (METHODS, "pc.example.com"),
        (METHODS, "192.0.2.9"),
    ],
)
def test_a_response_is_lost_without_a_report_if_no_name_leads_elsewhere(
    methods: tuple[str, ...] | None, via: str
) -> None:
    """3261-23: an address has no other server locations; a UAS does not look them up"""
    ours = Caller(methods).endpoint
    unsent_response(ours, TCP_FLOW, via)
    assert ours.events() == []
    assert ours.datagrams_to_send() == []


@pytest.mark.parametrize(("via", "port"), [("h:5070", 5070), ("h", 5060)])
def test_a_response_goes_to_the_port_of_via_before_it_is_lost(
    via: str, port: int
) -> None:
    """3261-23: §18.2.2"""
    ours = Caller().endpoint
    flow = Flow(TCP_FLOW.local, ("192.0.2.1", 40_000))
    datagram = unsent_response(ours, flow, via)
    assert ours.events() == []
    (again,) = ours.datagrams_to_send()
    expected = Flow(flow.local, ("192.0.2.1", port))
    assert again == Datagram(datagram.data, expected, datagram.transaction)
    ours.transport_failed(again, 0.2)
    (event,) = ours.events()
    assert isinstance(event, ResponseLost)
    assert event.data == datagram.data


def test_a_datagram_that_cannot_be_sent_by_udp_is_not_reported() -> None:
    ours = Caller()
    invite = ours.invite(via="SIP/2.0/UDP h:5070;branch=z9hG4bK1")
    ours.endpoint.respond(invite, BUSY)
    (datagram,) = flush(ours.endpoint, 0.0)
    ours.endpoint.transport_failed(datagram, 0.1)
    assert ours.endpoint.events() == []
    assert ours.endpoint.datagrams_to_send() == []


# Requests of ours.


def test_a_request_has_the_branch_that_is_asked_for() -> None:
    ours = endpoint()
    sent = ours.send_request(DRAFT, FLOW, USER, branch="z9hG4bKasked")
    assert sent.branch == "z9hG4bKasked"
    via = "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKasked;rport"
    assert ours.datagrams_to_send() == [Datagram(DRAFT.write(via), FLOW, sent)]


@pytest.mark.parametrize(("is_divisible", "fails"), [(False, False), (True, True)])
def test_a_long_request_fails_without_tcp_if_its_user_divides_it(
    is_divisible: bool, fails: bool
) -> None:
    """3261-25: §18.1.1"""
    ours = endpoint()
    stream = Local(Transport.TCP, "192.0.2.2", 5060)
    ours.use_streams(FLOW.local, stream)
    assert not ours.is_datagram_only(FLOW)
    long = Draft(DRAFT.method, DRAFT.uri, DRAFT.head, b"x" * LONGEST_DATAGRAM)
    sent = ours.send_request(long, FLOW, USER, is_divisible=is_divisible)
    (datagram,) = ours.datagrams_to_send()
    assert datagram.flow == Flow(stream, FLOW.remote)
    ours.transport_failed(datagram, 0.0, "connection refused")
    failures = [RequestFailed(sent, "connection refused")] if fails else []
    assert ours.events() == failures
    assert [d.flow for d in ours.datagrams_to_send()] == ([] if fails else [FLOW])
    assert ours.is_datagram_only(FLOW)


def test_a_datagram_without_a_transaction_is_sent_as_it_is() -> None:
    ours = endpoint()
    ours.send_stateless(b"ACK", FLOW)
    assert ours.datagrams_to_send() == [Datagram(b"ACK", FLOW)]


def test_a_request_of_ours_says_where_its_response_goes() -> None:
    ours = endpoint()
    ours.send_request(DRAFT, FLOW, USER)
    (datagram,) = ours.datagrams_to_send()
    assert datagram.flow == FLOW
    sent = parsed(datagram.data)
    assert (sent.method, sent.via.sent_by) == ("NOTIFY", "192.0.2.2:5060")
    assert "rport" in sent.via.params
    assert sent.via.branch.startswith("z9hG4bK")


def test_a_response_is_reported_once() -> None:
    ours = endpoint()
    transaction = ours.send_request(DRAFT, FLOW, USER)
    (datagram,) = flush(ours, now=0.0)
    ours.receive_datagram(answer(datagram.data, 100, "Trying"), FLOW, 0.1)
    ours.receive_datagram(answer(datagram.data), FLOW, 0.2)
    ours.receive_datagram(answer(datagram.data), FLOW, 0.3)
    events = ours.events()
    assert [type(event) for event in events] == [ResponseReceived] * 2
    first, second = events
    assert isinstance(first, ResponseReceived)
    assert isinstance(second, ResponseReceived)
    assert (first.response.status, second.response.status) == (100, 200)
    assert second.transaction is transaction
    assert second.transaction.user is USER
    assert run(ours, until=100.0) == []
    assert ours.events() == []
    # Timer K has forgotten it.
    ours.receive_datagram(answer(datagram.data), FLOW, 100.0)
    assert ours.events() == []
    assert ours.timer_at is None


def test_a_request_that_nobody_answers_fails_after_64_t1() -> None:
    ours = endpoint()
    transaction = ours.send_request(DRAFT, FLOW, USER)
    (datagram,) = flush(ours, now=100.0)
    sendings = run(ours, until=131.9)
    assert [now - 100.0 for now, _ in sendings] == [
        *(0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)
    ]
    assert {data for _, data in sendings} == {datagram.data}
    assert ours.events() == []
    assert run(ours, until=132.0) == []
    assert ours.events() == [RequestFailed(transaction, "timeout")]
    assert ours.timer_at is None
    ours.receive_datagram(answer(datagram.data), FLOW, 133.0)
    assert ours.events() == []


def test_the_network_may_refuse_a_request() -> None:
    ours = endpoint()
    transaction = ours.send_request(DRAFT, FLOW, USER)
    (datagram,) = ours.datagrams_to_send()
    ours.transport_failed(datagram, 0.0)
    ours.transport_failed(datagram, 0.0)
    ours.sent([datagram], 0.0)
    assert ours.events() == [RequestFailed(transaction, "transport")]
    assert not ours._clients
    assert run(ours, until=99.0) == []
    assert ours.events() == []


@pytest.mark.parametrize("quoted", [None, 200])
@pytest.mark.parametrize("method", ["NOTIFY", "INVITE"])
@pytest.mark.parametrize("rings", [False, True])
def test_an_icmp_error_ends_the_request_that_it_quotes_at_once(
    quoted: int | None, method: str, rings: bool
) -> None:
    """3261-66 (§18.4): an error may quote the beginning of a datagram only."""
    ours = endpoint()
    draft = Draft(method, DRAFT.uri, DRAFT.head.replace("NOTIFY", method))
    failing = ours.send_request(draft, FLOW, Nobody())
    other = ours.send_request(draft, FLOW, Nobody())
    first, _ = flush(ours, 0.0)
    if rings:
        ours.receive_datagram(answer(first.data, 180, "Ringing"), FLOW, 0.1)
        ours.events()
    ours.unreachable(first.data[:quoted], FLOW, "connection refused")
    (event,) = ours.events()
    assert isinstance(event, RequestFailed)
    assert (event.transaction, event.cause) == (failing, "connection refused")
    ours.unreachable(first.data, FLOW, "connection refused")
    assert ours.events() == []
    assert other.timer_at is not None
    ours.timer_due(20.0)
    assert failing not in [d.transaction for d in ours.datagrams_to_send()]


def test_an_icmp_error_that_anybody_could_have_made_ends_nothing() -> None:
    """3261-66: it names no branch of ours, or another flow; or it is about an ACK."""
    ours = endpoint()
    ours.send_request(DRAFT, FLOW, Nobody())
    (sent,) = flush(ours, 0.0)
    elsewhere = Flow(FLOW.local, ("192.0.2.7", 5060))
    for quoted, flow in (
        (b"", FLOW),
        (sent.data[:20], FLOW),
        (sent.data.replace(b"branch=z9hG4bK", b"branch=z9hG4bKx"), FLOW),
        (b"ACK" + sent.data.removeprefix(b"NOTIFY"), FLOW),
        (b"CANCEL" + sent.data.removeprefix(b"NOTIFY"), FLOW),
        (answer(sent.data), FLOW),
        (sent.data, elsewhere),
    ):
        ours.unreachable(quoted, flow, "connection refused")
    assert ours.events() == []
    ours.receive_datagram(answer(sent.data), FLOW, 0.1)
    assert len(ours.events()) == 1
    ours.unreachable(sent.data, FLOW, "connection refused")
    assert ours.events() == []


def test_the_response_to_a_request_that_has_failed_is_dropped() -> None:
    ours = endpoint()
    transaction = ours.send_request(DRAFT, FLOW, USER)
    (datagram,) = flush(ours, 0.0)
    ours.transport_failed(datagram, 0.0)
    ours.receive_datagram(answer(datagram.data), FLOW, 0.1)
    assert ours.events() == [RequestFailed(transaction, "transport")]


def test_the_network_may_refuse_a_response_or_a_retransmission() -> None:
    ours = endpoint()
    transaction = serve(ours, request())
    ours.respond(transaction, OK)
    ours.send_request(DRAFT, FLOW, USER)
    flush(ours, 0.0)
    received(ours, request(), now=0.25)
    ours.timer_due(0.5)
    response, again = flush(ours, 0.5)
    ours.transport_failed(response, 0.5)
    ours.transport_failed(again, 0.5)
    assert ours.events() == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"branch=z9hG4bK", b"branch=z9hG4bKx"),
        (b"CSeq: 1 NOTIFY", b"CSeq: 1 REGISTER"),
        (b"CSeq: 1 NOTIFY", b"CSeq: NOTIFY"),
        (b"CSeq: 1 NOTIFY\r\n", b""),
        (b"Via: ", b"X-Via: "),
        (b";rport", b";rport, SIP/2.0/UDP 192.0.2.9"),
        (b"From: ", b"Via: SIP/2.0/UDP 192.0.2.9\r\nFrom: "),
        (b"SIP/2.0 200", b"SIP/2.0 700"),
    ],
)
def test_a_response_that_matches_no_request_of_ours_is_dropped(
    old: bytes, new: bytes
) -> None:
    ours = endpoint()
    ours.send_request(DRAFT, FLOW, USER)
    (datagram,) = flush(ours, 0.0)
    data = answer(datagram.data)
    assert old in data
    ours.receive_datagram(data.replace(old, new, 1), FLOW, 0.1)
    assert ours.events() == []
    assert ours.datagrams_to_send() == []
    ours.receive_datagram(data, FLOW, 0.2)
    assert len(ours.events()) == 1


@pytest.mark.parametrize(
    ("ours", "theirs", "matches"),
    [
        ("192.0.2.2:5060", "192.0.2.2:5060", True),
        ("192.0.2.2:5060", "192.0.2.2", True),
        ("192.0.2.2:5060", "192.0.2.2:5061", False),
        ("192.0.2.2:5060", "198.51.100.1:5060", False),
        ("192.0.2.2:5070", "192.0.2.2", False),
        ("sip.example.com:5060", "SIP.example.COM", True),
        ("sip.example.com:5060", "192.0.2.2:5060", False),
        ("[2001:db8::1]:5060", "[2001:DB8:0::1]", True),
        ("[2001:db8::1]:5060", "[2001:db8::2]", False),
    ],
)
@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_response_to_another_sent_by_is_discarded(
    ours: str, theirs: str, matches: bool, transport: Transport
) -> None:
    """3261-64 (§18.1.2): what we put into Via is ours, an advertised name included."""
    target = endpoint()
    flow = Flow(Local(transport, "192.0.2.2", 5060, ours), FLOW.remote)
    target.send_request(DRAFT, flow, Nobody())
    (datagram,) = flush(target, 0.0)
    data = answer(datagram.data)
    assert ours.encode() in data
    target.receive_datagram(data.replace(ours.encode(), theirs.encode()), flow, 0.1)
    assert len(target.events()) == matches


# What goes out, and in which order.


def test_responses_go_out_before_requests() -> None:
    """Responses are sent before requests (6665-08)."""
    ours = endpoint()
    transaction = serve(ours, request())
    ours.send_request(DRAFT, FLOW, FIRST)
    ours.send_request(DRAFT, FLOW, SECOND)
    ours.respond(transaction, OK)
    response, first, second = ours.datagrams_to_send()
    assert as_response(response).status == 200
    assert first.transaction is not None
    assert second.transaction is not None
    assert [getattr(d.transaction, "user", None) for d in (first, second)] == [
        *(FIRST, SECOND)
    ]
    assert ours.datagrams_to_send() == []


def test_timers_start_when_datagrams_are_sent() -> None:
    ours = endpoint()
    ours.respond(serve(ours, request()), OK)
    ours.send_request(DRAFT, FLOW, USER)
    datagrams = ours.datagrams_to_send()
    assert ours.timer_at is None
    ours.sent(datagrams, 7.0)
    assert ours.timer_at == 7.5


def test_an_endpoint_forgets_all_in_the_end() -> None:
    ours = endpoint()
    for number in range(5):
        via = f"SIP/2.0/UDP h;branch=z9hG4bK{number}"
        data = request(via=via, call_id=str(number))
        ours.respond(serve(ours, data), OK)
        ours.send_request(DRAFT, FLOW, USER)
    flush(ours, 0.0)
    run(ours, until=99.0)
    assert ours.timer_at is None
    assert not (ours.servers or ours.servers._merged or ours._clients)


@pytest.mark.parametrize("status", [300, 403])
def test_what_cannot_be_kept_is_not_acknowledged(status: int) -> None:
    ours = endpoint()
    done = serve(ours, request())
    refused = serve(ours, request("OPTIONS"))
    ours.respond(done, OK)
    ours.respond(refused, Response(status, "No"))
    ours.send_request(DRAFT, FLOW, Nobody())
    received(ours, request())  # answered with the 200 again
    datagrams = ours.datagrams_to_send()

    ours.discard(datagrams, UNAVAILABLE)
    out = flush(ours, 1.0)
    assert [as_response(d).status for d in out] == [500, status]
    # The requests were never made: no timer, and no answer is taken.
    assert not ours._clients
    ours.receive_datagram(answer(datagrams[-1].data), FLOW, 2.0)
    assert ours.events() == []
    received(ours, request(), now=3.0)
    assert [as_response(d).status for d in flush(ours, 3.0)] == [500]
    assert run(ours, until=99.0) == []
    assert ours.events() == []


def test_of_two_responses_that_cannot_be_kept_neither_goes_out() -> None:
    ours = endpoint()
    transaction = serve(ours, request())
    ours.respond(transaction, TRYING)
    ours.respond(transaction, OK)
    ours.discard(ours.datagrams_to_send(), UNAVAILABLE)
    assert [as_response(d).status for d in flush(ours, 0.0)] == [500]


def test_requests_of_ours_can_be_taken_back_while_they_wait() -> None:
    ours = endpoint()
    ours.send_request(DRAFT, FLOW, Nobody())
    transaction = serve(ours, request())
    mark = ours.mark()
    ours.respond(transaction, UNAVAILABLE)
    taken_back = ours.send_request(DRAFT, FLOW, Nobody())
    ours.roll_back(mark)
    response, kept = flush(ours, 0.0)
    assert as_response(response).status == 500
    assert kept.transaction is not taken_back
    assert taken_back.branch not in ours._clients._transactions


# INVITE, ACK and CANCEL, as a proxy has them.


class Caller:
    """An endpoint that hands up whatever comes, and what happens at it."""

    def __init__(self, methods: tuple[str, ...] | None = None) -> None:
        numbers = count(1)
        self.endpoint = Endpoint(
            new_id=lambda: str(next(numbers)), methods=methods, headers=COMMON
        )

    def take(
        self, data: bytes, now: float = 0.0, flow: Flow = FLOW
    ) -> list[EndpointEvent]:
        """What a datagram comes to."""
        self.endpoint.receive_datagram(data, flow, now)
        return self.endpoint.events()

    def invite(self, **headers: Any) -> InviteServerTransaction:
        """An INVITE that has come in."""
        (event,) = self.take(request("INVITE", **headers))
        assert isinstance(event, RequestReceived)
        assert isinstance(event.transaction, InviteServerTransaction)
        return event.transaction

    def call(self, flow: Flow = FLOW, *, user: User = USER) -> Datagram:
        """An INVITE of ours that has gone out."""
        self.endpoint.send_request(INVITING, flow, user)
        (datagram,) = flush(self.endpoint, 0.0)
        return datagram

    def sent(self, now: float = 0.0) -> list[str]:
        """What goes out: `ACK`, `200`."""
        return [what(datagram) for datagram in flush(self.endpoint, now)]


def what(datagram: Datagram) -> str:
    first, second = datagram.data.split(b" ", 2)[:2]
    return (second if first == b"SIP/2.0" else first).decode()


INVITING = Draft("INVITE", "sip:bob@192.0.2.1", "CSeq: 1 INVITE\r\nFrom: a\r\n"
    "To: <sip:bob@192.0.2.1>\r\nCall-ID: c\r\n")  # fmt: skip
BUSY = Response(486, "Busy Here")
RINGING = Response(180, "Ringing")


def in_wake(method: str, **headers: Any) -> bytes:
    """An ACK or a CANCEL of what :meth:`Caller.invite` has received."""
    return request(method, **{"cseq": f"1 {method}", **headers})


def test_an_invite_is_reported_once_and_trying_is_said_at_once() -> None:
    """3261-51, §16.2"""
    ours = Caller()
    invite = ours.invite()
    ours.endpoint.trying(invite)
    assert ours.sent() == ["100"]
    ours.endpoint.trying(invite)
    assert ours.sent() == []
    assert ours.take(request("INVITE"), 0.5) == []
    assert ours.sent() == ["100"]
    ours.endpoint.respond(invite, RINGING)
    ours.endpoint.trying(invite)
    assert ours.sent() == ["180"]


def test_a_100_is_written_whole() -> None:
    """3261-51: §8.2.6.1, §16.2"""
    ours = Caller()
    invite = ours.invite(via=RPORT, more=("Timestamp: 54",))
    ours.endpoint.trying(invite)
    expected = (
        b"SIP/2.0 100 Trying\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport=9988;received=192.0.2.1\r\n"
        b"From: <sip:alice@example.com>;tag=a\r\n"
        b"To: <sip:alice@example.com>\r\n"
        b"Call-ID: c@192.0.2.1\r\n"
        b"CSeq: 1 INVITE\r\n"
        b"Timestamp: 54\r\n"
        b"Server: reginfo\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    assert ours.endpoint.datagrams_to_send() == [Datagram(expected, FLOW, invite)]


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS"])
def test_a_request_other_than_invite_gets_no_100(method: str) -> None:
    """RFC 4320 §4.1"""
    ours = Caller()
    (event,) = ours.take(request(method))
    assert isinstance(event, RequestReceived)
    ours.endpoint.trying(event.transaction)
    assert ours.sent() == []


@pytest.mark.parametrize(
    ("invited", "to", "tag"),
    [
        ("<sip:alice@example.com>", "<sip:alice@example.com>", ";tag=2"),
        ("<sip:alice@example.com>;tag=x", "<sip:alice@example.com>;tag=x", ""),
        # A client that takes the tag of the 180 gets it back once.
        ("<sip:alice@example.com>", "<sip:alice@example.com>;tag=2", ""),
    ],
)
def test_the_200_of_a_cancel_is_written_whole(invited: str, to: str, tag: str) -> None:
    """3261-48: §9.2, with the To tag of the responses to the INVITE"""
    ours = Caller()
    invite = ours.invite(via=RPORT, to=invited)
    assert ours.take(in_wake("CANCEL", via=RPORT, to=to)) == [Cancelled(invite)]
    (datagram,) = ours.endpoint.datagrams_to_send()
    expected = (
        "SIP/2.0 200 OK\r\n"
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport=9988;received=192.0.2.1\r\n"
        "From: <sip:alice@example.com>;tag=a\r\n"
        f"To: {to}{tag}\r\n"
        "Call-ID: c@192.0.2.1\r\n"
        "CSeq: 1 CANCEL\r\n"
        "Server: reginfo\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()
    assert (datagram.data, datagram.flow) == (expected, FLOW)


def test_a_cancel_is_forgotten_with_its_timer() -> None:
    """3261-48: then it is a CANCEL of nothing"""
    ours = Caller()
    ours.endpoint.respond(ours.invite(), BUSY)
    ours.take(in_wake("CANCEL"))
    assert ours.sent(0.0) == ["486", "200"]
    run(ours.endpoint, 32.0)
    assert not ours.endpoint.servers
    assert ours.take(in_wake("CANCEL"), 33.0) == []
    assert ours.sent(33.0) == ["481"]


def test_the_ack_of_a_re_invite_of_rfc_2543_has_its_to_tag() -> None:
    """3261-51: §17.2.3, without a branch"""
    old = "SIP/2.0/UDP 192.0.2.1:9988"
    to = "<sip:alice@example.com>;tag=x"
    ours = Caller()
    ours.endpoint.respond(ours.invite(via=old, to=to), BUSY)
    assert ours.sent(0.0) == ["486"]
    assert ours.take(in_wake("ACK", via=old, to=to), 0.1) == []
    assert run(ours.endpoint, 99.0) == []


def test_the_ack_of_a_refusal_ends_here() -> None:
    """3261-51"""
    ours = Caller()
    invite = ours.invite()
    ours.endpoint.respond(invite, BUSY)
    assert ours.sent(0.0) == ["486"]
    assert [what(Datagram(data, FLOW)) for _, data in run(ours.endpoint, 1.5)] == [
        "486", "486"
    ]  # fmt: skip
    assert ours.take(in_wake("ACK"), 2.0) == []
    assert run(ours.endpoint, 6.9) == []
    assert ours.take(in_wake("ACK"), 6.9) == []  # it may come again
    assert ours.endpoint.servers
    run(ours.endpoint, 7.0)  # Timer I
    assert not ours.endpoint.servers and ours.endpoint.timer_at is None


def test_the_ack_of_a_2xx_is_handed_up() -> None:
    """3261-49, 3261-51"""
    ours = Caller()
    ours.endpoint.respond(ours.invite(), OK)
    ours.sent()
    # It is a transaction of its own; some user agents take the branch of the INVITE.
    own = "SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bKack"
    for data in (in_wake("ACK", via=own), in_wake("ACK")):
        (event,) = ours.take(data, 1.0)
        assert isinstance(event, AckReceived)
        assert (event.request.method, event.flow) == ("ACK", FLOW)
    assert ours.sent() == []
    # And so is that of an INVITE that is no longer known.
    (event,) = Caller().take(in_wake("ACK"))
    assert isinstance(event, AckReceived)


@pytest.mark.parametrize(
    ("methods", "data"),
    [
        (None, in_wake("ACK", call_id="")),
        (None, in_wake("ACK", from_="<")),
        (("INVITE",), in_wake("ACK")),
    ],
)
def test_an_ack_that_nobody_wants_is_dropped(
    methods: tuple[str, ...] | None, data: bytes
) -> None:
    ours = Caller(methods)
    assert ours.take(data) == []
    assert ours.sent() == []


def test_a_refusal_that_nobody_acknowledges_is_forgotten_in_the_end() -> None:
    """3261-51: Timer H"""
    ours = Caller()
    ours.endpoint.respond(ours.invite(), BUSY)
    ours.sent(0.0)
    assert len(run(ours.endpoint, 32.0)) == 10
    assert not (ours.endpoint.servers or ours.endpoint.servers._merged)
    assert ours.endpoint.timer_at is None


def test_a_cancel_is_answered_by_itself_and_told() -> None:
    """3261-48: §9.2"""
    ours = Caller()
    invite = ours.invite()
    ours.endpoint.respond(invite, RINGING)
    ours.sent()
    (event,) = ours.take(in_wake("CANCEL"), 1.0)
    assert event == Cancelled(invite)
    (datagram,) = flush(ours.endpoint, 1.0)
    response = as_response(datagram)
    assert (response.status, response.cseq) == (200, (1, "CANCEL"))
    # "The To tag of the response to the CANCEL and [that] to the original request
    # SHOULD be the same."
    assert response.to.tag == invite.to_tag != ""
    # What comes again is answered again, and told no more.
    assert ours.take(in_wake("CANCEL"), 2.0) == []
    assert [d.data for d in flush(ours.endpoint, 2.0)] == [datagram.data]


@pytest.mark.parametrize("response", [OK, BUSY])
def test_a_cancel_that_comes_too_late_changes_nothing(response: Response) -> None:
    """3261-48: "if the original request has a final response, [...] no effect"."""
    ours = Caller()
    ours.endpoint.respond(ours.invite(), response)
    ours.sent()
    assert ours.take(in_wake("CANCEL"), 1.0) == []
    assert ours.sent(1.0) == ["200"]


@pytest.mark.parametrize(
    "headers",
    [
        {"via": "SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bKother"},
        {"via": "SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1"},
    ],
)
def test_a_cancel_of_what_is_not_known_is_481(headers: dict[str, str]) -> None:
    """3261-48"""
    ours = Caller()
    ours.invite()
    assert ours.take(in_wake("CANCEL", **headers)) == []
    assert ours.sent() == ["481"]


@pytest.mark.parametrize(
    "method", ["OPTIONS", "REGISTER", "SUBSCRIBE", "PUBLISH", "MESSAGE"]
)
@pytest.mark.parametrize("answered", [True, False])
def test_a_cancel_of_a_request_that_is_no_invite_is_200_and_changes_nothing(
    method: str, answered: bool
) -> None:
    """3261-65 (§9.2)"""
    ours = Caller()
    assert len(received := ours.take(request(method))) == 1
    if answered:
        assert isinstance(received[0], RequestReceived)
        ours.endpoint.respond(received[0].transaction, OK)
        assert ours.sent() == ["200"]
    assert ours.take(in_wake("CANCEL")) == []
    assert ours.sent() == ["200"]
    assert ours.take(in_wake("CANCEL")) == []  # a copy is answered by its transaction
    assert ours.sent() == ["200"]


def test_ack_and_cancel_of_a_phone_of_rfc_2543_find_their_invite() -> None:
    """3261-48, 3261-51: §17.2.3, without a branch"""
    old = "SIP/2.0/UDP 192.0.2.1:9988"
    ours = Caller()
    invite = ours.invite(via=old)
    assert ours.take(in_wake("CANCEL", via=old)) == [Cancelled(invite)]
    ours.endpoint.respond(invite, BUSY)
    assert ours.sent() == ["200", "486"]
    assert ours.take(request("INVITE", via=old)) == []
    assert ours.sent() == ["486"]
    # The ACK has the tag that the response has given.
    to = f"<sip:alice@example.com>;tag={invite.to_tag}"
    assert ours.take(in_wake("ACK", via=old, to=to), 0.1) == []
    assert [d for d in run(ours.endpoint, 99.0) if b" 486 " in d[1]] == []
    # That of another call is not of this one.
    (event,) = ours.take(in_wake("ACK", via=old, to=to, call_id="other"), 0.1)
    assert isinstance(event, AckReceived)


# An INVITE of ours.


def test_the_responses_of_a_call_are_reported_and_its_refusal_acknowledged() -> None:
    """3261-50"""
    ours = Caller()
    invite = ours.call()
    statuses = []
    for status in (100, 180, 180, 486, 486):
        for event in ours.take(answer(invite.data, status, "X"), 1.0):
            assert isinstance(event, ResponseReceived)
            statuses.append(event.response.status)
    assert statuses == [100, 180, 180, 486]
    assert ours.sent(1.0) == ["ACK", "ACK"]
    run(ours.endpoint, 33.0)  # Timer D
    assert not ours.endpoint._clients
    assert ours.take(answer(invite.data, 486, "X"), 34.0) == []
    assert ours.sent() == []


def test_each_2xx_of_a_call_is_reported() -> None:
    """3261-50: RFC 6026 §7.2"""
    ours = Caller()
    invite = ours.call()
    for now in (1.0, 1.5, 32.0):
        assert len(ours.take(answer(invite.data), now)) == 1
    assert ours.sent() == []
    run(ours.endpoint, 33.0)  # Timer M
    assert not ours.endpoint._clients
    assert ours.endpoint.events() == []


def test_a_call_that_nobody_answers_has_failed_after_64_t1() -> None:
    """3261-50: Timer B"""
    ours = Caller()
    ours.call()
    times = [at for at, _ in run(ours.endpoint, 31.9)]
    assert times == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert ours.endpoint.events() == []
    run(ours.endpoint, 32.0)
    (event,) = ours.endpoint.events()
    assert isinstance(event, RequestFailed)
    assert event.cause == "timeout"
    assert not ours.endpoint._clients and ours.endpoint.timer_at is None


def test_a_call_that_cannot_be_sent_has_failed() -> None:
    """3261-50"""
    ours = Caller()
    datagram = ours.call()
    ours.endpoint.transport_failed(datagram, 0.0)
    (event,) = ours.endpoint.events()
    assert isinstance(event, RequestFailed)
    assert event.cause == "transport"


def test_a_call_is_cancelled_as_soon_as_somebody_is_there() -> None:
    """3261-48: §9.1"""
    ours = Caller()
    invite = ours.call()
    transaction = invite.transaction
    assert isinstance(transaction, InviteClientTransaction)
    ours.endpoint.cancel(transaction, 0.1)
    ours.endpoint.cancel(transaction, 0.1)
    assert ours.sent(0.1) == []
    assert len(ours.take(answer(invite.data, 100, "Trying"), 0.2)) == 1
    (cancel,) = flush(ours.endpoint, 0.2)
    sent = parsed(cancel.data)
    assert (sent.method, sent.uri) == ("CANCEL", "sip:bob@192.0.2.1")
    assert sent.via.branch == transaction.branch
    # Its answer is nobody's concern; that of the INVITE is.
    assert ours.take(answer(cancel.data), 0.3) == []
    (event,) = ours.take(answer(invite.data, 487, "Terminated"), 0.4)
    assert isinstance(event, ResponseReceived)
    assert ours.sent(0.4) == ["ACK"]
    run(ours.endpoint, 99.0)
    assert not ours.endpoint._clients and ours.endpoint.events() == []


def test_a_cancelled_call_that_keeps_ringing_ends_after_64_t1() -> None:
    """3261-48"""
    ours = Caller()
    invite = ours.call()
    ours.take(answer(invite.data, 180, "Ringing"), 1.0)
    transaction = invite.transaction
    assert isinstance(transaction, InviteClientTransaction)
    ours.endpoint.cancel(transaction, 2.0)
    assert ours.sent(2.0) == ["CANCEL"]
    # The CANCEL itself is sent again, and given up, without a word.
    sent = run(ours.endpoint, 33.9)
    assert sent and all(data.startswith(b"CANCEL ") for _, data in sent)
    assert ours.endpoint.events() == []
    run(ours.endpoint, 34.0)
    (event,) = ours.endpoint.events()
    assert isinstance(event, RequestFailed)
    assert (event.transaction, event.cause) == (transaction, "timeout")
    assert not ours.endpoint._clients


def test_a_response_without_a_transaction_goes_nowhere() -> None:
    """3261-49, RFC 6026 §6: a proxy is no forwarder of packets for others."""
    other = "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKother"
    mine = "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKgone"
    data = answer(request("INVITE", via=f"{mine}\r\nVia: {other}"), 200)
    ours = Caller()
    assert ours.take(data) == []
    assert ours.sent(0.0) == []


def test_the_answer_to_what_was_passed_on_has_more_than_our_via() -> None:
    """3261-45: §8.1.3.3"""
    ours = Caller()
    head = f"Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK9\r\n{INVITING.head}"
    ours.endpoint.send_request(Draft("INVITE", INVITING.uri, head), FLOW, USER)
    (invite,) = flush(ours.endpoint, 0.0)
    both = answer(invite.data, 180, "Ringing")
    one = both.replace(b"Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK9\r\n", b"")
    assert ours.take(one) == []
    assert len(ours.take(both)) == 1


def test_what_is_passed_on_goes_out_although_nothing_can_be_kept() -> None:
    """3261-48: a call is of no concern to the disk, and nor is its CANCEL"""
    ours = Caller()
    incoming = ours.invite()
    ours.endpoint.trying(incoming)
    head = f"Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK9\r\n{INVITING.head}"
    call = ours.endpoint.send_request(Draft("INVITE", INVITING.uri, head), FLOW, USER)
    ours.endpoint.send_stateless(b"ACK sip:bob@192.0.2.1 SIP/2.0\r\n\r\n", FLOW)
    datagrams = ours.endpoint.datagrams_to_send()
    ours.endpoint.discard(datagrams, UNAVAILABLE)
    assert sorted(ours.sent(0.0)) == ["100", "ACK", "INVITE"]
    (invite,) = [d for d in datagrams if d.data.startswith(b"INVITE")]
    ours.take(answer(invite.data, 180, "Ringing"), 1.0)
    assert isinstance(call, InviteClientTransaction)
    ours.endpoint.cancel(call, 1.0)
    ours.endpoint.discard(ours.endpoint.datagrams_to_send(), UNAVAILABLE)
    assert ours.sent(1.0) == ["CANCEL"]
    # And a response that came from further on.
    (event,) = ours.take(answer(invite.data), 2.0)
    assert isinstance(event, ResponseReceived)
    ours.endpoint.forward(incoming, event.response)
    ours.endpoint.discard(ours.endpoint.datagrams_to_send(), UNAVAILABLE)
    assert ours.sent(2.0) == ["200"]


def test_a_call_that_was_begun_in_vain_can_be_taken_back() -> None:
    ours = Caller()
    mark = ours.endpoint.mark()
    ours.endpoint.send_request(INVITING, FLOW, USER)
    ours.endpoint.roll_back(mark)
    assert ours.sent() == []
    assert not ours.endpoint._clients


def test_a_call_on_a_stream_that_is_lost_has_failed_unless_it_was_answered() -> None:
    """3261-50"""
    ours = Caller()
    tcp = Flow(Local(Transport.TCP, "192.0.2.2", 5060), ("192.0.2.1", 5060))
    lost, over = ours.call(tcp, user=FIRST), ours.call(tcp, user=SECOND)
    ours.take(answer(over.data, 486, "Busy"), 1.0, tcp)
    ours.endpoint.flow_lost(tcp, 2.0)
    (event,) = ours.endpoint.events()
    assert isinstance(event, RequestFailed)
    assert (event.transaction, event.cause) == (lost.transaction, "connection lost")
