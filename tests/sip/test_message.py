"""Requests and responses: read, checked and written."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.message import (
    Draft,
    Request,
    Response,
    SipMessage,
    canonical,
    lines,
    request_uri,
)
from reginfo.sip.parser import Malformed, parse
from reginfo.sip.uri import LONGEST_CACHED, Uri

from .messages import OK, message, parsed, request


def refused(data: bytes) -> Malformed:
    """What is wrong with ``data``."""
    with pytest.raises(Malformed) as caught:
        parse(data)
    return caught.value


def check(data: bytes) -> RemoteProtocolError:
    """What is wrong with the request in ``data``, which can be read."""
    with pytest.raises(RemoteProtocolError) as caught:
        parsed(data).check()
    return caught.value


def with_header(name: str, value: str) -> bytes:
    headers: dict[str, Any] = {name: value}
    return request(**headers)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("call-id", "Call-ID"),
        ("CALL-ID", "Call-ID"),
        ("cAlL-iD \t", "Call-ID"),
        ("sip-etag", "SIP-ETag"),
        ("www-AUTHENTICATE", "WWW-Authenticate"),
        ("x-UNKNOWN", "X-Unknown"),
        ("FAX", "Fax"),
    ],
)
def test_names_are_the_same_in_any_case(name: str, expected: str) -> None:
    """Header names are the same in any case (3261-25)."""
    assert canonical(name) == expected  # 3261-25


@pytest.mark.parametrize("name", ["", " Via", "Vi a", "Via\r", "Via\f", "Vi\u00e4"])
def test_a_name_is_a_token_and_blanks_behind_it(name: str) -> None:
    # RFC 3261 §25.1: HCOLON takes blanks and tabs before the colon, nothing else.
    with pytest.raises(RemoteProtocolError):
        canonical(name)


def test_values_of_a_list_stand_on_one_line_or_on_several() -> None:
    fields = parsed(
        message("A sip:b SIP/2.0", ['m: <sip:a,b@c>, "d, e" <sip:f>', "Contact: g"])
    )
    assert fields.values("Contact") == ["<sip:a,b@c>", '"d, e" <sip:f>', "g"]
    assert fields.header("Contact") == '<sip:a,b@c>, "d, e" <sip:f>'
    assert fields.values("Route") == []
    assert fields.header("Route") is None
    assert parsed(message("A sip:b SIP/2.0", ["m: a, b"])).values("Contact") == [
        *("a", "b")
    ]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("REGISTER sip:a SIP/7.0", 505),
        ("REGISTER sip:a SIP/2.0X", 505),
        ("REGISTER sip:a b SIP/7.0", 505),
        ("REGISTER sip:a sip/3.1 ", 505),
        ("REGISTER  sip:a SIP/2.0", 400),
        ("REGISTER sip:a  SIP/2.0", 400),
        ("REGISTER  SIP/2.0", 400),
        ("REGISTER sip:a; lr SIP/2.0", 400),
        ("REGISTER <sip:a> SIP/2.0", 400),
        ("REGISTER sip:a?b=c SIP/2.0", 400),
        ("REGISTER a SIP/2.0", 400),
        ("REGISTER http://a SIP/2.0", 416),
        (f"REGISTER sip:{'a' * 5000} SIP/2.0", 414),
    ],
)
def test_a_bad_request_uri_earns_its_status(line: str, status: int) -> None:
    """A bad Request-URI gets the status of its fault (4475-02, -03)."""
    with pytest.raises(RemoteProtocolError) as caught:
        request_uri(parsed(message(line, [])))
    assert caught.value.status == status  # 4475-02, 4475-03


# What a request must have, 3261-21.


@pytest.mark.parametrize("name", ["Via", "From", "To", "Call-ID", "CSeq"])
def test_a_request_without_a_header_that_it_must_have_is_refused(name: str) -> None:
    assert str(check(request(without=(name,)))) == f"Missing {name} Header Field"
    assert check(with_header(name.lower().replace("-", "_"), "")).status == 400


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("via", "x"),
        ("via", ","),
        ("via", ", SIP/2.0/UDP a"),
        ("via", "\x0b, SIP/2.0/UDP a"),
        ("via", "\x0bSIP/2.0/UDP a, SIP/2.0/UDP b"),
        ("from_", "<sip:a"),
        ("to", "<sip:a"),
        ("cseq", "REGISTER"),
        ("cseq", "1 INVITE"),
        ("cseq", "1 register"),
        ("max_forwards", "x"),
        ("max_forwards", "-1"),
        ("max_forwards", "100000"),
        ("max_forwards", "000100000"),
        ("max_forwards", "9" * 5000),
    ],
)
def test_a_request_with_a_malformed_header_is_refused(name: str, value: str) -> None:
    assert check(with_header(name, value)).status == 400


@pytest.mark.parametrize("hops", ["0", "70", "0068", "255", "0" * 5000 + "70"])
def test_any_number_of_hops_will_do(hops: str) -> None:
    """Any Max-Forwards up to 255, or none, is accepted (3261-20, 3261-131)."""
    parsed(request(max_forwards=hops)).check()  # 3261-20
    parsed(request(without=("Max-Forwards",))).check()


def test_the_topmost_via_may_share_its_line() -> None:
    via = 'SIP/2.0/UDP a;branch=b;x="1,2" , SIP/2.0/TCP c'
    assert parsed(request(via=via)).via.params == {"branch": "b", "x": '"1,2"'}


def test_a_dialog_has_one_contact() -> None:
    contact = parsed(request()).contact()
    assert contact is not None
    assert contact.uri == "sip:alice@192.0.2.1:9988"
    assert parsed(request(without=("Contact",))).contact() is None
    with pytest.raises(RemoteProtocolError):
        parsed(request(contact="<sip:a@b>, <sip:c@d>")).contact()


def test_what_has_been_read_once_is_not_read_again() -> None:
    assert Request.via is SipMessage.__dict__["via"]
    one = parsed(request())
    assert one.via is one.via


# Writing.


def test_a_response_copies_what_it_must_and_closes_with_its_length() -> None:
    data = request(via="SIP/2.0/UDP a;branch=b, SIP/2.0/UDP c", more=("Via: d",))
    response = Response.of(
        *(423, "Interval Too Brief"),
        [("Min-Expires", "60"), ("Warning", "a"), ("Warning", "b")],
    )
    response.body = b"body"
    assert parsed(data).write_response(
        response, to_tag="t", common="Server: reginfo\r\n"
    ) == (
        b"SIP/2.0 423 Interval Too Brief\r\n"
        b"Via: SIP/2.0/UDP a;branch=b, SIP/2.0/UDP c\r\n"
        b"Via: d\r\n"
        b"From: <sip:alice@example.com>;tag=a\r\n"
        b"To: <sip:alice@example.com>;tag=t\r\n"
        b"Call-ID: c@192.0.2.1\r\n"
        b"CSeq: 1 REGISTER\r\n"
        b"Min-Expires: 60\r\n"
        b"Warning: a\r\n"
        b"Warning: b\r\n"
        b"Server: reginfo\r\n"
        b"Content-Length: 4\r\n\r\nbody"
    )


def test_a_response_has_what_it_is_told_and_no_more() -> None:
    data = message("A sip:b SIP/2.0", ["v: 1", "f: 2", "t: 3", "i: 4", "CSeq: 5 A"])
    assert parsed(data).write_response(OK, to_tag="") == (
        b"SIP/2.0 200 OK\r\nVia: 1\r\nFrom: 2\r\nTo: 3\r\nCall-ID: 4\r\n"
        b"CSeq: 5 A\r\nContent-Length: 0\r\n\r\n"
    )


def test_a_response_has_the_tag_and_the_via_it_is_told() -> None:
    one = parsed(request(to="<sip:a@b>;tag=x", more=("Via: d",)))
    response = parse(one.write_response(OK, to_tag="", via="changed"))
    assert response.headers["Via"] == ["changed", "d"]
    assert response.headers["To"] == ["<sip:a@b>;tag=x"]


def test_what_is_written_is_read_back() -> None:
    headers = {"Contact": ["<sip:a@b>;expires=5", "<sip:c@d>"], "Date": ["x"]}
    written = parsed(request()).write_response(Response(200, "OK", headers), to_tag="t")
    response = parse(written)
    assert isinstance(response, Response)
    assert response.values("Contact") == headers["Contact"]
    assert response.cseq == (1, "REGISTER")


def test_a_draft_gets_its_via_and_its_length_when_it_is_sent() -> None:
    draft = Draft("NOTIFY", "sip:a@b", lines({"Event": "reg", "X": "y"}), b"<x/>")
    assert draft.write("SIP/2.0/UDP h") == (
        b"NOTIFY sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nEvent: reg\r\nX: y\r\n"
        b"Content-Length: 4\r\n\r\n<x/>"
    )
    octets = Draft("NOTIFY", "sip:a@b", lines({"X": "\udcff"}))
    assert b"X: \xff\r\n" in octets.write("SIP/2.0/UDP h")


def test_equal_responses_are_equal() -> None:
    assert Response.of(200, "OK", []) == OK
    assert Response(200, "OK", {"A": ["b"]}) != OK
    assert Response(200, "OK", body=b"x") != OK
    assert Response(202, "OK") != OK
    assert OK != object()
    assert repr(OK) == "<Response 200 OK>"


@pytest.mark.parametrize("name", ["Timestamp", "timestamp", "TIMESTAMP"])
def test_a_100_has_the_timestamp_of_the_request(name: str) -> None:
    """3261-82"""
    asked = parsed(request("INVITE", more=(f"{name}: 54.5 0.1",)))
    trying = parse(asked.write_response(Response(100, "Trying"), to_tag=""))
    assert trying.headers["Timestamp"] == ["54.5 0.1"]
    ok = parse(asked.write_response(OK, to_tag="t"))
    assert "Timestamp" not in ok.headers


def test_a_100_has_its_own_headers_and_each_timestamp_of_the_request() -> None:
    """3261-82"""
    asked = parsed(request("INVITE", more=("Timestamp: 1", "Timestamp: 2 0.1")))
    trying = Response(100, "Trying", {"X": ["a", "b"]})
    assert asked.write_response(trying, to_tag="") == (
        b"SIP/2.0 100 Trying\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK1\r\n"
        b"From: <sip:alice@example.com>;tag=a\r\n"
        b"To: <sip:alice@example.com>\r\n"
        b"Call-ID: c@192.0.2.1\r\n"
        b"CSeq: 1 INVITE\r\n"
        b"X: a\r\nX: b\r\nTimestamp: 1\r\nTimestamp: 2 0.1\r\n"
        b"Content-Length: 0\r\n\r\n"
    )


def test_a_message_has_the_headers_and_the_body_that_it_is_given() -> None:
    headers = {
        "Via": ["SIP/2.0/UDP h"],
        "From": ["<sip:a@b>;tag=1"],
        "To": ["<sip:c@d>"],
        "CSeq": ["7 NOTIFY"],
    }
    one = SipMessage(headers, b"body")
    assert one.headers is headers
    assert one.body == b"body"
    assert (one.via.host, one.from_.tag, one.to.uri) == ("h", "1", "sip:c@d")
    assert one.cseq == (7, "NOTIFY")
    assert SipMessage().headers == {}
    assert SipMessage().body == b""
    for name in ("via", "from_", "to", "cseq"):
        with pytest.raises(RemoteProtocolError):
            getattr(SipMessage(), name)


def test_a_copy_of_a_request_need_not_read_again_what_the_original_has_read() -> None:
    uri = f"sip:{'a' * LONGEST_CACHED}@example.com"  # too long to be cached
    one = parsed(request(uri=uri, to=f"<{uri}>"))
    read = (one.via, one.from_, one.to, one.cseq, request_uri(one))
    assert request_uri(one) is read[4]
    copy = Request(one.method, one.uri)
    copy.headers = {}
    copy.take_parsed(one)
    taken = (copy.via, copy.from_, copy.to, copy.cseq, request_uri(copy))
    assert all(a is b for a, b in zip(taken, read, strict=True))
    copy.uri = "sip:bob@example.com"  # a Request-URI, though, may be replaced
    assert request_uri(copy) == Uri.parse("sip:bob@example.com")


@pytest.mark.parametrize(
    ("via", "first"),
    [
        ("", "SIP/2.0/UDP a;rport;branch=b"),
        (
            "SIP/2.0/UDP a;rport=9;branch=b;received=192.0.2.1",
            "SIP/2.0/UDP a;rport=9;branch=b;received=192.0.2.1",
        ),
    ],
)
def test_a_forwarded_response_is_unchanged_but_for_its_via_and_its_length(
    via: str, first: str
) -> None:
    """RFC 3261 §16.7 step 9: octets that are not UTF-8 as well"""
    data = request(
        via="SIP/2.0/UDP a;rport;branch=b",
        more=("Via: SIP/2.0/TCP c;branch=d", "Via: SIP/2.0/UDP e"),
    )
    response = Response(
        183,
        "Session \udcff",
        {
            "To": ["<sip:alice@example.com>;tag=t"],
            "Via": ["SIP/2.0/UDP ours;branch=x", "SIP/2.0/UDP y;branch=z"],
            "Content-Length": ["99"],
            "Contact": ["<sip:a@b>", "<sip:c@d>"],
            "X-Name": ["\udce4"],
        },
        b"body\xff",
    )
    written = parsed(data).write_forwarded(response, via=via)
    assert written == (
        b"SIP/2.0 183 Session \xff\r\n"
        b"Via: " + first.encode() + b"\r\n"
        b"Via: SIP/2.0/TCP c;branch=d\r\n"
        b"Via: SIP/2.0/UDP e\r\n"
        b"To: <sip:alice@example.com>;tag=t\r\n"
        b"Contact: <sip:a@b>\r\n"
        b"Contact: <sip:c@d>\r\n"
        b"X-Name: \xe4\r\n"
        b"Content-Length: 5\r\n\r\nbody\xff"
    )
    if not via:
        assert parsed(data).write_forwarded(response) == written
