"""The reader: what it understands, puts up with and refuses."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reginfo.reg import reader
from reginfo.reg.document import (
    ClaimElement,
    Contact,
    ContactEvent,
    Reginfo,
    Registration,
    RegistrationState,
    TempGruu,
)
from reginfo.reg.reader import MAX_BODY, MAX_DEPTH, MAX_ELEMENTS, MAX_WARNINGS
from reginfo.reg.xml import parse
from reginfo.sip.errors import RemoteProtocolError

NS = "urn:ietf:params:xml:ns:reginfo"
ALICE = "sip:alice@example.com"

GOOD = Contact(id="76", uri="sip:alice@pc.example.com", event=ContactEvent.REGISTERED)
GOOD_XML = (
    '<contact id="76" state="active" event="registered">'
    "<uri>sip:alice@pc.example.com</uri></contact>"
)


def document_of(*contacts: str, state: str = "active") -> bytes:
    inner = "\n".join(contacts)
    return (
        f'<reginfo xmlns="{NS}" version="0" state="full">\n'
        f'<registration aor="{ALICE}" id="a7" state="{state}">\n'
        f"{inner}</registration></reginfo>"
    ).encode()


def contact_of(attributes: str = "", children: str = "", event: str = "created") -> str:
    state = ContactEvent(event).state
    return (
        f'<contact id="1" state="{state}" event="{event}" {attributes}>'
        f"<uri>sip:a@192.0.2.1</uri>{children}</contact>"
    )


def read(*contacts: str) -> Contact:
    """The one contact of a document that gives no reason to complain."""
    (registration,) = parse(document_of(*contacts), strict=True).registrations
    (contact,) = registration.contacts
    return contact


def read_with_warning(contact: str, warning: str) -> Contact:
    """The one contact of a document that is refused when we are strict."""
    body = document_of(contact)
    with pytest.raises(RemoteProtocolError, match=warning):
        parse(body, strict=True)
    document = parse(body)
    assert len(document.warnings) == 1
    assert re.search(warning, document.warnings[0])
    ((read,),) = [registration.contacts for registration in document.registrations]
    return read


def refuse(body: bytes, message: str, *, strict: bool = False) -> None:
    with pytest.raises(RemoteProtocolError, match=message):
        parse(body, strict=strict)


# What is understood.


def test_document_in_the_shape_of_the_rfcs_example() -> None:  # RFC 3680 §5.3
    body = b"""<?xml version="1.0"?>
    <reginfo xmlns="urn:ietf:params:xml:ns:reginfo"
        xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
        version="0" state="full">
      <registration aor="sip:alice@example.com" id="as9" state="active">
        <contact id="76" state="active" event="registered"
                 duration-registered="7322"
                 q="0.8">
                 <uri>sip:alice@pc887.example.com</uri>
        </contact>
        <contact id="77" state="terminated" event="expired"
                 duration-registered="3600"
                 q="0.5">
                 <uri>sip:alice@university.example</uri>
        </contact>
      </registration>
    </reginfo>
    """
    assert parse(body, strict=True) == Reginfo(
        version=0,
        full=True,
        registrations=(
            Registration(
                aor=ALICE,
                id="as9",
                state=RegistrationState.ACTIVE,
                contacts=(
                    Contact(
                        id="76",
                        uri="sip:alice@pc887.example.com",
                        event=ContactEvent.REGISTERED,
                        duration_registered=7322,
                        q="0.8",
                    ),
                    Contact(
                        id="77",
                        uri="sip:alice@university.example",
                        event=ContactEvent.EXPIRED,
                        duration_registered=3600,
                        q="0.5",
                    ),
                ),
            ),
        ),
    )


def test_contact_in_the_shape_of_the_gruu_example() -> None:
    """A contact in the shape of the GRUU example is read (5628-01, -02)."""
    contact = f"""
        <contact xmlns:gr="{reader.GRUU_NAMESPACE}"
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


