"""The writer, and that the reader is its inverse."""

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lxml import etree

from reginfo.reg import xml
from reginfo.reg.document import (
    ClaimElement,
    Contact,
    ContactEvent,
    Piece,
    RecordKey,
    Reginfo,
    Registration,
    RegistrationState,
    TempGruu,
    quoted,
    shortest_q,
)
from reginfo.reg.writer import plain_parts
from reginfo.sip.errors import RemoteProtocolError

SCHEMA = etree.XMLSchema(etree.parse(str(Path(__file__).with_name("reginfo.xsd"))))

ALICE = "sip:alice@example.com"
ACTIVE = RegistrationState.ACTIVE
PLAIN = Contact(id="1", uri="sip:a@192.0.2.1", event=ContactEvent.REGISTERED)
RICH = Contact(
    id="2",
    uri="sip:a@192.0.2.2;x=%22",
    event=ContactEvent.PROBATION,
    expires=0,
    retry_after=30,
    duration_registered=17,
    q="0.5",
    callid='a"<&>b',
    cseq=3,
    display_name="Al & Ice",
    lang="de",
    params=(("audio", None), ("+sip.instance", '"<urn:uuid:1>"')),
    pub_gruu="sip:alice@example.com;gr=urn:uuid:1",
    temp_gruu=TempGruu("sip:tgruu@example.com;gr", 2),
    path=("<sip:p1;lr>", "<sip:p2;lr>"),
    received="sip:192.0.2.9:5060",
    user_agent='"phone" <1>',
    claim=ClaimElement(
        owner="s1",
        stamp=5,
        key="k",
        path=("<sip:p1;lr>", "<sip:p2;lr>"),
        received="sip:192.0.2.9:5060",
        user_agent='"phone" <1>',
    ),
)


def document(*contacts: Contact, version: int = 0, aor: str = ALICE) -> Reginfo:
    registration = Registration(aor=aor, id="a7", state=ACTIVE, contacts=contacts)
    return Reginfo(version=version, full=True, registrations=(registration,))


def is_valid(body: bytes) -> bool:
    return bool(SCHEMA.validate(etree.fromstring(body)))


# Values that a document can hold: no control characters, no blanks around text
# and none in what a line break would end, numbers as large as the schema's.
characters = st.characters(
    exclude_categories=["Cs"],
    exclude_characters="".join(map(chr, [*range(32), 0x7F, 0xFFFE, 0xFFFF])),
)
nasty = st.sampled_from(["&", "<", ">", '"', "'", "]]>", "&amp;", "&#10;", "é", "😀"])
texts = (
    st.lists(characters | nasty, min_size=1)
    .map("".join)
    .map(str.strip)
    .filter(lambda text: text != "")
)
sources = st.just("") | texts.filter(lambda text: "%" not in text)
numbers = st.none() | st.integers(0, 2**64 - 1)
tokens = st.text("abcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~", min_size=1)
names = tokens.filter(lambda name: name not in ("q", "expires"))
qs = st.integers(0, 1000).map(lambda number: shortest_q(f"{number / 1000:.3f}"))
paths = st.lists(tokens.map(lambda token: f"<sip:{token};a=b,c;lr>"), max_size=3).map(
    tuple
)


@st.composite
def claims(draw: st.DrawFn) -> ClaimElement:
    return ClaimElement(
        owner=draw(texts),
        stamp=draw(st.integers(0, 2**53)),
        path=tuple(draw(st.lists(texts, max_size=3))),
        received=draw(sources),
        user_agent=draw(st.just("") | texts),
        key=draw(texts),
        begin=draw(st.integers(0, 2**53)),
        edition=draw(st.integers(0, 2**53)),
        until=draw(st.integers(0, 2**53)),
        left=draw(st.none() | st.integers(0, 2**53)),
        gone=draw(st.booleans()),
    )


@st.composite
def contacts(draw: st.DrawFn) -> Contact:
    claim = draw(st.none() | claims())
    display_name = draw(st.none() | texts)
    temp_gruu = st.builds(TempGruu, texts, st.integers(0, 2**64 - 1))
    event = draw(st.sampled_from(ContactEvent))
    return Contact(
        id=draw(texts),
        uri=draw(texts),
        event=event,
        expires=draw(numbers),
        retry_after=draw(numbers),
        duration_registered=draw(numbers),
        q=draw(st.none() | qs),
        callid=draw(st.none() | texts),
        cseq=draw(numbers),
        display_name=display_name,
        lang=None if display_name is None else draw(st.none() | tokens),
        params=tuple(
            draw(
                st.dictionaries(names, st.none() | texts.map(quoted), max_size=3)
            ).items()
        ),
        pub_gruu=draw(st.none() | texts),
        temp_gruu=draw(st.none() | temp_gruu),
        path=draw(paths) if claim is None else claim.path,
        received=draw(sources) if claim is None else claim.received,
        user_agent=draw(st.just("") | texts) if claim is None else claim.user_agent,
        claim=claim,
    )


