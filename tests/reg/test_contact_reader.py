"""One contact of a document: what is understood of it, put up with, and left out."""

from __future__ import annotations

import time

import pytest

from reginfo.reg.document import (
    ClaimElement,
    Contact,
    ContactEvent,
    Reginfo,
    TempGruu,
)
from reginfo.reg.elements import CLAIM_NAMESPACE, GRUU_NAMESPACE
from reginfo.reg.xml import parse

from .documents import (
    CLAIM,
    GOOD,
    GOOD_XML,
    GRUU,
    NS,
    contact_of,
    document_of,
    read,
    read_with_warning,
    refuse,
)


def test_contact_in_the_shape_of_the_gruu_example() -> None:
    """A contact in the shape of the GRUU example is read (5628-01, -02)."""
    contact = f"""
        <contact xmlns:gr="{GRUU_NAMESPACE}"
           id="76" state="active" event="registered"
           duration-registered="36001" expires="3599"
           callid="1j9FpLxk3uxtm8tn@192.0.2.1" cseq="54321"
           q="0.8">
             <uri>sip:alice@192.0.2.1</uri>
             <unknown-param name="+sip.instance">
"&lt;urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6&gt;"
</unknown-param>
             <gr:pub-gruu uri="sip:alice@example.com;gr=hha9s8d-999a"/>
             <gr:temp-gruu uri="sip:8ffkas08af7fasklzi9@example.com;gr"
                 first-cseq="54301"/>
        </contact>"""
    assert read(contact) == Contact(
        id="76",
        uri="sip:alice@192.0.2.1",
        event=ContactEvent.REGISTERED,
        expires=3599,
        duration_registered=36001,
        q="0.8",
        callid="1j9FpLxk3uxtm8tn@192.0.2.1",
        cseq=54321,
        params=(
            ("+sip.instance", '"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"'),
        ),
        pub_gruu="sip:alice@example.com;gr=hha9s8d-999a",
        temp_gruu=TempGruu("sip:8ffkas08af7fasklzi9@example.com;gr", 54301),
    )


@pytest.mark.parametrize(
    "text, number",
    [("0", 0), ("00000000000", 0), (" 12\n", 12), ("+7", 7), ("0" * 5000 + "4", 4)],
)
def test_numbers_may_be_padded(text: str, number: int) -> None:
    """Numbers may have leading zeros and white space (3680-77)."""
    body = f'<reginfo xmlns="{NS}" version="{text}" state="full"/>'.encode()
    assert parse(body, strict=True).version == number
    assert read(contact_of(f'expires="{text}"')).expires == number


@pytest.mark.parametrize("zeros", [1, 2, 100])
def test_largest_number_may_be_padded(zeros: int) -> None:
    """The largest number may have leading zeros (3680-77, -83)."""
    text = "0" * zeros + "18446744073709551615"
    assert read(contact_of(f'expires="{text}"')).expires == 2**64 - 1


def test_all_of_a_contact_is_read() -> None:
    contact = read(
        contact_of(
            'expires="18446744073709551615" duration-registered="2" q="1.0"'
            ' callid="a&amp;b" cseq="3" retry-after="4"',
            '<display-name xml:lang="de">\n Al\nice </display-name>'
            '<unknown-param name="Audio"/>'
            '<unknown-param name="+sip.instance">&lt;urn:x&gt;</unknown-param>'
            '<unknown-param name="reg-id"> 1 </unknown-param>',
            event="probation",
        )
    )
    assert contact == Contact(
        id="1",
        uri="sip:a@192.0.2.1",
        event=ContactEvent.PROBATION,
        expires=2**64 - 1,
        retry_after=4,
        duration_registered=2,
        q="1",
        callid="a&b",
        cseq=3,
        display_name="Al ice",
        lang="de",
        params=(("audio", None), ("+sip.instance", '"<urn:x>"'), ("reg-id", "1")),
    )


