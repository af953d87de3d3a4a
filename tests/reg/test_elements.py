"""Elements that are known, in their places; and all others, which are skipped."""

from __future__ import annotations

import pytest

from reginfo.reg.elements import MAX_DEPTH, Elements
from reginfo.reg.xml import parse

from .documents import (
    ALICE,
    GOOD,
    GOOD_XML,
    NS,
    contact_of,
    document_of,
    read_with_warning,
    refuse,
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


def test_comments_instructions_and_cdata_are_no_matter() -> None:
    """Comments, processing instructions and CDATA make no difference (3680-77)."""
    body = document_of(
        "<!-- - --><?x y?>"
        '<contact event="registered" state="active" id="76"><!--x-->'
        "<uri>\n sip:<![CDATA[alice]]>@<!-- x -->pc.example.<?x y?>com\n </uri>"
        "</contact>"
    )
    assert parse(body, strict=True).registrations[0].contacts == (GOOD,)


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


def test_text_of_an_element_that_has_no_place_is_not_read() -> None:
    contact = contact_of().replace("192.0.2.1", "192.<b>0.</b>0.2.1")
    assert read_with_warning(contact, "<b> in <uri>").uri == "sip:a@192.0.2.1"


@pytest.mark.parametrize("outer", ["", "<contact>", "<contact><uri>"])
def test_too_deep(outer: str) -> None:
    """A document that is nested too deeply is refused (3680-78)."""
    inner = outer + "<x:a xmlns:x='x'>" * (MAX_DEPTH + 1)
    refuse(document_of(inner), "deeper than 32")
    ends = "</x:a>" * MAX_DEPTH
    assert parse(document_of(GOOD_XML, "<x:a xmlns:x='x'>" * MAX_DEPTH + ends))


# By themselves.


def test_an_element_is_read_to_its_end_by_whoever_knows_it() -> None:
    body = f'<a xmlns="{NS}">1<uri> t<x:y xmlns:x="x">no<z/></x:y>u\n</uri>2</a>'
    elements = Elements(body.encode(), strict=True)
    assert elements.root()[0] == f"{NS} a"
    assert next(elements.events) == "1"
    start = next(elements.events)
    assert isinstance(start, tuple) and start[0] == f"{NS} uri"
    assert elements.text("uri") == "tu"
    assert list(elements.events) == ["2", None]


def test_an_element_of_an_unknown_namespace_is_skipped_without_complaint() -> None:
    """RFC 3680 §5.1: "any unknown elements and attributes MUST be ignored"."""
    elements = Elements(b'<r><x xmlns="y"><contact/><uri/></x>t</r>', strict=True)
    elements.root()
    start = next(elements.events)
    assert isinstance(start, tuple)
    assert elements.unexpected(start[0], start[2], "registration") is None
    assert list(elements.events) == ["t", None]


def test_a_known_element_without_a_namespace_is_complained_of_once() -> None:
    elements = Elements(b"<r/>", strict=False)
    assert elements.unexpected("contact", 0, "registration") == "contact"
    assert elements.unexpected("uri", 0, "contact") == "uri"
    assert len(elements.complaints.warnings) == 1


@pytest.mark.parametrize("text", ["&#10;", "&#x0A;", "&#65;", "\x7f", "&#127;"])
def test_only_a_reference_brings_a_line_break_into_an_attribute(text: str) -> None:
    """A DEL needs none."""
    assert Elements(f"<r a='{text}'/>".encode(), strict=False).has_controls
    assert not Elements(b"<r a='\n&amp;'/>", strict=False).has_controls
