"""The reader: what it understands, puts up with and refuses."""

from __future__ import annotations

import time

import pytest

from reginfo.reg.document import (
    Contact,
    ContactEvent,
    Reginfo,
    Registration,
    RegistrationState,
)
from reginfo.reg.xml import parse

from .documents import (
    ALICE,
    GOOD,
    GOOD_XML,
    NS,
    contact_of,
    document_of,
    refuse,
)


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


@pytest.mark.parametrize("state", ["terminated", "init"])
def test_a_registration_that_is_over_counts_without_its_contacts(
    state: str,
) -> None:
    """
    A registration that is over counts even if its contacts cannot be read (3680-104).
    """
    # RFC 3680 §5.1: it has no contacts, so nothing depends on reading them.
    body = document_of("<contact/>", state=state)
    (registration,) = parse(body).registrations
    assert registration.state == state
    assert registration.contacts == ()


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
def test_an_invalid_document_is_refused(old: str, new: str, message: str) -> None:
    """A body that is no reginfo document is refused (3680-56, -58, -60)."""
    body = document_of(GOOD_XML).decode().replace(old, new, 1)
    if old == "reginfo":
        body = f"<presence>{body}</presence>"
    refuse(body.encode(), message)


def test_many_registrations_of_one_aor_take_linear_time() -> None:
    contact = '<contact id="1" state="active" event="created"><uri>a:b</uri></contact>'
    one = f'<registration aor="{ALICE}" id="1" state="active">{contact}</registration>'
    body = f'<reginfo xmlns="{NS}" version="0" state="full">{one * 6000}</reginfo>'
    begin = time.process_time()
    (registration,) = parse(body.encode()).registrations
    assert time.process_time() - begin < 2.0
    assert len(registration.contacts) == 6000
