"""Messages, read from the octets of a datagram."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.framing import Framer
from reginfo.sip.message import (
    COMPACT,
    Request,
    Response,
    SipMessage,
    canonical,
    request_uri,
)
from reginfo.sip.parser import Malformed, parse

from .messages import OK, answers, endpoint, message, parsed, request


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


# Reading.


def test_a_request_is_read() -> None:
    data = request(more=("Expires: 60", "User-Agent: phone/1"), body=b"hello")
    message = parsed(data)
    message.check()
    assert (message.method, message.uri) == ("REGISTER", "sip:example.com")
    assert message.via.branch == "z9hG4bK1"
    assert (message.call_id, message.cseq) == ("c@192.0.2.1", (1, "REGISTER"))
    assert (message.from_.tag, message.to.tag) == ("a", "")
    assert (message.expires, message.user_agent) == (60, "phone/1")
    assert message.body == b"hello"


def test_a_response_is_read() -> None:
    response = parse(message("SIP/2.0 404 Not Found", ["Server: x", "Expires: x"]))
    assert isinstance(response, Response)
    assert (response.status, response.reason) == (404, "Not Found")
    assert (response.user_agent, response.expires) == ("x", None)
    assert response.is_final
    assert not Response(180, "Ringing").is_final
    assert SipMessage().user_agent == ""


@pytest.mark.parametrize("line", ["SIP/2.0 200", "SIP/2.0 200 "])
def test_a_reason_may_be_empty(line: str) -> None:
    response = parse(message(line, []))
    assert isinstance(response, Response)
    assert (response.status, response.reason) == (200, "")


def test_compact_forms_are_spelled_out() -> None:
    """Compact header names are expanded (3261-25)."""
    for short, name in COMPACT.items():
        assert canonical(short) == canonical(short.upper()) == name
    assert {"o", "u", *"mftilcvske"} <= set(COMPACT)
    fields = parsed(
        message("A sip:b SIP/2.0", ["v: 1", "f: 2", "T: 3", "i:4", "m : 5", "o: reg"])
    ).headers
    assert fields == {
        "Via": ["1"], "From": ["2"], "To": ["3"],
        "Call-ID": ["4"], "Contact": ["5"], "Event": ["reg"],
    }  # fmt: skip


@pytest.mark.parametrize("fold", ["\r\n ", "\r\n\t", "\r\n \t "])
def test_a_start_line_may_be_folded_as_well(fold: str) -> None:
    """RFC 3261 §7.3.1 folds header fields alone; what can be read is read."""
    data = request().replace(b" SIP/2.0\r\n", f"{fold}SIP/2.0\r\n".encode(), 1)
    assert (parsed(data).method, parsed(data).uri) == ("REGISTER", "sip:example.com")


def test_a_message_of_many_folds_that_has_no_end_is_too_large_all_the_same() -> None:
    data = request()[:-4] + b"\r\nX:" + b"\r\n            x" * 5000
    assert len(data) > 65_535
    error = refused(data)
    assert (error.status, str(error)) == (513, "Message Too Large")
    assert isinstance(error.message, Request)
    assert error.message.call_id == "c@192.0.2.1"


@pytest.mark.parametrize("fold", ["\r\n ", "\n "])
def test_what_is_wrong_with_a_folded_message_is_said(fold: str) -> None:
    end = fold.rstrip(" ")
    data = request(more=(f"Subject: a{fold}b", "Call-ID: second"))
    error = refused(data.replace(b"\r\n", end.encode()))
    assert str(error) == "Call-ID is repeated"
    assert isinstance(error.message, Request)
    assert error.message.header("Subject") == "a b"


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize(
    ("size", "status", "reason"),
    [
        (65_534, 400, "headers without an end"),
        (65_535, 400, "headers without an end"),
        (65_536, 513, "Message Too Large"),
    ],
)
def test_a_message_without_an_end_is_too_large_beyond_the_largest_datagram(
    end: bytes, size: int, status: int, reason: str
) -> None:
    """sec-04"""
    data = request()[:-4].replace(b"\r\n", end) + end + b"Subject: "
    error = refused(data.ljust(size, b"x"))
    assert (error.status, str(error)) == (status, reason)
    assert isinstance(error.message, Request)
    assert error.message.call_id == "c@192.0.2.1"


@pytest.mark.parametrize(
    ("size", "status", "reason"),
    [(65_535, 400, "not SIP: 'nonsense x'"), (65_536, 513, "Message Too Large")],
)
def test_a_folded_line_that_is_not_sip_is_too_large_beyond_the_largest_datagram(
    size: int, status: int, reason: str
) -> None:
    """sec-04"""
    error = refused(b"nonsense\r\n x\r\nSubject: ".ljust(size, b"x"))
    assert (error.status, str(error), error.message) == (status, reason, None)


def test_lines_that_are_folded_are_one_line() -> None:
    """Folded lines are one line (3261-25)."""
    folded = parsed(
        b"A sip:b SIP/2.0\r\nSubject: I know\r\n  you\r\n\tare\r\n \r\n there\r\n\r\n"
    )
    assert folded.header("Subject") == "I know you are  there"
    tab = parsed(b"A sip:b SIP/2.0\r\nSubject: I know\r\n\tyou\r\n\r\n")
    assert tab.header("Subject") == "I know you"


def test_of_a_value_only_blanks_are_taken_off() -> None:
    for value in ("\u00a0x\u00a0", "X"):
        data = message("A sip:b SIP/2.0", [f"m: \t{value} \t", f"m:{value}\t"])
        assert parsed(data).headers["Contact"] == [value, value]


@pytest.mark.parametrize(
    "line",
    [
        *["Call-ID: y", "i: y", "CSeq: 2 REGISTER", "From: <sip:b>;tag=b", "to: <b>"],
        *["Content-Length: 0", "l: 0", "Max-Forwards: 1", "c: x"],
    ],
)
def test_a_header_of_one_value_may_not_stand_twice(line: str) -> None:
    error = refused(request(more=("Content-Type: text/plain", line)))
    assert "is repeated" in str(error)
    assert isinstance(error.message, Request)
    assert error.message.headers["Via"]


@pytest.mark.parametrize(
    "line", [": x", "no colon", "Via", "a b: c", "(x): y", "\u00e4: x", "\x00: y"]
)
def test_a_line_that_is_no_header_is_refused_and_the_others_are_read(
    line: str,
) -> None:
    error = refused(request(more=(line, "User-Agent: x", "another one")))
    assert error.status == 400
    assert isinstance(error.message, Request)
    assert error.message.user_agent == "x"
    error.message.check()


@pytest.mark.parametrize("line", ["Via", "Event", "X-Unknown"])
def test_a_line_without_a_colon_is_refused(line: str) -> None:
    assert "not a header" in str(refused(request(more=(line,))))


# Where a message ends, 3261-24.


def test_what_is_behind_the_content_length_is_cut_off() -> None:
    data = request(content_length="4", body=b"bodyINVITE sip:a SIP/2.0")
    assert parsed(data).body == b"body"


def test_of_a_message_that_was_cut_off_all_is_read_that_came() -> None:
    data = b"A sip:b SIP/2.0\r\nCall-ID: X"
    for end in (b"", b"\r\n"):
        cut = refused(data + end).message
        assert isinstance(cut, Request)
        assert cut.call_id == "X"


def test_without_a_content_length_the_body_ends_with_the_datagram() -> None:
    data = request(without=("Content-Length",), body=b"all of\r\n\r\nit")
    assert parsed(data).body == b"all of\r\n\r\nit"


@pytest.mark.parametrize(
    "length", ["5", "-1", "", "x", "+4", "4.0", "4 4", "\u0664", "0000000005", "4;x"]
)
def test_a_content_length_that_cannot_be_is_refused(length: str) -> None:
    error = refused(request(content_length=length, body=b"body"))
    assert error.status == 400
    assert isinstance(error.message, Request)
    error.message.check()


def test_bare_line_feeds_are_read() -> None:
    data = request(body=b"body").replace(b"\r\n", b"\n")
    parsed(data).check()
    assert parsed(data).headers == parsed(request(body=b"body")).headers
    assert parsed(data).body == b"body"


def test_a_message_of_bare_line_feeds_begins_with_its_first_octet() -> None:
    data = request("XY").replace(b"\r\n", b"\n")
    assert parsed(data).method == "XY"
    assert parsed(b"\n\r\n" + data).method == "XY"
    assert str(refused(b" " + data)) == "malformed Request-Line"


@pytest.mark.parametrize(
    ("end", "value"),
    [
        *[("", "a"), ("\n", "a"), ("\r\n", "a"), ("X", "aX"), ("X\n", "aX")],
        *[("\x0b", "a\x0b"), ("\x0b\r\n", "a\x0b"), (" \t", "a")],
    ],
)
def test_of_bare_line_feeds_that_were_cut_off_all_is_read_that_came(
    end: str, value: str
) -> None:
    head = request()[:-4].replace(b"\r\n", b"\n")
    error = refused(head + b"\nSubject: a" + end.encode())
    assert str(error) == "headers without an end"
    assert isinstance(error.message, Request)
    assert error.message.headers["Subject"] == [value]
    assert error.message.call_id == "c@192.0.2.1"
    assert error.message.body == b""


@pytest.mark.parametrize("octet", ["\r", "\0", "\r\r"])
def test_a_stray_line_end_or_a_nul_in_a_request_uri_is_refused_and_blanked(
    octet: str,
) -> None:
    """3261-80"""
    error = refused(request(uri=f"sip:a{octet}b@example.com"))
    assert (error.status, str(error)) == (400, "control character in the Request-URI")
    assert isinstance(error.message, Request)
    assert error.message.uri == f"sip:a{' ' * len(octet)}b@example.com"


@pytest.mark.parametrize("octet", ["\r", "\n", "\0", "\n ", "\r ", "\n\r", "\r\r"])
@pytest.mark.parametrize("name", ["call_id", "from_", "to", "via", "contact"])
def test_a_stray_end_of_line_or_a_nul_is_refused_and_stays_in_no_value(
    octet: str, name: str
) -> None:
    """3261-80 (§25.1): CR and LF are of line ends and folding alone."""
    headers: dict[str, Any] = {name: f'<sip:a@b>;x="c{octet}X-Evil: 1"'}
    data = request(**headers)
    error = refused(data)
    assert error.status == 400
    assert isinstance(error.message, Request)
    values = [v for values in error.message.headers.values() for v in values]
    assert not any(c in value for value in values for c in "\r\n\0")


@pytest.mark.parametrize("octet", ["\r", "\n", "\0"])
@pytest.mark.parametrize(
    "fault", ["Bad Name: 1", "no header", "To: <sip:second@b>", "Content-Length: x"]
)
def test_nor_does_it_if_something_else_is_wrong_as_well(octet: str, fault: str) -> None:
    """3261-80: a 400 copies these values, whatever it is for."""
    data = request(from_=f"<sip:a@b>;tag=1{octet}X-Evil: 1", more=(fault,))
    error = refused(data)
    assert isinstance(error.message, Request)
    assert error.message.headers["From"] == ["<sip:a@b>;tag=1 X-Evil: 1"]
    (response,) = answers(endpoint(), data)
    assert response.status == 400
    assert "X-Evil" not in response.headers


@pytest.mark.parametrize("octet", ["\r", "\n", "\0"])
def test_a_response_with_a_stray_end_of_line_is_no_message(octet: str) -> None:
    """3261-80"""
    with pytest.raises(Malformed):
        parse(message(f"SIP/2.0 200 O{octet}K", ["Call-ID: c"]))
    with pytest.raises(Malformed):
        parse(message("SIP/2.0 200 OK", [f"Call-ID: c{octet}d"]))


def test_an_escaped_control_character_is_taken() -> None:
    """3261-80: NUL and its like may stand in a quoted-pair (RFC 4475 intmeth)."""
    text = '"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <sip:a@b>;tag=1'
    assert parsed(request(from_=text)).headers["From"] == [text]
    assert refused(request(from_=text.replace("\\\x00", "\x00"))).status == 400
    assert refused(request(from_=text.replace('"', ""))).status == 400


def test_many_quotes_cost_no_more_time_than_their_number() -> None:
    """sec-04: an expression that began anew at each of them would take an hour."""
    assert refused(request(more=("Subject: " + '"\\' * 30_000 + '"\0',))).status == 400


@pytest.mark.parametrize("end", [b"\n\n", b"\n\r\n"])
def test_a_message_of_bare_line_feeds_ends_where_the_framer_says(end: bytes) -> None:
    head = request(body=b"").replace(b"\r\n", b"\n").removesuffix(b"\n\n")
    data = head.replace(b"Content-Length: 0", b"Content-Length: 3") + end + b"a\r\n\r\n"
    if end == b"\n\n":
        assert parsed(data).body == b"a\r\n"
    assert Framer().receive(data)[0] == data[:-2]


@pytest.mark.parametrize("before", [b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n", b"\n"])
def test_keep_alives_in_front_of_a_message_are_ignored(before: bytes) -> None:
    assert parsed(before + request(body=b"b\r\n\r\nc")).body == b"b\r\n\r\nc"
    assert parsed(before + request("XY")).method == "XY"


@pytest.mark.parametrize("before", [b" ", b"\t", b" \t ", b"\r\n ", b"\r\n\r\n\t"])
@pytest.mark.parametrize("name", [b"", b"\xff"])
def test_a_message_that_begins_with_a_blank_is_refused(
    before: bytes, name: bytes
) -> None:
    """3261-130: §25.1, with the request, which gets a 400"""
    data = request().replace(b"<sip:alice", name + b"<sip:alice", 1)
    error = refused(before + data)
    assert (error.status, str(error)) == (400, "malformed Request-Line")
    assert isinstance(error.message, Request)
    assert error.message.method == "REGISTER"
    assert error.message.via.branch == "z9hG4bK1"


@pytest.mark.parametrize(
    "method",
    ["REG\tISTER", "REG(ISTER", "REG,ISTER", "R\x01", "\x0bREGISTER", "R\u00e9", "<R>"],
)
def test_a_method_that_is_no_token_is_refused(method: str) -> None:
    """3261-130: §25.1"""
    error = refused(request(method))
    assert (error.status, str(error)) == (400, "malformed Request-Line")
    assert isinstance(error.message, Request)


@pytest.mark.parametrize("method", ["R", "register", "X-1", "a.b!%*_+`'~"])
def test_any_token_is_a_method(method: str) -> None:
    """§25.1: extension-method"""
    assert parsed(request(method)).method == method


@pytest.mark.parametrize(
    "data", [b"", b"\r\n", b"\r\n\r\n", b"\0", b"\0\0\0\0", b"\n", b"jaK", b"\r\n\0"]
)
def test_keep_alives_alone_are_no_message(data: bytes) -> None:
    assert refused(data).message is None


@pytest.mark.parametrize("cut", [2, 4, 30, 100])
def test_a_message_without_an_end_is_refused_with_what_is_there(cut: int) -> None:
    error = refused(request()[:-cut])
    assert str(error) == "headers without an end"
    assert isinstance(error.message, Request)
    assert error.message.via.branch == "z9hG4bK1"


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "replace")))
@example(b"")
@example(b"\xff SIP/2.0\r\n\r\n")
def test_any_octets_are_a_message_or_malformed(data: bytes) -> None:
    for octets in (data, request() + data, data + request(), request(more=("X: 1",))):
        try:
            parse(octets)
        except Malformed:
            pass


@given(st.integers(0, 400), st.binary(max_size=6))
def test_a_message_with_other_octets_in_it_is_a_message_or_malformed(
    at: int, octets: bytes
) -> None:
    data = request(body=b"body")
    try:
        got = parse(data[:at] + octets + data[at + len(octets) :])
        if isinstance(got, Request):
            got.check()
            got.write_response(OK, to_tag="t")
    except RemoteProtocolError:
        pass


# The first line.


@pytest.mark.parametrize(
    "line",
    [
        *["", "x", "REGISTER", "REGISTER sip:a", "REGISTER sip:a HTTP/1.1", " a b"],
        *["SIP/2.0 ", "SIP/2.0 20 OK", "SIP/2.0 2000 OK", "SIP/2.0 700 OK"],
        *[
            "SIP/2.0 099 OK",
            "SIP/2.0 abc OK",
            "SIP/2.0 4294967301 OK",
        ],
        *["sip/2.0 200 OK", "SIP/3.0 200 OK", "SIP/2.0 \u0661\u0660\u0660 OK"],
    ],
)
def test_what_begins_otherwise_is_no_message(line: str) -> None:
    assert refused(message(line, ["Via: SIP/2.0/UDP a"])).message is None


@pytest.mark.parametrize(
    "line",
    ["R sip:a SIP/2.0", "R sip:a sip/2.0", "R sip:a SIP/2.0  ", "R tel:1 SIP/2.0"],
)
def test_what_can_be_understood_is_read(line: str) -> None:
    assert request_uri(parsed(message(line, []))).scheme in ("sip", "tel")


@pytest.mark.parametrize("end", ["\t", "\x0b", "\x0c "])
def test_only_blanks_may_follow_the_version(end: str) -> None:
    """What remains is another version, to be answered 505."""
    error = check_uri(message(f"R sip:a SIP/2.0{end}", []))
    assert (error.status, str(error)) == (505, "Version Not Supported")


def check_uri(data: bytes) -> RemoteProtocolError:
    """What is wrong with the Request-URI of the request in ``data``."""
    one = parsed(data)
    with pytest.raises(RemoteProtocolError) as caught:
        request_uri(one)
    return caught.value


def test_octets_that_are_not_utf8_are_refused_where_they_would_be_kept() -> None:
    """Bad input: they cannot be stored, nor written into a document."""
    wire = (
        b"REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
        b"From: <sip:a@example.com>;tag=1\r\nTo: <sip:a@example.com>\r\nCall-ID: c\r\n"
        b'CSeq: 1 REGISTER\r\nContact: <sip:a@h>;x="%b"\r\nUser-Agent: %b\r\n\r\n'
    )
    message = parse(wire % ("ü".encode(), b"Ger\xe4t"))
    assert message.header("Contact") == '<sip:a@h>;x="ü"'
    assert message.header("User-Agent") == "Ger\ufffdt"
    assert parse(b"\r\n" + wire % (b"x", b"\xe4")).header("User-Agent") == "\ufffd"
    with pytest.raises(Malformed) as caught:
        parse(wire % (b"\xfe", b"x"))
    assert caught.value.status == 400
    assert caught.value.message is not None


REGISTER = "REGISTER sip:a SIP/2.0"


@pytest.mark.parametrize(
    ("data", "status", "fault"),
    [
        (message("x", []), 400, "not SIP: 'x'"),
        (message("x" * 41, []), 400, f"not SIP: '{'x' * 40}'"),
        (message("SIP/2.0 20 OK", []), 400, "malformed status: 'SIP/2.0 20 OK'"),
        (
            message(f"SIP/2.0 {'2' * 40}", []),
            400,
            f"malformed status: 'SIP/2.0 {'2' * 32}'",
        ),
        (message(REGISTER, ["Date"]), 400, "not a header: 'Date'"),
        (message(REGISTER, ["x" * 41]), 400, f"not a header: '{'x' * 40}'"),
        (message(REGISTER, ["a b: c"]), 400, "malformed header name: 'a b'"),
        (message(REGISTER, ["To: a", "t: b"]), 400, "To is repeated"),
        (message(REGISTER, ["l: x"]), 400, "malformed Content-Length: 'x'"),
        (
            message(REGISTER, [f"l: x{'1' * 41}"]),
            400,
            f"malformed Content-Length: 'x{'1' * 39}'",
        ),
        (message(REGISTER, [f"l: {'1' * 41}"]), 513, "Message Too Large"),
        (message(REGISTER, [f"l: {'1' * 5000}"]), 513, "Message Too Large"),
        (message(REGISTER, ["l: 1"]), 400, "body shorter than Content-Length"),
        (message(REGISTER, ["l: 65535"]), 400, "body shorter than Content-Length"),
        (message(REGISTER, ["l: 65536"]), 513, "Message Too Large"),
        (message(REGISTER, ["X: a\0b"]), 400, "control character in X"),
        (
            message("SIP/2.0 200 O\rK", []),
            400,
            "control character in the reason phrase",
        ),
        # Of several faults, the first.
        (message(REGISTER, ["no", "a b: c", "l: x"]), 400, "not a header: 'no'"),
        (
            message(REGISTER, ["a b: c", "no", "l: x"]),
            400,
            "malformed header name: 'a b'",
        ),
        (
            message(REGISTER, ["To: a\0", "X: \r", "l: x"]),
            400,
            "control character in To",
        ),
        (
            message(REGISTER, ["To: \xff"]).replace(b"\xc3\xbf", b"\xff"),
            400,
            "To is not UTF-8",
        ),
        (
            message("REGISTER sip:\xff SIP/2.0", []).replace(b"\xc3\xbf", b"\xff"),
            400,
            "Request-URI is not UTF-8",
        ),
    ],
)
def test_the_error_of_a_malformed_message_names_the_first_fault(
    data: bytes, status: int, fault: str
) -> None:
    error = refused(data)
    assert (error.status, str(error)) == (status, fault)
