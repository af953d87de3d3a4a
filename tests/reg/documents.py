"""Documents and contacts as text, for the tests of the reader."""

from __future__ import annotations

import re

import pytest

from reginfo.reg.document import Contact, ContactEvent
from reginfo.reg.elements import CLAIM_NAMESPACE, GRUU_NAMESPACE
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


CLAIM = (
    f'<claim xmlns="{CLAIM_NAMESPACE}" owner="s1" key="k" stamp="{2**53}"'
    ' begin="3" edition="4" until="5" left="6" gone="true"'
    ' received="sip:192.0.2.9" user-agent="x"><path>sip:p1;lr</path>'
    "<later/><path>sip:p2;lr</path></claim>"
)


GRUU = f'<{{}} xmlns="{GRUU_NAMESPACE}" {{}}/>'
