"""A whole document is a value, and is read and written by its own methods."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.reg.document import (
    MAX_VERSION,
    Contact,
    ContactEvent,
    Reginfo,
    Registration,
    RegistrationState,
)
from reginfo.sip.errors import RemoteProtocolError

ALICE = Registration(
    aor="sip:alice@example.com",
    id="1",
    state=RegistrationState.ACTIVE,
    contacts=(
        Contact(id="2", uri="sip:a@192.0.2.1", event=ContactEvent.CREATED, expires=60),
    ),
)


def test_documents_that_say_the_same_are_equal_however_they_were_written() -> None:
    document = Reginfo(version=1, full=True)
    same = Reginfo(version=1, full=True, warnings=("line 1",))
    assert document == same
    assert not document != same
    assert hash(document) == hash(same)
    assert hash(document) != hash(Reginfo(version=2, full=True))
    assert document != Reginfo(version=2, full=True)
    assert document != Reginfo(version=1, full=False)
    assert document != "a document"


def test_a_document_is_read_and_written_by_its_own_methods() -> None:
    document = Reginfo(version=3, full=False, registrations=(ALICE,))
    body = document.serialize()
    assert b'version="3" state="partial"' in body
    assert Reginfo.parse(body) == document


def test_with_strict_a_warning_is_an_error() -> None:
    body = Reginfo(version=0, full=True, registrations=(ALICE,)).serialize()
    odd = body.replace(b'expires="60"', b'expires="soon"')
    assert len(Reginfo.parse(odd).warnings) == 1
    with pytest.raises(RemoteProtocolError):
        Reginfo.parse(odd, strict=True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", "0"),
        ("version", 0.0),
        ("version", True),
        ("full", "full"),
        ("full", 1),
        ("registrations", [ALICE]),
        ("registrations", ALICE),
        ("registrations", ("sip:alice@example.com",)),
        ("warnings", ["line 1"]),
        ("warnings", (1,)),
    ],
)
def test_a_document_with_a_field_of_a_wrong_type_cannot_be_made(
    field: str, value: object
) -> None:
    fields: dict[str, Any] = {"version": 0, "full": True}
    Reginfo(**fields)
    with pytest.raises(TypeError, match=rf"^Reginfo\.{field}: .* is needed"):
        Reginfo(**fields | {field: value})


@pytest.mark.parametrize("version", [-1, MAX_VERSION + 1])
def test_a_version_out_of_range_cannot_be_made(version: int) -> None:
    with pytest.raises(ValueError, match="Reginfo.version: "):
        Reginfo(version=version, full=True)
    assert Reginfo(version=MAX_VERSION, full=True).version == MAX_VERSION