def test_attributes_of_kamailio_and_opensips_are_read() -> None:
    """The attributes of Kamailio and OpenSIPS are read (3680-81)."""
    contact = read(
        contact_of(
            'received="sip:192.0.2.9:5060" user_agent="p&#10;q"'
            ' path="&lt;sip:p1;x=a,b;lr>, &lt;sip:p2;lr&gt;"'
        )
    )
    assert contact.received == "sip:192.0.2.9:5060"
    assert contact.path == ("<sip:p1;x=a,b;lr>", "<sip:p2;lr>")
    assert contact.user_agent == "p q"
    assert contact.claim is None


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("sip:p1;lr", ("<sip:p1;lr>",)),
        ("sip:p1;lr , &lt;sip:p2>", ("<sip:p1;lr>", "<sip:p2>")),
        ("&lt;sip:p1>;x", ("<sip:p1>;x",)),
        (" , ", ()),
    ],
)
def test_a_path_without_brackets_is_read_with_them(
    written: str, path: tuple[str, ...]
) -> None:
    """3261-133: it is written as Route, where they are mandatory"""
    assert read(contact_of(f'path="{written}"')).path == path


def test_what_a_claim_says_stands_before_the_attributes() -> None:
    contact = read(contact_of('received="no" path="no" user_agent="no"', CLAIM))
    assert contact.claim == ClaimElement(
        owner="s1",
        stamp=2**53,
        key="k",
        begin=3,
        edition=4,
        until=5,
        left=6,
        gone=True,
        path=("sip:p1;lr", "sip:p2;lr"),
        received="sip:192.0.2.9",
        user_agent="x",
    )
    assert contact.path == ("sip:p1;lr", "sip:p2;lr")
    assert contact.received == "sip:192.0.2.9"
    assert contact.user_agent == "x"


def test_last_of_two_claims_counts() -> None:
    second = f'<claim xmlns="{CLAIM_NAMESPACE}" owner="s2" stamp="0"'
    second += ' key="k" begin="0" edition="0" until="0"/>'
    contact = read(contact_of("", CLAIM + second))
    assert contact.claim == ClaimElement(owner="s2", stamp=0, key="k")


BAD = {
    "without id": '<contact state="active" event="created"><uri>a</uri></contact>',
    "without event": '<contact id="1" state="active"><uri>a</uri></contact>',
    "without <uri>": '<contact id="1" state="active" event="created"></contact>',
    "with event 'gone'": contact_of().replace("created", "gone"),
    "in state 'active'": contact_of().replace("created", "expired"),
    "in state 'terminated'": contact_of().replace("active", "terminated"),
    "two <uri>": contact_of("", "<uri>sip:b</uri>"),
    "<uri> with control": contact_of().replace("192", "192\n"),
    "<contact> with control": contact_of('callid="a&#13;&#10;b"'),
    "<contact> with control characters": contact_of('path="a&#10;b"'),
    "> with control": contact_of("", CLAIM.replace("sip:192", "&#10;")),
}


@pytest.mark.parametrize("fault", BAD)
def test_contact_that_cannot_be_understood_is_left_out(
    fault: str,
) -> None:
    """A contact that cannot be understood is left out (3680-26, -79)."""
    body = document_of(BAD[fault], GOOD_XML)
    refuse(body, fault, strict=True)
    document = parse(body)
    assert document.registrations[0].contacts == (GOOD,)
    (warning,) = document.warnings
    assert fault in warning
    assert "line 3" in warning


@pytest.mark.parametrize("fault", BAD)
def test_document_without_a_contact_that_is_understood_is_refused(fault: str) -> None:
    # It would be taken as the news that nobody is registered.
    refuse(document_of(BAD[fault], BAD["without id"]), fault + r".*line 3")


WRONG_GRUU = f'-gruu xmlns="{GRUU_NAMESPACE}" first-cseq="1" uri="a&#10;"/>'


DECORATION = {
    "<unknown-param> with name 'q'": '<unknown-param name="Q">0.1</unknown-param>',
    "<unknown-param> with name 'expires'": '<unknown-param name="expires"/>',
    "<unknown-param> with name ''": "<unknown-param/>",
    "<unknown-param> with name 'a b'": '<unknown-param name="a b"/>',
    "<pub-gruu> with control": f"<pub{WRONG_GRUU}",
    "<temp-gruu> with control": f"<temp{WRONG_GRUU}",
    "<claim> without owner": f'<claim xmlns="{CLAIM_NAMESPACE}"/>',
}


