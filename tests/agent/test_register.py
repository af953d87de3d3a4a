"""One REGISTER, and what its answer says."""

from __future__ import annotations

import pytest

from reginfo.agent.register import (
    Exchange,
    RegisteredContact,
    contact_value,
    register_draft,
    registered,
)
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.message import Request
from reginfo.sip.uri import Uri

from ..make import ALICE, received, response


def sent(
    aor: str = ALICE,
    contact: str | None = "<sip:al@192.0.2.9>",
    expires: int | None = 9,
) -> Request:
    draft = register_draft(
        Uri.parse(aor),
        contact,
        expires,
        registrar="192.0.2.2:5060",
        exchange=Exchange("t", "c"),
    )
    return received(draft)


def test_a_register_is_for_the_domain_of_the_address_of_record() -> None:
    # 3261 §10.2: the Request-URI has no user part.
    register = sent()
    register.check()
    assert (register.method, register.uri) == ("REGISTER", "sip:example.com")
    assert register.headers["To"] == [f"<{ALICE}>"]
    assert register.headers["From"] == [f"<{ALICE}>;tag=t"]
    assert register.headers["Contact"] == ["<sip:al@192.0.2.9>"]
    assert (register.call_id, register.expires) == ("c", 9)


def test_a_port_and_a_scheme_stay() -> None:
    assert sent("sips:alice@example.com:5070").uri == "sips:example.com:5070"


def test_a_telephone_number_is_registered_at_the_server_itself() -> None:
    assert sent("tel:+1-555").uri == "sip:192.0.2.2:5060"


def test_missing_values_are_left_to_the_registrar() -> None:
    assert "Expires" not in sent(expires=None).headers
    query = sent(contact=None)
    assert "Contact" not in query.headers
    assert "Expires" not in query.headers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("*", "*"),
        ("sip:al@192.0.2.9;transport=tcp", "<sip:al@192.0.2.9;transport=tcp>"),
        ("<sip:al@192.0.2.9>;q=0.5", "<sip:al@192.0.2.9>;q=0.5"),
        ('"Al" <sip:al@192.0.2.9>', '"Al" <sip:al@192.0.2.9>'),
        ("mailto:al@example.com", "<mailto:al@example.com>"),
    ],
)
def test_a_contact_is_a_uri_or_a_name_addr(text: str, value: str) -> None:
    assert contact_value(text) == value


@pytest.mark.parametrize(
    "text", ["", "al", "<sip:al@h", "sip:al@h\r\nX: y", "<sip:al@h>\r\nX: y"]
)
def test_an_invalid_contact_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a (contact|URI)"):
        contact_value(text)


def test_the_response_lists_the_registered_contacts() -> None:
    answer = response(
        200,
        'Contact: "Al, again" <sip:al@192.0.2.9>;expires=7;q=0.5;+x="a, b";ob',
        "Contact: sip:al@192.0.2.8",
    )
    assert registered(answer) == [
        RegisteredContact("sip:al@192.0.2.9", 7, "0.5", {"+x": '"a, b"', "ob": None}),
        RegisteredContact("sip:al@192.0.2.8", None, None, {}),
    ]
    assert registered(response(200)) == []


def test_an_expires_header_is_for_those_that_have_none_of_their_own() -> None:
    answer = response(200, "Contact: <sip:al@h>, <sip:b@h>;expires=3", "Expires: 60")
    assert [contact.expires for contact in registered(answer)] == [60, 3]


def test_an_answer_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(RemoteProtocolError):
        registered(response(200, "Contact: <sip:al"))
