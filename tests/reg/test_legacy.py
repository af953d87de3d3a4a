import msgspec
import pytest

from reginfo.reg import xml
from reginfo.reg.document import (
    ClaimElement,
    Contact,
    ContactEvent,
    RegistrationState,
    TempGruu,
)
from reginfo.reg.legacy import (
    DEFAULT_EXPIRES,
    MAX_DOCUMENT,
    Profile,
    adapt,
    profile_of,
    publish_body,
)

CONTACT = Contact(
    id="1",
    uri="sip:a@192.0.2.1",
    event=ContactEvent.REGISTERED,
    expires=600,
    duration_registered=5,
    q="0.5",
    callid="c",
    cseq=7,
)


def contact_with(event: ContactEvent, expires: int | None = 600) -> Contact:
    return msgspec.structs.replace(CONTACT, event=event, expires=expires)


@pytest.mark.parametrize(
    "event, written",
    [
        ("registered", "registered"),
        ("refreshed", "refreshed"),
        ("created", "created"),
        ("shortened", "refreshed"),
        ("unregistered", "unregistered"),
        ("expired", "expired"),
        ("deactivated", "unregistered"),
        ("probation", "unregistered"),
        ("rejected", "unregistered"),
    ],
)
def test_only_events_that_a_legacy_peer_knows_are_written(
    event: str, written: str
) -> None:
    adapted = adapt(contact_with(ContactEvent(event)))
    assert adapted.event == written
    assert adapted.state is ContactEvent(event).state


@pytest.mark.parametrize("event", ContactEvent)
def test_expires_is_always_there_and_0_on_what_is_gone(event: ContactEvent) -> None:
    active = event.state == "active"
    assert adapt(contact_with(event)).expires == (600 if active else 0)
    assert adapt(contact_with(event, 0)).expires == 0
    assert adapt(contact_with(event, None)).expires == (
        DEFAULT_EXPIRES if active else 0
    )


def test_callid_and_cseq_are_always_there() -> None:
    bare = msgspec.structs.replace(CONTACT, callid=None, cseq=None)
    assert (adapt(bare).callid, adapt(bare).cseq) == ("1", 0)
    assert adapt(CONTACT) == CONTACT


@pytest.mark.parametrize("claimed", [False, True])
def test_what_a_legacy_peer_does_not_know_is_not_written(claimed: bool) -> None:
    claim = ClaimElement(
        owner="s1", stamp=1, path=("<sip:p;lr>",), received="sip:r", user_agent="x"
    )
    contact = msgspec.structs.replace(
        CONTACT,
        retry_after=5,
        params=(("audio", None),),
        pub_gruu="sip:p",
        temp_gruu=TempGruu("sip:t", 1),
        path=() if claimed else claim.path,
        received="" if claimed else claim.received,
        user_agent="" if claimed else claim.user_agent,
        claim=claim if claimed else None,
    )
    adapted = adapt(contact)
    assert adapted == adapt(adapted)
    # Where the contact is reached stays: these peers have attributes for it.
    assert adapted == msgspec.structs.replace(
        CONTACT, path=("<sip:p;lr>",), received="sip:r", user_agent="x"
    )
    head, tail = xml.contact_parts(adapted)
    assert b' received="sip:r" path="&lt;sip:p;lr&gt;" user_agent="x"' in head
    assert tail == b"><uri>sip:a@192.0.2.1</uri></contact>"


@pytest.mark.parametrize(
    "user_agent, profile",
    [
        ("kamailio (5.6.3 (x86_64/linux))", Profile.LEGACY),
        ("OpenSIPS (4.1.0-dev (x86_64/linux))", Profile.LEGACY),
        ("Kamailio S-CSCF", Profile.LEGACY),
        ("reginfo/1.0", Profile.STANDARD),
        ("", Profile.STANDARD),
        ("notkamailioatall", Profile.STANDARD),
    ],
)
def test_legacy_peers_are_known_by_their_name(
    user_agent: str, profile: Profile
) -> None:
    assert profile_of(user_agent) is profile


def test_publication_survives_a_presence_server_that_writes_its_version_in() -> None:
    contact = xml.contact_element(xml.contact_parts(CONTACT), 600, None)
    registration = xml.registration_element(
        "sip:alice@example.com", "a7", RegistrationState.ACTIVE, [contact]
    )
    body = publish_body([registration])
    assert xml.parse(body, strict=True) == xml.parse(
        xml.reginfo_body(0, True, [registration]), strict=True
    )
    # What OpenSIPS does: 13 bytes after the first `version="` from byte 34 on.
    at = body.index(b'version="', 34) + 9
    sent = body[:at] + b'42"'.ljust(13) + body[at + 13 :]
    document = xml.parse(sent, strict=True)
    assert (document.version, document.full) == (42, True)


def test_one_contact_fits_into_a_datagram() -> None:
    contact = xml.contact_element(xml.contact_parts(CONTACT), 600, 5)
    registration = xml.registration_element(
        "sip:alice@example.com", "0" * 16, RegistrationState.ACTIVE, [contact]
    )
    assert len(xml.reginfo_body(2**32 - 1, True, [registration])) < MAX_DOCUMENT