@pytest.mark.parametrize("fault", DECORATION)
def test_wrong_decoration_is_left_out_and_the_contact_stays(
    fault: str,
) -> None:
    """
    A parameter, GRUU or foreign element that is wrong is left out, and the contact
    stays; so is a parameter that RFC 3261 defines (3680-104, 3680-120).
    """
    body = document_of(contact_of("", DECORATION[fault]))
    document = parse(body)
    (contact,) = document.registrations[0].contacts
    assert contact.uri == "sip:a@192.0.2.1"
    assert (contact.params, contact.pub_gruu, contact.temp_gruu) == ((), None, None)
    (warning,) = document.warnings
    assert fault in warning
    refuse(body, fault, strict=True)


@pytest.mark.parametrize(
    "received",
    ["sip:[fe80::1%eth0]:5060", "sip:[fe80::1%25eth0]", "sip:fe80::1%2:5060", "%"],
)
@pytest.mark.parametrize("place", ["attribute", "claim"])
def test_a_source_with_a_scope_id_is_left_out(received: str, place: str) -> None:
    """3261-92: it means nothing here, and would be sent on in our documents."""
    text = f'received="{received}"'
    if place == "attribute":
        contact = read_with_warning(contact_of(text), "has a scope id")
    else:
        claim = (
            f'<claim xmlns="{CLAIM_NAMESPACE}" owner="o" key="k" begin="1"'
            f' stamp="1" edition="1" until="1" {text}/>'
        )
        contact = read_with_warning(contact_of("", claim), "has a scope id")
        assert contact.claim is not None and contact.claim.received == ""
    assert (contact.received, contact.uri) == ("", "sip:a@192.0.2.1")


def test_a_parameter_listed_twice_counts_once() -> None:
    """A parameter listed twice counts once (3680-104)."""
    # RFC 3261 §7.3.1: a header field must not have one parameter-name twice.
    twice = '<unknown-param name="X">1</unknown-param><unknown-param name="x"/>'
    contact = read_with_warning(contact_of("", twice), "two <unknown-param>")
    assert contact.params == (("x", "1"),)


def test_empty_uri_of_opensips_is_no_contact() -> None:  # an & in the Contact
    empty = contact_of().replace("sip:a@192.0.2.1", "")
    assert parse(document_of(empty, GOOD_XML)).registrations[0].contacts == (GOOD,)


def test_event_terminated_is_expired() -> None:
    """The event "terminated" is read as "expired" (3680-80)."""
    contact = contact_of(event="expired").replace("expired", "terminated")
    read = read_with_warning(contact, "event 'terminated'")
    assert read.event is ContactEvent.EXPIRED


def test_state_may_be_left_to_the_event() -> None:
    """A contact without a state takes it from its event (3680-80)."""
    contact = contact_of().replace('state="active"', "")
    assert read_with_warning(contact, "without state").event is ContactEvent.CREATED


def test_shortened_without_expires_as_sprout_sends_it() -> None:
    """A shortened contact without expires, as Sprout sends it, is read (3680-67)."""
    contact = read_with_warning(contact_of(event="shortened"), "shortened without exp")
    assert contact.expires is None


def test_probation_without_retry_after() -> None:
    """A contact in probation without retry-after is read (3680-68)."""
    contact = read_with_warning(contact_of(event="probation"), "without retry-after")
    assert contact.retry_after is None


@pytest.mark.parametrize("name", ["expires", "retry-after", "duration-registered"])
@pytest.mark.parametrize(
    "text", ["", "-1", "1.5", "soon", "٣", "²", f"{2**64}", "++1", "\u20031"]
)
def test_an_invalid_number_is_ignored(name: str, text: str) -> None:
    """An expires that is no number is ignored (3680-80)."""
    contact = read_with_warning(contact_of(f'{name}="{text}"'), f"{name} '")
    field = name.replace("-", "_")
    assert getattr(contact, field) is None


