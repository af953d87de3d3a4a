"""Responses that the endpoint makes by itself, and where responses go."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.sip.endpoint import Endpoint
from reginfo.sip.errors import Refusal, RemoteProtocolError
from reginfo.sip.event import (
    RequestReceived,
)
from reginfo.sip.flow import Flow, Local
from reginfo.sip.message import Response
from reginfo.sip.responding import refused
from reginfo.sip.transport import Transport
from reginfo.sip.user import Nobody

from .messages import (
    DRAFT,
    FLOW,
    OK,
    SERVER,
    answer,
    answers,
    as_response,
    endpoint,
    message,
    parsed,
    received,
    request,
    serve,
)

SOURCE = "192.0.2.1"


# Requests that we do not take.


def test_an_unknown_method_is_answered_405_with_allow() -> None:
    """An unknown method is answered 405 with Allow (3261-28)."""
    ours = endpoint()
    assert received(ours, request("INVITE")) == []
    (datagram,) = ours.datagrams_to_send()
    assert datagram.flow == FLOW
    response = as_response(datagram)  # 3261-28
    assert (response.status, response.reason) == (405, "Method Not Allowed")
    assert response.header("Allow") == "REGISTER, SUBSCRIBE, NOTIFY, OPTIONS"
    assert response.header("Server") == "reginfo"
    assert response.to.tag


def test_a_cancel_that_matches_nothing_is_481() -> None:
    """3261-65 (§9.2)"""
    (response,) = answers(endpoint(), request("CANCEL", cseq="1 CANCEL"))
    assert (response.status, response.reason) == (
        481,
        "Call/Transaction Does Not Exist",
    )


@pytest.mark.parametrize(
    "data",
    [
        request("ACK"),
        request("ACK", via="SIP/2.0/UDP h"),
        request("ACK", call_id=""),
        request("ACK", content_length="x"),
    ],
)
def test_an_ack_is_never_answered(data: bytes) -> None:
    assert answers(endpoint(), data) == []


@pytest.mark.parametrize("before", ["\t", " ", "\t \t"])
@pytest.mark.parametrize("method", ["REGISTER", "NOTIFY"])
def test_a_request_line_that_begins_with_a_blank_is_answered_400(
    before: str, method: str
) -> None:
    """3261-130: §25.1; also of a client of a method that we do not support"""
    (response,) = answers(endpoint(), before.encode() + request(method))
    assert (response.status, response.reason) == (400, "Bad Request")
    assert response.header("Call-ID") == "c@192.0.2.1"
    assert response.header("Warning") == '399 reginfo "malformed Request-Line"'


@pytest.mark.parametrize(
    ("uri", "status", "reason"),
    [
        ("http://example.com", 416, "Unsupported URI Scheme"),
        ("sip:example.com SIP/3.0", 505, "Version Not Supported"),
        ("sip:" + "a" * 5000, 414, "Request-URI Too Long"),
        ("example.com", 400, "Bad Request"),
    ],
)
def test_a_request_uri_that_is_not_ours_earns_its_status(
    uri: str, status: int, reason: str
) -> None:
    data = request().replace(
        b"sip:example.com SIP/2.0", uri.encode() + b" SIP/2.0" * ("SIP/" not in uri), 1
    )
    (response,) = answers(endpoint(), data)
    assert (response.status, response.reason) == (status, reason)


@pytest.mark.parametrize("uri", ["sip:example.com", "sips:example.com", "tel:+1"])
def test_a_request_uri_of_ours_has_one_of_three_schemes(uri: str) -> None:
    (request_,) = received(endpoint(), request(uri=uri))
    assert request_.uri == uri


@pytest.mark.parametrize("name", ["From", "To", "Call-ID", "CSeq"])
@pytest.mark.parametrize("branch", [";branch=z9hG4bK1", ";branch=1", ""])
def test_what_a_request_lacks_is_left_empty_in_the_400(name: str, branch: str) -> None:
    """A header field that a request lacks is not copied to the 400 (3261-21)."""
    ours = endpoint()
    via = f"SIP/2.0/UDP 192.0.2.1:9988{branch}"
    (response,) = answers(ours, request(via=via, without=(name,)))  # 3261-21
    assert (response.status, response.reason) == (400, "Bad Request")
    warning = f'399 reginfo "Missing {name} Header Field"'
    assert response.header("Warning") == warning
    copied = {"From": "<sip:alice@example.com>;tag=a", "Call-ID": "c@192.0.2.1",
        "CSeq": "1 REGISTER"}  # fmt: skip
    for other, value in copied.items():
        assert response.header(other) == ("" if other == name else value)
    assert ours.malformed == 1


@pytest.mark.parametrize(
    "change",
    [
        {"cseq": "x"},
        {"cseq": "2147483648 REGISTER"},
        {"cseq": "1 INVITE"},
        {"to": '"unbalanced <sip:a@b>'},
        {"from_": "<sip:a@b"},
        {"max_forwards": "x"},
        {"content_length": "99"},
        {"call_id": "a\r\nCall-ID: b"},
        {"call_id": "a\r\nno header"},
    ],
)
def test_a_malformed_request_is_answered_400_and_makes_no_transaction(
    change: dict[str, Any],
) -> None:
    """A malformed request is answered 400 and makes no transaction (3261-18)."""
    ours = endpoint()
    (response,) = answers(ours, request(**change))  # 3261-18
    assert response.status == 400
    assert response.via.branch == "z9hG4bK1"
    serve(ours, request())


def test_the_warning_of_a_400_is_a_quoted_string_whatever_the_peer_wrote() -> None:
    data = request(cseq="X").replace(b"X", b'"\\\x01')
    (response,) = answers(endpoint(), data)
    warning = response.header("Warning")
    assert warning is not None
    assert warning.count('"') == 2
    assert "\\" not in warning
    assert warning.isprintable()
    (response,) = answers(endpoint(), request(without=("Call-ID",), cseq='X"\\\x01X'))
    assert response.header("Warning") == ('399 reginfo "Missing Call-ID Header Field"')
    (response,) = answers(endpoint(), request(cseq='X"\x01\x1b'))
    assert response.header("Warning") == (
        "399 reginfo \"malformed CSeq: 'X??x01?x1b'\""
    )


@pytest.mark.parametrize("via", ["SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK\xe4", None])
def test_a_400_copies_octets_that_are_not_utf8_and_has_a_tag_of_64_bits(
    via: str | None,
) -> None:
    """3261-21: header fields are copied as they came."""
    data = request(via=via or "SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK1")
    data = data.replace(b"\xc3\xa4", b"\xe4").replace(b"1 REGISTER", b"1 REG\xe4")
    ours = endpoint()
    assert received(ours, data) == []
    (datagram,) = ours.datagrams_to_send()
    lines = datagram.data.split(b"\r\n")
    assert lines[0] == b"SIP/2.0 400 Bad Request"
    assert b"CSeq: 1 REG\xe4" in lines
    (to,) = [line for line in lines if line.startswith(b"To: ")]
    tag = to.removeprefix(b"To: <sip:alice@example.com>;tag=").decode()
    assert len(bytes.fromhex(tag)) == 8


@pytest.mark.parametrize(
    ("to", "adds"),
    [
        ("<sip:a@b>", True),
        ("<sip:tag=@b>", True),
        ("<sip:a@b;tag=x>", True),
        ("<sip:a@b>;tag=x", False),
        ("<sip:a@b", False),
    ],
)
def test_an_answer_without_a_transaction_has_a_tag_unless_it_cannot(
    to: str, adds: bool
) -> None:
    data = request("INVITE", to=to)
    (response,) = answers(endpoint(), data)
    assert (response.header("To") != to) == adds


def test_copies_of_a_request_get_equal_answers_and_others_another_tag() -> None:
    ours = endpoint()
    one, again = (answers(ours, request("INVITE"))[0] for _ in range(2))
    other = answers(ours, request("INVITE", cseq="2 INVITE"))[0]
    assert one.headers == again.headers  # §8.2.7
    assert other.to.tag != one.to.tag


@pytest.mark.parametrize("length", [1, 40])
def test_the_tag_of_an_answer_cannot_be_told_by_those_who_know_the_request(
    length: int,
) -> None:
    # RFC 3261 §19.3: it is random, though each copy of the request gets the same.
    def tag(secret: str) -> str:
        ours = Endpoint(new_id=lambda: secret, methods=(), headers={})
        return answers(ours, request("INVITE"))[0].to.tag

    assert tag("a" * length) == tag("a" * length) != tag("b" * length)


@pytest.mark.parametrize(
    "data",
    [
        request(without=("Via",)),
        request(via=""),
        request("INVITE", without=("Via",)),
        request("ACK", via="nothing"),
        request(without=("Via", "CSeq")),
        request(via="x", cseq="x"),
        request(via="x", from_="<sip:a"),
        request(via="x", to='"'),
        request(via="x", without=("Call-ID",)),
        b"nonsense",
        b"X",
        b"REGISTER\r\n\r\n",
        message("SIP/2.0 200 OK", ["Via: SIP/2.0/UDP h;branch=1", "l: 99"]),
        message("SIP/2.0 200 OK", []),
        message("SIP/2.0 200 OK", ["Via: x"]),
        message("SIP/2.0 2000 OK", ["Via: SIP/2.0/UDP h;branch=1"]),
    ],
)
def test_what_says_nowhere_to_answer_to_is_met_with_silence(data: bytes) -> None:
    ours = endpoint()
    for times in (1, 2):
        assert answers(ours, data) == []
        assert ours.malformed == times
    serve(ours, request())


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "fe80::1%eth0"])
@pytest.mark.parametrize(
    "via",
    [
        "nothing", ",", "SIP/2.0/UDP h;;", "SIP/2.0/UDP h:99999", "SIP/2.0/UDP h;a;A",
        "HTTP/1.1/TCP h", "SIP/2.0/UDP", 'SIP/2.0/UDP h;x="', "SIP/2.0/UDP fe80::1",
    ],
)  # fmt: skip
def test_a_via_that_cannot_be_read_is_answered_to_the_source(
    via: str, host: str, transport: Transport
) -> None:
    """3261-93: the rest can be read, and the Via is copied as it is."""
    ours = endpoint()
    here = "2001:db8::2" if ":" in host else "192.0.2.2"
    flow = Flow(Local(transport, here, 5060), (host, 9988))
    last = "SIP/2.0/UDP last"
    ours.receive_datagram(request(via=via, more=(f"Via: {last}",)), flow, 0.0)
    assert ours.events() == []
    (datagram,) = ours.datagrams_to_send()
    response = as_response(datagram)
    assert (response.status, datagram.flow) == (400, flow)
    assert response.headers["Via"] == [via, last]
    assert response.header("Call-ID") == "c@192.0.2.1"
    assert response.to.tag


@pytest.mark.parametrize("tag", [";tag=", ";tag", " ; Tag = ", ";x=1;tag"])
@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
def test_a_to_with_an_empty_tag_is_refused_and_gets_no_second_one(
    tag: str, method: str
) -> None:
    """3261-96: no parameter stands twice in what we send, whatever was asked."""
    to = f"<sip:alice@example.com>{tag}"
    (response,) = answers(endpoint(), request(method, to=to))
    assert response.status == 400
    assert response.header("To") == to.rstrip(" ")


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\r\n\r\n", b"\0" * 4, b"\0"])
def test_a_keep_alive_is_met_with_silence_and_is_not_malformed(data: bytes) -> None:
    ours = endpoint()
    assert answers(ours, data) == []
    assert ours.malformed == 0


@given(st.integers(0, 400), st.binary(max_size=8), st.sampled_from(["z9hG4bK1", "1"]))
def test_nothing_that_a_datagram_holds_raises(
    at: int, octets: bytes, branch: str
) -> None:
    ours = endpoint()
    ours.send_request(DRAFT, FLOW, Nobody())
    for data in (
        request(via=f"SIP/2.0/UDP h;rport;branch={branch}, SIP/2.0/UDP g"),
        answer(ours.datagrams_to_send()[0].data),
    ):
        ours.receive_datagram(data[:at] + octets + data[at + len(octets) :], FLOW, 0.0)
        ours.receive_datagram(data[:at] + octets + data[at:], FLOW, 0.0)
        ours.receive_datagram(octets + data[at:], FLOW, 0.0)
    for event in ours.events():
        if isinstance(event, RequestReceived):
            ours.respond(event.transaction, OK)


# What an error during a request becomes.


@pytest.mark.parametrize(
    ("error", "response", "log"),
    [
        (
            Refusal(423, "Interval Too Brief", headers=[("Min-Expires", "60")]),
            Response(423, "Interval Too Brief", {"Min-Expires": ["60"]}),
            None,
        ),
        (
            RemoteProtocolError("malformed Contact"),
            Response(400, "Bad Request"),
            ("DEBUG", "! REGISTER from 192.0.2.1:9988: malformed Contact"),
        ),
        (
            RemoteProtocolError("a scheme", status=416),
            Response(416, "Unsupported URI Scheme"),
            ("DEBUG", "! REGISTER from 192.0.2.1:9988: a scheme"),
        ),
        (
            RemoteProtocolError("two of them", status=499),
            Response(499, "Bad Request"),
            ("DEBUG", "! REGISTER from 192.0.2.1:9988: two of them"),
        ),
        *[
            (
                RemoteProtocolError("x", status=status),
                Response(status, reason),
                ("DEBUG", "! REGISTER from 192.0.2.1:9988: x"),
            )
            for status, reason in [
                (414, "Request-URI Too Long"),
                (500, "Server Internal Error"),
                (505, "Version Not Supported"),
                (513, "Message Too Large"),
            ]
        ],
        (
            ValueError("a bug"),
            Response(500, "Server Internal Error"),
            ("ERROR", "! REGISTER from 192.0.2.1:9988"),
        ),
    ],
)
def test_an_error_during_a_request_is_answered_with_its_status_and_logged_once(
    error: Exception,
    response: Response,
    log: tuple[str, str] | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A bug is a 500 and a traceback; the text of a peer's error is for us alone."""
    with caplog.at_level(logging.DEBUG, "reginfo.sip"):
        assert refused(parsed(request()), FLOW, error) == response
    lines = [(one.levelname, one.getMessage()) for one in caplog.records]
    assert lines == ([] if log is None else [log])
    for one in caplog.records:
        traceback = one.exc_info and one.exc_info[1]
        assert traceback is (error if one.levelname == "ERROR" else None)


