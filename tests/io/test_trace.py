"""A trace file gives back what was written to it."""

from __future__ import annotations

import datetime
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.io.trace import Traced, TraceFile, escape, read_trace, unescape

OURS, THEIRS = ("127.0.0.1", 5060), ("192.0.2.7", 5070)


def test_a_message_has_a_line_in_front(tmp_path: Path) -> None:
    trace = TraceFile(tmp_path / "trace", clock=lambda: 1_800_000_000.25)
    trace("<", b"OPTIONS sip:a SIP/2.0\r\n\r\n", OURS, THEIRS)
    trace.close()
    assert (tmp_path / "trace").read_bytes() == (
        b"2027-01-15T08:00:00.250000Z < 127.0.0.1:5060 192.0.2.7:5070 25\n"
        b"OPTIONS sip:a SIP/2.0\r\n\r\n\n\n"
    )


def test_the_file_is_text_whatever_was_on_the_wire(tmp_path: Path) -> None:
    """3261-91: what is written is escaped, and the head has its length."""
    trace = TraceFile(tmp_path / "trace", clock=lambda: 0.0)
    trace("<", b"X: \x1b[2J\xff\\\r\n", OURS, THEIRS)
    trace.close()
    head, text, *_ = (tmp_path / "trace").read_text("utf-8").split("\n")
    assert text == "X: \\x1b[2J\\xff\\\\"
    assert head.endswith(f" {len(text) + 2}")
    (message,) = read_trace(tmp_path / "trace")
    assert message.data == b"X: \x1b[2J\xff\\\r\n"


def test_a_trace_is_added_to(tmp_path: Path) -> None:
    for data in (b"one", b"two"):
        trace = TraceFile(tmp_path / "trace")
        trace(">", data, OURS, THEIRS)
        trace.close()
    assert [m.data for m in read_trace(tmp_path / "trace")] == [b"one", b"two"]


@given(st.lists(st.tuples(st.sampled_from("<>"), st.binary(max_size=80)), max_size=4))
def test_reading_is_the_inverse_of_writing(messages: list[tuple[str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "trace")
        trace = TraceFile(path, clock=lambda: 0.0)
        for direction, data in messages:
            trace(direction, data, OURS, THEIRS)
        trace.close()
        assert list(read_trace(path)) == [
            Traced(
                at=datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC),
                direction=direction,
                local="127.0.0.1:5060",
                remote="192.0.2.7:5070",
                data=data,
            )
            for direction, data in messages
        ]


HEAD = "2026-01-01T00:00:00.000000Z < 127.0.0.1:5060 192.0.2.7:5070 4"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"A: b\r\n\tc\r\n\r\n", b"A: b\r\n\tc\r\n\r\n"),
        ("A: é大\r\n".encode(), "A: é大\r\n".encode()),
        (b"BEL:\\\x07 NUL:\\\0", rb"BEL:\\\x07 NUL:\\\x00"),
        (b"\x1b[2J\x7f", rb"\x1b[2J\x7f"),
        (b"\x9b\xff", rb"\x9b\xff"),
        ("\x9b\u2028".encode(), rb"\xc2\x9b\xe2\x80\xa8"),
        (b"a\rb\r\r\n", b"a\\x0db\\x0d\r\n"),
        (rb"\x41\\", rb"\\x41\\\\"),
        (f"a\n{HEAD}\nb".encode(), f"a\n\\x32{HEAD[1:]}\nb".encode()),
        (HEAD.encode(), f"\\x32{HEAD[1:]}".encode()),
    ],
)
def test_a_message_forges_nothing_and_controls_no_terminal(
    data: bytes, text: bytes
) -> None:
    """3261-91: what is not text is shown as an escape, and can be read back."""
    assert escape(data) == text
    assert unescape(text) == data


@given(st.binary() | st.text().map(str.encode) | st.text("\\x0123\r\n").map(str.encode))
def test_unescape_is_the_inverse_of_escape(data: bytes) -> None:
    text = escape(data)
    assert unescape(text) == data
    assert all(c.isprintable() or c in "\t\r\n" for c in text.decode())
    assert not re.search(r"^\d{4}-\d\d-\d\dT", text.decode(), re.MULTILINE)


def test_a_message_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    trace = TraceFile(path)
    trace("<", b"one", OURS, THEIRS)
    trace("<", b"two", OURS, THEIRS)
    trace.close()
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert len(list(read_trace(path))) < 2


def test_credentials_show_nothing_to_guess_a_password_by(tmp_path: Path) -> None:
    """8760-17, sec-06: nor is the file for everybody to read"""
    path = tmp_path / "trace"
    proof = 'response="0123abcd", CNONCE=beef, nonce="n", username="alice"'
    data = (
        "REGISTER sip:example.com SIP/2.0\r\n"
        f"Authorization: Digest {proof}\r\n"
        f"proxy-authorization : digest\r\n {proof}\r\n"
        "AuthorizatioN: Basic c2VjcmV0\r\n"
        "X-Other: response=kept\r\n\r\nresponse=kept"
    ).encode()
    trace = TraceFile(path)
    trace("<", data, ("127.0.0.1", 5060), ("127.0.0.1", 5070))
    trace.close()
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    for secret in ("0123abcd", "beef", "c2VjcmV0"):
        assert secret not in text
    assert text.count('username="alice"') == 2
    assert text.count("response=kept") == 2
    assert text.count('response="***"') == 2