registrations = st.builds(
    Registration,
    aor=texts,
    id=texts,
    state=st.sampled_from(RegistrationState),
    contacts=st.lists(contacts(), max_size=4).map(tuple),
    keys=st.lists(
        st.builds(
            RecordKey,
            texts,
            st.none() | texts,
            texts,
            st.integers(0, 2**53),
            st.sampled_from(["key", "cleared"]),
            st.integers(0, 2**53),
            st.none() | st.integers(0, 2**53),
        ),
        max_size=2,
    ).map(tuple),
)
documents = st.builds(
    Reginfo,
    version=st.integers(0, 2**32 - 1),
    full=st.booleans(),
    registrations=st.lists(
        registrations, max_size=3, unique_by=lambda registration: registration.aor
    ).map(tuple),
)


@settings(deadline=None)  # a busy machine is no failure
@given(documents)
@example(document(PLAIN, RICH))
def test_parse_is_the_inverse_of_serialize(document: Reginfo) -> None:
    """Reading is the inverse of writing (3680-76)."""
    assert xml.parse(xml.serialize(document)) == document


anything = st.text(st.characters())


@settings(deadline=None)  # a busy machine is no failure
@given(anything, anything, anything, anything)
@example("\0", "\x0b\x1f", "a\udce9b", "\ufffe\uffff")
@example("]]>", "\x7f\x85", "\t\n\r", '&<>"')
def test_whatever_is_written_is_well_formed(
    aor: str, uri: str, other: str, name: str
) -> None:
    """Whatever is written is well-formed (3680-50)."""
    contact = Contact(
        id=uri,
        uri=uri,
        event=ContactEvent.CREATED,
        q=other,
        callid=other,
        display_name=name,
        lang=other,
        params=((name, other),),
        pub_gruu=other,
        temp_gruu=TempGruu(other, 1),
        path=(other,),
        received=other,
        user_agent=other,
    )
    claim = ClaimElement(
        owner=name, stamp=1, path=(other,), received=other, user_agent=other
    )
    claimed = msgspec.structs.replace(contact, claim=claim)
    root = etree.fromstring(xml.serialize(document(contact, claimed, aor=aor)))
    (registration,) = root
    first, second = registration
    assert registration.get("aor") == first_allowed(aor)
    assert first.get("callid") == second.get("callid") == first_allowed(other)


def first_allowed(text: str) -> str:
    """``text`` with U+FFFD for what XML 1.0 §2.2 does not allow, and for DEL."""
    return "".join(
        c
        if c in "\t\n\r"
        or ("\x20" <= c <= "\ud7ff" and c != "\x7f")
        or "\ue000" <= c <= "\ufffd"
        or c >= "\U00010000"
        else "\ufffd"
        for c in text
    )


users = st.text("abc019-.!*_+~;&=", min_size=1)
uris = st.builds("sip:{}@{}.example.com".format, users, st.sampled_from("ab"))
languages = st.sampled_from(["en", "de-CH", "x-klingon"])


@settings(deadline=None)  # a busy machine is no failure
@given(contacts(), st.integers(0, 2**32 - 1), st.booleans(), uris, languages)
def test_whatever_is_written_is_valid(
    contact: Contact, version: int, full: bool, uri: str, lang: str
) -> None:
    """Whatever is written is valid against the schema (3680-51, -82, -83)."""
    # A URI and a language are what they are; all else is free text there.
    contact = msgspec.structs.replace(
        contact,
        uri=uri,
        lang=lang,
        pub_gruu=uri,
        temp_gruu=TempGruu(uri, 1),
        path=(),
        received="",
        user_agent="",
    )
    registration = Registration(aor=uri, id="1", state=ACTIVE, contacts=(contact,))
    body = xml.serialize(
        Reginfo(version=version, full=full, registrations=(registration,))
    )
    SCHEMA.assertValid(etree.fromstring(body))