# The way back, 3261-23.


@pytest.mark.parametrize(
    ("via", "expected", "remote"),
    [
        # RFC 3581 §6.
        (
            "SIP/2.0/UDP 10.1.1.1:4540;rport;branch=z9hG4bKkjshdyff",
            "SIP/2.0/UDP 10.1.1.1:4540;rport=9988;branch=z9hG4bKkjshdyff"
            ";received=192.0.2.1",
            ("192.0.2.1", 9988),
        ),
        # RFC 3581 §4: "even if it is identical to the value of the sent-by component".
        (
            "SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK1;rport",
            "SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK1;rport=9988;received=192.0.2.1",
            ("192.0.2.1", 9988),
        ),
        # Without rport: to the source address, and the port of sent-by (§18.2.2).
        (
            "SIP/2.0/UDP 10.1.1.1:4540;branch=z9hG4bK1",
            "SIP/2.0/UDP 10.1.1.1:4540;branch=z9hG4bK1;received=192.0.2.1",
            ("192.0.2.1", 4540),
        ),
        (
            "SIP/2.0/UDP bobspc.biloxi.com",
            "SIP/2.0/UDP bobspc.biloxi.com;received=192.0.2.1",
            ("192.0.2.1", 5060),
        ),
        (
            "SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK1",
            "SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK1",
            ("192.0.2.1", 9988),
        ),
        (
            "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
            "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
            ("192.0.2.1", 5060),
        ),
        # What the client says of itself is no more than what we see.
        (
            "SIP/2.0/UDP h;received=198.51.100.1;rport=7;branch=z9hG4bK1",
            "SIP/2.0/UDP h;rport=9988;branch=z9hG4bK1;received=192.0.2.1",
            ("192.0.2.1", 9988),
        ),
        (
            "SIP/2.0/UDP h ; Received = 198.51.100.1 ; RPORT ; branch=z9hG4bK1",
            "SIP/2.0/UDP h ;rport=9988; branch=z9hG4bK1;received=192.0.2.1",
            ("192.0.2.1", 9988),
        ),
        # Nor is anything in a quoted-string changed.
        (
            'SIP/2.0/UDP h;x=";rport;received=1";rport;branch=z9hG4bK1;Received=7',
            'SIP/2.0/UDP h;x=";rport;received=1";rport=9988;branch=z9hG4bK1'
            ";received=192.0.2.1",
            ("192.0.2.1", 9988),
        ),
        (
            'SIP/2.0/UDP h;x="\\";rport" ; RPORT ;branch=z9hG4bK1, SIP/2.0/UDP g;rport',
            'SIP/2.0/UDP h;x="\\";rport" ;rport=9988;branch=z9hG4bK1'
            ";received=192.0.2.1, SIP/2.0/UDP g;rport",
            ("192.0.2.1", 9988),
        ),
        (
            'SIP/2.0/UDP h;x="";Xrport;receivedX=1;Xreceived;rport;branch=z9hG4bK1',
            'SIP/2.0/UDP h;x="";Xrport;receivedX=1;Xreceived;rport=9988'
            ";branch=z9hG4bK1;received=192.0.2.1",
            ("192.0.2.1", 9988),
        ),
        (
            "SIP/2.0/UDP h;rport;branch=z9hG4bK1 , SIP/2.0/UDP g;rport",
            "SIP/2.0/UDP h;rport=9988;branch=z9hG4bK1;received=192.0.2.1"
            " , SIP/2.0/UDP g;rport",
            ("192.0.2.1", 9988),
        ),
        (
            "SIP/2.0/UDP h:5070;maddr=198.51.100.7;branch=z9hG4bK1",
            "SIP/2.0/UDP h:5070;maddr=198.51.100.7;branch=z9hG4bK1;received=192.0.2.1",
            ("192.0.2.1", 5070),
        ),
        (
            "SIP/2.0/UDP h;maddr=a.example;branch=z9hG4bK1",
            "SIP/2.0/UDP h;maddr=a.example;branch=z9hG4bK1;received=192.0.2.1",
            ("192.0.2.1", 5060),
        ),
    ],
)
def test_a_response_goes_back_as_via_and_source_say(
    via: str, expected: str, remote: tuple[str, int]
) -> None:
    ours = endpoint()
    transaction = serve(ours, request(via=via, more=("Via: SIP/2.0/UDP last",)))
    ours.respond(transaction, OK)
    (datagram,) = ours.datagrams_to_send()
    assert as_response(datagram).headers["Via"] == [expected, "SIP/2.0/UDP last"]
    assert datagram.flow == Flow(SERVER, remote)


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
@pytest.mark.parametrize("rport", ["", ";rport"])
@pytest.mark.parametrize("sent_by", ["[fe80::1]:5070", "[fe80::2]:5070", "h:5070"])
def test_a_scope_id_is_never_in_a_via(
    sent_by: str, rport: str, transport: Transport
) -> None:
    """3261-92: `received` is the address alone; the flow keeps the scope."""
    ours = endpoint()
    flow = Flow(Local(transport, "fe80::9%eth0", 5060), ("fe80::1%eth0", 5070))
    via = f"SIP/2.0/{transport} {sent_by};branch=z9hG4bK1{rport}"
    ours.receive_datagram(request(via=via), flow, 0.0)
    (event,) = ours.events()
    assert isinstance(event, RequestReceived)
    ours.respond(event.transaction, OK)
    (datagram,) = ours.datagrams_to_send()
    assert datagram.flow == flow
    assert b"%" not in datagram.data
    is_new = rport or sent_by != "[fe80::1]:5070"
    received = as_response(datagram).via.params.get("received")
    assert received == ("fe80::1" if is_new else None)