def test_prefix_and_default_namespace_are_the_same() -> None:
    """A namespace prefix and the default namespace are equivalent (3680-53)."""
    body = (
        f'<r:reginfo xmlns:r="{NS}" version="7" state="partial"><r:registration '
        f'aor="{ALICE}" id="a7" state="active"><r:contact id="76" state="active" '
        f'event="registered"><r:uri>{GOOD.uri}</r:uri></r:contact>'
        "</r:registration></r:reginfo>"
    )
    document = parse(body.encode(), strict=True)
    assert (document.version, document.full) == (7, False)
    assert document.registrations[0].contacts == (GOOD,)


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


def test_foreign_elements_and_attributes_are_skipped() -> None:
    """Foreign elements and attributes are skipped (3680-54, 24229-11, -12)."""
    body = f"""<reginfo xmlns="{NS}" xmlns:x="urn:example" version="0" state="full"
        x:version="9">
      <x:a><uri>no</uri><x:b/></x:a>
      <registration aor="{ALICE}" id="a7" state="active" x:state="init">
        <x:wildcardedIdentity>sip:!.*!@example.com</x:wildcardedIdentity>
        <contact id="76" x:id="no" state="active" event="registered">
          <x:uri>no</x:uri>
          <uri>sip:alice@<x:no>no</x:no>pc.example.com</uri>
          <x:c xmlns="urn:other"><uri>no</uri></x:c>
        </contact>
      </registration>
    </reginfo>"""
    document = parse(body.encode(), strict=True)
    assert document.registrations[0].contacts == (GOOD,)


def test_only_what_xml_calls_blank_is_trimmed() -> None:
    """Only what XML calls blank is trimmed (3680-75)."""
    plain = contact_of(
        'q=" 0.5\n" path="\u2003p1 , p2 "',
        "<display-name>\n Al<x:b xmlns:x='urn:x'>x</x:b>ice\u00a0</display-name>",
    ).replace("192.0.2.1", "192.0.2.1\u00a0\t")
    contact = read(plain)
    assert contact.uri == "sip:a@192.0.2.1\u00a0"
    assert contact.display_name == "Alice\u00a0"
    assert contact.path == ("\u2003p1", "p2")
    assert contact.q == "0.5"
    assert read_with_warning(contact_of('q="\u00a01"'), "with q").q is None


def test_comments_instructions_and_cdata_are_no_matter() -> None:
    """Comments, processing instructions and CDATA make no difference (3680-77)."""
    body = document_of(
        "<!-- - --><?x y?>"
        '<contact event="registered" state="active" id="76"><!--x-->'
        "<uri>\n sip:<![CDATA[alice]]>@<!-- x -->pc.example.<?x y?>com\n </uri>"
        "</contact>"
    )
    assert parse(body, strict=True).registrations[0].contacts == (GOOD,)


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


CLAIM = (
    f'<claim xmlns="{reader.CLAIM_NAMESPACE}" owner="s1" key="k" stamp="{2**53}"'
    ' begin="3" edition="4" until="5" left="6" gone="true"'
    ' received="sip:192.0.2.9" user-agent="x"><path>sip:p1;lr</path>'
    "<later/><path>sip:p2;lr</path></claim>"
)


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
    second = f'<claim xmlns="{reader.CLAIM_NAMESPACE}" owner="s2" stamp="0"'
    second += ' key="k" begin="0" edition="0" until="0"/>'
    contact = read(contact_of("", CLAIM + second))
    assert contact.claim == ClaimElement(owner="s2", stamp=0, key="k")


# What is put up with.


def test_bad_contact_does_not_lose_the_good_ones() -> None:
    """A bad contact does not lose the good ones (3680-79)."""
    body = document_of('<contact id="1"><uri>sip:a</uri></contact>', GOOD_XML)
    document = parse(body)
    assert document.registrations[0].contacts == (GOOD,)
    assert document.warnings == ("left out: <contact> without event (line 3)",)
    refuse(body, r"<contact> without event \(line 3\)", strict=True)


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


