"""What is wrong in a document of a link is left out, counted and named."""

from __future__ import annotations

import pytest

from reginfo.location.record import RecordKind
from reginfo.reg.markup import MAX_BODY
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sync.cursor import Stretch
from reginfo.sync.reader import MAX_FAULTS, LinkDocument, read

from ..make import ALICE, NOW, binding
from .test_envelope import SAID, written

GOOD = binding(3)
CLAIM = (
    '<l:claim uri="sip:a@192.0.2.9" callid="c" cseq="1" stamp="5" event="registered"'
    ' owner="b" until="9" left="1000"/>'
)
CURSOR = '<l:cursor epoch="e" from="1" to="2" more="false"/>'


def body(inside: str, *, cursor: str = CURSOR, aor: str = ALICE) -> bytes:
    return (
        '<reginfo xmlns="urn:ietf:params:xml:ns:reginfo"'
        ' xmlns:l="urn:x-reginfo:link:1" version="0" state="partial">'
        f'<registration aor="{aor}" id="r" state="active"><contact id="c"'
        f' state="active" event="registered"><uri>sip:x</uri>{inside}</contact>'
        f"</registration>{cursor}</reginfo>"
    ).encode()


def parsed(data: bytes) -> LinkDocument:
    return read(data, takes=lambda aor: "example.com" in aor, now=NOW, source="b/g")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('stamp="5"', f'stamp="{2**53 + 1}"', "stamp of"),
        ('stamp="5"', 'stamp="-5"', "stamp of"),
        ('stamp="5"', 'stamp="5.5"', "stamp of"),
        ('stamp="5"', 'stamp=""', "stamp of"),
        ('stamp="5"', 'stamp="٥"', "stamp of"),
        ('stamp="5"', f'stamp="{"9" * 5000}"', "stamp of"),
        ('stamp="5"', "", "stamp of"),
        ('stamp="5"', f'stamp="5" begin="{2**60}"', "begin of"),
        ('stamp="5"', f'stamp="5" edition="{2**60}"', "edition of"),
        ('until="9"', 'until="x"', "until of"),
        ('left="1000"', 'left="-1"', "left of"),
        ('left="1000"', 'since="1e9"', "since of"),
        ('left="1000"', 'retry-after="1h"', "retry-after of"),
        ('cseq="1"', f'cseq="{2**32}"', "cseq of"),
        ('callid="c"', "", "without uri, callid or owner"),
        ('callid="c"', f'callid="{"c" * 10_000}"', "characters, 8192 allowed"),
        ('callid="c"', 'callid="c&#10;Via: x"', "a control character"),
        ('owner="b"', 'owner=""', "without uri"),
        ('uri="sip:a@192.0.2.9"', 'uri="nonsense"', ""),
        ('event="registered"', 'event="moved"', "event of"),
        ('event="registered"', 'event="registered" gone="true"', "event of"),
        ('left="1000"', 'q="2"', "q of"),
    ],
)
def test_a_claim_that_is_wrong_is_left_out_and_the_others_count(
    old: str, new: str, fault: str
) -> None:
    """3680-138: counted and named; the cursor moves all the same."""
    assert old in CLAIM
    found = parsed(body(CLAIM.replace(old, new, 1) + CLAIM))
    assert [claim.call_id for claim in found.told[0].claims] == ["c"]
    assert (found.elements, found.refused) == (2, 1)
    [named] = found.faults
    assert fault in named and named.startswith(ALICE)
    assert found.said is not None


def test_a_claim_for_another_domain_is_left_out() -> None:
    """3680-138."""
    found = parsed(body(CLAIM, aor="sip:alice@elsewhere.example"))
    assert (found.told, found.elements, found.refused) == ([], 1, 1)
    assert found.faults == ["sip:alice@elsewhere.example: not in the group"]


@pytest.mark.parametrize("aor", ["", "x" * 2000, "sip:a&#10;@example.com"])
def test_an_invalid_address_of_record_is_left_out(aor: str) -> None:
    assert parsed(body(CLAIM, aor=aor)).refused == 1


def test_what_is_not_known_is_ignored() -> None:
    """Of the same version: elements and attributes, ours and anybody's."""
    new = CLAIM.replace(
        "/>", ' l:x="1" x="2"><l:later><l:deep/></l:later><y xmlns="urn:y"/></l:claim>'
    )
    found = parsed(body(new, cursor=f'<l:news/>{CURSOR}<z xmlns="urn:z"/>'))
    assert len(found.told[0].claims) == 1
    assert (found.refused, found.faults) == (0, [])


def test_a_path_and_parameters_are_of_their_claim_alone() -> None:
    rich = CLAIM.replace("/>", "><l:path>&lt;sip:p;lr&gt;</l:path><l:param name='m'>1"
                         "</l:param><l:param name='n'/></l:claim>")  # fmt: skip
    first, second = parsed(body(rich + CLAIM)).told[0].claims
    assert first.path == ("<sip:p;lr>",)
    assert first.params == (("m", "1"), ("n", None))
    assert (second.path, second.params) == ((), ())