@pytest.mark.parametrize(
    ("host", "received"),
    [("2001:db8::9:1", ";received=2001:db8::9:255"), ("2001:db8::9:255", "")],
)
def test_an_ipv6_source_is_received_without_brackets(host: str, received: str) -> None:
    ours = endpoint()  # RFC 5118 §4.5
    flow = Flow(Local(Transport.UDP, "2001:db8::2", 5060), ("2001:db8::9:255", 5070))
    via = f"SIP/2.0/UDP [{host}]:5070;branch=z9hG4bKas3-111"
    ours.receive_datagram(request(via=via), flow, 0.0)
    (event,) = ours.events()
    assert isinstance(event, RequestReceived)
    ours.respond(event.transaction, OK)
    (datagram,) = ours.datagrams_to_send()
    assert as_response(datagram).header("Via") == f"{via}{received}"
    assert datagram.flow == flow


@pytest.mark.parametrize(
    ("host", "sent_by", "expected"),
    [
        ("192.0.2.1", "192.0.2.1:5060", "192.0.2.1:5060"),
        ("192.0.2.1", "10.1.1.1", "10.1.1.1;received=192.0.2.1"),
        ("192.0.2.1", "192.0.2.1;rport", "192.0.2.1;rport=9988;received=192.0.2.1"),
        ("192.0.2.1", "h;rport", "h;rport=9988;received=192.0.2.1"),
        ("2001:db8::9", "[2001:db8::9]", "[2001:db8::9]"),
        ("2001:db8::9", "[2001:db8::8]", "[2001:db8::8];received=2001:db8::9"),
    ],
)
def test_a_response_goes_back_by_the_stream_of_its_request(
    host: str, sent_by: str, expected: str
) -> None:
    """3261-23"""
    ours = endpoint()
    flow = Flow(Local(Transport.TCP, "192.0.2.2", 5060), (host, 9988))
    via = f"SIP/2.0/TCP {sent_by}"
    ours.receive_datagram(request(via=f"{via};branch=z9hG4bK1"), flow, 0.0)
    (event,) = ours.events()
    assert isinstance(event, RequestReceived)
    ours.respond(event.transaction, OK)
    (datagram,) = ours.datagrams_to_send()
    assert datagram.flow is flow
    mine = as_response(datagram).header("Via") or ""
    assert mine.replace(";branch=z9hG4bK1", "") == f"SIP/2.0/TCP {expected}"
