"""What a document tells, read with Python's own XML parser."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree import ElementTree

NAMESPACE = "{urn:ietf:params:xml:ns:reginfo}"


@dataclass(frozen=True, slots=True)
class Told:
    """One contact of a document."""

    state: str
    event: str
    expires: int | None
    call_id: str | None
    cseq: int | None


@dataclass(frozen=True, slots=True)
class Document:
    """A document with one registration."""

    aor: str
    state: str
    contacts: dict[str, Told]
    "By their URIs."

    @property
    def active(self) -> set[str]:
        return {uri for uri, told in self.contacts.items() if told.state == "active"}


def read(body: bytes) -> Document:
    """Read a document that has one registration, and each contact once."""
    (registration,) = ElementTree.fromstring(body).iter(f"{NAMESPACE}registration")
    contacts = {}
    for element in registration.iter(f"{NAMESPACE}contact"):
        uri = element.findtext(f"{NAMESPACE}uri")
        assert uri is not None and uri not in contacts
        contacts[uri] = Told(
            state=element.attrib["state"],
            event=element.attrib["event"],
            expires=_number(element.get("expires")),
            call_id=element.get("callid"),
            cseq=_number(element.get("cseq")),
        )
    return Document(registration.attrib["aor"], registration.attrib["state"], contacts)


def whole(bodies: Iterable[bytes]) -> set[str]:
    """The active contacts of a state that was sent in pieces, in this order."""
    found: set[str] = set()
    for body in bodies:
        document = read(body)
        gone = {uri for uri, told in document.contacts.items()} - document.active
        found = (found | document.active) - gone
    return found


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
