"""Contacts and registrations: wrong ones cannot be made, and each has its id."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reginfo.reg.contact import (
    ClaimElement,
    Contact,
    ContactEvent,
    ContactState,
    RecordKey,
    Registration,
    RegistrationState,
    TempGruu,
    contact_id,
    quoted,
    registration_id,
    shortest_q,
    unquoted,
)

ACTIVE = {"registered", "created", "refreshed", "shortened"}
TERMINATED = {"expired", "deactivated", "probation", "unregistered", "rejected"}


def test_state_of_a_contact_follows_from_its_event() -> None:
    """The state of a contact follows from its event (3680-16, -26)."""
    assert {str(state) for state in ContactState} == {"active", "terminated"}
    assert {str(e) for e in ContactEvent if e.state is ContactState.ACTIVE} == ACTIVE
    assert {str(e) for e in ContactEvent} == ACTIVE | TERMINATED
    contact = Contact(id="1", uri="sip:a@192.0.2.1", event=ContactEvent.PROBATION)
    assert contact.state is ContactState.TERMINATED


def test_events_survive_storage() -> None:
    contact = Contact(id="1", uri="sip:a@192.0.2.1", event=ContactEvent.CREATED)
    data = msgspec.msgpack.encode(contact)
    decoded = msgspec.msgpack.decode(data, type=Contact)
    assert decoded == contact
    assert decoded.event is ContactEvent.CREATED
    assert decoded.state is ContactState.ACTIVE


def test_ids_are_short_stable_and_unique() -> None:
    """Ids are short, stable and unique (3680-61, -62, -63, -65, -66)."""
    alice, bob = "sip:alice@example.com", "sip:bob@example.com"
    uri = "sip:192.0.2.1"
    assert registration_id(alice) == "dbc9e3d69ea29a07"
    assert contact_id(alice, uri) == "b451f5ce325c32fc"
    ids = {
        registration_id(alice),
        registration_id(bob),
        contact_id(alice, uri),
        contact_id(bob, uri),
        contact_id(alice, uri + ";x"),
        contact_id(alice[:-1], "m" + uri),  # the border between the two counts
        registration_id("sip:\udce9@example.com"),  # came as Latin-1
    }
    assert len(ids) == 7
    assert all(len(i) == 16 and int(i, 16) >= 0 for i in ids)


@pytest.mark.parametrize(
    "text, shortest",
    [
        ("0.500", "0.5"),
        ("0.5", "0.5"),
        (".25", "0.25"),
        ("0.0", "0"),
        ("0.", "0"),
        (".0", "0"),
        ("0", "0"),
        ("1", "1"),
        ("1.000000", "1"),
        ("0.123456", "0.123"),
    ],
)
def test_q_has_one_form(text: str, shortest: str) -> None:
    """A q value has one written form (3680-70)."""
    assert shortest_q(text) == shortest


@pytest.mark.parametrize("text", ["", ".", "1.1", "2", "-1", "0,5", "nan", "0.5x", "٠"])
def test_q_is_a_number_from_0_to_1(text: str) -> None:
    with pytest.raises(ValueError):
        shortest_q(text)


@pytest.mark.parametrize(
    "text, in_header",
    [
        ("audio", "audio"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("<urn:uuid:1>", '"<urn:uuid:1>"'),
        ('"<urn:uuid:1>"', '"<urn:uuid:1>"'),
        ('say "hi"', r'"say \"hi\""'),
        ('"half', r'"\"half"'),
        ("a\\b", r'"a\\b"'),
    ],
)
def test_params_are_quoted_when_they_are_not_tokens(text: str, in_header: str) -> None:
    """Parameters are quoted when they are not tokens (3680-74)."""
    assert quoted(text) == in_header
    assert quoted(in_header) == in_header


@pytest.mark.parametrize(
    "text, plain",
    [
        ("audio", "audio"),
        ('"audio"', "audio"),
        (r'"a\"b\\"', 'a"b\\'),
        ('"', '"'),
        ('"a\\\nb"', "a\nb"),
    ],
)
def test_params_are_compared_unquoted(text: str, plain: str) -> None:
    """Parameters are compared unquoted (3680-74)."""
    assert unquoted(text) == plain


CONTACT: dict[str, Any] = {
    "id": "1",
    "uri": "sip:a@192.0.2.1",
    "event": ContactEvent.CREATED,
}
CLAIM: dict[str, Any] = {"owner": "a", "stamp": 1}
REGISTRATION: dict[str, Any] = {
    "aor": "sip:a@example.com",
    "id": "1",
    "state": RegistrationState.ACTIVE,
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", 1),
        ("id", None),
        ("uri", b"sip:a@192.0.2.1"),
        ("event", "created"),
        ("event", None),
        ("expires", "60"),
        ("expires", 60.0),
        ("expires", True),
        ("retry_after", "1"),
        ("duration_registered", 0.5),
        ("q", 0.5),
        ("callid", 1),
        ("cseq", "1"),
        ("display_name", 1),
        ("lang", b"en"),
        ("params", [("audio", None)]),
        ("params", ("audio",)),
        ("params", (("audio",),)),
        ("params", (("audio", 1),)),
        ("params", ((1, None),)),
        ("params", None),
        ("pub_gruu", 1),
        ("temp_gruu", "sip:a@192.0.2.1;gr"),
        ("temp_gruu", TempGruu(uri=1, first_cseq=1)),  # type: ignore[arg-type]
        ("temp_gruu", TempGruu(uri="sip:a", first_cseq="1")),  # type: ignore[arg-type]
        ("path", "sip:p.example"),
        ("path", ["sip:p.example"]),
        ("path", (1,)),
        ("path", None),
        ("received", None),
        ("user_agent", 1),
        ("claim", "a"),
    ],
)
def test_a_contact_with_a_field_of_a_wrong_type_cannot_be_made(
    field: str, value: object
) -> None:
    Contact(**CONTACT)
    with pytest.raises(TypeError, match=rf"^Contact\.{field}: .* is needed, not "):
        Contact(**CONTACT | {field: value})
    with pytest.raises(TypeError):
        msgspec.structs.replace(Contact(**CONTACT), **{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("owner", None),
        ("stamp", "1"),
        ("stamp", True),
        ("path", "sip:p.example"),
        ("path", ("sip:p.example", 1)),
        ("received", 1),
        ("user_agent", None),
        ("key", None),
        ("edition", "1"),
        ("until", None),
        ("left", "1"),
        ("gone", 1),
    ],
)
def test_a_claim_with_a_field_of_a_wrong_type_cannot_be_made(
    field: str, value: object
) -> None:
    ClaimElement(**CLAIM)
    with pytest.raises(TypeError, match=rf"^ClaimElement\.{field}: .* is needed, not "):
        ClaimElement(**CLAIM | {field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("aor", 1),
        ("id", 1),
        ("state", "active"),
        ("contacts", [Contact(**CONTACT)]),
        ("contacts", Contact(**CONTACT)),
        ("contacts", ("sip:a@192.0.2.1",)),
        ("keys", [RecordKey("n", "v", "a", 1)]),
        ("keys", (("n", "v", "a", 1),)),
        ("keys", (RecordKey(1, "v", "a", 1),)),  # type: ignore[arg-type]
        ("keys", (RecordKey("n", 1, "a", 1),)),  # type: ignore[arg-type]
        ("keys", (RecordKey("n", "v", 1, 1),)),  # type: ignore[arg-type]
        ("keys", (RecordKey("n", "v", "a", "1"),)),  # type: ignore[arg-type]
    ],
)
def test_a_registration_with_a_field_of_a_wrong_type_cannot_be_made(
    field: str, value: object
) -> None:
    Registration(**REGISTRATION)
    with pytest.raises(TypeError, match=rf"^Registration\.{field}: .* is needed, not "):
        Registration(**REGISTRATION | {field: value})


@pytest.mark.parametrize(
    ("make", "field", "value", "message"),
    [
        (Contact, "id", 1, "Contact.id: str is needed, not 1"),
        (Contact, "uri", b"x", "Contact.uri: str is needed, not b'x'"),
        (
            Contact,
            "event",
            "created",
            "Contact.event: ContactEvent is needed, not 'created'",
        ),
        (Contact, "expires", "60", "Contact.expires: int is needed, not '60'"),
        (Contact, "q", 0.5, "Contact.q: str or None is needed, not 0.5"),
        (Contact, "received", None, "Contact.received: str is needed, not None"),
        (Contact, "user_agent", 7, "Contact.user_agent: str is needed, not 7"),
        (Contact, "params", "audio", "Contact.params: a tuple is needed, not 'audio'"),
        (
            Contact,
            "params",
            (("audio",),),
            "Contact.params: a tuple of a name and a value is needed, not ('audio',)",
        ),
        (Contact, "path", "sip:p", "Contact.path: a tuple is needed, not 'sip:p'"),
        (Contact, "path", (1,), "Contact.path: a tuple of str is needed, not 1"),
        (
            Registration,
            "contacts",
            "sip:a",
            "Registration.contacts: a tuple is needed, not 'sip:a'",
        ),
        (
            Registration,
            "contacts",
            ("sip:a",),
            "Registration.contacts: Contact is needed, not 'sip:a'",
        ),
        (Registration, "aor", 1, "Registration.aor: str is needed, not 1"),
        (Registration, "id", 1, "Registration.id: str is needed, not 1"),
        (
            Registration,
            "state",
            "active",
            "Registration.state: RegistrationState is needed, not 'active'",
        ),
        (
            Registration,
            "keys",
            (RecordKey("n", "v", "a", 1, kind=1),),  # type: ignore[arg-type]
            "Registration.keys: str is needed, not 1",
        ),
        (
            Registration,
            "keys",
            (RecordKey("n", "v", "a", 1, until="x"),),  # type: ignore[arg-type]
            "Registration.keys: int is needed, not 'x'",
        ),
        (
            Registration,
            "keys",
            (RecordKey("n", "v", "a", 1, left="x"),),  # type: ignore[arg-type]
            "Registration.keys: int is needed, not 'x'",
        ),
    ],
)
def test_the_error_names_the_field_what_it_needs_and_what_it_was_given(
    make: type[Any], field: str, value: object, message: str
) -> None:
    good = CONTACT if make is Contact else REGISTRATION
    with pytest.raises(TypeError) as error:
        make(**good | {field: value})
    assert str(error.value) == message


class Data(str):
    """A string that knows where it comes from, as a script has."""


class OtherContact(Contact, frozen=True, kw_only=True, gc=False):
    """A contact of a user's own making."""


