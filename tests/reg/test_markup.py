"""XML as events: what is no XML, or too much of it, is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reginfo.reg.document import (
    Reginfo,
)
from reginfo.reg.markup import MAX_BODY, MAX_ELEMENTS, events, number, one_line
from reginfo.reg.xml import parse
from reginfo.sip.errors import RemoteProtocolError

from .documents import (
    CLAIM,
    GOOD_XML,
    GRUU,
    NS,
    contact_of,
    document_of,
    read,
    read_with_warning,
    refuse,
)


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize(
    "declaration",
    [b"", b'<?xml version="1.0"?>', b'<?xml version="1.0" encoding="UTF-8"?>'],
)
def test_utf8_with_and_without_mark_and_declaration(
    bom: bytes, declaration: bytes
) -> None:
    """UTF-8 is read with and without byte order mark and declaration (3680-52)."""
    body = bom + declaration + document_of(contact_of('callid="ü€😀"'))
    assert parse(body, strict=True).registrations[0].contacts[0].callid == "ü€😀"


def test_other_encodings_are_refused() -> None:
    """Encodings other than UTF-8 are refused (3680-52)."""
    text = f'<reginfo xmlns="{NS}" version="0" state="full"/>'
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        refuse(text.encode(encoding), "not UTF-8")
    declared = f'<?xml version="1.0" encoding="ISO-8859-1"?>{text}<!--\xe9-->'
    refuse(declared.encode("latin-1"), "not well-formed")


def test_only_what_xml_calls_blank_is_trimmed() -> None:
    """Only what XML calls blank is trimmed (3680-75)."""
    plain = contact_of(
        'q=" 0.5\n" path="\u2003p1 , p2 "',
        "<display-name>\n Al<x:b xmlns:x='urn:x'>x</x:b>ice\u00a0</display-name>",
    ).replace("192.0.2.1", "192.0.2.1\u00a0\t")
    contact = read(plain)
    assert contact.uri == "sip:a@192.0.2.1\u00a0"
    assert contact.display_name == "Alice\u00a0"
    assert contact.path == ("<\u2003p1>", "<p2>")
    assert contact.q == "0.5"
    assert read_with_warning(contact_of('q="\u00a01"'), "with q").q is None


@pytest.mark.parametrize(
    "body", [b"", b" ", b"hello", b"<", b"\x01", b"<a b='1' b='2'/>"]
)
def test_body_that_is_no_xml(body: bytes) -> None:
    refuse(body, "malformed reginfo: .*line 1")


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE reginfo [<!ENTITY a "sip:a"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE reginfo [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE reginfo SYSTEM "http://192.0.2.1/reginfo.dtd">',
        "<!DOCTYPE reginfo>",
    ],
)
def test_document_type_declaration(declaration: str) -> None:
    """A document type declaration is refused (3680-78, sec-03)."""
    entity = document_of(contact_of().replace("sip:a@192.0.2.1", "&a;"))
    refuse(declaration.encode() + entity, "document type declaration")


def test_entity_that_nobody_declared() -> None:
    refuse(document_of(contact_of("", "&a;")), "undefined entity: line 3")


def test_body_that_is_too_long() -> None:
    """A body over the limit is refused (3680-78)."""
    body = document_of(GOOD_XML)
    assert parse(body + b" " * (MAX_BODY - len(body)))
    refuse(body + b" " * (MAX_BODY - len(body) + 1), "1048577 bytes")


def test_too_many_elements() -> None:
    """A document with too many elements is refused (3680-78)."""
    refuse(document_of("<a/>" * (2 * MAX_ELEMENTS)), "more than 20000 elements")
    assert parse(document_of(*["<x:a xmlns:x='x'/>"] * MAX_ELEMENTS))
    rest = 2 * MAX_ELEMENTS - document_of().count(b"<")
    assert parse(document_of("<x:a xmlns:x='x'/>" * rest))
    refuse(document_of("<x:a xmlns:x='x'/>" * (rest + 1)), "more than 20000")


@settings(deadline=None)  # a busy machine is no failure
@given(st.binary(max_size=200))
@example(document_of(GOOD_XML)[:-1])
def test_any_bytes_are_a_document_or_refused(body: bytes) -> None:
    for strict in (False, True):
        try:
            document = parse(body, strict=strict)
        except RemoteProtocolError:
            continue
        assert isinstance(document, Reginfo)


WHOLE = document_of(
    GOOD_XML,
    contact_of(
        'expires="1" cseq="2" q="0.5" callid="c" path="&lt;p>" user_agent="u"',
        '<display-name xml:lang="de">n</display-name>'
        '<unknown-param name="a">b</unknown-param>'
        + GRUU.format("temp-gruu", 'uri="sip:a;gr" first-cseq="5"')
        + CLAIM,
    ),
)


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.integers(0, len(WHOLE)),
    st.integers(0, 60),
    st.binary(max_size=8) | st.text("<>&;#x0123\"'/ \n=", max_size=8).map(str.encode),
)
def test_damaged_document_is_read_or_refused(at: int, cut: int, new: bytes) -> None:
    body = WHOLE[:at] + new + WHOLE[at + cut :]
    try:
        document = parse(body)
    except RemoteProtocolError:
        return
    for registration in document.registrations:
        for contact in registration.contacts:
            assert contact.id and contact.uri
            assert "\n" not in contact.uri and "\n" not in (contact.callid or "")


# Events.


def test_the_events_of_a_body_are_starts_texts_and_ends_in_order() -> None:
    body = b'<a xmlns="x" k="1">t<b/>&lt;<![CDATA[&]]><!-- no --></a>'
    assert list(events(body)) == [
        ("x a", {"k": "1"}, 0),
        "t",
        ("x b", {}, 20),
        None,
        "<&",
        None,
    ]


def test_what_is_wrong_before_it_is_no_xml_is_found_before() -> None:
    found = events(b"<a><b></a>")
    assert [next(found), next(found)] == [("a", {}, 0), ("b", {}, 3)]
    with pytest.raises(RemoteProtocolError, match="mismatched tag"):
        next(found)


def test_a_long_text_may_come_in_several_pieces() -> None:
    start, *pieces, end = events(b"<a>" + b"x" * 100_000 + b"</a>")
    assert (start, end) == (("a", {}, 0), None)
    assert "".join(piece for piece in pieces if isinstance(piece, str)) == "x" * 100_000


# Numbers and lines.


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0", 0), ("7", 7), (" 7\n", 7), ("+7", 7), ("0" * 5000 + "7", 7), ("8", None),
        ("", None), (" ", None), ("-1", None), ("1.0", None), ("1e0", None),
        ("\u0661", None), ("\u00b2", None), ("9" * 5000, None), ("+-7", None),
    ],
)  # fmt: skip
def test_a_number_is_what_the_schema_takes_for_one(
    text: str, found: int | None
) -> None:
    assert number(text, 7) == found


@given(st.integers(0, 2**64 - 1))
def test_a_number_is_read_as_it_is_written(value: int) -> None:
    assert number(str(value), 2**64 - 1) == value


@given(st.text())
def test_one_line_has_no_control_characters(text: str) -> None:
    line = one_line(text)
    assert not re.search(r"[\x00-\x1f\x7f]", line)
    if line == text or not text.isprintable():
        assert len(line) <= len(text)
    assert one_line(line) == line