def test_document_is_written_like_this() -> None:
    """
    A document is written as expected, octet by octet (3680-52, -55, -58, -60, -64).
    """
    assert xml.serialize(document(PLAIN, version=3)) == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="3" state="full">'
        b'<registration aor="sip:alice@example.com" id="a7" state="active">'
        b'<contact id="1" state="active" event="registered">'
        b"<uri>sip:a@192.0.2.1</uri></contact></registration></reginfo>"
    )
    assert b' state="partial">' in xml.reginfo_body(1, False, [])


NON_ASCII = "é€大😀"


@pytest.mark.parametrize(
    "contact",
    [
        msgspec.structs.replace(PLAIN, **{name: f"sip:{NON_ASCII}@h"})
        for name in ("id", "uri", "callid", "display_name", "pub_gruu", "received")
    ]
    + [
        msgspec.structs.replace(PLAIN, user_agent=NON_ASCII),
        msgspec.structs.replace(PLAIN, path=(f"<sip:{NON_ASCII};lr>",)),
        msgspec.structs.replace(PLAIN, params=(("x", f'"{NON_ASCII}"'),)),
        msgspec.structs.replace(PLAIN, temp_gruu=TempGruu(NON_ASCII, 1)),
        msgspec.structs.replace(
            PLAIN,
            path=(NON_ASCII,),
            received=NON_ASCII,
            user_agent=NON_ASCII,
            claim=ClaimElement(
                owner=NON_ASCII, stamp=1, key=NON_ASCII, path=(NON_ASCII,),
                received=NON_ASCII, user_agent=NON_ASCII,
            ),
        ),
    ],
)  # fmt: skip
def test_a_contact_that_is_not_ascii_is_written_in_utf8(contact: Contact) -> None:
    """3680-52, -76: each place that text has, in a document that is read back."""
    told = document(contact)
    body = xml.serialize(told)
    assert NON_ASCII.encode() in body
    assert xml.parse(body) == told


def test_a_registration_and_keys_that_are_not_ascii_are_written_in_utf8() -> None:
    """3680-52, -76"""
    key = RecordKey(NON_ASCII, NON_ASCII, NON_ASCII, 1, NON_ASCII)
    registration = Registration(
        aor=f"sip:{NON_ASCII}@h", id=NON_ASCII, state=ACTIVE, keys=(key,)
    )
    told = Reginfo(version=0, full=True, registrations=(registration,))
    body = xml.serialize(told)
    assert body.count(NON_ASCII.encode()) == 6
    assert xml.parse(body) == told


def test_contacts_and_registrations_follow_one_another() -> None:
    registration = xml.registration_element("sip:a", "1", ACTIVE, [b"<c/>", b"<d/>"])
    assert registration.endswith(b'state="active"><c/><d/></registration>')
    assert xml.reginfo_body(0, True, [b"<r/>", b"<s/>"]).endswith(
        b'state="full"><r/><s/></reginfo>'
    )


def test_temporary_gruu_alone_is_written() -> None:
    contact = msgspec.structs.replace(PLAIN, temp_gruu=TempGruu("sip:t;gr", 1))
    assert xml.parse(xml.serialize(document(contact))) == document(contact)


def test_children_of_a_contact_come_in_the_order_of_the_schema() -> None:
    """The children of a contact come in the order of the schema (3680-72)."""
    body = xml.serialize(document(RICH))
    assert is_valid(body)
    ((contact,),) = etree.fromstring(body)
    assert [etree.QName(child).localname for child in contact] == [
        "uri",
        "display-name",
        "unknown-param",
        "unknown-param",
        "pub-gruu",
        "temp-gruu",
        "claim",
    ]


def test_what_registered_a_contact_is_written() -> None:
    """
    The REGISTER that made a contact, and its parameters, are written (3680-71, -73).
    """
    contact = msgspec.structs.replace(
        PLAIN, callid="c@h", cseq=7, params=(("methods", '"INVITE"'), ("ob", None))
    )
    ((element,),) = etree.fromstring(xml.serialize(document(contact)))
    assert (element.get("callid"), element.get("cseq")) == ("c@h", "7")
    _, *params = element
    assert [(param.get("name"), param.text) for param in params] == [
        ("methods", '"INVITE"'),
        ("ob", None),
    ]


def test_claim_is_one_foreign_element() -> None:
    """A claim is one foreign element (3680-82)."""
    head, tail = xml.contact_parts(RICH)
    assert b"<claim" not in head and b"received" not in head
    assert tail.endswith(
        b'<claim xmlns="urn:x-reginfo:claim" owner="s1" key="k"'
        b' begin="0" stamp="5" edition="0" until="0"'
        b' received="sip:192.0.2.9:5060" user-agent="&quot;phone&quot; &lt;1&gt;">'
        b"<path>&lt;sip:p1;lr&gt;</path><path>&lt;sip:p2;lr&gt;</path></claim>"
        b"</contact>"
    )
    claim = ClaimElement(owner="s1", stamp=5, left=9, gone=True)
    bare = msgspec.structs.replace(RICH, claim=claim)
    assert b'left="9" gone="true"/></contact>' in xml.contact_parts(bare)[1]