@pytest.mark.parametrize("field", ["id", "uri", "received", "user_agent", "q"])
def test_a_subclass_of_str_in_one_field_hides_no_wrong_type_in_another(
    field: str,
) -> None:
    with pytest.raises(TypeError, match=r"^Contact\.event"):
        Contact(**CONTACT | {field: Data("1"), "event": "created"})
    assert getattr(Contact(**CONTACT | {field: Data("1")}), field) == "1"


def test_a_registration_may_have_contacts_of_a_subclass() -> None:
    other = OtherContact(**CONTACT)
    registration = Registration(**REGISTRATION, contacts=(Contact(**CONTACT), other))
    assert registration.contacts[1] is other
    with pytest.raises(TypeError, match=r"^Registration\.contacts"):
        Registration(**REGISTRATION, contacts=(other, "sip:a"))  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["until", "left"])
@pytest.mark.parametrize("number", [-1, 2**53 + 1])
def test_the_end_of_a_record_out_of_range_cannot_be_made(
    field: str, number: int
) -> None:
    key = RecordKey("n", "v", "a", 1)._replace(**{field: number})  # type: ignore[arg-type]
    message = f"Registration.keys: {number} is out of range"
    with pytest.raises(ValueError) as error:
        Registration(**REGISTRATION, keys=(key,))
    assert str(error.value) == message


