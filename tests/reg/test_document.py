import msgspec
import pytest

from reginfo.reg.document import (
    Contact,
    ContactEvent,
    ContactState,
    Reginfo,
    contact_id,
    quoted,
    registration_id,
    shortest_q,
    unquoted,
)

ACTIVE = {"registered", "created", "refreshed", "shortened"}
TERMINATED = {"expired", "deactivated", "probation", "unregistered", "rejected"}


def test_state_of_a_contact_follows_from_its_event() -> None:  # 3680-16, -26
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


def test_documents_that_say_the_same_are_equal_however_they_were_written() -> None:
    document = Reginfo(version=1, full=True)
    same = Reginfo(version=1, full=True, warnings=("line 1",))
    assert document == same
    assert not document != same
    assert hash(document) == hash(same)
    assert document != Reginfo(version=2, full=True)
    assert document != Reginfo(version=1, full=False)
    assert document != "a document"


def test_ids_are_short_stable_and_unique() -> None:  # 3680-61..63, -65, -66
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
def test_q_has_one_form(text: str, shortest: str) -> None:  # 3680-70
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
def test_params_are_quoted_when_they_are_not_tokens(
    text: str, in_header: str
) -> None:  # 3680-74
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
def test_params_are_compared_unquoted(text: str, plain: str) -> None:  # 3680-74
    assert unquoted(text) == plain