def test_cseq_and_q_that_are_none_are_ignored() -> None:
    """A cseq or q that is no number is ignored (3680-80)."""
    assert read_with_warning(contact_of('cseq="x"'), "cseq 'x'").cseq is None
    assert read_with_warning(contact_of('q="2"'), "q '2'").q is None


def test_callid_and_expires_may_be_missing() -> None:
    """The attributes callid and expires may be missing (3680-80)."""
    contact = read(contact_of())
    assert (contact.callid, contact.cseq, contact.expires) == (None, None, None)


@pytest.mark.parametrize(
    "element, attributes",
    [
        ("pub-gruu", ""),
        ("temp-gruu", ""),
        ("temp-gruu", 'uri="sip:a"'),
        ("temp-gruu", 'first-cseq="1"'),
        ("temp-gruu", 'uri="sip:a" first-cseq="x"'),
    ],
)
def test_gruu_without_what_it_needs_is_ignored(element: str, attributes: str) -> None:
    contact = contact_of("", GRUU.format(element, attributes))
    read = read_with_warning(contact, f"<{element}> that")
    assert (read.pub_gruu, read.temp_gruu) == (None, None)


def test_second_gruu_is_ignored() -> None:
    """A second GRUU of a contact is ignored (5628-03)."""
    first = GRUU.format("pub-gruu", 'uri="sip:a"')
    second = GRUU.format("pub-gruu", 'uri="sip:b"')
    read = read_with_warning(contact_of("", first + second), "<pub-gruu> that")
    assert read.pub_gruu == "sip:a"
    first = GRUU.format("temp-gruu", 'uri="sip:a" first-cseq="1"')
    second = GRUU.format("temp-gruu", 'uri="sip:b" first-cseq="2"')
    read = read_with_warning(contact_of("", first + second), "<temp-gruu> that")
    assert read.temp_gruu == TempGruu("sip:a", 1)


def test_temp_gruu_with_the_attribute_that_the_text_names() -> None:
    """
    A temp-gruu with the attribute that the text of the RFC names is read (5628-02).
    """
    element = GRUU.format("temp-gruu", 'uri="sip:a;gr" cseq="5"')
    assert read(contact_of("", element)).temp_gruu == TempGruu("sip:a;gr", 5)


@pytest.mark.parametrize(
    "old, new",
    [
        ('owner="s1"', ""),
        ('owner="s1"', 'owner="s&#10;1"'),
        ('key="k"', ""),
        ('key="k"', 'key="&#10;"'),
        ('begin="3"', ""),
        ('edition="4"', 'edition="x"'),
        ('until="5"', ""),
        (f'stamp="{2**53}"', ""),
        (f'stamp="{2**53}"', f'stamp="{2**53 + 1}"'),
        (f'stamp="{2**53}"', 'stamp="-1"'),
    ],
)
def test_claim_without_owner_or_stamp_is_none(old: str, new: str) -> None:
    contact = contact_of("", CLAIM.replace(old, new))
    read = read_with_warning(contact, "<claim> without")
    assert (read.claim, read.path) == (None, ())


def test_a_claim_may_have_blanks_between_its_elements() -> None:
    spaced = CLAIM.replace("<path>", "\n  <path>").replace("</claim>", "\n</claim>")
    assert read(contact_of("", spaced)) == read(contact_of("", CLAIM))
    assert read(contact_of("", spaced)).path == ("sip:p1;lr", "sip:p2;lr")


def test_path_of_a_legacy_peer_takes_no_time_whatever_is_in_it() -> None:
    for text in ("&lt;" * 200_000, "," * 500_000, "a" * 500_000, '"\\' * 200_000):
        assert isinstance(parse(document_of(contact_of(f"path='{text}'"))), Reginfo)


def test_many_parameters_take_linear_time() -> None:
    names = "".join(f'<unknown-param name="p{n}"/>' for n in range(19_000))
    begin = time.process_time()
    assert len(read(contact_of("", names)).params) == 19_000
    assert time.process_time() - begin < 2.0
