"""A request too long for a datagram goes by TCP, and back by UDP (RFC 3261 §18.1.1)."""

from __future__ import annotations

import itertools

import pytest

from reginfo.sip.clients import LONGEST_DATAGRAM, UDP_ONLY
from reginfo.sip.endpoint import Endpoint
from reginfo.sip.event import RequestFailed, RequestReceived, ResponseReceived
from reginfo.sip.flow import Flow, Local
from reginfo.sip.message import Draft, Response
from reginfo.sip.transaction import TIMER_F, Datagram
from reginfo.sip.transport import Transport
from reginfo.sip.user import Nobody

UDP = Local(Transport.UDP, "127.0.0.1", 5060)
TCP = Local(Transport.TCP, "127.0.0.1", 5060)
PEER = ("192.0.2.9", 5060)
BY_UDP = Flow(UDP, PEER)
BY_TCP = Flow(TCP, PEER)

HEAD = (
    "From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>;tag=2\r\n"
    "Call-ID: c\r\nCSeq: 1 NOTIFY\r\n"
)
SHORT = Draft("NOTIFY", "sip:b@192.0.2.9", HEAD)
LONG = Draft("NOTIFY", "sip:b@192.0.2.9", HEAD, bytes(LONGEST_DATAGRAM))


def endpoint() -> Endpoint:
    numbers = itertools.count()
    endpoint = Endpoint(
        new_id=lambda: f"{next(numbers):08d}", methods=("OPTIONS",), headers={}
    )
    endpoint.use_streams(UDP, TCP)
    return endpoint


def sent(endpoint: Endpoint, now: float = 0.0) -> list[Datagram]:
    datagrams = endpoint.datagrams_to_send()
    endpoint.sent(datagrams, now)
    return datagrams


def ok(request: bytes) -> bytes:
    via = next(line for line in request.split(b"\r\n") if line.startswith(b"Via:"))
    head = HEAD.encode().rstrip()
    return b"\r\n".join([b"SIP/2.0 200 OK", via, head, b"Content-Length: 0", b"", b""])


def test_a_short_request_goes_by_udp() -> None:
    server = endpoint()
    server.send_request(SHORT, BY_UDP, Nobody())
    (datagram,) = sent(server)
    assert datagram.flow == BY_UDP


def test_a_request_is_not_long_that_is_as_long_as_a_datagram_may_be() -> None:
    server = endpoint()
    server.send_request(SHORT, BY_UDP, Nobody())
    rest = LONGEST_DATAGRAM - len(sent(server)[0].data)
    for length, flow in ((rest, BY_TCP), (rest - 3, BY_UDP)):
        # Content-Length has four digits then: three more octets.
        server.send_request(
            Draft("NOTIFY", SHORT.uri, HEAD, bytes(length)), BY_UDP, Nobody()
        )
        (datagram,) = sent(server)
        assert datagram.flow == flow
    assert len(datagram.data) == LONGEST_DATAGRAM


def test_a_long_request_goes_by_tcp_and_its_via_says_so() -> None:
    """6665-34"""
    server = endpoint()
    server.send_request(LONG, BY_UDP, Nobody())
    (datagram,) = sent(server)
    assert datagram.flow == BY_TCP
    assert b"Via: SIP/2.0/TCP 127.0.0.1:5060;branch=" in datagram.data


def test_without_streams_a_long_request_goes_by_udp() -> None:
    server = Endpoint(new_id=lambda: "1", methods=(), headers={})
    server.send_request(LONG, BY_UDP, Nobody())
    (datagram,) = sent(server)
    assert datagram.flow == BY_UDP


def test_nothing_is_sent_twice_on_a_reliable_transport() -> None:
    """3261-22: there is a Timer F, and no Timer E."""
    server = endpoint()
    server.send_request(LONG, BY_TCP, Nobody())
    sent(server)
    server.timer_due(TIMER_F - 1)
    assert sent(server) == []
    assert server.events() == []
    server.timer_due(TIMER_F + 1)
    (event,) = server.events()
    assert isinstance(event, RequestFailed)


def test_the_same_request_goes_by_udp_if_tcp_is_refused() -> None:
    server = endpoint()
    transaction = server.send_request(LONG, BY_UDP, Nobody())
    (first,) = sent(server)
    server.transport_failed(first, 1.0)
    (second,) = sent(server, 1.0)
    assert second.flow == BY_UDP
    assert b"Via: SIP/2.0/UDP 127.0.0.1:5060;" in second.data
    assert second.data == first.data.replace(b"SIP/2.0/TCP", b"SIP/2.0/UDP")
    assert server.events() == []

    # From now on it is a request by UDP like any other: sent again, and answered.
    server.timer_due(1.75)
    assert [d.data for d in sent(server, 1.75)] == [second.data]
    server.receive_datagram(ok(second.data), BY_UDP, 2.0)
    (event,) = server.events()
    assert isinstance(event, ResponseReceived)
    assert event.transaction is transaction


@pytest.mark.parametrize("method", ["NOTIFY", "INVITE"])
def test_a_stream_that_is_lost_in_a_request_is_replaced_once(method: str) -> None:
    """3261-63 (§18.1.1): only a refused connection means that there is no TCP."""
    server = endpoint()
    long = Draft(method, LONG.uri, HEAD.replace("NOTIFY", method), LONG.body)
    server.send_request(long, BY_UDP, Nobody())
    (first,) = sent(server)
    server.flow_lost(BY_TCP, 1.0)
    (second,) = sent(server, 1.0)
    assert (second.flow, second.data) == (BY_TCP, first.data)
    # Lost again: the peer cannot take it by a stream, so it is tried by UDP.
    server.flow_lost(BY_TCP, 2.0)
    (third,) = sent(server, 2.0)
    assert third.flow == BY_UDP
    # It does have TCP: the next long request goes there.
    server.send_request(LONG, BY_UDP, Nobody())
    assert [d.flow for d in sent(server, 3.0)] == [BY_TCP]