@pytest.mark.parametrize("left", [-1, 2**53 + 1])
def test_the_rest_of_a_claim_out_of_range_cannot_be_made(left: int) -> None:
    with pytest.raises(ValueError, match=f"^ClaimElement.left: {left} is out of"):
        ClaimElement(**CLAIM, left=left)
    assert ClaimElement(**CLAIM, left=2**53).left == 2**53


@pytest.mark.parametrize("stamp", [-1, 2**53 + 1])
def test_a_stamp_out_of_range_cannot_be_made(stamp: int) -> None:
    with pytest.raises(
        ValueError, match="ClaimElement.stamp: -?[0-9]+ is out of range"
    ):
        ClaimElement(owner="a", stamp=stamp)
    with pytest.raises(ValueError, match="Registration.keys"):
        Registration(**REGISTRATION, keys=(RecordKey("n", None, "a", stamp),))


def test_a_subclass_of_str_or_int_is_taken() -> None:
    contact = Contact(**CONTACT | {"id": Data("1"), "callid": Data("c")})
    assert contact.id == "1"


def test_a_value_shows_what_is_said_and_no_defaults() -> None:
    assert repr(Contact(**CONTACT)) == (
        "Contact(id='1', uri='sip:a@192.0.2.1',"
        " event=<ContactEvent.CREATED: 'created'>)"
    )
    assert repr(ClaimElement(**CLAIM)) == "ClaimElement(owner='a', stamp=1)"