def test_keys_are_foreign_elements_after_the_contacts() -> None:
    """Keys are foreign elements after the contacts (3680-82)."""
    (one,) = document(PLAIN).registrations
    keys = (
        RecordKey("identities", '<sip:a@b>;x="y"\n, <tel:+1>', "s1", 5),
        RecordKey("barred", None, "s2", 6),
    )
    told = Reginfo(
        version=0, full=True, registrations=(msgspec.structs.replace(one, keys=keys),)
    )
    body = xml.serialize(told)
    assert is_valid(body)
    assert body.endswith(
        b"</contact>"
        b'<key xmlns="urn:x-reginfo:claim" name="identities" owner="s1" stamp="5"'
        b' value="&lt;sip:a@b&gt;;x=&quot;y&quot;&#10;, &lt;tel:+1&gt;"/>'
        b'<key xmlns="urn:x-reginfo:claim" name="barred" owner="s2" stamp="6"/>'
        b"</registration></reginfo>"
    )
    assert xml.parse(body) == told


@pytest.mark.parametrize(
    "attributes",
    ['name="a" owner="b"', 'name="a" stamp="1"', 'owner="b" stamp="1"',
     'name="a" owner="b" stamp="x"', 'name="a&#10;" owner="b" stamp="1"'],
)  # fmt: skip
def test_a_key_that_says_too_little_is_left_out(attributes: str) -> None:
    """No contact is lost by it."""
    key = f'<key xmlns="urn:x-reginfo:claim" {attributes} value="v"/></registration>'
    body = xml.serialize(document(PLAIN)).replace(b"</registration>", key.encode())
    read = xml.parse(body)
    assert read == document(PLAIN)
    assert [warning[:6] for warning in read.warnings] == ["<key> "]


def test_a_record_of_another_kind_needs_no_name() -> None:
    key = '<key xmlns="urn:x-reginfo:claim" owner="b" stamp="1" kind="cleared"/>'
    body = xml.serialize(document(PLAIN)).replace(
        b"</registration>", f"{key}</registration>".encode()
    )
    read = xml.parse(body, strict=True)
    assert read.registrations[0].keys == (RecordKey("", None, "b", 1, "cleared"),)


def test_attributes_of_legacy_peers_are_against_the_schema() -> None:
    """The attributes for legacy peers are not valid against the schema (3680-81)."""
    contact = msgspec.structs.replace(RICH, claim=None)
    body = xml.serialize(document(contact))
    assert b' path="&lt;sip:p1;lr&gt;,&lt;sip:p2;lr&gt;"' in body
    assert xml.parse(body) == document(contact)
    assert not is_valid(body)


@pytest.mark.parametrize(
    "old, new",
    [
        (b' version="0"', b""),
        (b' version="0"', b' version="-1"'),
        (b' state="full"', b""),
        (b' state="full"', b' state="all"'),
        (b' aor="sip:alice@example.com"', b""),
        (b' event="registered"', b' event="gone"'),
        (b"<uri>sip:a@192.0.2.1</uri>", b""),
        (b' id="1"', b' id="1" path=""'),
        (b' id="1"', b' id="1" expires="soon"'),
    ],
)
def test_our_schema_refuses_what_the_rfcs_refuses(old: bytes, new: bytes) -> None:
    body = xml.serialize(document(PLAIN))
    assert is_valid(body)
    assert old in body
    assert not is_valid(body.replace(old, new, 1))


@pytest.mark.parametrize(
    "expires, duration, attributes",
    [
        (None, None, ""),
        (0, None, ' expires="0"'),
        (None, 0, ' duration-registered="0"'),
        (3600, 17, ' expires="3600" duration-registered="17"'),
    ],
)
def test_parts_are_put_together_at_any_time(
    expires: int | None, duration: int | None, attributes: str
) -> None:
    """
    The parts of a document can be put together later, with the times of that moment
    (3680-67, -69).
    """
    parts = xml.contact_parts(
        msgspec.structs.replace(PLAIN, expires=99, duration_registered=99)
    )
    assert xml.contact_element(parts, expires, duration).decode() == (
        f'<contact id="1" state="active" event="registered"{attributes}>'
        "<uri>sip:a@192.0.2.1</uri></contact>"
    )