def test_only_the_text_of_a_path_or_parameter_counts() -> None:
    """Neither the text around them nor that of other elements is theirs."""
    rich = CLAIM.replace("/>", ">a<l:path>sip:<l:new/>p</l:path>b<l:param name='m'>c"
                         "</l:param>d</l:claim>e<uri>f</uri>")  # fmt: skip
    [claim] = parsed(body(rich)).told[0].claims
    assert (claim.path, claim.params) == (("sip:p",), (("m", "c"),))


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        CURSOR.replace('from="1"', 'from="-1"'),
        CURSOR.replace('to="2"', f'to="{2**64}"'),
        CURSOR.replace('to="2"', f'to="{2**63}"'),
        CURSOR.replace('to="2"', 'to="0"'),
        CURSOR.replace('to="2"', ""),
        CURSOR.replace('epoch="e"', 'epoch="a/b"'),
        CURSOR.replace('epoch="e"', f'epoch="{"e" * 65}"'),
        CURSOR.replace('epoch="e"', ""),
    ],
)
def test_without_a_usable_cursor_the_elements_count_and_nothing_else(
    cursor: str,
) -> None:
    """A series that breaks off moves no cursor (3680-134)."""
    found = parsed(body(CLAIM, cursor=cursor))
    assert found.said is None
    assert len(found.told[0].claims) == 1
    assert bool(found.faults) is bool(cursor)


def test_the_cursor_says_who_speaks() -> None:
    said = Stretch(
        "e1",
        0,
        9,
        more=True,
        about=100,
        is_check=True,
        server="b<",
        time=5,
        longest=6,
        last=2**40,
        lag=1500,
    )
    assert parsed(written([GOOD], said=said)).said == said


@pytest.mark.parametrize(
    "record",
    [
        '<l:record kind="key" name="k" stamp="5"/>',
        '<l:record kind="key" name="k" stamp="x" owner="b"/>',
        f'<l:record kind="key" name="k" value="{"v" * 9000}" stamp="5" owner="b"/>',
        '<l:record kind="key" name="k&#13;" stamp="5" owner="b"/>',
        '<l:record kind="probation" value="long" stamp="5" owner="b"/>',
        '<l:record kind="shorten" until="-1" stamp="5" owner="b"/>',
    ],
)
def test_a_record_that_is_wrong_is_left_out(record: str) -> None:
    good = '<l:record kind="cleared" value="1" stamp="5" owner="b"/>'
    found = parsed(body(record + good))
    assert [one.kind for one in found.told[0].records] == [RecordKind.CLEARED]
    assert found.refused == 1


def test_a_record_of_an_unknown_kind_is_ignored() -> None:
    found = parsed(body('<l:record kind="mood" stamp="5" owner="b"/>'))
    assert (found.told[0].records, found.refused) == ([], 0)


def test_an_element_outside_of_a_registration_is_refused() -> None:
    found = parsed(body("", cursor=CLAIM + CURSOR))
    assert found.refused == 1


def test_faults_are_named_up_to_a_number_and_all_counted() -> None:
    found = parsed(body('<l:claim uri="sip:a@b"/>' * 50))
    assert found.refused == 50
    assert len(found.faults) == MAX_FAULTS


def test_a_registration_in_pieces_is_one() -> None:
    twice = written([GOOD]).replace(b"</registration>", b"</registration>", 1)
    start = twice.index(b"<registration")
    end = twice.index(b"<l:cursor")
    found = parsed(twice[:end] + twice[start:end] + twice[end:])
    [told] = found.told
    assert len(told.claims) == 2
    assert found.said == SAID


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<",
        b"<x/>",
        b"<reginfo/>",
        written([GOOD])[:-20],
        written([GOOD]).replace(b'version="7"', b'version="x"'),
        written([GOOD]).replace(b"utf-8", b"utf-8\0"),
        b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + body(CLAIM),
        b"<reginfo xmlns='urn:ietf:params:xml:ns:reginfo' version='0'>" + b"<a>" * 100,
        body(f"{'<contact>' * 50}{CLAIM}{'</contact>' * 50}"),
        b" " * (MAX_BODY + 1),
        body(CLAIM).replace(b"sip:x", b"\xff\xfe"),
    ],
)
def test_a_body_that_is_no_document_is_refused(data: bytes) -> None:
    if b"\0" not in data and data == written([GOOD]):
        data += b"\0"
    with pytest.raises(RemoteProtocolError):
        parsed(data)


def test_texts_that_many_contacts_share_are_stored_once() -> None:
    """Each of 100 000 contacts would else have its own copies."""
    claims = [
        parsed(body(CLAIM.replace("<l:claim ", '<l:claim user-agent="phone" ')))
        .told[0]
        .claims[0]
        for _ in range(2)
    ]
    assert claims[0].owner is claims[1].owner
    assert claims[0].user_agent is claims[1].user_agent
