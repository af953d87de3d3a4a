"""What is wrong with a document is noted or refused, with the line."""

from __future__ import annotations

import pytest

from reginfo.reg.complaints import MAX_WARNINGS, Complaints
from reginfo.reg.elements import CLAIM_NAMESPACE
from reginfo.reg.xml import parse
from reginfo.sip.errors import RemoteProtocolError

from .documents import (
    CLAIM,
    GOOD,
    GOOD_XML,
    GRUU,
    contact_of,
    document_of,
    refuse,
)


def test_bad_contact_does_not_lose_the_good_ones() -> None:
    """A bad contact does not lose the good ones (3680-79)."""
    body = document_of('<contact id="1"><uri>sip:a</uri></contact>', GOOD_XML)
    document = parse(body)
    assert document.registrations[0].contacts == (GOOD,)
    assert document.warnings == ("left out: <contact> without event (line 3)",)
    refuse(body, r"<contact> without event \(line 3\)", strict=True)


def test_line_is_that_of_the_element() -> None:
    bare = GOOD_XML.replace("<contact", '<contact xmlns=""')
    body = b"\n\n" + document_of(GOOD_XML, bare)
    assert parse(body).warnings == (
        "<contact> without the namespace of reginfo (line 6)",
        "<contact> with the id of another (line 6)",
    )


def test_warnings_are_not_without_end() -> None:
    document = parse(document_of(*[GOOD_XML] * 200))
    assert len(document.registrations[0].contacts) == 200
    assert len(document.warnings) == MAX_WARNINGS
    nameless = [GOOD_XML.replace("76", "")] * 200
    assert len(parse(document_of(*nameless, GOOD_XML)).warnings) == MAX_WARNINGS


def test_a_fault_of_the_document_itself_is_found_on_its_line() -> None:
    body = document_of(GOOD_XML).replace(b'version="0"', b'version="x"', 1)
    declared = b'<?xml version="1.0"?>\n\n' + body
    refuse(declared, r"<reginfo> with version 'x' \(line 3\)")


def test_what_is_tolerated_is_noted_with_its_line_and_refused_when_strict() -> None:
    body = b"<a>\n<b>\n<c/>"
    complaints = Complaints(body, strict=False)
    complaints.tolerate("something", 8)
    assert complaints.warnings == ["something (line 3)"]
    with pytest.raises(RemoteProtocolError, match=r"something \(line 3\)"):
        Complaints(body, strict=True).tolerate("something", 8)


def test_the_first_contact_that_is_left_out_says_why_the_document_is_refused() -> None:
    complaints = Complaints(b"\n\n", strict=False)
    complaints.leave_out("first", 1)
    complaints.leave_out("second", 2)
    assert complaints.first_fault == "first (line 2)"
    assert complaints.warnings == [
        "left out: first (line 2)",
        "left out: second (line 3)",
    ]
    with pytest.raises(RemoteProtocolError, match=r"^first \(line 2\)$"):
        Complaints(b"\n\n", strict=True).leave_out("first", 1)


def test_a_fault_is_refused_whether_strict_or_not() -> None:
    for strict in (True, False):
        with pytest.raises(RemoteProtocolError, match=r"no \(line 1\)"):
            Complaints(b"", strict).refuse("no", 0)


KEY = f'<key xmlns="{CLAIM_NAMESPACE}" {{}}/>'
TEMP = GRUU.format("temp-gruu", 'uri="sip:a;gr" first-cseq="5"')
TOLERATED = {
    "<contact> with event 'terminated'": contact_of(event="expired").replace(
        '"expired"', '"terminated"'
    ),
    "<contact> without state": contact_of().replace('state="active"', ""),
    "<contact> with expires 'x'": contact_of('expires="x"'),
    "<contact> with q 'x'": contact_of('q="x"'),
    "<pub-gruu> with control characters": contact_of(
        "", GRUU.format("pub-gruu", 'uri="sip:&#10;"')
    ),
    "<temp-gruu> that is a second one or lacks an attribute": contact_of("", TEMP * 2),
    "received 'sip:%1' has a scope id": contact_of(
        "", CLAIM.replace("sip:192.0.2.9", "sip:%1")
    ),
    "<claim> without owner, key or stamps": contact_of("", CLAIM.replace('"k"', '""')),
    "<other> in <claim>": contact_of(
        "", CLAIM.replace("<later/>", '<other xmlns=""/>')
    ),
    "<b> in <path>": contact_of("", CLAIM.replace(";lr<", ';lr<b xmlns=""/><', 1)),
    "<key> without name, owner or stamp": KEY.format('name="a"'),
    "<key> with control characters in its name or owner": KEY.format(
        'name="&#10;" owner="b" stamp="1"'
    ),
}


@pytest.mark.parametrize("warning", TOLERATED)
def test_whatever_is_tolerated_has_one_warning_with_its_line(warning: str) -> None:
    """An error that is tolerated is noted, with the line of its element (3680-79)."""
    body = document_of(GOOD_XML, TOLERATED[warning], "", "")
    assert parse(body).warnings == (f"{warning} (line 4)",)