@given(
    texts,
    texts,
    st.sampled_from(ContactEvent),
    st.none() | texts,
    numbers,
    st.none() | qs,
    numbers,
    st.none() | texts,
    st.dictionaries(names, st.none() | texts.map(quoted), max_size=2),
)
@example("1", "sip:a", ContactEvent.CREATED, None, None, None, None, None, {"a": "b"})
@example("1", "sip:a", ContactEvent.CREATED, None, None, None, None, "A", {})
def test_the_parts_of_a_plain_contact_are_those_of_any_contact(
    id: str,
    uri: str,
    event: ContactEvent,
    callid: str | None,
    cseq: int | None,
    q: str | None,
    retry_after: int | None,
    display_name: str | None,
    params: dict[str, str | None],
) -> None:
    """The short way writes the same XML (3680-66 to 3680-75)."""
    contact = Contact(
        id=id,
        uri=uri,
        event=event,
        callid=callid,
        cseq=cseq,
        q=q,
        retry_after=retry_after,
        display_name=display_name,
        params=tuple(params.items()),
    )
    assert plain_parts(
        id, uri, event, callid, cseq, q, retry_after, display_name, contact.params
    ) == xml.contact_parts(contact)


def test_a_byte_that_is_not_utf8_is_replaced() -> None:
    text = b"caf\xe9\x00".decode("utf-8", "surrogateescape")
    contact = msgspec.structs.replace(PLAIN, callid=text)
    body = xml.serialize(document(contact, aor=f"sip:{text}"))
    (registration,) = xml.parse(body).registrations
    assert registration.aor == "sip:caf\ufffd\ufffd"
    assert registration.contacts[0].callid == "caf\ufffd\ufffd"


@pytest.mark.parametrize("claimed", [True, False])
@pytest.mark.parametrize(
    "text",
    ["\x7f", "&#127;", "\n", "&#10;", "&#9;", "\x85", "&#x85;", "\ufffd", "\u2028",
     "\ufffe", "&#xFFFE;", "&#0;", "%", "&quot;", "😀"],
)  # fmt: skip
def test_a_character_in_any_place_is_read_back_or_refused(
    text: str, claimed: bool
) -> None:
    """Whatever is read is written, and read again, to the same value (3680-76)."""
    rich = RICH if claimed else msgspec.structs.replace(RICH, claim=None)
    (one,) = document(PLAIN, rich).registrations
    keys = (RecordKey("k", "v", "s1", 5, "other", 7, 8),)
    told = Reginfo(
        version=0, full=True, registrations=(msgspec.structs.replace(one, keys=keys),)
    )
    body = xml.serialize(told).decode()
    start = body.index("<registration")
    places = [found.end() for found in re.finditer(r'="|>(?=[^<])|(?<=\w)(?=")', body)]
    for place in places:
        if place <= start:
            continue
        changed = f"{body[:place]}{text}{body[place:]}".encode()
        try:
            first = xml.parse(changed)
        except RemoteProtocolError:
            continue
        again = xml.parse(xml.serialize(first))
        assert again.registrations == first.registrations, changed


@pytest.mark.parametrize("text", ["\x7f", "&#127;", "&#10;"])
@pytest.mark.parametrize("name", ["id", "callid", "received", "path"])
def test_no_control_character_comes_from_an_attribute_into_a_header(
    name: str, text: str
) -> None:
    contact = msgspec.structs.replace(RICH, claim=None)
    body = xml.serialize(document(contact, PLAIN)).decode()
    at = body.index(f' {name}="', body.index("<contact")) + len(f' {name}="')
    read = xml.parse(f"{body[:at]}{text}{body[at:]}".encode())
    assert [one.id for one in read.registrations[0].contacts] == [PLAIN.id]
    (warning,) = read.warnings
    assert "<contact> with control characters" in warning


@pytest.mark.parametrize("piece", list(Piece))
@pytest.mark.parametrize("full", [True, False])
def test_a_piece_is_a_valid_document_and_is_read_back(piece: Piece, full: bool) -> None:
    """3680-111: the marks are elements of our namespace, at the end."""
    one = msgspec.structs.replace(document(PLAIN), full=full, piece=piece)
    body = xml.serialize(one)
    assert is_valid(body)
    assert xml.parse(body, strict=True) == one
    mark = "" if piece is Piece.WHOLE else f'<{piece} xmlns="urn:x-reginfo:claim"/>'
    assert body.decode().endswith(f"</registration>{mark}</reginfo>")
