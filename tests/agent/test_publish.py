"""One PUBLISH: the four of RFC 3903 §4.1, table 1."""

from __future__ import annotations

import pytest

from reginfo.agent.publish import PublishResult, document_of, publish_draft, published
from reginfo.agent.register import Exchange
from reginfo.reg import xml
from reginfo.reg.document import ContactEvent, RegistrationState
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.message import Request
from reginfo.sip.uri import Uri

from ..make import ALICE, received, response

URI = Uri.parse(ALICE)


def sent(body: bytes, expires: int, etag: str | None) -> Request:
    draft = publish_draft(
        URI, body=body, expires=expires, etag=etag, exchange=Exchange("t", "c")
    )
    return received(draft)


@pytest.mark.parametrize(
    ("body", "expires", "etag"),
    [(b"x", 60, None), (b"", 60, "e"), (b"x", 60, "e"), (b"", 0, "e")],
    ids=["initial", "refresh", "modify", "remove"],
)
def test_a_publish_has_a_body_an_etag_and_an_expiry_by_its_operation(
    body: bytes, expires: int, etag: str | None
) -> None:
    """
    Whether a PUBLISH has a body, an entity tag and an Expires depends on its operation
    (3903-02).
    """
    publish = sent(body, expires, etag)
    publish.check()
    assert (publish.method, publish.uri) == ("PUBLISH", ALICE)
    assert publish.headers["Event"] == ["reg"]
    assert publish.body == body
    assert publish.expires == expires
    assert publish.header("SIP-If-Match") == etag
    content = [xml.MEDIA_TYPE] if body else None
    assert publish.headers.get("Content-Type") == content


@pytest.mark.parametrize(
    ("body", "expires", "etag"), [(b"", 60, None), (b"", 0, None), (b"x", 0, "e")]
)
def test_there_is_no_other_publish(body: bytes, expires: int, etag: str | None) -> None:
    with pytest.raises(ValueError, match="needs"):
        sent(body, expires, etag)


def test_the_response_has_the_entity_tag_and_the_granted_interval() -> None:
    # 3903 §11.3.1
    assert published(response(200, "SIP-ETag: e", "Expires: 9"), 60) == PublishResult(
        "e", 9
    )
    assert published(response(200, "SIP-ETag: e"), 60) == PublishResult("e", 60)
    assert published(response(200, "SIP-ETag: e"), 0) == PublishResult(None, 0)
    with pytest.raises(RemoteProtocolError, match="SIP-ETag"):
        published(response(200), 60)


def test_a_document_lists_the_contacts() -> None:
    uris = ["sip:al@192.0.2.9", "sip:al@192.0.2.8;a=b"]
    document = xml.parse(document_of(URI, uris, 60), strict=True)
    (registration,) = document.registrations
    assert document.full
    assert (registration.aor, registration.state) == (ALICE, RegistrationState.ACTIVE)
    assert [contact.uri for contact in registration.contacts] == uris
    for contact in registration.contacts:
        assert contact.event is ContactEvent.CREATED
        # Without these, some presence servers leave the contact out, or crash.
        assert (contact.expires, contact.cseq) == (60, 1)
        assert contact.callid
    assert len({contact.id for contact in registration.contacts}) == 2


def test_a_document_without_contacts_reports_no_registration() -> None:
    document = xml.parse(document_of(URI, [], 60), strict=True)
    assert document.registrations[0].state is RegistrationState.TERMINATED
