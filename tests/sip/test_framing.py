"""A stream is cut into messages wherever its segments end (RFC 3261 §18.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.framing import Framer
from reginfo.sip.message import MAX_MESSAGE


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


@pytest.mark.parametrize("length", [b"x", b"-1", b"", b"1 2", b"\xb2"])
def test_a_length_that_is_none_ends_the_stream(length: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        Framer().receive(b"OPTIONS sip:a SIP/2.0\r\nl: " + length + b"\r\n\r\n")
    assert caught.value.status == 400


def test_two_different_lengths_end_the_stream() -> None:
    with pytest.raises(RemoteProtocolError):
        Framer().receive(b"X sip:a SIP/2.0\r\nl: 1\r\nl: 2\r\n\r\n")
    same = b"X sip:a SIP/2.0\r\nl: 0\r\nl: 0\r\n\r\n"
    assert Framer().receive(same) == [same]


@pytest.mark.parametrize(
    "wire",
    [
        b"OPTIONS sip:a SIP/2.0\r\nl: %d\r\n\r\n" % MAX_MESSAGE,
        b"OPTIONS sip:a SIP/2.0\r\nl: 99999999999999999999\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nl: 0000000000\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nl: %d\r\n\r\n" % (MAX_MESSAGE - 34),  # one too many
        b"OPTIONS sip:a SIP/2.0\r\nl: " + b"9" * 5000 + b"\r\n\r\n",
        b"OPTIONS " + bytes(MAX_MESSAGE),
    ],
)
def test_a_message_that_is_too_long_is_513(wire: bytes) -> None:
    """sec-04"""
    with pytest.raises(RemoteProtocolError) as caught:
        Framer().receive(wire)
    assert caught.value.status == 513


def test_a_message_may_be_as_long_as_a_datagram() -> None:
    longest = message(bytes(MAX_MESSAGE - len(message(bytes(10_000))) + 10_000))
    assert len(longest) == MAX_MESSAGE
    assert Framer().receive(longest) == [longest]
    assert Framer().receive(b"OPTIONS " + bytes(MAX_MESSAGE - 8)) == []
    padded = b"OPTIONS sip:a SIP/2.0\r\nl: 000000002\r\n\r\nab"
    assert Framer().receive(padded) == [padded]


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