def test_a_request_that_fell_back_does_not_fail_by_its_first_flow() -> None:
    """Its stream is lost, and datagrams that still waited for it cannot be sent."""
    server = endpoint()
    server.send_request(LONG, BY_UDP, Nobody())
    (first,) = sent(server)
    server.flow_lost(BY_TCP, 1.0)
    server.flow_lost(BY_TCP, 1.0)
    *_, second = sent(server, 1.0)
    server.transport_failed(first, 1.0)
    assert server.events() == []
    server.receive_datagram(ok(second.data), BY_UDP, 2.0)
    (event,) = server.events()
    assert isinstance(event, ResponseReceived)


def test_a_peer_without_tcp_is_not_asked_for_it_again_for_a_while() -> None:
    server = endpoint()
    server.send_request(LONG, BY_UDP, Nobody())
    (first,) = sent(server)
    server.transport_failed(first, 0.0)
    sent(server)
    server.timer_due(5.0)
    sent(server, 5.0)
    server.send_request(LONG, BY_UDP, Nobody())
    assert [d.flow for d in sent(server, 5.0)] == [BY_UDP]
    server.timer_due(UDP_ONLY)
    sent(server)
    server.send_request(LONG, BY_UDP, Nobody())
    assert [d.flow for d in sent(server)] == [BY_TCP]


def test_a_stream_that_goes_after_the_answer_harms_nobody() -> None:
    server = endpoint()
    server.send_request(LONG, BY_UDP, Nobody())
    (first,) = sent(server)
    server.receive_datagram(ok(first.data), BY_TCP, 0.5)
    assert len(server.events()) == 1
    server.flow_lost(BY_TCP, 1.0)
    assert server.events() == []
    assert sent(server) == []


def test_a_request_that_was_meant_for_tcp_fails_with_its_stream() -> None:
    server = endpoint()
    server.send_request(LONG, BY_TCP, Nobody())
    sent(server)
    server.flow_lost(BY_TCP, 1.0)
    (event,) = server.events()
    assert isinstance(event, RequestFailed)
    assert event.cause == "connection lost"


def test_a_request_fails_by_the_loss_of_no_other_stream_than_its_own() -> None:
    server = endpoint()
    server.send_request(LONG, BY_TCP, Nobody())
    server.send_request(SHORT, BY_UDP, Nobody())
    sent(server)
    server.flow_lost(Flow(TCP, ("192.0.2.10", 5060)), 1.0)
    assert server.events() == []


OPTIONS = (
    b"OPTIONS sip:example.com SIP/2.0\r\nVia: SIP/2.0/TCP %b;branch=z9hG4bK1\r\n"
    b"From: <sip:b@example.com>;tag=1\r\nTo: <sip:example.com>\r\nCall-ID: c\r\n"
    b"CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


def test_a_response_goes_back_by_the_stream_of_its_request() -> None:
    """3261-23, §18.2.2"""
    server = endpoint()
    flow = Flow(TCP, ("192.0.2.9", 40_000))
    server.receive_datagram(OPTIONS % b"192.0.2.9", flow, 0.0)
    (event,) = server.events()
    assert isinstance(event, RequestReceived)
    server.respond(event.transaction, Response(200, "OK"))
    (datagram,) = sent(server)
    assert datagram.flow == flow
    # Timer J is 0 there: the transaction is gone at once.
    server.timer_due(1.0)
    server.receive_datagram(OPTIONS % b"192.0.2.9", flow, 1.0)
    assert len(server.events()) == 1


def test_a_response_that_could_not_be_sent_is_not_kept_for_copies() -> None:
    """Timer J begins with the response that has gone out."""
    server = endpoint()
    flow = Flow(TCP, ("192.0.2.9", 40_000))
    server.receive_datagram(OPTIONS % b"pc.example.com:5070", flow, 0.0)
    (event,) = server.events()
    assert isinstance(event, RequestReceived)
    server.respond(event.transaction, Response(200, "OK"))
    (datagram,) = server.datagrams_to_send()
    server.transport_failed(datagram, 0.1)
    assert server.timer_at is None
    sent(server, 0.2)
    assert server.timer_at == 0.25


def test_if_that_stream_is_gone_one_is_opened_to_where_via_says() -> None:
    """§18.2.2"""
    server = endpoint()
    flow = Flow(TCP, ("192.0.2.9", 40_000))
    server.receive_datagram(OPTIONS % b"pc.example.com:5070", flow, 0.0)
    (event,) = server.events()
    assert isinstance(event, RequestReceived)
    server.respond(event.transaction, Response(200, "OK"))
    (datagram,) = sent(server)
    server.transport_failed(datagram, 0.1)
    # A copy of the request, by whichever way it comes, is answered by the new one.
    server.receive_datagram(OPTIONS % b"pc.example.com:5070", flow, 0.1)
    again, copy = sent(server)
    assert again.flow == copy.flow == Flow(TCP, ("192.0.2.9", 5070))
    assert again.data == copy.data == datagram.data
    server.transport_failed(again, 0.2)
    assert sent(server) == []