GRUU = f'-gruu xmlns="{reader.GRUU_NAMESPACE}" first-cseq="1" uri="a&#10;"/>'
DECORATION = {
    "<unknown-param> with name 'q'": '<unknown-param name="Q">0.1</unknown-param>',
    "<unknown-param> with name 'expires'": '<unknown-param name="expires"/>',
    "<unknown-param> with name ''": "<unknown-param/>",
    "<unknown-param> with name 'a b'": '<unknown-param name="a b"/>',
    "<pub-gruu> with control": f"<pub{GRUU}",
    "<temp-gruu> with control": f"<temp{GRUU}",
    "<claim> without owner": f'<claim xmlns="{reader.CLAIM_NAMESPACE}"/>',
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


def test_a_parameter_listed_twice_counts_once() -> None:
    """A parameter listed twice counts once (3680-104)."""
    # RFC 3261 §7.3.1: a header field must not have one parameter-name twice.
    twice = '<unknown-param name="X">1</unknown-param><unknown-param name="x"/>'
    contact = read_with_warning(contact_of("", twice), "two <unknown-param>")
    assert contact.params == (("x", "1"),)


@pytest.mark.parametrize("state", ["terminated", "init"])
def test_a_registration_that_is_over_counts_without_its_contacts(
    state: str,
) -> None:
    """
    A registration that is over counts even if its contacts cannot be read (3680-104).
    """
    # RFC 3680 §5.1: it has no contacts, so nothing depends on reading them.
    body = document_of(BAD["without id"], state=state)
    (registration,) = parse(body).registrations
    assert registration.state == state
    assert registration.contacts == ()


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
def test_number_that_is_none_is_ignored(name: str, text: str) -> None:
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


def test_registration_may_be_init() -> None:
    """The state of a registration may be init (3680-80)."""
    (registration,) = parse(document_of(state="init"), strict=True).registrations
    assert registration.state is RegistrationState.INIT


def test_active_contacts_of_a_terminated_registration() -> None:
    body = document_of(GOOD_XML, GOOD_XML.replace("76", "77"), state="terminated")
    refuse(body, "contact> active, <registration> terminated", strict=True)
    document = parse(body)
    assert len(document.registrations[0].contacts) == 2
    assert len(document.warnings) == 1
    ended = document_of(contact_of(event="expired"), state="terminated")
    assert parse(ended, strict=True)


def test_root_without_namespace() -> None:
    """A root element without a namespace is read, with a warning (3680-80)."""
    body = document_of(GOOD_XML).replace(f' xmlns="{NS}"'.encode(), b"")
    refuse(body, "without the namespace", strict=True)
    document = parse(body)
    assert document.registrations[0].contacts == (GOOD,)
    assert document.warnings == ("<reginfo> without the namespace of reginfo (line 1)",)


def test_element_that_has_no_place() -> None:
    body = document_of("<uri/>", GOOD_XML)
    refuse(body, r"<uri> in <registration> \(line 3\)", strict=True)
    document = parse(body)
    assert document.registrations[0].contacts == (GOOD,)
    assert document.warnings == ("<uri> in <registration> (line 3)",)


def test_element_that_has_no_place_and_no_namespace() -> None:
    body = document_of('<x xmlns=""/>', GOOD_XML)
    assert parse(body).warnings == ("<x> in <registration> (line 3)",)


def test_line_is_that_of_the_element() -> None:
    bare = GOOD_XML.replace("<contact", '<contact xmlns=""')
    body = b"\n\n" + document_of(GOOD_XML, bare)
    assert parse(body).warnings == (
        "<contact> without the namespace of reginfo (line 6)",
        "<contact> with the id of another (line 6)",
    )


def test_text_of_an_element_that_has_no_place_is_not_read() -> None:
    contact = contact_of().replace("192.0.2.1", "192.<b>0.</b>0.2.1")
    assert read_with_warning(contact, "<b> in <uri>").uri == "sip:a@192.0.2.1"


def test_two_contacts_of_one_id() -> None:
    """Two contacts with one id are both read, with a warning (3680-65)."""
    body = document_of(GOOD_XML, GOOD_XML)
    refuse(body, r"id of another \(line 4\)", strict=True)
    document = parse(body)
    assert document.registrations[0].contacts == (GOOD, GOOD)
    assert len(document.warnings) == 1


@pytest.mark.parametrize(
    "states, merged",
    [
        (("active", "terminated"), "active"),
        (("init", "active"), "active"),
        (("init", "terminated"), "terminated"),
        (("init", "init"), "init"),
    ],
)
@pytest.mark.parametrize("turn", [1, -1])
def test_registrations_of_one_aor_are_merged(
    states: tuple[str, str], merged: str, turn: int
) -> None:
    """Registrations of one address-of-record are merged (3680-59)."""
    inner = "".join(
        f'<registration aor="{ALICE}" id="{number}" state="{state}">'
        f"{contact_of(event='expired')}</registration>"
        for number, state in enumerate(states[::turn])
    )
    document = parse(
        f'<reginfo xmlns="{NS}" version="0" state="full">{inner}</reginfo>'.encode()
    )
    (registration,) = document.registrations
    assert (registration.id, registration.state) == ("0", merged)
    assert len(registration.contacts) == 2


GRUU = f'<{{}} xmlns="{reader.GRUU_NAMESPACE}" {{}}/>'


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


def test_warnings_are_not_without_end() -> None:
    document = parse(document_of(*[GOOD_XML] * 200))
    assert len(document.registrations[0].contacts) == 200
    assert len(document.warnings) == MAX_WARNINGS


# What is refused.


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "attribute, element",
    [
        ('version="0"', "reginfo"),
        ('state="full"', "reginfo"),
        (f'aor="{ALICE}"', "registration"),
        ('id="a7"', "registration"),
        ('state="active"', "registration"),
    ],
)
def test_attribute_that_must_be_there(
    attribute: str, element: str, strict: bool
) -> None:
    """
    A mandatory attribute that is missing is refused, with element and line (3680-55,
    -60, -79).
    """
    name = attribute.partition("=")[0]
    line = 1 if element == "reginfo" else 2
    message = rf"<{element}> without {name} \(line {line}\)"
    body = document_of(GOOD_XML)
    refuse(body.replace(attribute.encode(), b"", 1), message, strict=strict)
    empty = body.replace(attribute.encode(), f'{name}=""'.encode(), 1)
    refuse(empty, message, strict=strict)


