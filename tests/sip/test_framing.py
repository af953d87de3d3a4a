"""A stream is cut into messages wherever its segments end (RFC 3261 §18.3)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.framing import MAX_MESSAGE, Framer, content_length
from reginfo.sip.parser import Malformed, parse


def message(body: bytes = b"", name: bytes = b"Content-Length") -> bytes:
    return b"OPTIONS sip:a SIP/2.0\r\n%b: %d\r\n\r\n%b" % (name, len(body), body)


def test_a_message_that_comes_in_single_octets_comes_out_whole() -> None:
    """3261-24"""
    framer = Framer()
    wire = message(b"hello")
    found = [m for i in range(len(wire)) for m in framer.receive(wire[i : i + 1])]
    assert found == [wire]


def test_two_messages_in_one_segment_are_two() -> None:
    framer = Framer()
    assert framer.receive(message(b"1") + message() + message(b"3")[:-1]) == [
        message(b"1"),
        message(),
    ]
    assert framer.receive(b"3") == [message(b"3")]


@pytest.mark.parametrize("name", [b"l", b"L", b"CONTENT-LENGTH ", b"content-length"])
def test_every_spelling_of_content_length_counts(name: bytes) -> None:
    assert Framer().receive(message(b"xyz", name)) == [message(b"xyz", name)]


def test_without_content_length_there_is_no_body() -> None:
    head = b"OPTIONS sip:a SIP/2.0\r\nTo: x\r\n\r\n"
    assert Framer().receive(head + message()) == [head, message()]


def test_a_length_in_the_body_is_none_of_the_heads() -> None:
    body = b"\r\nContent-Length: 7\r\n\r\n"
    assert Framer().receive(message(body)) == [message(body)]


def test_a_ping_is_to_be_answered_and_is_no_message() -> None:
    """5626-06"""
    framer = Framer()
    assert framer.receive(b"\r\n") == []
    assert framer.pongs == 0
    assert framer.receive(b"\r\n") == []
    assert framer.pongs == 1
    assert framer.receive(b"\r\n\r\n" + message(b"x") + b"\r\n\r\n") == [message(b"x")]
    assert framer.pongs == 3


@pytest.mark.parametrize("size", [1, 10, 64, 65, 1000])
@pytest.mark.parametrize("length", [b"x", b"1\r\nl: 2", b"0"])
def test_a_head_that_is_too_long_is_refused_in_whatever_pieces_it_comes(
    size: int, length: bytes
) -> None:
    """3261-62: with 513, also if its Content-Length cannot be read."""
    data = b"A sip:b SIP/2.0\r\nX: %b\r\nl: %b\r\n\r\n" % (b"y" * 64, length)
    framer, found = Framer(max_message=64), []
    for at in range(0, len(data), size):
        found += framer.receive(data[at : at + size])
    assert found == []
    assert framer.error is not None
    assert framer.error.status == 513


@pytest.mark.parametrize("length", range(1, 8))
def test_line_ends_are_the_same_in_whatever_pieces_they_come(length: int) -> None:
    """3261-62, 5626-06: every stream of so many CR, LF and letters."""

    def framed(data: bytes, size: int) -> tuple[list[bytes], int]:
        framer, found = Framer(), []
        for at in range(0, length, size):
            found += framer.receive(data[at : at + size])
        return found, framer.pongs

    for octets in itertools.product(b"\r\na", repeat=length):
        data = bytes(octets)
        whole = framed(data, length)
        assert all(framed(data, size) == whole for size in (1, 2, 3)), data


def test_a_ping_that_comes_in_single_octets_is_one() -> None:
    """5626-06"""
    framer = Framer()
    for octet in (b"\r", b"\n", b"\r", b"\n"):
        assert framer.pongs == 0
        assert framer.receive(octet) == []
    assert framer.pongs == 1


def test_a_stray_end_of_line_before_a_message_is_skipped() -> None:
    framer = Framer()
    assert framer.receive(b"\r\n" + message()) == [message()]
    assert framer.pongs == 0


def broken(wire: bytes, **arguments: int) -> tuple[Framer, int]:
    """A framer that cannot go on after ``wire``, and the status of its error."""
    framer = Framer(**arguments)
    assert framer.receive(wire) == []
    assert framer.error is not None
    return framer, framer.error.status


@pytest.mark.parametrize("length", [b"x", b"-1", b"", b"1 2", b"\xb2"])
def test_an_invalid_length_ends_the_stream(length: bytes) -> None:
    head = b"OPTIONS sip:a SIP/2.0\r\nl: " + length + b"\r\n\r\n"
    framer, status = broken(head)
    assert status == 400
    assert framer.broken == head
    assert framer.receive(message()) == []


def test_two_different_lengths_end_the_stream() -> None:
    assert broken(b"X sip:a SIP/2.0\r\nl: 1\r\nl: 2\r\n\r\n")[1] == 400
    same = b"X sip:a SIP/2.0\r\nl: 0\r\nl: 0\r\n\r\n"
    assert Framer().receive(same) == [same]


def test_messages_before_a_broken_one_come_out() -> None:
    """3261-62: each message of a stream is judged alone, wherever its segments end."""
    bad = b"OPTIONS sip:a SIP/2.0\r\nl: x\r\n\r\n"
    wire = message(b"one") + message() + bad + message()
    whole = Framer()
    assert whole.receive(wire) == [message(b"one"), message()]
    assert whole.error is not None
    pieces = Framer()
    found = [m for i in range(len(wire)) for m in pieces.receive(wire[i : i + 1])]
    assert found == [message(b"one"), message()]
    assert pieces.error is not None


@pytest.mark.parametrize(
    "wire",
    [
        b"OPTIONS sip:a SIP/2.0\r\nl: %d\r\n\r\n" % MAX_MESSAGE,
        b"OPTIONS sip:a SIP/2.0\r\nl: 99999999999999999999\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nl: 00000000009999999999\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nl: %d\r\n\r\n" % (MAX_MESSAGE - 35),  # one too many
        b"OPTIONS sip:a SIP/2.0\r\nl: " + b"9" * 5000 + b"\r\n\r\n",
        b"OPTIONS " + bytes(MAX_MESSAGE),
    ],
)
def test_a_message_that_is_too_long_is_513(wire: bytes) -> None:
    """sec-04"""
    assert broken(wire)[1] == 513


@pytest.mark.parametrize("zeros", [1, 9, 5000])
def test_a_content_length_may_begin_with_zeros(zeros: int) -> None:
    """3261-131: §25.1, 1*DIGIT; the framer and the parser agree"""
    head = b"OPTIONS sip:a SIP/2.0\r\nl: " + b"0" * zeros + b"3\r\n\r\n"
    assert Framer().receive(head + b"abcdef") == [head + b"abc"]
    assert parse(head + b"abcdef").body == b"abc"


def test_a_message_may_be_as_long_as_the_limit() -> None:
    longest = message(bytes(MAX_MESSAGE - len(message(bytes(10**6))) + 10**6))
    assert len(longest) == MAX_MESSAGE
    assert Framer().receive(longest) == [longest]
    assert Framer().receive(b"OPTIONS " + bytes(MAX_MESSAGE - 8)) == []
    padded = b"OPTIONS sip:a SIP/2.0\r\nl: 000000002\r\n\r\nab"
    assert Framer().receive(padded) == [padded]


def test_the_limit_is_the_configured_one() -> None:
    wire = message(b"x" * 100)
    assert Framer(len(wire)).receive(wire) == [wire]
    framer, status = broken(wire, max_message=len(wire) - 1)
    assert status == 513
    assert framer.broken == wire.removesuffix(b"x" * 100)


HEADS = [
    b"OPTIONS sip:a SIP/2.0\r\nContent-Length:\r\n 3\r\n\r\n",
    b"OPTIONS sip:a SIP/2.0\r\nContent-Length \t:\r\n\t 3 \t\r\n\r\n",
    b"OPTIONS sip:a SIP/2.0\r\nX: y\r\n l: 9\r\nL: 3\r\n\r\n",
    b'OPTIONS sip:a SIP/2.0\r\nX: "\r\n Content-Length: 9"\r\nl:3\r\n\r\n',
    b"OPTIONS sip:a SIP/2.0\nContent-Length: 3\n\n",
    b"OPTIONS sip:a SIP/2.0\nX: y\n l: 9\nl:\n 3\n\n",
]


@pytest.mark.parametrize("head", HEADS)
def test_the_framer_reads_header_fields_as_the_parser_does(head: bytes) -> None:
    """4475-01 (wsinv): folding, compact names, blanks, and what ends a line."""
    wire = head + b"abc"
    assert Framer().receive(wire + message()) == [wire, message()]
    assert parse(wire + b"more").body == b"abc"


FIELDS = st.sampled_from(
    [b"l: 3", b"L :3", b"Content-length\t:\t3 ", b"X: 1", b" l: 7", b"\tfolded",
     b"Content-Length:", b" 3", b"l: x", b"X: a\rb", b"X: a\nl: 5", b"X", b""]
)  # fmt: skip


@given(st.lists(FIELDS, max_size=5), st.sampled_from([b"\r\n", b"\n"]))
def test_framer_and_parser_never_differ_about_a_length(
    fields: list[bytes], end: bytes
) -> None:
    """Else the end of one message would be taken for the beginning of another."""
    head = end.join([b"OPTIONS sip:a SIP/2.0", *fields]) + end + end
    wire = head + b"abcdefgh"
    framer = Framer()
    found = framer.receive(wire)
    try:
        read = parse(wire)
    except Malformed:
        return  # answered 400, whatever the framer makes of it
    if "Content-Length" in read.headers:
        again = parse(found[0])
        assert again.headers == read.headers
        assert again.body == read.body


@given(
    st.lists(st.binary(max_size=50).map(message), max_size=5),
    st.lists(st.integers(0, 400), max_size=10),
)
def test_where_segments_end_makes_no_difference(
    messages: list[bytes], cuts: list[int]
) -> None:
    wire = b"".join(messages)
    at = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    framer = Framer()
    found = [
        m
        for start, end in zip(at, at[1:], strict=False)
        for m in framer.receive(wire[start:end])
    ]
    assert found == messages


def test_a_framer_without_an_error_has_nothing_broken() -> None:
    framer = Framer()
    assert framer.broken == b""
    assert framer.receive(message(b"body")) == [message(b"body")]
    assert (framer.error, framer.broken) == (None, b"")


@pytest.mark.parametrize("limit", [8, 100])
def test_a_head_without_an_end_is_refused_with_the_octet_after_the_limit(
    limit: int,
) -> None:
    """sec-04: what was received until then is kept for the 513."""
    framer = Framer(limit)
    begin = b"OPTIONS ".ljust(limit, b"x")
    assert framer.receive(begin) == []
    assert (framer.error, framer.broken) == (None, b"")
    assert framer.receive(b"y") == []
    assert framer.error is not None
    assert framer.error.status == 513
    assert framer.broken == begin + b"y"


@pytest.mark.parametrize(
    ("value", "length"),
    [
        *[(b"0", 0), (b"\t 5 \t", 5), (b"005", 5)],
        *[(b"999999999", 999_999_999), (b"1000000000", -1), (b"9" * 5000, -1)],
    ],
)
def test_a_length_of_ten_digits_is_beyond_any_limit(value: bytes, length: int) -> None:
    for end in (b"\r\n", b"\n"):
        head = end.join(
            [b"OPTIONS sip:a SIP/2.0", b"Content-Length:" + value, b"", b""]
        )
        assert content_length(head) == length


@pytest.mark.parametrize("value", [b"5X", b"X5", b"5\x0b", b"\x0c5", b"5\xa0"])
def test_only_blanks_may_surround_a_length(value: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        content_length(b"OPTIONS sip:a SIP/2.0\r\nl: " + value + b"\r\n\r\n")


@pytest.mark.parametrize("before", [b"\n", b"\n\n", b"\r\n\n", b"\n\r\n"])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_line_ends_before_a_message_are_not_part_of_it(
    before: bytes, end: bytes
) -> None:
    data = message(b"body").replace(b"\r\n", end)
    framer = Framer()
    assert framer.receive(before + data + before + data) == [data, data]
    assert framer.pongs == 0


def test_a_head_without_a_body_may_be_as_long_as_the_limit() -> None:
    data = message()
    for size in (1, len(data)):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        framer = Framer(len(data))
        assert [m for piece in pieces for m in framer.receive(piece)] == [data]
        assert framer.error is None
        framer = Framer(len(data) - 1)
        assert [m for piece in pieces for m in framer.receive(piece)] == []
        assert framer.error is not None
        assert (framer.error.status, framer.broken) == (513, data)


@pytest.mark.parametrize("octets", [1, 100])
def test_a_head_has_a_limit_of_its_own(octets: int) -> None:
    """3261-153: whether it comes at once or in pieces."""
    framer = Framer(max_message=1000, max_head=100)
    body = b"x" * 800
    whole = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 800\r\n\r\n" + body
    assert framer.receive(whole) == [whole]
    long = b"OPTIONS sip:a SIP/2.0\r\nSubject: " + b"y" * 100 + b"\r\n\r\n"
    for at in range(0, len(long), octets):
        assert framer.receive(long[at : at + octets]) == []
    assert framer.error is not None and framer.error.status == 513
    assert framer.broken.startswith(b"OPTIONS")


@pytest.mark.parametrize(
    ("data", "unfinished"),
    [
        (b"", False), (b"\r\n", False), (b"\r\n\r\n", False), (b"\r\n\r", False),
        (b"O", True), (b"\r\n\r\nOPTIONS", True),
        (b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 1\r\n\r\n", True),
        (b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 1\r\n\r\nx", False),
    ],
)  # fmt: skip
def test_a_message_is_unfinished_once_it_has_begun(
    data: bytes, unfinished: bool
) -> None:
    """3261-156: keep-alives are no messages."""
    framer = Framer()
    framer.receive(data)
    assert framer.is_unfinished is unfinished
