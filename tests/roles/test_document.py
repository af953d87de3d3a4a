"""Documents in and out, as several roles need them."""

from __future__ import annotations

import pytest

from reginfo.location.binding import Binding
from reginfo.location.place import as_written
from reginfo.reg import xml
from reginfo.reg.document import ContactEvent, contact_id
from reginfo.reg.writer import contact_parts
from reginfo.roles.document import (
    UnreadableDocument,
    binding_parts,
    contact_of,
    read_document,
)
from reginfo.sip.errors import Refusal, RemoteProtocolError
from reginfo.sip.message import Request

from ..make import ALICE, binding, request
from .told import contact, document

BODY = xml.serialize(document(3, contact()))


def notify(*headers: str, body: bytes = BODY, method: str = "NOTIFY") -> Request:
    if not headers:
        headers = (f"Content-Type: {xml.MEDIA_TYPE}",)
    return request(method, *headers, body=body)


def test_a_document_is_read_with_the_names_of_its_users_in_canonical_form() -> None:
    body = BODY.replace(ALICE.encode(), b"sip:alice@EXAMPLE.com;user=phone")
    found = read_document(notify(body=body), "p", as_written)
    assert found is not None
    assert [one.aor for one in found.registrations] == [ALICE]
    assert found.version == 3


def test_without_a_body_there_is_no_document() -> None:
    """RFC 6665 §4.1.2.2: a NOTIFY need not have one."""
    assert read_document(request("NOTIFY"), "p", as_written) is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (("Content-Type: text/plain",), 415),
        ((f"Content-Type: {xml.MEDIA_TYPE}", "Require: gruu-of-tomorrow"), 420),
    ],
)
def test_what_is_not_understood_is_refused_before_the_body_is_read(
    headers: tuple[str, ...], status: int
) -> None:
    with pytest.raises(Refusal) as caught:
        read_document(notify(*headers, body=b"<"), "p", as_written)
    assert caught.value.status == status


@pytest.mark.parametrize("method", ["NOTIFY", "PUBLISH"])
@pytest.mark.parametrize("body", [b"<", b"<reginfo/>", b"\xff", b"<!DOCTYPE a><a/>"])
def test_a_body_that_cannot_be_read_is_logged_once_with_its_sender(
    method: str, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever catches it knows by its class that the log has it."""
    with pytest.raises(UnreadableDocument) as caught:
        read_document(notify(body=body, method=method), "p/x", as_written)
    assert caught.value.status == 400
    assert isinstance(caught.value, RemoteProtocolError)
    (record,) = caplog.records
    assert record.getMessage() == f"! {method} of p/x: {caught.value}"


def test_what_the_reader_tolerates_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", "reginfo.document")
    body = BODY.replace(b'expires="600"', b'expires="soon"')
    assert read_document(notify(body=body), "p", as_written) is not None
    (record,) = caplog.records
    assert record.levelname == "DEBUG"
    assert record.getMessage().startswith("! NOTIFY of p: <contact> with expires")


# Bindings as contacts.


def test_a_binding_is_listed_without_what_changes_with_time() -> None:
    bound = binding(7, "refreshed", display_name="Al", q="0.5", params=(("a", None),))
    found = contact_of(bound, ALICE)
    assert found.id == contact_id(ALICE, bound.key)
    assert (found.uri, found.event) == (bound.contact, ContactEvent.REFRESHED)
    assert (found.callid, found.cseq, found.q) == ("a", 7, "0.5")
    assert (found.display_name, found.params) == ("Al", (("a", None),))
    assert found.expires is found.duration_registered is None


@pytest.mark.parametrize("is_legacy", [True, False])
def test_only_a_legacy_peer_is_sent_attributes_against_the_schema(
    is_legacy: bool,
) -> None:
    bound = binding(path=("<sip:p;lr>",), received="sip:192.0.2.50", user_agent="x")
    found = contact_of(bound, ALICE, is_legacy=is_legacy)
    wanted = (bound.path, bound.received, "x") if is_legacy else ((), "", "")
    assert (found.path, found.received, found.user_agent) == wanted


@pytest.mark.parametrize(
    ("event", "listed"),
    [("registered", "created"), ("refreshed", "refreshed"), ("expired", "expired")],
)
def test_an_identity_that_no_register_named_is_created_by_the_network(
    event: str, listed: str
) -> None:
    """3GPP TS 24.229: a contact of an implicitly registered identity is `created`."""
    assert contact_of(binding(event=event), ALICE, implicit=True).event == listed
    assert contact_of(binding(event=event), ALICE).event == event


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize(
    "bound",
    [
        binding(),
        binding(2, "probation", retry_after=60, q="0.5", call_id="a&b<\"'"),
        binding(display_name="Al & <Ice>", params=(("a", None), ("b", '"<&>"'))),
        binding(path=("<sip:p;lr>",), received="sip:192.0.2.50", user_agent="x"),
    ],
)
def test_the_xml_of_a_binding_is_that_of_its_contact(
    bound: Binding, implicit: bool
) -> None:
    contact = contact_of(bound, ALICE, implicit=implicit)
    assert binding_parts(bound, ALICE, implicit=implicit) == contact_parts(contact)