def test_a_fault_of_the_document_itself_is_found_on_its_line() -> None:
    body = document_of(GOOD_XML).replace(b'version="0"', b'version="x"', 1)
    declared = b'<?xml version="1.0"?>\n\n' + body
    refuse(declared, r"<reginfo> with version 'x' \(line 3\)")


@pytest.mark.parametrize(
    "old, new, message",
    [
        ('version="0"', 'version="-1"', "version '-1'"),
        ('version="0"', 'version="4294967296"', "version '4294967296'"),
        ('version="0"', f'version="{"9" * 5000}"', "version '9{40}'"),
        ('state="full"', 'state="all"', "<reginfo> with state 'all'"),
        ('state="active"', 'state="x"', "<registration> with state 'x'"),
        (f'aor="{ALICE}"', 'aor="sip:a&#10;b"', "control characters in aor"),
        ("reginfo", "presence", "not a reginfo document: <presence>"),
        (f'xmlns="{NS}"', 'xmlns="urn:x"', "not a reginfo document: <urn:x reginfo>"),
        ("</reginfo>", "", "no element found"),
        ("</registration>", "", "mismatched tag"),
    ],
)
def test_document_that_is_none(old: str, new: str, message: str) -> None:
    """A body that is no reginfo document is refused (3680-56, -58, -60)."""
    body = document_of(GOOD_XML).decode().replace(old, new, 1)
    if old == "reginfo":
        body = f"<presence>{body}</presence>"
    refuse(body.encode(), message)


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


@pytest.mark.parametrize("outer", ["", "<contact>", "<contact><uri>"])
def test_too_deep(outer: str) -> None:
    """A document that is nested too deeply is refused (3680-78)."""
    inner = outer + "<x:a xmlns:x='x'>" * (MAX_DEPTH + 1)
    refuse(document_of(inner), "deeper than 32")
    ends = "</x:a>" * MAX_DEPTH
    assert parse(document_of(GOOD_XML, "<x:a xmlns:x='x'>" * MAX_DEPTH + ends))


def test_path_of_a_legacy_peer_takes_no_time_whatever_is_in_it() -> None:
    for text in ("&lt;" * 200_000, "," * 500_000, "a" * 500_000, '"\\' * 200_000):
        assert isinstance(parse(document_of(contact_of(f"path='{text}'"))), Reginfo)


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
